"""Questions to a resolver and what its replies say: addresses and SRV targets, with their TTL. Pure.

For what this program itself looks up (`node/discovering.py`); the DNS side's own answers have nothing to do with it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

import dnslib
from dnslib.buffer import BufferError as DnslibBufferError
from dnslib.label import DNSLabelError

CHAIN_MAX = 8  # CNAMEs from a name to its records
RECORDS_MAX = 1000
PAYLOAD_BYTES = 1232
NOERROR, NXDOMAIN = 0, 3


@dataclass(frozen=True, slots=True)
class Target:
    """A place of an SRV record (RFC 2782): the least priority first, shares by weight."""

    host: str
    port: int
    priority: int
    weight: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a resolver says. `exists` is False for NXDOMAIN; `glue` are addresses of targets that came along."""

    addresses: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    glue: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ttl_s: int = 0
    exists: bool = True
    truncated: bool = False


class UnusableReply(ValueError):
    """A reply that is malformed, of another question, or a failure of the resolver's; says which."""


def question(name: str, kind: str, number: int) -> bytes:
    """A query for `name`, `number` its id."""
    query = dnslib.DNSRecord.question(name, kind)
    query.header.id = number
    query.add_ar(dnslib.EDNS0(udp_len=PAYLOAD_BYTES))
    return bytes(query.pack())


def read(wire: bytes, name: str, kind: str, number: int) -> Reply:
    """What `wire` answers to that question. Raises UnusableReply."""
    try:
        reply = dnslib.DNSRecord.parse(wire)
        asked = [(_text(one.qname), dnslib.QTYPE[one.qtype]) for one in reply.questions]
        if reply.header.id != number or not reply.header.qr or asked != [(_canonical(name), kind)]:
            raise UnusableReply("it answers another question")
        if reply.header.rcode not in {NOERROR, NXDOMAIN}:
            raise UnusableReply(f"the resolver says {dnslib.RCODE[reply.header.rcode]}")
        if reply.header.tc:
            return Reply(truncated=True)
        return _said(reply, _canonical(name), kind)
    except (dnslib.DNSError, DnslibBufferError, DNSLabelError, ArithmeticError, LookupError, AttributeError) as error:
        raise UnusableReply(f"it is malformed: {error}") from error


def _said(reply: dnslib.DNSRecord, name: str, kind: str) -> Reply:
    rows = [(_text(one.rname), dnslib.QTYPE[one.rtype], one.ttl, one.rdata) for one in reply.rr]
    owner, ttls = name, []
    for _ in range(CHAIN_MAX):
        alias = next(((ttl, data) for at, what, ttl, data in rows if at == owner and what == "CNAME"), None)
        if alias is None:
            break
        ttls.append(alias[0])
        owner = _text(alias[1].label)
    found = [(ttl, data) for at, what, ttl, data in rows if at == owner and what == kind][:RECORDS_MAX]
    ttls += [ttl for ttl, _ in found]
    targets = tuple(Target(_text(data.target), data.port, data.priority, data.weight) for _, data in found) \
        if kind == "SRV" else ()  # fmt: skip
    addresses = tuple(_address(data) for _, data in found) if kind != "SRV" else ()
    return Reply(
        addresses=addresses,
        targets=tuple(one for one in targets if one.host),  # "." is: there is no such service
        glue=dict(_glue(reply)),
        ttl_s=min(ttls) if found else _negative_ttl(reply),
        exists=reply.header.rcode != NXDOMAIN,
    )


def _glue(reply: dnslib.DNSRecord) -> Iterator[tuple[str, tuple[str, ...]]]:
    names: dict[str, list[str]] = {}
    for one in reply.ar[:RECORDS_MAX]:
        if dnslib.QTYPE[one.rtype] in {"A", "AAAA"}:
            names.setdefault(_text(one.rname), []).append(_address(one.rdata))
    return ((name, tuple(found)) for name, found in names.items())


def _negative_ttl(reply: dnslib.DNSRecord) -> int:
    """RFC 2308 §5: the lesser of the SOA's TTL and its last field."""
    for one in reply.auth:
        if dnslib.QTYPE[one.rtype] == "SOA":
            return min(int(one.ttl), int(one.rdata.times[4]))
    return 0


def _address(data: object) -> str:
    return str(ipaddress.ip_address(str(data)))


def _text(label: object) -> str:
    return _canonical(str(label))


def _canonical(name: str) -> str:
    return name.lower().removesuffix(".")
