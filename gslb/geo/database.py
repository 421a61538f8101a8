"""A GeoIP database: a MaxMind DB file in the GeoIP2 or GeoLite2 schema, of cities or of countries.

A shell: it maps one file into memory. A lookup answers from the file as it was opened, also after another one took its
place under the same name: put a new file beside it and rename, as geoipupdate does (one that is cut short in place
pulls the ground from under everybody who has it mapped). What a record does not say stays unsaid: private and reserved
space is located only if the file locates it. For `locate`, `classes` and the geo commands.

Records are read by maxminddb's decoder, the tree by gslb.geo.tree, which says why.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from maxminddb import InvalidDatabaseError
from maxminddb.decoder import Decoder

from gslb.errors import GeoError
from gslb.geo.centroids import centroid
from gslb.geo.embedded import RANGES
from gslb.geo.tree import DamagedTree, Tree
from gslb.model import Location

PLACES_CACHED = 65_536  # records whose place is remembered
SAMPLE_NETWORKS = 10_000  # of each family: how many are looked at to tell what kind of database this is
METADATA_MAX_BYTES = 128 * 1024  # at the end of the file
REMEDY = "use a City or Country database in the GeoIP2 schema (GeoLite2, GeoIP2), or make one with `gslb geo build`"
_METADATA_START = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR_BYTES = 16
# what a decoder may raise on a damaged record, by its release
_UNREADABLE = (
    InvalidDatabaseError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, struct.error
)  # fmt: skip


class Database:
    """An open database.

    `stamp` changes when the file does. `location` is told for records with a point, or at least with a country, whose
    middle it then is.
    """

    def __init__(self, path: str | Path) -> None:
        """Opens and checks the file. Raises GeoError: missing, unreadable, truncated, or of another kind."""
        self.path = Path(path)
        self._places: dict[int, Location | None] = {}
        try:
            with self.path.open("rb") as file:
                stat = self.path.stat()
                self._content = mmap(file.fileno(), 0, access=ACCESS_READ)
            metadata = self._metadata()
            self.type = str(metadata["database_type"])
            self.build_epoch = int(metadata["build_epoch"])
            self.ip_version = int(metadata["ip_version"])
            self._tree = Tree(self._content, int(metadata["node_count"]), int(metadata["record_size"]), self.ip_version)
        except FileNotFoundError:
            raise GeoError(f"{self.path}: no such file; {REMEDY}") from None
        except (OSError, *_UNREADABLE) as error:
            raise GeoError(f"{self.path}: can't be read as a MaxMind DB ({error}); {REMEDY}") from error
        self.stamp = f"{stat.st_size}-{stat.st_mtime_ns}-{self.build_epoch}"
        self._decoder = Decoder(self._content, self._tree.size_bytes + _SEPARATOR_BYTES)
        self._check_kind()

    def lookup(self, address: int, family: int) -> tuple[Location | None, int]:
        """Where an address is, and the length of the prefix around it of which that is true.

        Args:
            address: as a number.
            family: 4 or 6; the prefix length is in its own terms.

        Returns:
            None for a place that the file does not know, or a record that can't be read. Never raises.
        """
        try:
            value, length = self._tree.find(address, family)
        except DamagedTree:
            return None, 32 if family == 4 else 128
        if value not in self._places:
            if len(self._places) >= PLACES_CACHED:
                self._places.clear()
            try:
                self._places[value] = self._place(value)
            except _UNREADABLE:
                self._places[value] = None
        return self._places[value], length

    def networks(self) -> Iterator[tuple[int, int, int, Location | None]]:
        """Everything: (family, first address, prefix length, place), IPv4 first, in address order, gaps included.

        IPv6 ranges that are aliases of IPv4 are told as gaps (see gslb.geo.embedded).

        Raises:
            GeoError: the file is damaged.
        """
        places: dict[int, Location | None] = {}
        try:
            for family, skip in ((4, frozenset()), (6, frozenset(RANGES))):
                for first, length, value in self._tree.walk(family, skip):
                    if value not in places:
                        places[value] = self._place(value)
                    yield family, first, length, places[value]
        except _UNREADABLE as error:
            raise GeoError(f"{self.path}: damaged: {error}; {REMEDY}") from error

    def close(self) -> None:
        """Gives the file back; no lookup may follow."""
        self._content.close()

    def _metadata(self) -> Mapping[str, Any]:
        start = self._content.rfind(_METADATA_START, max(0, len(self._content) - METADATA_MAX_BYTES))
        if start < 0:
            raise InvalidDatabaseError("no metadata at its end")
        start += len(_METADATA_START)
        metadata, _ = Decoder(self._content, start).decode(start)
        if not isinstance(metadata, dict):
            raise InvalidDatabaseError("its metadata is no map")
        return metadata

    def _place(self, value: int) -> Location | None:
        """The place that a value of the tree stands for. Raises one of _UNREADABLE for a damaged record."""
        offset = value - self._tree.node_count
        if not offset:
            return None
        if offset < _SEPARATOR_BYTES or offset + self._tree.size_bytes >= len(self._content):
            raise InvalidDatabaseError("a network points outside of the file")
        return place_of(self._decoder.decode(offset + self._tree.size_bytes)[0])

    def _check_kind(self) -> None:
        """Raises GeoError if none of the first networks has a place."""
        for family in (4, 6):
            bits, address = (32, 0) if family == 4 else (128, 1 << 32)  # IPv6 begins behind where IPv4 is kept
            for _ in range(SAMPLE_NETWORKS):
                place, length = self.lookup(address, family)
                if place is not None:
                    return
                address = (address >> bits - length) + 1 << bits - length
                if address >> bits:
                    break
        self.close()
        raise GeoError(f"{self.path}: a database of type {self.type!r} tells no places; {REMEDY}")


def place_of(record: object) -> Location | None:
    """The place that a record of the GeoIP2 City or Country schema tells, if any."""
    if not isinstance(record, Mapping):
        return None
    country, continent = _code(record.get("country"), "iso_code"), _code(record.get("continent"), "code")
    subdivisions, point = record.get("subdivisions"), record.get("location")
    subdivision = _code(subdivisions[0], "iso_code") if isinstance(subdivisions, list) and subdivisions else ""
    latitude, longitude = (point.get(key) if isinstance(point, Mapping) else None for key in ("latitude", "longitude"))
    middle = centroid(country) if country else None
    if not isinstance(latitude, float | int) or not isinstance(longitude, float | int):
        if middle is None:
            return None
        latitude, longitude = middle.latitude, middle.longitude
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    if not continent and middle is not None:
        continent = middle.continent
    return Location(float(latitude), float(longitude), country, continent, subdivision)


def _code(part: object, key: str) -> str:
    """A code out of one part of a record; "" where there is none."""
    value = part.get(key) if isinstance(part, Mapping) else None
    return value if isinstance(value, str) else ""
