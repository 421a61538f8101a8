"""Zones, their records and the services in them: what can't stand together, told with its line. For checks.py.

The rooms below judge, too: a record's data is read by the code that will serve it, and whatever else the compiler of
zones refuses is told at the zone's line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from gslb.config.compile import compile_zone
from gslb.config.names import absolute, inline, inside, nameservers, zone_of
from gslb.config.plugins import meant
from gslb.config.reader import Document
from gslb.config.schema_cluster import ClusterFile, ZoneSection
from gslb.config.source import Source
from gslb.dns.records import parse_master_file, parse_record
from gslb.dns.zones import Zones
from gslb.errors import Problem
from gslb.model import Record, Service

MASTER_FILE_BYTES_MAX = 16 << 20
STEERED_TYPES = frozenset({"A", "AAAA", "CNAME"})  # what a service is in the place of

_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)


def check_zones(main: Source[ClusterFile], cluster: ClusterFile) -> dict[str, tuple[Record, ...]]:
    """Checks every zone and the names of every service; the records of each zone, those of its master file included."""
    document = main.document
    _check_spellings(document, "zones", cluster.zones)
    _check_spellings(document, "services", cluster.services)
    origins = {name.lower().removesuffix(".") for name in main.zones}
    steered: dict[str, list[str]] = {origin: [] for origin in origins}
    for name in cluster.services:
        origin = zone_of(name, origins)
        if origin is None:
            remedy = f"add a zone for it; {meant(name, origins)}" if origins else f"write zones: {{{name}: …}} or above it"
            document.blame(("services", written(document, "services", name)), f"{name} is in no configured zone", remedy)
        else:
            steered[origin].append(name)
    return {
        origin: _Checked(document, origin, zone, steered.get(origin, ())).records()
        for origin, zone in cluster.zones.items()
    }


def written(document: Document, section: str, name: str) -> str:
    """A name as the file has it: letters' case and a last dot don't count."""
    keys = document.tree.get(section, {})
    return name if name in keys else next((key for key in keys if key.lower().removesuffix(".") == name), name)


def _check_spellings(document: Document, section: str, names: Iterable[str]) -> None:
    """Keys of the file that are one name once case and last dot are gone."""
    if len(document.tree.get(section, {})) == len(tuple(names)):
        return
    seen: dict[str, str] = {}
    for key in document.tree[section]:
        first = seen.setdefault(key.lower().removesuffix("."), key)
        if first != key:
            document.blame((section, key), f"{key} is {first} on line {document.line(section, first)}", "remove one")


class _Checked:
    """One zone under check."""

    def __init__(self, document: Document, origin: str, zone: ZoneSection, steered: Iterable[str]) -> None:
        self._document, self._origin, self._zone = document, origin, zone
        self._steered = frozenset(steered)
        self._path = ("zones", written(document, "zones", origin))
        self._before = len(document.problems)

    def records(self) -> tuple[Record, ...]:
        """Every record of the zone that can stand; what can't is told."""
        self._check_nameservers()
        records, places = self._inline()
        if self._zone.file is not None:
            records += self._file(self._zone.file)
        self._check_together(records, places)
        if len(self._document.problems) == self._before:
            self._check_compiled(tuple(records))
        return tuple(records)

    def _check_nameservers(self) -> None:
        hosts = nameservers(self._zone, self._origin)
        for written_name, (host, addresses) in zip(self._zone.nameservers, hosts.items(), strict=False):
            path = (*self._path, "nameservers", written_name)
            if host.startswith("*"):
                self._document.blame(path, "a name server has no wildcard", "write its name, as ns1")
            elif host in self._steered:
                self._document.blame(path, f"{host} is a steered name", "give the name server a name of its own")
            elif inside(host, self._origin) and not addresses:
                self._document.blame(path, f"{host} has no address", f"write its addresses: {written_name}: [192.0.2.53]")
            elif not inside(host, self._origin) and addresses:
                self._document.blame(path, f"{host} is outside the zone, where its addresses are not ours to tell",
                                     f"leave them out: {written_name}: []")

    def _inline(self) -> tuple[list[Record], list[int]]:
        """The records in the file, and the place of each in its list."""
        records, places = [], []
        for index, section in enumerate(self._zone.records):
            path = (*self._path, "records", index)
            record = inline(section, self._origin, self._zone)
            if not inside(record.owner, self._origin):
                self._document.blame((*path, "name"), f"{record.owner} is outside the zone {self._origin}",
                                     "write names without their last dot, or put it into its own zone")
                continue
            try:
                parse_record(record, self._origin)
            except ValueError as error:
                self._document.blame((*path, "data"), str(error), _example(record.type))
                continue
            records.append(record)
            places.append(index)
        return records, places

    def _file(self, name: str) -> list[Record]:
        """The records of the master file; what is wrong in it is told with its own name and line."""
        try:
            with Path(name).open("rb") as file:
                data = file.read(MASTER_FILE_BYTES_MAX + 1)
            if len(data) > MASTER_FILE_BYTES_MAX:
                raise ValueError(f"it is longer than {MASTER_FILE_BYTES_MAX >> 20} MiB")
            return list(parse_master_file(data.decode(), self._origin, int(self._zone.ttl)))
        except OSError as error:
            self._document.blame((*self._path, "file"), f"can't read {name}: {error.strerror}",
                                 "write the path from this file's folder")
        except UnicodeDecodeError:
            self._document.blame((*self._path, "file"), f"{name} is not UTF-8", "save it as UTF-8")
        except ValueError as error:
            found = _LINE.fullmatch(str(error))
            line, words = (int(found[1]), found[2]) if found else (0, str(error))
            path = ".".join((*self._path, "file"))
            self._document.problems.append(Problem(name, line, path, words, "see RFC 1035 §5.1 for the form of the file"))
        return []

    def _check_together(self, records: list[Record], places: list[int]) -> None:
        """What can't stand beside each other (RFC 1034 §3.6.2, RFC 2181 §5). `places` is of the inline records."""
        hosts = {host for host in nameservers(self._zone, self._origin) if inside(host, self._origin)}
        types: dict[str, set[str]] = {self._origin: {"SOA", "NS"}} | {host: {"A", "AAAA"} for host in hosts}
        for record in records:
            types.setdefault(record.owner, set()).add(record.type)
        seen: set[tuple[str, str, str]] = set()
        ttls: dict[tuple[str, str], int] = {}
        for number, record in enumerate(records):
            words = self._conflict(record, types, seen, ttls)
            if words:
                inline_path = (*self._path, "records", places[number]) if number < len(places) else (*self._path, "file")
                self._document.blame(inline_path, *words)
            seen.add((record.owner, record.type, record.data))
            ttls.setdefault((record.owner, record.type), record.ttl_s)

    def _conflict(
        self, record: Record, types: dict[str, set[str]], seen: set[tuple[str, str, str]], ttls: dict[tuple[str, str], int]
    ) -> tuple[str, str] | None:
        """Message and remedy, if this record can't stand beside the others."""
        owner, kind = record.owner, record.type
        if owner in self._steered and kind in STEERED_TYPES:
            return f"{owner} is a service: its addresses are steered", "remove this record, or the service"
        if kind == "CNAME" and (types[owner] != {"CNAME"} or any(one[:2] == (owner, kind) for one in seen if one[0] == owner)):
            return f"{owner} has other records beside its CNAME", "a CNAME stands alone at its name: remove it or the others"
        if kind == "NS" and owner == self._origin:
            return "the zone's own NS records come from `nameservers`", "write the server there"
        if (owner, kind, record.data) in seen:
            return f"this {kind} record of {owner} is there twice", "remove one"
        if kind in {"A", "AAAA"} and owner in nameservers(self._zone, self._origin):
            return f"the addresses of {owner} come from `nameservers`", "write them there"
        first = ttls.get((owner, kind), record.ttl_s)
        if first != record.ttl_s:
            return f"the {kind} records of {owner} differ in TTL", f"write {first}s for all (RFC 2181 §5.2)"
        return None

    def _check_compiled(self, records: tuple[Record, ...]) -> None:
        """What the zone's compiler refuses beyond that, as steered names below a delegation."""
        services = [Service(name, (), ()) for name in sorted(self._steered)]
        try:
            Zones([compile_zone(self._origin, self._zone, records, services)], services)
        except ValueError as error:
            self._document.blame(self._path, str(error), "change or remove the record, or the service")


def _example(kind: str) -> str:
    """How the data of a type is written."""
    examples = {
        "A": "192.0.2.10",
        "AAAA": "2001:db8::10",
        "CAA": '0 issue "ca.example.net"',
        "CNAME": "www",
        "MX": "10 mail",
        "NS": "ns1.example.net.",
        "SRV": "10 5 5060 sip",
        "TXT": '\\"v=spf1 -all\\"',
    }
    return f"write it as in a zone file: {examples[kind]}" if kind in examples else "write it as in a zone file"
