"""What to answer a question: record sets by section, before they are bytes; and the bytes of an answer. Pure.

`resolve` follows RFC 1034 §4.3.2 with RFC 4592 wildcards, RFC 2308 negatives, RFC 8482 for ANY. Where a steered name
answers it says so (`Reply.steered`) and the responder asks the engine. DNSSEC types on our unsigned zones are NODATA
like any other type that isn't there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gslb.dns.wire import (
    AA,
    AAAA,
    ANY,
    AXFR,
    CD,
    CLASS_CH,
    CLASS_IN,
    CNAME,
    DS,
    HEADER_BYTES,
    HINFO,
    IXFR,
    NOERROR,
    NS,
    NXDOMAIN,
    QR,
    RD,
    REFUSED,
    SOA,
    TC,
    TXT,
    A,
    Composer,
    RRset,
)
from gslb.dns.zones import CompiledZone, Node, Zones
from gslb.model import Service

CHAIN_MAX = 8  # CNAMEs followed inside our zones
HEADS_CACHED = 1024
EDE_PROHIBITED, EDE_NOT_AUTHORITATIVE = 18, 20
RFC8482_TTL_S = 3600
_STEERED = {A: 4, AAAA: 6}
_HINFO = b"\x07RFC8482\0"
_VERSION = b"gslb"


@dataclass(slots=True)
class Reply:
    """An answer as record sets.

    `steered` is (service, family, owner): its addresses at `owner` are to follow `answer`. `exists`: the name is a
    configured one, not made by a wildcard or unknown. `ede`: the extended error (RFC 8914) that says more.
    """

    rcode: int = NOERROR
    authoritative: bool = True
    answer: list[RRset] = field(default_factory=list)
    authority: list[RRset] = field(default_factory=list)
    additional: list[RRset] = field(default_factory=list)
    steered: tuple[Service, int, bytes] | None = None
    exists: bool = False
    ede: int | None = None


def resolve(zones: Zones, name: bytes, kind: int, cls: int, node_id: bytes = b"") -> Reply:
    """The answer to one question. `name` is lower-case wire form."""
    if cls == CLASS_CH:
        return _chaos(name, kind, node_id)
    zone = zones.find(name)
    if cls != CLASS_IN or zone is None:
        return Reply(REFUSED, authoritative=False, ede=EDE_NOT_AUTHORITATIVE)
    if kind in (AXFR, IXFR):
        return Reply(REFUSED, authoritative=False, ede=EDE_PROHIBITED)
    if kind == DS and name == zone.origin:  # DS belongs to the parent's side of a cut (RFC 4035 §3.1.4.1)
        zone = _parent(zones, name) or zone
    reply = Reply(exists=name in zone.nodes)
    seen = set()
    for _ in range(CHAIN_MAX + 1):
        seen.add(name)
        target = _step(zone, name, kind, reply)
        if target is None or target in seen:
            break
        next_zone = zones.find(target)
        if next_zone is None:
            break
        zone, name = next_zone, target
    return reply


def _step(zone: CompiledZone, name: bytes, kind: int, reply: Reply) -> bytes | None:
    """Adds what `zone` says of `name`; the target of a CNAME if the chain goes on, in lower case."""
    cut = zone.cut(name) if zone.has_cuts else None
    if cut is not None and not (kind == DS and name == cut.owner):
        if not reply.answer:  # behind a CNAME the resolver asks again by itself
            reply.authoritative = False
            reply.authority.append(cut)
            reply.additional += _glue(zone, cut)
        return None
    node = zone.node(name)
    if node is None:
        reply.rcode = NXDOMAIN
        reply.authority.append(zone.negative)
        return None
    if kind == ANY:
        reply.answer.append(RRset(name, HINFO, RFC8482_TTL_S, (_HINFO,)))
        return None
    family = _STEERED.get(kind)
    if node.service is not None and family is not None:
        if any(region.addresses(family) for region in node.service.regions):
            reply.steered = node.service, family, name
        else:  # NODATA for every client, whatever is up: no fallback can speak where no region has an address
            reply.authority.append(zone.negative)
        return None
    found = node.rrsets.get(kind) or node.rrsets.get(CNAME)
    if found is None:
        reply.authority.append(zone.negative)
        return None
    reply.answer.append(found if found.owner == name else RRset(name, found.type, found.ttl_s, found.rdatas))
    if found.type == CNAME != kind:
        return found.rdatas[0].lower()
    if found.type == NS:
        reply.additional += _glue(zone, found)
    return None


def _parent(zones: Zones, name: bytes) -> CompiledZone | None:
    return zones.find(name[1 + name[0] :]) if name[0] else None


def _glue(zone: CompiledZone, servers: RRset) -> list[RRset]:
    """The addresses that the zone holds for the names of an NS set."""
    nodes = (zone.nodes.get(host.lower(), Node()) for host in servers.rdatas)
    return [node.rrsets[kind] for node in nodes for kind in (A, AAAA) if kind in node.rrsets]


def _chaos(name: bytes, kind: int, node_id: bytes) -> Reply:
    """version.bind and id.server (RFC 4892) with their aliases."""
    texts = {
        b"\7version\4bind\0": _VERSION, b"\7version\6server\0": _VERSION,
        b"\2id\6server\0": node_id, b"\x08hostname\4bind\0": node_id,
    }  # fmt: skip
    text = texts.get(name)
    if not text or kind not in (TXT, ANY):
        return Reply(REFUSED, authoritative=False)
    return Reply(answer=[RRset(name, TXT, 0, (bytes((len(text),)) + text,), CLASS_CH)])


# ---------------------------------------------------------------- as bytes
@lru_cache(maxsize=HEADS_CACHED)
def heads(flags: int, answers: int, authorities: int, additionals: int) -> tuple[bytes, ...]:
    """Bytes 2 to 12 of the header for each `variant` of a query: RD, CD and whether an OPT goes with it."""
    return tuple(
        b"".join(
            number.to_bytes(2, "big")
            for number in (
                flags | QR | (RD if variant & 1 else 0) | (CD if variant & 2 else 0),
                1, answers, authorities, additionals + (variant >> 2),
            )
        )
        for variant in range(8)
    )  # fmt: skip


def variant_of(flags: int, *, edns: bool) -> int:
    """Which of `heads` a query's flags ask for: RD is copied (RFC 1035 §4.1.1), and CD (RFC 4035 §3.1.6)."""
    return (1 if flags & RD else 0) | (2 if flags & CD else 0) | (4 if edns else 0)


Piece = tuple[int, int, bytes]  # section 0 to 2, records, bytes


def pieces(reply: Reply, question_name: bytes, addresses: tuple[int, Sequence[bytes]] | None = None) -> list[Piece]:
    """A reply's record sets as bytes behind the question, in order.

    Args:
        reply: what to say.
        question_name: lower-case wire form.
        addresses: of a steered reply, (TTL in seconds, rdatas). None leaves them out: what is there is the lead.
    """
    if reply.authority and not reply.answer and reply.authority[0].type == SOA:  # the usual negative, in a flood too
        return [(1, 1, _negative(reply.authority[0], question_name))]
    composer = Composer(question_name)
    answer = reply.answer
    if reply.steered is not None and addresses is not None:
        ttl_s, rdatas = addresses
        _, family, owner = reply.steered
        answer = [*answer, RRset(owner, A if family == 4 else AAAA, ttl_s, tuple(rdatas))]
    return [
        (section, len(rrset.rdatas), composer.rrset(rrset))
        for section, rrsets in enumerate((answer, reply.authority, reply.additional))
        for rrset in rrsets
    ]


def _negative(soa: RRset, question_name: bytes) -> bytes:
    """An SOA whose owner is the end of the question's name."""
    pointer = 0xC000 | HEADER_BYTES + len(question_name) - len(soa.owner)
    rdata = soa.rdatas[0]
    return b"".join(
        (pointer.to_bytes(2, "big"), b"\0\6\0\1", soa.ttl_s.to_bytes(4, "big"), len(rdata).to_bytes(2, "big"), rdata)
    )


def fit(parts: Sequence[Piece], room: int) -> tuple[list[Piece], bool]:
    """As many whole record sets as fit into `room` bytes, and whether TC is due (RFC 2181 §9).

    Sets are dropped from the end, so no pointer loses its target. TC tells of lost answers, authority and of lost glue
    in a referral; an answer without its optional additional records is whole.
    """
    size = sum(len(wire) for _, _, wire in parts)
    kept = list(parts)
    truncated = False
    referral = not any(section == 0 for section, _, _ in parts)
    while size > room and kept:
        section, _, wire = kept.pop()
        size -= len(wire)
        truncated = truncated or section < 2 or referral
    return kept, truncated


def counts(parts: Sequence[Piece]) -> list[int]:
    """How many records each section has."""
    found = [0, 0, 0]
    for section, number, _ in parts:
        found[section] += number
    return found


def header(flags: int, parts: Sequence[Piece], variant: int) -> bytes:
    """Bytes 2 to 12 of the header of an answer made of `parts`."""
    return heads(flags, *counts(parts))[variant]


def flags_of(reply: Reply, *, truncated: bool = False) -> int:
    """AA, TC and the RCODE's lower bits."""
    return (AA if reply.authoritative else 0) | (TC if truncated else 0) | reply.rcode & 15
