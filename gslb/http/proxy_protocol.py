"""The PROXY protocol: who a connection is really from, said by a proxy before the first byte (versions 1 and 2). Pure.

Source: "The PROXY protocol, versions 1 & 2", haproxy.org, 2020-03-05. A listener either always expects a header or
never does: guessing would let clients name themselves (§2). TLVs of version 2 are passed over.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from gslb.errors import HttpError

V1_BYTES_MAX = 107  # §2.1, the longest line with its CRLF
V2_HEAD_BYTES = 16
V2_BODY_BYTES_MAX = 4096  # addresses take 36; the rest is TLVs
_V1 = b"PROXY "
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_V4, _V6 = struct.Struct("!4s4sHH"), struct.Struct("!16s16sHH")
_UNKNOWN_V1, _UNKNOWN_V2 = b"PROXY UNKNOWN\r\n", _V2 + bytes((_LOCAL, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a connection as its header says; `source` "" if it says nothing of them (a proxy's own check)."""

    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0


class Header:
    """Takes a header from a connection that must not be read beyond it.

    Loop: look at what has come, without taking it (MSG_PEEK), ask `take` how much of it to take; until `ends` is there.
    """

    __slots__ = ("data", "ends")

    def __init__(self) -> None:
        self.data = b""
        self.ends: Ends | None = None

    def take(self, seen: bytes) -> int:
        """How many of the bytes `seen`, which follow those taken, belong to the header. Raises HttpError."""
        data = self.data + seen
        if data[:1] == b"\r":
            end = self._end_v2(data)
        elif data[: len(_V1)] == _V1[: len(data)]:
            end = self._end_v1(data)
        else:
            raise _bad("the connection does not begin with a PROXY header")
        self.data = data[:end]
        return len(self.data) - (len(data) - len(seen))

    def _end_v1(self, data: bytes) -> int:
        newline = data.find(b"\n", 0, V1_BYTES_MAX)
        if newline >= 0:
            self.ends = parse_v1(data[: newline + 1])
            return newline + 1
        if len(data) >= V1_BYTES_MAX:
            raise _bad("the PROXY line is too long")
        return len(data)

    def _end_v2(self, data: bytes) -> int:
        if data[: len(_V2)] != _V2[: len(data)]:
            raise _bad("the connection does not begin with a PROXY header")
        if len(data) < V2_HEAD_BYTES:
            return len(data)
        end = V2_HEAD_BYTES + int.from_bytes(data[14:16], "big")
        if end > V2_HEAD_BYTES + V2_BODY_BYTES_MAX:
            raise _bad("the PROXY header is too long")
        if len(data) >= end:
            self.ends = parse_v2(data[:end])
        return min(len(data), end)


def parse_v1(line: bytes) -> Ends:
    """A whole line with its CRLF (§2.1). Raises HttpError."""
    if not line.endswith(b"\r\n") or not line.isascii():
        raise _bad("the PROXY line is malformed")
    words = line[:-2].decode("ascii").split(" ")
    if words[:2] == ["PROXY", "UNKNOWN"]:
        return Ends()  # whatever follows is to be passed over
    if len(words) != 6 or words[0] != "PROXY" or words[1] not in {"TCP4", "TCP6"}:
        raise _bad("the PROXY line is malformed")
    try:
        source, destination = (_address(word, 4 if words[1] == "TCP4" else 6) for word in words[2:4])
        source_port, destination_port = (_port(word) for word in words[4:])
    except ValueError:
        raise _bad("the PROXY line holds no addresses") from None
    return Ends(source, source_port, destination, destination_port)


def parse_v2(data: bytes) -> Ends:
    """A whole binary header (§2.2). Raises HttpError."""
    command, family, body = data[12], data[13], data[V2_HEAD_BYTES:]
    if command == _LOCAL:
        return Ends()
    if command != _PROXY:
        raise _bad("the PROXY header has an unknown version or command")
    layout = {_TCP4: _V4, _TCP6: _V6}.get(family)
    if layout is None:
        return Ends()  # UNSPEC, datagrams, Unix sockets: no address of a TCP client in it
    if len(body) < layout.size:
        raise _bad("the PROXY header is too short for its addresses")
    source, destination, source_port, destination_port = layout.unpack_from(body)
    return Ends(_text(source), source_port, _text(destination), destination_port)


def encode(version: str, ends: Ends) -> bytes:
    """A header of version "v1" or "v2". Addresses of two families, or none, are said to be unknown."""
    try:
        source, destination = ipaddress.ip_address(ends.source), ipaddress.ip_address(ends.destination)
    except ValueError:
        return _UNKNOWN_V1 if version == "v1" else _UNKNOWN_V2
    if source.version != destination.version:  # both as IPv6: every IPv4 address is one (RFC 4291 §2.5.5.2)
        source, destination = (
            one if one.version == 6 else ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + one.packed)
            for one in (source, destination)
        )
    if version == "v1":
        words = ("PROXY", f"TCP{source.version}", source, destination, ends.source_port, ends.destination_port)
        return " ".join(map(str, words)).encode() + b"\r\n"
    layout, family = (_V4, _TCP4) if source.version == 4 else (_V6, _TCP6)
    body = layout.pack(source.packed, destination.packed, ends.source_port, ends.destination_port)
    return _V2 + bytes((_PROXY, family)) + len(body).to_bytes(2, "big") + body


def _address(word: str, version: int) -> str:
    address = ipaddress.ip_address(word)
    if address.version != version or "%" in word:
        raise ValueError(word)
    return str(address)


def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def _port(word: str) -> int:
    if not word.isdigit() or len(word) > 5 or (word[0] == "0" and word != "0") or int(word) > 65_535:
        raise ValueError(word)
    return int(word)


def _bad(message: str) -> HttpError:
    return HttpError(message, blame="client", status=400, reason="bad_proxy_header")
