"""Resource records from text: inline ones and RFC 1035 master files. Pure; config checks with it, zones compile.

The rdata of one record is read by dnslib; names, addresses, quoting and the lines of a file are judged here, since
dnslib takes many a mistake silently. Every error is a ValueError with one line for people.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dnslib import CLASS, QTYPE, RDMAP, DNSBuffer
from dnslib.buffer import BufferError as DnslibBufferError
from dnslib.dns import DNSError
from dnslib.label import DNSLabelError

from gslb.dns.wire import decode_name, encode_name, suffixes
from gslb.model import Record

TTL_MAX_S = 2**31 - 1  # RFC 2181 §8
FILE_BYTES_MAX = 64 << 20
# the place of the name in the rdata, for types that hold one
_NAME_AT = {"CNAME": 0, "NS": 0, "PTR": 0, "MX": 1, "SRV": 3, "NAPTR": 5, "HTTPS": 1, "SVCB": 1}
TYPES = ("A", "AAAA", "CNAME", "MX", "TXT", "NS", "CAA", "SRV", "PTR", "NAPTR", "SSHFP", "TLSA")
_FIELDS = {"A": 1, "AAAA": 1, "CNAME": 1, "NS": 1, "PTR": 1, "MX": 2, "SRV": 4, "CAA": 3, "NAPTR": 6}

_TOKEN = re.compile(r'[ \t\r]*(?:(?P<text>"(?:\\.|[^"\\\n])*"|(?:\\.|[^\s"();\\])+)|(?P<mark>[();\n])|(?P<bad>\S))')
_TTL = re.compile(r"(?:\d+[smhdw]?)+", re.IGNORECASE)
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_ESCAPED = re.compile(r"\\(\d{3}|.)")


@dataclass(frozen=True, slots=True)
class RR:
    """One record ready for the wire: `owner` lower-case wire form, `rdata` uncompressed."""

    owner: bytes
    type: int
    ttl_s: int
    rdata: bytes


def parse_record(record: Record, origin: str) -> RR:
    """The wire form of a record.

    Args:
        record: owner absolute; relative names in its data are relative to `origin`.
        origin: the zone's name.

    Raises:
        ValueError: what is wrong, in one line.
    """
    owner = encode_name(record.owner.rstrip(".") + ".").lower()
    if not 0 <= record.ttl_s <= TTL_MAX_S:
        raise ValueError(f"the TTL {record.ttl_s} is not between 0 and {TTL_MAX_S}")
    kind = record.type.upper()
    if kind not in TYPES:
        raise ValueError(f"unknown record type {record.type!r}; known: {', '.join(TYPES)}")
    tokens = [_inline(match) for match in _TOKEN.finditer(record.data.strip())]
    rdata = _rdata(kind, tokens, encode_name(origin.rstrip(".") + "."))
    return RR(owner, QTYPE.reverse[kind], record.ttl_s, rdata)


def _inline(match: re.Match[str]) -> str:
    if match["text"] is None:
        raise ValueError(f'{(match["mark"] or match["bad"])!r} must stand in double quotes: write "v=DKIM1; p=…"')
    return match["text"]


def _rdata(kind: str, tokens: Sequence[str], origin: bytes) -> bytes:
    """The rdata of one record from its tokens, quoted ones still quoted."""
    wanted = _FIELDS.get(kind, 0)
    if not tokens or (wanted and len(tokens) != wanted):
        raise ValueError(f"{kind} wants {wanted or 'some'} field{'s' * (wanted != 1)}, not {len(tokens)}")
    if kind == "A":
        return ipaddress.IPv4Address(tokens[0]).packed
    if kind == "AAAA":
        return ipaddress.IPv6Address(tokens[0]).packed
    if kind == "TXT":
        return b"".join(_character_string(token) for token in tokens)
    if kind == "CAA":
        return _caa(*tokens)
    fields = [_unquoted(token).decode("latin-1") for token in tokens]
    place = _NAME_AT.get(kind)
    if place is not None:
        fields[place] = decode_name(encode_name(tokens[place], origin))
        if "\\" in fields[place]:
            raise ValueError(f"{tokens[place]!r} has a byte that no name in record data may have here")
    buffer = DNSBuffer()
    try:
        RDMAP[kind].fromZone(fields).pack(buffer)
    except (ValueError, IndexError, struct.error, DNSError, DNSLabelError, DnslibBufferError) as error:
        raise ValueError(f"{' '.join(tokens)!r} is not the data of {kind}: {error}") from None
    return bytes(buffer.data)


def _unquoted(token: str) -> bytes:
    """A token's bytes without quotes and escapes."""
    inner = token[1:-1] if token.startswith('"') else token
    parts, at = [], 0
    for match in _ESCAPED.finditer(inner):
        parts.append(inner[at : match.start()].encode())
        at = match.end()
        if len(match[1]) == 3 and int(match[1]) > 255:
            raise ValueError(f"\\{match[1]} is not a byte")
        parts.append(bytes((int(match[1]),)) if len(match[1]) == 3 else match[1].encode())
    return b"".join([*parts, inner[at:].encode()])


def _character_string(token: str) -> bytes:
    text = _unquoted(token)
    if len(text) > 255:
        raise ValueError(f"a string of {len(text)} bytes is over 255: write it as several quoted strings")
    return bytes((len(text),)) + text


def _caa(flags: str, tag: str, value: str) -> bytes:
    """RFC 8659 §4.1."""
    if not (flags.isdigit() and int(flags) < 256 and tag.isascii() and tag.isalnum()):
        raise ValueError(f'{flags} {tag} is no CAA: write 0 issue "ca.example"')
    return bytes((int(flags), len(tag))) + tag.encode() + _unquoted(value)


# ---------------------------------------------------------------- master files
def parse_master_file(text: str, origin: str, default_ttl_s: int = 3600) -> tuple[Record, ...]:
    """The records of an RFC 1035 master file, names made absolute.

    $ORIGIN, $TTL, parentheses, comments, quotes, TTLs with units, TTL and class in either order, owners left out.
    The SOA is left out: a zone's timers and its serial come from the configuration, alike on every edge. $INCLUDE and
    classes but IN are refused.

    Raises:
        ValueError: `line 7: what is wrong`.
    """
    if len(text) > FILE_BYTES_MAX:
        raise ValueError(f"line 1: the file is over {FILE_BYTES_MAX >> 20} MiB")
    reader = _MasterFile(encode_name(origin.rstrip(".") + "."), default_ttl_s)
    records = []
    for line, indented, tokens in _entries(text):
        try:
            record = reader.take(tokens, indented=indented)
            if record is not None:
                parse_record(record, origin)  # says what is wrong while the line is known
                records.append(record)
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from None
    return tuple(records)


def _entries(text: str) -> Iterator[tuple[int, bool, list[str]]]:
    """(line number, begins with a blank, tokens) of every entry; parentheses join lines."""
    line, start, depth, at = 1, 1, 0, 0
    tokens: list[str] = []
    indented = text[:1] in (" ", "\t")
    text += "\n"
    while match := _TOKEN.match(text, at):
        at = match.end()
        mark = match["mark"]
        if match["bad"] or (mark == ")" and not depth):
            raise ValueError(f"line {line}: {match[0].strip()!r} without its other half")
        if mark == ";":
            at = text.index("\n", at)
        elif mark in ("(", ")"):
            depth += 1 if mark == "(" else -1
        elif mark == "\n":
            line += 1
            if not depth:
                if tokens:
                    yield start, indented, tokens
                tokens, start, indented = [], line, text[at : at + 1] in (" ", "\t")
        else:
            tokens.append(match["text"])
    if depth:
        raise ValueError(f"line {start}: '(' without its other half")


class _MasterFile:
    """What a master file's entries change for those after them: origin, TTL, the last owner."""

    def __init__(self, origin: bytes, ttl_s: int) -> None:
        self._zone = self._origin = origin
        self._ttl_s = ttl_s
        self._owner: bytes | None = None

    def take(self, tokens: list[str], *, indented: bool) -> Record | None:
        """The record of one entry; None for directives and the SOA."""
        if tokens[0].startswith("$"):
            self._directive(tokens)
            return None
        if not indented:
            self._owner = encode_name(tokens[0], self._origin).lower()
            tokens = tokens[1:]
        if self._owner is None:
            raise ValueError("the first record has no owner")
        ttl_s = None
        while tokens and tokens[0].upper() not in (*TYPES, "SOA"):
            word = tokens[0].upper()
            if word in CLASS.reverse:
                if word != "IN":
                    raise ValueError(f"class {word} is not served")
            elif ttl_s is None and _TTL.fullmatch(word):
                ttl_s = _ttl_s(word)
            else:
                raise ValueError(f"unknown record type {tokens[0]!r}; known: {', '.join(TYPES)}")
            tokens = tokens[1:]
        if not tokens:
            raise ValueError("a record without a type")
        return self._record(tokens[0].upper(), self._ttl_s if ttl_s is None else ttl_s, tokens[1:])

    def _record(self, kind: str, ttl_s: int, data: list[str]) -> Record | None:
        assert self._owner is not None
        if self._zone not in suffixes(self._owner):
            raise ValueError(f"{decode_name(self._owner)} is outside {decode_name(self._zone)}")
        if kind == "SOA":
            if self._owner != self._zone:
                raise ValueError("an SOA that is not at the zone's name")
            return None
        place = _NAME_AT.get(kind)
        if place is not None and place < len(data):
            data = [*data[:place], decode_name(encode_name(data[place], self._origin)), *data[place + 1 :]]
        return Record(decode_name(self._owner).removesuffix("."), kind, ttl_s, " ".join(data))

    def _directive(self, tokens: list[str]) -> None:
        name = tokens[0].upper()
        if name not in ("$ORIGIN", "$TTL") or len(tokens) != 2:
            raise ValueError(f"{' '.join(tokens)!r}: only $ORIGIN name and $TTL time are understood")
        if name == "$ORIGIN":
            self._origin = encode_name(tokens[1], self._origin)
        else:
            self._ttl_s = _ttl_s(tokens[1])


def _ttl_s(text: str) -> int:
    """Seconds of `3600`, `1h`, `1w2d`."""
    if not _TTL.fullmatch(text):
        raise ValueError(f"{text!r} is not a TTL: write seconds, or 1h30m")
    total = sum(int(number) * _UNIT_S[unit] for number, unit in re.findall(r"(\d+)([smhdw]?)", text.lower()))
    if total > TTL_MAX_S:
        raise ValueError(f"the TTL {text} is over {TTL_MAX_S} seconds")
    return total
