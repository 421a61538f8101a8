"""Response heads, validated as strictly as requests: a bad one is the server's fault (502), never forwarded.

Pure; only the proxy calls it: `PLAIN_RESPONSE` first, `parse_response` for all else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gslb.errors import HttpError
from gslb.http.heads import (
    CHUNKED,
    FIELDS,
    FIELDS_MAX,
    HEAD_BYTES_MAX,
    KEEP_ALIVE,
    Field,
    connection_options,
    names,
    ordinary_field,
    parse_length,
    special_fields,
)

UNTIL_CLOSE = -2  # as a body's length: it ends with the connection
_REASON = rb"[\t\x20-\x7e\x80-\xff]*+"
RESPONSE_SPECIAL = names(
    b"connection", b"content-length", b"transfer-encoding", b"trailer", b"te", b"keep-alive", b"upgrade", b"date",
    b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
)  # fmt: skip
_ORDINARY, _ORDINARY_CAREFUL = ordinary_field(RESPONSE_SPECIAL, b"cdkptu")

# Most responses, in one pass: final, framed, dated, with nothing to take out or to add. The groups are the status,
# Content-Length, a colon for the Date, and "chunked"; exactly one of the second and the last is there.
PLAIN_RESPONSE = re.compile(
    rb"HTTP/1\.1 ((?!204|304)[2-5][0-9]{2}) " + _REASON + rb"\r\n"
    rb"(?:" + b"|".join(
        (
            _ORDINARY,
            rb"[Cc]ontent-[Ll]ength:(?(2)(?!))(?(4)(?!)) ?([0-9]{1,15})\r\n",
            rb"[Dd]ate(:)[\t\x20-\x7e]*+\r\n",
            KEEP_ALIVE,
            rb"[Tt]ransfer-[Ee]ncoding:(?(2)(?!))(?(4)(?!)) ?(chunked)\r\n",
            _ORDINARY_CAREFUL,
        )
    ) + b"){0," + str(FIELDS_MAX).encode() + rb"}\r\n(?(3)(?(2)|(?(4)|(?!)))|(?!))"
).match  # fmt: skip
_ANY_RESPONSE = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: (" + _REASON + rb"))?\r\n" + FIELDS + rb"\r\n"
).fullmatch
_RESPONSE_SPECIAL_LINE = re.compile(rb"\n(" + RESPONSE_SPECIAL + rb"):[ \t]*([^\r]*)")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A valid response head.

    `length` is what the fields say of the body: bytes, CHUNKED, or UNTIL_CLOSE when they say nothing; `body_length`
    is what follows in fact. `close`: the server's connection ends with this response. `line_end` is where the status
    line ends (before its CRLF), `end` where the body starts.
    """

    status: int
    minor: int
    reason: bytes
    length: int
    close: bool
    dated: bool
    options: frozenset[bytes]
    upgrade: bytes  # lower case, b"" unless Connection names it
    specials: tuple[Field, ...]
    line_end: int
    end: int

    def body_length(self, to_head: bool) -> int:
        """The length of the body that follows (RFC 9112 §6.3); `to_head`: it answers a HEAD request."""
        if to_head or self.status < 200 or self.status in (204, 304):
            return 0
        return self.length


def bad_response(message: str) -> HttpError:
    """The error for a server that broke HTTP."""
    return HttpError(message, blame="server", status=502, reason="bad_response")


def parse_response(data: bytes, scanned: int = 0) -> ResponseHead | None:
    """The response head at the start of `data`, or None while it is incomplete. Raises HttpError (502)."""
    end = data.find(b"\r\n\r\n", max(0, scanned - 3)) + 4
    if end < 4:
        if len(data) > HEAD_BYTES_MAX:
            raise bad_response("the response head is too large")
        if not b"HTTP/1.".startswith(data[:7]):
            raise bad_response("the response is not HTTP/1")
        return None
    match = _ANY_RESPONSE(data, 0, end)
    if match is None or end > HEAD_BYTES_MAX:
        raise bad_response("the response head is malformed or too large")
    minor, status, reason = int(match[1]), int(match[2]), match[3] or b""
    return _classify(minor, status, reason, special_fields(_RESPONSE_SPECIAL_LINE, data[:end]), data.find(b"\r\n"), end)


def _classify(
    minor: int, status: int, reason: bytes, specials: tuple[Field, ...], line_end: int, end: int
) -> ResponseHead:
    """What the special fields say."""
    lengths = [field.value for field in specials if field.name == b"content-length"]
    codings = [field.value for field in specials if field.name == b"transfer-encoding"]
    options: frozenset[bytes] = frozenset()
    for field in specials:
        if field.name == b"connection":
            named = connection_options(field.value)
            if named is None or named & {b"content-length", b"transfer-encoding"}:
                raise bad_response("the response's Connection field is malformed or names a framing field")
            options |= named
    upgrade = b",".join(field.value.lower() for field in specials if field.name == b"upgrade")
    return ResponseHead(
        status=status,
        minor=minor,
        reason=reason,
        length=_response_length(lengths, codings, minor),
        close=b"close" in options or (minor == 0 and b"keep-alive" not in options),
        dated=any(field.name == b"date" for field in specials),
        options=options,
        upgrade=upgrade if b"upgrade" in options else b"",
        specials=specials,
        line_end=line_end,
        end=end,
    )


def _response_length(lengths: list[bytes], codings: list[bytes], minor: int) -> int:
    """The body's length by the fields (RFC 9112 §6.3), every ambiguity refused."""
    if len(lengths) + len(codings) > 1:
        raise bad_response("more than one of Content-Length and Transfer-Encoding")
    if codings:
        if minor == 0 or codings[0].lower() != b"chunked":
            raise bad_response("a transfer coding that is not chunked alone")
        return CHUNKED
    if not lengths:
        return UNTIL_CLOSE
    length = parse_length(lengths[0])
    if length is None:
        raise bad_response("the response's Content-Length is malformed")
    return length
