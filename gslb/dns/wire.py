"""DNS messages as bytes: names, reading a query, writing compressed records. Pure; for the DNS room only.

A name is kept as lower-case wire bytes, labels behind their lengths: it is what the packet holds, what the zones are
keyed by, and its suffixes are its ancestors. Sources: RFC 1035 §4 (messages), RFC 6891 §6 (OPT), RFC 3597 §4 (where
names in rdata may be compressed).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gslb.errors import WireError

HEADER_BYTES = 12
NAME_BYTES_MAX = 255
LABEL_BYTES_MAX = 63
POINTER_OFFSET_MAX = 0x3FFF
RECORDS_MAX = 32  # in a query beyond its question; more is not a query

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 16: "BADVERS"}
QR, AA, TC, RD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0010
OPCODE_MASK = 0x7800
CLASS_IN, CLASS_CH = 1, 3
A, NS, CNAME, SOA, HINFO, MX, TXT, AAAA, SRV, OPT, DS = 1, 2, 5, 6, 13, 15, 16, 28, 33, 41, 43
IXFR, AXFR, ANY = 251, 252, 255
PLAIN_NAMES = frozenset({NS, CNAME})  # rdata that is one name and may be compressed

_ESCAPE = re.compile(rb"\\(\d{3}|.)", re.DOTALL)
_ATOM = re.compile(rb"(?:\\.|[^\\.])+", re.DOTALL)


def encode_name(text: str, origin: bytes = b"\0") -> bytes:
    """The wire form of a name as people write it (RFC 1035 §5.1, with its escapes), letter case kept.

    Args:
        text: absolute with a last dot, `@` for the origin itself, else relative to `origin`.
        origin: wire form. The root makes names without a last dot absolute too.

    Raises:
        ValueError: an empty or too long label, a name of more than 255 bytes, or letters beyond ASCII.
    """
    if text == "@":
        return origin
    if text == ".":
        return b"\0"
    try:
        rest = text.encode("ascii")
    except UnicodeEncodeError:
        raise ValueError(f"the name {text!r} is not ASCII: write it as xn--…") from None
    wire = b""
    absolute = False
    while rest:
        atom = _ATOM.match(rest)
        if atom is None:
            raise ValueError(f"the name {text!r} has an empty label")
        label = _ESCAPE.sub(_unescape, atom[0])
        if len(label) > LABEL_BYTES_MAX:
            raise ValueError(f"the name {text!r} has a label longer than {LABEL_BYTES_MAX} bytes")
        wire += bytes((len(label),)) + label
        rest = rest[atom.end() :]
        absolute = rest[:1] == b"."
        rest = rest[1:]
    if not wire:
        raise ValueError("an empty name")
    wire += b"\0" if absolute else origin
    if len(wire) > NAME_BYTES_MAX:
        raise ValueError(f"the name {text!r} is longer than {NAME_BYTES_MAX} bytes")
    return wire


def _unescape(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if len(digits) == 1:
        return digits
    if int(digits) > 255:
        raise ValueError(f"\\{digits.decode()} is not a byte")
    return bytes((int(digits),))


def decode_name(name: bytes) -> str:
    """The text of a wire name, with its last dot; for messages to people."""
    labels = []
    at = 0
    while name[at]:
        label = name[at + 1 : at + 1 + name[at]]
        labels.append("".join(chr(c) if 33 <= c < 127 and c not in b'.\\"' else f"\\{c:03}" for c in label))
        at += 1 + name[at]
    return ".".join(labels) + "."


def suffixes(name: bytes) -> Iterator[bytes]:
    """`name` and its ancestors, longest first, the root last."""
    at = 0
    while name[at]:
        yield name[at:]
        at += 1 + name[at]
    yield b"\0"


# ---------------------------------------------------------------- reading
class Query(NamedTuple):
    """One query as far as an authority needs it.

    `name` is lower-case; `question` is the question as it came, to be echoed. `opt` is the OPT record's class, TTL and
    rdata (RFC 6891 §6.1.2), None without EDNS; `opts` counts OPT records.
    """

    flags: int
    name: bytes
    type: int
    cls: int
    question: bytes
    opt: tuple[int, int, bytes] | None
    opts: int


def parse_query(wire: bytes) -> Query:
    """Reads a whole query. Raises WireError with the RCODE to answer: NOTIMP for other opcodes, FORMERR for the rest.

    The caller has seen to it that there is a header and that it is no response.
    """
    flags = wire[2] << 8 | wire[3]
    if flags & OPCODE_MASK:
        raise WireError("not a query", NOTIMP)
    if wire[4:6] != b"\0\1":
        raise WireError("not exactly one question", FORMERR)
    end = _question_end(wire)
    records = 0 if wire[6:12] == bytes(6) else sum(int.from_bytes(wire[at : at + 2], "big") for at in (6, 8, 10))
    if records > RECORDS_MAX:
        raise WireError("too many records for a query", FORMERR)
    opt, opts, at = None, 0, end
    for number in range(records):
        root = wire[at : at + 1] == b"\0"
        at = _skip_name(wire, at)
        fixed = wire[at : at + 10]
        at += 10 + int.from_bytes(fixed[8:10], "big")
        if len(fixed) < 10 or at > len(wire):
            raise WireError("a record ends beyond the packet", FORMERR)
        if fixed[:2] == b"\0\x29":
            opts += 1 if root and number >= records - int.from_bytes(wire[10:12], "big") else 2
            length = int.from_bytes(fixed[8:10], "big")
            opt = (fixed[2] << 8 | fixed[3], int.from_bytes(fixed[4:8], "big"), wire[at - length : at])
    if at != len(wire):
        raise WireError("bytes after the last record", FORMERR)
    kind = wire[end - 4] << 8 | wire[end - 3]
    return Query(flags, wire[12 : end - 4].lower(), kind, wire[end - 2] << 8 | wire[end - 1], wire[12:end], opt, opts)


def _question_end(wire: bytes) -> int:
    """Where the question ends. No pointer can stand in its name: there is nothing before it to point to."""
    at = HEADER_BYTES
    size = len(wire)
    while at < size and wire[at]:
        if wire[at] > LABEL_BYTES_MAX:
            raise WireError("a label type nobody uses in a question", FORMERR)
        at += 1 + wire[at]
    end = at + 5
    if end > size or at + 1 - HEADER_BYTES > NAME_BYTES_MAX:
        raise WireError("the question does not end", FORMERR)
    return end


def _skip_name(wire: bytes, at: int) -> int:
    """The offset after the name at `at`; a pointer ends it and is not followed."""
    size = len(wire)
    while at < size:
        length = wire[at]
        if not length:
            return at + 1
        if length >= 0xC0:
            return at + 2
        if length > LABEL_BYTES_MAX:
            break
        at += 1 + length
    raise WireError("a name that does not end", FORMERR)


# ---------------------------------------------------------------- writing
@dataclass(frozen=True, slots=True)
class RRset:
    """The records of one owner and type. `owner` is a lower-case wire name, `rdatas` are uncompressed."""

    owner: bytes
    type: int
    ttl_s: int
    rdatas: tuple[bytes, ...]
    cls: int = CLASS_IN


class Composer:
    """Writes records behind a question, each name compressed against all before it.

    Pointers into the question hold whatever letter case it came in, so one composed tail serves every case.
    """

    def __init__(self, question_name: bytes) -> None:
        """`question_name`: lower-case wire form, at offset 12 of the message."""
        self._offsets: dict[bytes, int] = {}
        self.at = HEADER_BYTES + len(question_name) + 4
        self._remember(question_name, HEADER_BYTES)

    def name(self, name: bytes) -> bytes:
        """`name` as labels and a pointer; remembered at the current offset."""
        lower = name.lower()
        at = 0
        for suffix in suffixes(lower):
            if suffix in self._offsets:
                written = name[:at] + (0xC000 | self._offsets[suffix]).to_bytes(2, "big")
                break
            at += 1 + suffix[0]
        else:
            written = name
        self._remember(lower, self.at)
        self.at += len(written)
        return written

    def _remember(self, name: bytes, offset: int) -> None:
        for suffix in suffixes(name):
            if suffix == b"\0" or suffix in self._offsets or offset > POINTER_OFFSET_MAX:
                break
            self._offsets[suffix] = offset
            offset += 1 + suffix[0]

    def rrset(self, rrset: RRset) -> bytes:
        """Every record of `rrset`."""
        fixed = rrset.type.to_bytes(2, "big") + rrset.cls.to_bytes(2, "big") + rrset.ttl_s.to_bytes(4, "big")
        parts = []
        for rdata in rrset.rdatas:
            owner = self.name(rrset.owner)
            self.at += 10
            if rrset.type in PLAIN_NAMES:
                data = self.name(rdata)
            else:
                data = rdata
                self.at += len(data)
            parts.append(owner + fixed + len(data).to_bytes(2, "big") + data)
        return b"".join(parts)
