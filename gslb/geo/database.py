"""A GeoIP database: a MaxMind DB file in the GeoIP2 or GeoLite2 schema, of cities or of countries.

A shell: it reads one file. A lookup answers from the file as it was opened, also after another one took its place
under the same name (put a new file beside it and rename, as geoipupdate does; a file written over in place pulls the
ground from under everybody who reads it). What a record does not say stays unsaid: private and reserved space is
located only if the file locates it. For `locate`, `classes` and the geo commands.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import maxminddb

from gslb.errors import GeoError
from gslb.geo.centroids import centroid
from gslb.geo.embedded import RANGES
from gslb.geo.tree import DamagedTree, Tree
from gslb.model import Location

LOCATIONS_CACHED = 65_536  # places that are one object each, however many networks name them
SAMPLE_NETWORKS = 10_000  # how many are looked at to tell what kind of database this is
REMEDY = "use a City or Country database in the GeoIP2 schema (GeoLite2, GeoIP2), or make one with `gslb geo build`"
_UNREADABLE = (maxminddb.InvalidDatabaseError, ValueError, OSError, KeyError, IndexError, RecursionError)


class Database:
    """An open database.

    `stamp` changes when the file does. `location` is told for records with a point, or at least with a country, whose
    middle it then is.
    """

    def __init__(self, path: str | Path) -> None:
        """Opens and checks the file. Raises GeoError: missing, unreadable, truncated, or of another kind."""
        self.path = Path(path)
        self._locations: dict[tuple[Any, ...], Location] = {}
        try:
            self._identity = _identity(self.path.stat())
            self._reader = maxminddb.open_database(self.path)
            metadata = self._reader.metadata()
        except FileNotFoundError:
            raise GeoError(f"{self.path}: no such file; {REMEDY}") from None
        except _UNREADABLE as error:
            raise GeoError(f"{self.path}: can't be read as a MaxMind DB ({error}); {REMEDY}") from error
        self.type: str = metadata.database_type
        self.build_epoch: int = metadata.build_epoch
        self._versions = (4, 6) if metadata.ip_version == 6 else (4,)
        self.stamp = f"{self._identity[2]}-{self._identity[3]}-{metadata.build_epoch}"
        try:
            self._check_kind()
        except GeoError:
            self.close()
            raise

    def lookup(self, address: int, family: int) -> tuple[Location | None, int]:
        """Where an address is, and the length of the prefix around it of which that is true.

        Args:
            address: as a number.
            family: 4 or 6; the prefix length is in its own terms.

        Returns:
            None for a place that the file does not know, or a record that can't be read. Never raises.
        """
        if family not in self._versions:
            return None, 0
        try:
            record, length = self._reader.get_with_prefix_len(
                ipaddress.IPv4Address(address) if family == 4 else ipaddress.IPv6Address(address)
            )
            return self._location(record), length
        except _UNREADABLE:
            return None, 32 if family == 4 else 128

    def networks(self) -> Iterator[tuple[int, int, int, Location | None]]:
        """Everything: (family, first address, prefix length, place), IPv4 first, in address order, gaps included.

        IPv6 ranges that are aliases of IPv4 are told as gaps (see gslb.geo.embedded).

        Raises:
            GeoError: the file was replaced since it was opened, or is damaged.
        """
        tree, ip_version = self._tree()
        places: dict[int, Location | None] = {tree.node_count: None}
        root4 = tree.root4() if ip_version == 6 else 0
        try:
            for family in (4, 6):
                bits = 32 if family == 4 else 128
                root = 0 if family == ip_version else root4 if family == 4 else tree.node_count
                skip = frozenset(RANGES) if family == 6 else frozenset()
                for first, length, value in tree.walk(root, bits, skip, root4):
                    if value not in places:
                        places[value] = self._read(first, family)
                    yield family, first, length, places[value]
        except DamagedTree as error:
            raise GeoError(f"{self.path}: damaged: {error}; {REMEDY}") from error

    def close(self) -> None:
        """Gives the file back; a lookup after this knows nothing."""
        self._reader.close()

    def _read(self, address: int, family: int) -> Location | None:
        """As lookup, but a damaged record is an error."""
        text = ipaddress.IPv4Address(address) if family == 4 else ipaddress.IPv6Address(address)
        try:
            return self._location(self._reader.get(text))
        except _UNREADABLE as error:
            raise GeoError(f"{self.path}: damaged: the record of {text} can't be read ({error}); {REMEDY}") from error

    def _tree(self) -> tuple[Tree, int]:
        metadata = self._reader.metadata()
        try:
            with self.path.open("rb") as file:
                if _identity(os.fstat(file.fileno())) != self._identity:
                    raise GeoError(f"{self.path}: was replaced since it was opened; open it again")
                content = file.read(metadata.node_count * metadata.record_size // 4)
            return Tree(content, metadata.node_count, metadata.record_size), metadata.ip_version
        except (OSError, DamagedTree) as error:
            raise GeoError(f"{self.path}: damaged: {error}; {REMEDY}") from error

    def _location(self, record: object) -> Location | None:
        """The place that a record tells, if any. Raises one of _UNREADABLE for a record that makes no sense."""
        if not isinstance(record, Mapping):
            return None
        country = _code(record.get("country"), "iso_code")
        continent = _code(record.get("continent"), "code")
        subdivisions = record.get("subdivisions")
        subdivision = _code(subdivisions[0], "iso_code") if isinstance(subdivisions, list) and subdivisions else ""
        point = record.get("location")
        latitude, longitude = (
            (point.get("latitude"), point.get("longitude")) if isinstance(point, Mapping) else (None, None)
        )
        key = (latitude, longitude, country, continent, subdivision)
        known = self._locations.get(key)
        if known is None:
            known = _place(*key)
            if known is not None:
                if len(self._locations) >= LOCATIONS_CACHED:
                    self._locations.clear()
                self._locations[key] = known
        return known

    def _check_kind(self) -> None:
        """Raises GeoError if none of the first networks has a place."""
        try:
            for _, (_, record) in zip(range(SAMPLE_NETWORKS), self._reader, strict=False):
                if self._location(record) is not None:
                    return
        except _UNREADABLE as error:
            raise GeoError(f"{self.path}: damaged ({error}); {REMEDY}") from error
        raise GeoError(f"{self.path}: a database of type {self.type!r} tells no places; {REMEDY}")


def _identity(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _code(part: object, key: str) -> str:
    """A code out of one part of a record; "" where there is none."""
    value = part.get(key) if isinstance(part, Mapping) else None
    return value if isinstance(value, str) else ""


def _place(latitude: object, longitude: object, country: str, continent: str, subdivision: str) -> Location | None:
    """A place from what a record says; the country's middle where it says no point."""
    middle = centroid(country) if country else None
    if isinstance(latitude, float | int) and isinstance(longitude, float | int):
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            return None
    elif middle is not None:
        latitude, longitude = middle.latitude, middle.longitude
    else:
        return None
    if not continent and middle is not None:
        continent = middle.continent
    return Location(float(latitude), float(longitude), country, continent, subdivision)
