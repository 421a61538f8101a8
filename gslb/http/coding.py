"""Compression of responses (content codings, RFC 9110 §8.4): for whom, of what, and the streams that do it. Pure.

A route with `compression` has a Compression. A response is coded if its client takes the coding, its type is one of
those that shrink, it is not known to be small, and nothing forbids it (a coding already, no-transform, a range, a
digest of the bytes). What arrives is passed on at once, flushed: an event stream stays one.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from gslb.balancing.request import Request
from gslb.http.heads import CHUNKED
from gslb.http.responses import UNTIL_CLOSE, ResponseHead
from gslb.model import CompressionRule

_FORBIDDING = re.compile(
    rb"\n(?:content-encoding|content-range|content-md5|(?:content-|repr-)?digest):|\ncache-control:[^\r]*no-transform",
    re.IGNORECASE,
).search
_TYPE = re.compile(rb"\ncontent-type:[ \t]*([a-z0-9.+-]+/[a-z0-9.+-]+)", re.IGNORECASE).search
_STRONG_TAG = re.compile(rb'(\netag:[ \t]*)"', re.IGNORECASE)
_RANGES = re.compile(rb"\naccept-ranges:[^\n]*", re.IGNORECASE)
_VARY = re.compile(rb"\nvary:[^\r]*(?:\*|accept-encoding)", re.IGNORECASE).search
_ENTRY = re.compile(rb"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=([01](?:\.[0-9]{0,3})?))?", re.IGNORECASE).fullmatch
_STATUSES = frozenset({200, 201, 400, 401, 403, 404, 422, 500, 503})  # whose bodies are whole representations
ZSTD_WINDOW_LOG = 20  # 1 MiB of memory a stream; RFC 9659 allows 8


class Coder(Protocol):
    """One response's body on its way."""

    name: bytes

    def feed(self, pieces: Iterable[bytes | memoryview]) -> bytes:
        """The coded bytes of these, all that can be decoded by now; b"" if there are none."""

    def finish(self) -> bytes:
        """The end of it."""


class _Gzip:
    name = b"gzip"

    def __init__(self, level: int) -> None:
        self._stream = zlib.compressobj(level, wbits=31)

    def feed(self, pieces: Iterable[bytes | memoryview]) -> bytes:
        out = [self._stream.compress(piece) for piece in pieces]
        return b"".join((*out, self._stream.flush(zlib.Z_SYNC_FLUSH))) if out else b""

    def finish(self) -> bytes:
        return self._stream.flush()


class _Zstd:
    name = b"zstd"

    def __init__(self, level: int) -> None:
        import zstandard  # noqa: PLC0415 - only where a route asks for it

        parameters = zstandard.ZstdCompressionParameters.from_level(level, window_log=ZSTD_WINDOW_LOG)
        self._flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        self._stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()

    def feed(self, pieces: Iterable[bytes | memoryview]) -> bytes:
        out = [self._stream.compress(piece) for piece in pieces]
        return b"".join((*out, self._stream.flush(self._flush))) if out else b""

    def finish(self) -> bytes:
        return self._stream.flush()


_CODERS: dict[str, Callable[[int], Coder]] = {"gzip": _Gzip, "zstd": _Zstd}


@dataclass(frozen=True, slots=True)
class Compression:
    """One route's."""

    rule: CompressionRule

    def accepted(self, request: Request) -> str:
        """The coding that the client likes best of those offered, the first of equals; "" for none (§12.5.3)."""
        field = request.header(b"accept-encoding")
        if not field:
            return ""
        weights: dict[bytes, float] = {}
        for entry in field.split(b",", 64)[:64]:
            match = _ENTRY(entry.strip())
            if match is not None:
                weights.setdefault(match[1].lower(), min(float(match[2] or 1), 1.0))
        best, most = "", 0.0
        for name in self.rule.codings:
            weight = weights.get(name.encode(), weights.get(b"*", 0.0))
            if weight > most:
                best, most = name, weight
        return best

    def applies(self, head: bytes, parsed: ResponseHead, length: int) -> bool:
        """Whether this response may be coded at all; `length` of its body, CHUNKED or UNTIL_CLOSE."""
        if parsed.status not in _STATUSES or (length < self.rule.min_bytes and length not in (CHUNKED, UNTIL_CLOSE)):
            return False
        kind = _TYPE(head)
        return kind is not None and self._shrinks(kind[1].lower().decode("ascii")) and not _FORBIDDING(head)

    def _shrinks(self, kind: str) -> bool:
        return kind in self.rule.types or f"{kind.partition('/')[0]}/*" in self.rule.types

    def coder(self, name: str) -> Coder:
        """A stream of this coding."""
        return _CODERS[name](self.rule.level)


def coded_head(head: bytes, coder: Coder | None) -> bytes:
    """A head of a response that may be coded, as it is sent: with the coding (if there is one) and what goes with it.

    Vary stands in the uncoded one, too: caches must tell the two apart.
    """
    if not _VARY(head):
        head = head[:-2] + b"Vary: Accept-Encoding\r\n\r\n"
    if coder is None:
        return head
    head = _RANGES.sub(b"", _STRONG_TAG.sub(rb'\1W/"', head))
    return head[:-2] + b"Content-Encoding: " + coder.name + b"\r\n\r\n"
