"""The chunked transfer coding (RFC 9112 §7.1), checked byte by byte as it passes through.

`ChunkedBody` is fed what arrives and returns what to forward: chunk extensions and forbidden trailers are left out,
the rest are slices of what came. Nothing that a laxer parser could read as other boundaries ever passes. Pure.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from gslb.errors import HttpError
from gslb.http.heads import FIELD, FIELDS_MAX, TOKEN

SIZE_LINE_BYTES_MAX = 1_024  # a chunk's size with its extensions
TRAILER_BYTES_MAX = 8_192
SIZE_DIGITS_MAX = 15
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_EXTENSIONS = rb"(?:[ \t]*+;[ \t]*+" + TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + TOKEN + rb"|" + _QUOTED + rb"))?)*"
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1," + str(SIZE_DIGITS_MAX).encode() + rb"})(" + _EXTENSIONS + rb")\r\n"
).match
_SIZE_START = re.compile(rb"[0-9A-Fa-f]{1," + str(SIZE_DIGITS_MAX).encode() + rb"}(?![0-9A-Fa-f])").match
_TRAILERS = re.compile(rb"(?:" + FIELD + rb"){0," + str(FIELDS_MAX).encode() + rb"}\r\n").fullmatch
# Fields that frame, route, authenticate or control: no trailer may carry them (RFC 9110 §6.5.1).
_NO_TRAILER = re.compile(
    rb"(?i:(?:transfer|content)[-_](?:encoding|length|type|range)|host|connection|keep[-_]alive|upgrade|te|trailer|expect"
    rb"|proxy[-_][a-z_-]+|authorization|www[-_]authenticate|authentication[-_]info|set[-_]cookie2?|cookie|max[-_]forwards"
    rb"|cache[-_]control|age|expires|date|location|retry[-_]after|vary|warning|range|if[-_][a-z_-]+|pragma"
    rb"|x[-_]forwarded[-_][a-z_-]+|forwarded|x[-_]real[-_]ip|x[-_]request[-_]id|via)"
).fullmatch


class _Part(Enum):
    """What comes next: SIZE -> PAYLOAD -> LINE_END -> SIZE …, and TRAILERS after the size 0."""

    SIZE = auto()
    PAYLOAD = auto()
    LINE_END = auto()
    TRAILERS = auto()


class ChunkedBody:
    """One chunked body on its way through. `done` once its last byte was seen."""

    __slots__ = ("_blame", "_left", "_part", "_payload_only", "_pending", "done")

    def __init__(self, blame: str, payload_only: bool = False) -> None:
        """`blame`: "client" or "server", whose error a malformed body is (400 or 502).

        `payload_only`: leave the framing and the trailers out of what is forwarded (for an HTTP/1.0 client).
        """
        self._blame = blame
        self._payload_only = payload_only
        self._part = _Part.SIZE
        self._left = 0  # bytes of the current chunk's payload still to come
        self._pending = b""  # the start of a line or of the trailers, kept until it is whole
        self.done = False

    def feed(self, data: bytes) -> tuple[list[bytes | memoryview], int]:
        """Takes what arrived; returns the pieces to forward, and how much of `data` belongs to this body.

        The second is len(data) until the body is done. Raises HttpError for anything that is not by the book.
        """
        held = len(self._pending)
        if held:
            data, self._pending = self._pending + data, b""
        view = memoryview(data)
        pieces: list[bytes | memoryview] = []
        at, end = 0, len(data)
        start = 0 if self._part is _Part.PAYLOAD or not self._payload_only else end  # of the run to forward as it is
        while at < end and not self.done:
            if self._part is _Part.PAYLOAD:
                step = min(self._left, end - at)
                at += step
                self._left -= step
                if self._left == 0:
                    self._part = _Part.LINE_END
                    if self._payload_only:
                        pieces.append(view[start:at])
                        start = end
            elif self._part is _Part.LINE_END:
                if not data.startswith(b"\r\n", at):
                    self._hold(data[at:], b"\r")
                    break
                at += 2
                self._part = _Part.SIZE
            elif self._part is _Part.SIZE:
                match = _SIZE_LINE(data, at)
                if match is None or match.end() - at > SIZE_LINE_BYTES_MAX:
                    self._hold_size(data[at:])
                    break
                self._left = int(match[1], 16)
                if self._payload_only:
                    start = match.end()
                elif match[2] or not self._left:
                    pieces.append(view[start : match.start(2) if self._left else at])
                    start = match.end(2)
                at = match.end()
                self._part = _Part.PAYLOAD if self._left else _Part.TRAILERS
            else:
                at = start = self._end_with_trailers(data, at, pieces)
        if start < at and self._part is not _Part.TRAILERS:
            pieces.append(view[start:at])
        return pieces, (at if self.done else end) - held

    def _hold(self, rest: bytes, only: bytes) -> None:
        """Keeps `rest` until more arrives if it is a start of what must come, else refuses."""
        if rest != only:
            raise self._error("a chunk does not end with CRLF")
        self._pending = rest

    def _hold_size(self, rest: bytes) -> None:
        """Keeps the start of a size line until it is whole."""
        if b"\n" in rest or b"\r" in rest[:-1] or len(rest) > SIZE_LINE_BYTES_MAX or _SIZE_START(rest) is None:
            raise self._error("a chunk's size line is malformed or too long")
        self._pending = rest

    def _end_with_trailers(self, data: bytes, at: int, pieces: list[bytes | memoryview]) -> int:
        """Forwards the last chunk with the trailers that may pass, once they are whole; returns how far it took."""
        bare = data.startswith(b"\r\n", at)
        last = at if bare else data.find(b"\r\n\r\n", at)
        end = last + (2 if bare else 4)
        trailers = data[at:end] if last >= 0 else data[at:]
        if len(trailers) > TRAILER_BYTES_MAX or trailers[:1] == b"\n":
            raise self._error("the trailers are malformed or too large")
        if last < 0:
            self._pending = trailers
            return len(data)
        if _TRAILERS(trailers) is None:
            raise self._error("a trailer field is malformed")
        self.done = True
        if not self._payload_only:
            lines = (line for line in trailers.split(b"\r\n") if line)
            kept = [line + b"\r\n" for line in lines if not _NO_TRAILER(line.partition(b":")[0])]
            pieces.append(b"0\r\n" + b"".join(kept) + b"\r\n")
        return end

    def _error(self, message: str) -> HttpError:
        """The error with its blame."""
        status = 400 if self._blame == "client" else 502
        return HttpError(message, blame=self._blame, status=status, reason="bad_chunk")
