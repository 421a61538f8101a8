"""Zones, their records and the services in them: what can't stand together, told with its line. For checks.py.

The rooms below judge, too: a record's data is read by the code that will serve it, and whatever else the compiler of
zones refuses is told at the zone's line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from gslb.config.compile import compile_zone
from gslb.config.names import absolute, by_zone, inline, inside, nameservers, zone_of
from gslb.config.plugins import Place, meant
from gslb.config.reader import Document
from gslb.config.schema_cluster import ClusterFile, ZoneSection
from gslb.config.source import Source
from gslb.dns.records import parse_master_file, parse_record
from gslb.dns.zones import Zones
from gslb.errors import Problem
from gslb.model import Record, Service

MASTER_FILE_BYTES_MAX = 16 << 20
STEERED_TYPES = frozenset({"A", "AAAA", "CNAME"})  # a service stands in their place
EXAMPLES = {
    "A": "192.0.2.10",
    "AAAA": "2001:db8::10",
    "CAA": '0 issue "ca.example.net"',
    "CNAME": "www",
    "MX": "10 mail",
    "NS": "ns1.example.net.",
    "SRV": "10 5 5060 sip",
    "TXT": "'\"v=spf1 -all\"'",
}

_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)


def check_zones(main: Source[ClusterFile], cluster: ClusterFile) -> dict[str, tuple[Record, ...]]:
    """Checks every zone and the names of every service; the records of each zone, those of its master file included."""
    document = main.document
    for section in ("zones", "services"):
        _check_spellings(document, section)
    origins = {name.lower().removesuffix(".") for name in main.zones}
    steered = by_zone(cluster.services, origins)
    for name in cluster.services:
        if zone_of(name, origins) is None:
            path = ("services", written(document, "services", name))
            message = f"the service {name} is in no configured zone"
            document.add(document.line(*path), message, f"add its zone; {meant(name, origins)}", path)
    return {
        origin: ZoneCheck(document, origin, zone, steered.get(origin, ())).records()
        for origin, zone in cluster.zones.items()
    }


def written(document: Document, section: str, name: str) -> str:
    """A name as the file has it: letters' case and a last dot don't count."""
    keys = document.tree.get(section, {})
    return name if name in keys else next((key for key in keys if key.lower().removesuffix(".") == name), name)


def _check_spellings(document: Document, section: str) -> None:
    """Keys of the file that are one name once case and last dot are gone."""
    seen: dict[str, str] = {}
    for key in document.tree.get(section, {}):
        first = seen.setdefault(key.lower().removesuffix("."), key)
        if first != key:
            line = document.line(section, first)
            document.add(document.line(section, key), f"{key} is {first} on line {line}", "remove one", (section, key))


class ZoneCheck:
    """One zone under check."""

    def __init__(self, document: Document, origin: str, zone: ZoneSection, steered: Iterable[str]) -> None:
        """`steered`: the names of the services in this zone."""
        self._document, self._origin, self._zone = document, origin, zone
        self._steered = frozenset(steered)
        self._nameservers = nameservers(zone, origin)
        self._path: Place = ("zones", written(document, "zones", origin))
        self._before = len(document.problems)

    def records(self) -> tuple[Record, ...]:
        """Every record of the zone that can be read; what is wrong is told."""
        self._check_nameservers()
        records, places = self._inline()
        if self._zone.file is not None:
            records += self._file(self._zone.file)
        self._check_together(records, places)
        if len(self._document.problems) == self._before:
            self._check_compiled(tuple(records))
        return tuple(records)

    def _check_nameservers(self) -> None:
        for name, addresses in self._zone.nameservers.items():
            host = absolute(name, self._origin)
            path = (*self._path, "nameservers", name)
            if host.startswith("*"):
                self._document.blame(path, "a name server has no wildcard", "write its name, as ns1")
            elif host in self._steered:
                self._document.blame(path, f"{host} is a service", "give the name server a name of its own")
            elif inside(host, self._origin) and not addresses:
                self._document.blame(path, f"{host} has no address", f"write it: {name}: [192.0.2.53]")
            elif addresses and not inside(host, self._origin):
                remedy = f"its addresses are not this zone's to tell: write {name}: []"
                self._document.blame(path, f"{host} is outside the zone", remedy)

    def _inline(self) -> tuple[list[Record], list[int]]:
        """The records in the file, and the place of each in its list."""
        records, places = [], []
        for index, section in enumerate(self._zone.records):
            path = (*self._path, "records", index)
            record = inline(section, self._origin, self._zone)
            if not inside(record.owner, self._origin):
                remedy = "write names without their last dot, or put the record into its own zone"
                self._document.blame((*path, "name"), f"{record.owner} is outside the zone {self._origin}", remedy)
                continue
            try:
                parse_record(record, self._origin)
            except ValueError as error:
                example = f": {EXAMPLES[record.type]}" if record.type in EXAMPLES else ""
                self._document.blame((*path, "data"), str(error), f"write it as in a zone file{example}")
                continue
            records.append(record)
            places.append(index)
        return records, places

    def _file(self, name: str) -> list[Record]:
        """The records of the master file; what is wrong in it is told with its own name and line."""
        path = (*self._path, "file")
        try:
            with Path(name).open("rb") as file:
                data = file.read(MASTER_FILE_BYTES_MAX + 1)
        except OSError as error:
            self._document.blame(path, f"can't read {name}: {error.strerror}", "write the path from this file's folder")
            return []
        if len(data) > MASTER_FILE_BYTES_MAX:
            self._document.blame(path, f"{name} is longer than {MASTER_FILE_BYTES_MAX >> 20} MiB", "split the zone")
            return []
        try:
            return list(parse_master_file(data.decode(), self._origin, int(self._zone.ttl)))
        except UnicodeDecodeError:
            self._document.blame(path, f"{name} is not UTF-8", "save it as UTF-8")
        except ValueError as error:
            found = _LINE.fullmatch(str(error))
            line, words = (int(found[1]), found[2]) if found else (0, str(error))
            remedy = f"the file of the zone {self._origin}; its form is that of RFC 1035 §5.1"
            self._document.problems.append(Problem(name, line, "", words, remedy))
        return []

    def _check_together(self, records: list[Record], places: list[int]) -> None:
        """What can't stand beside each other (RFC 1034 §3.6.2, RFC 2181 §5). `places` is of the inline records."""
        types: dict[str, list[str]] = {self._origin: ["SOA", "NS"]}
        types |= {host: ["A"] for host in self._nameservers if inside(host, self._origin)}
        for record in records:
            types.setdefault(record.owner, []).append(record.type)
        seen: dict[tuple[str, str], tuple[int, set[str]]] = {}
        for number, record in enumerate(records):
            ttl_s, datas = seen.setdefault((record.owner, record.type), (record.ttl_s, set()))
            words = self._conflict(record, types[record.owner], ttl_s, datas)
            if words:
                inline_one = number < len(places)
                path = (*self._path, "records", places[number]) if inline_one else (*self._path, "file")
                self._document.blame(path, *words)
            datas.add(record.data)

    def _conflict(self, record: Record, beside: list[str], ttl_s: int, datas: set[str]) -> tuple[str, str] | None:
        """Message and remedy, if this record can't stand beside the others of its name, and of its type before it."""
        owner, kind = record.owner, record.type
        if owner in self._steered and kind in STEERED_TYPES:
            return f"{owner} is a service: its addresses are steered", "remove this record, or the service"
        if record.data in datas:
            return f"this {kind} record of {owner} is there twice", "remove one"
        if kind == "CNAME" and len(beside) > 1:
            others = ", ".join(sorted({*beside} - {"CNAME"})) or "another CNAME"
            return f"{owner} has {others} beside its CNAME", "a CNAME stands alone at its name: remove it or the others"
        if kind == "NS" and owner == self._origin:
            return "the zone's own NS records come from `nameservers`", "write the server there"
        if kind in {"A", "AAAA"} and owner in self._nameservers:
            return f"the addresses of {owner} come from `nameservers`", "write them there"
        if record.ttl_s != ttl_s:
            return f"the {kind} records of {owner} differ in TTL", f"write {ttl_s}s for all (RFC 2181 §5.2)"
        return None

    def _check_compiled(self, records: tuple[Record, ...]) -> None:
        """What the zone's compiler refuses beyond that, as a service below a delegation."""
        services = [Service(name, (), ()) for name in sorted(self._steered)]
        try:
            Zones([compile_zone(self._origin, self._zone, records, services)], services)
        except ValueError as error:
            self._document.blame(self._path, str(error), "change or remove the record, or the service")
