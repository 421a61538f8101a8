"""Zones compiled for lookups: names to record sets, with apex, glue, delegations and steered names. Pure.

Config compiles a zone to check it; the responder compiles all of a Plan's and asks `Zones.find`. Sources: RFC 1034
§4.3.2 (the algorithm), RFC 4592 (wildcards and empty non-terminals), RFC 2181 §5.2 (one TTL a record set).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gslb.dns.records import RR, parse_record
from gslb.dns.wire import AAAA, CNAME, NS, SOA, A, RRset, decode_name, encode_name, suffixes
from gslb.model import Record, Service, Zone

WILDCARD = b"\1*"


@dataclass(slots=True)
class Node:
    """What exists at a name: record sets by type, and the service it is steered by. Both empty: a non-terminal."""

    rrsets: dict[int, RRset] = field(default_factory=dict)
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class CompiledZone:
    """One zone. `nodes` holds every existing name, lower-case wire form; `negative` is its SOA as in RFC 2308 §3."""

    origin: bytes
    nodes: Mapping[bytes, Node]
    negative: RRset
    has_cuts: bool

    def cut(self, name: bytes) -> RRset | None:
        """The NS set of the delegation at or above `name`, None if the zone speaks for `name` itself."""
        found = None
        for ancestor in suffixes(name):
            if ancestor == self.origin:
                break
            node = self.nodes.get(ancestor)
            if node is not None and NS in node.rrsets:
                found = node.rrsets[NS]  # the topmost cut counts
        return found

    def node(self, name: bytes) -> Node | None:
        """What answers for `name`: its own node, or the wildcard of its closest encloser (RFC 4592 §3.3.1), or None."""
        own = self.nodes.get(name)
        if own is not None:
            return own
        for ancestor in suffixes(name):
            if ancestor in self.nodes:
                return self.nodes.get(WILDCARD + ancestor)
        return None


class Zones:
    """Every zone of a Plan."""

    def __init__(self, zones: Iterable[Zone], services: Iterable[Service]) -> None:
        """Raises ValueError by the first record that can't be served; config has told all of them before."""
        origins = {_absolute(zone.origin): zone for zone in zones}
        steered: dict[bytes, dict[bytes, Service]] = {origin: {} for origin in origins}
        for service in services:
            name = _absolute(service.name)
            origin = next((suffix for suffix in suffixes(name) if suffix in origins), None)
            if origin is not None:
                steered[origin][name] = service
        self.by_origin = {origin: compile_zone(zone, steered[origin]) for origin, zone in origins.items()}

    def find(self, name: bytes) -> CompiledZone | None:
        """The zone with the longest name that `name` is in."""
        by_origin = self.by_origin
        for suffix in suffixes(name):
            if suffix in by_origin:
                return by_origin[suffix]
        return None


def compile_zone(zone: Zone, steered: Mapping[bytes, Service]) -> CompiledZone:
    """One zone with the services whose names are in it, by lower-case wire name.

    Raises:
        ValueError: a record that can't be read or is out of the zone, CNAME beside other data, two CNAMEs, an address
            at a steered name, a steered name below a delegation.
    """
    origin = _absolute(zone.origin)
    records = list(_own_records(zone))
    records += [_in_zone(record, zone, origin) for record in zone.records]
    sets: dict[tuple[bytes, int], dict[bytes, int]] = {}
    for record in records:
        sets.setdefault((record.owner, record.type), {}).setdefault(record.rdata, record.ttl_s)
    nodes: dict[bytes, Node] = {}
    for name in [*(owner for owner, _ in sets), *steered, origin]:
        for ancestor in suffixes(name):
            if nodes.setdefault(ancestor, Node()) and ancestor == origin:
                break
    for (owner, kind), rdatas in sets.items():
        nodes[owner].rrsets[kind] = RRset(owner, kind, min(rdatas.values()), tuple(rdatas))
    for name, service in steered.items():
        nodes[name].service = service
    soa = _soa(zone, origin)
    nodes[origin].rrsets[SOA] = soa
    has_cuts = any(kind == NS and owner != origin for owner, kind in sets)
    negative = RRset(origin, SOA, min(soa.ttl_s, zone.minimum_s), soa.rdatas)
    compiled = CompiledZone(origin, nodes, negative, has_cuts)
    _check(compiled)
    return compiled


def _check(zone: CompiledZone) -> None:
    """What can't stand together at one name."""
    for name, node in zone.nodes.items():
        text = decode_name(name).removesuffix(".")
        if CNAME in node.rrsets and (len(node.rrsets) > 1 or node.service or len(node.rrsets[CNAME].rdatas) > 1):
            raise ValueError(f"{text}: a CNAME stands alone at its name")
        if node.service and (A in node.rrsets or AAAA in node.rrsets):
            raise ValueError(f"{text} is a service: its addresses are steered and can't be records")
        if node.service and zone.cut(name) is not None:
            raise ValueError(f"{text} is a service below a delegation: nobody would ask us for it")


def _absolute(name: str) -> bytes:
    return encode_name(name.rstrip(".") + ".").lower()


def _in_zone(record: Record, zone: Zone, origin: bytes) -> RR:
    """A record of the zone in wire form."""
    try:
        rr = parse_record(record, zone.origin)
    except ValueError as error:
        raise ValueError(f"{record.owner} {record.type}: {error}") from None
    if origin not in suffixes(rr.owner):
        raise ValueError(f"{record.owner} {record.type}: it is outside the zone {zone.origin}")
    return rr


def _own_records(zone: Zone) -> Iterable[RR]:
    """The apex NS records and their glue, from the zone's nameservers; glue outside the zone is nobody's business."""
    origin = _absolute(zone.origin)
    for host, addresses in zone.nameservers.items():
        name = _absolute(host)
        yield RR(origin, NS, zone.ttl_s, encode_name(host.rstrip(".") + "."))
        if origin in suffixes(name):
            for address in addresses:
                kind = "AAAA" if ":" in address else "A"
                yield parse_record(Record(host.rstrip("."), kind, zone.ttl_s, address), zone.origin)


def _soa(zone: Zone, origin: bytes) -> RRset:
    """The SOA record set from the zone's fields; MNAME is the first nameserver."""
    primary = next(iter(zone.nameservers), zone.origin)
    timers = (zone.serial & 0xFFFFFFFF, zone.refresh_s, zone.retry_s, zone.expire_s, zone.minimum_s)
    rdata = encode_name(primary.rstrip(".") + ".") + encode_name(zone.contact, origin)
    return RRset(origin, SOA, zone.ttl_s, (rdata + b"".join(timer.to_bytes(4, "big") for timer in timers),))
