"""Session cookies on the wire: ours taken out of what the server sees and set for the client; servers' own. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from gslb.model import Sticky

NAMES_MAX = 256
_COOKIE_LINE = re.compile(rb"(?<=\n)(?i:cookie):([^\r\n]*)\r\n").finditer


@lru_cache(NAMES_MAX)
def _set(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\n(?i:set-cookie):[ \t]*" + re.escape(name) + rb"=([^;\r\n]*)")


def without_cookie(message: bytes, name: bytes) -> bytes:
    """`message`, which starts with a request head, without the cookie `name`; an empty Cookie line goes too."""
    pieces, start = [], 0
    for line in _COOKIE_LINE(message, 0, message.find(b"\r\n\r\n") + 2):
        cookies = line[1].split(b";")
        kept = [cookie for cookie in cookies if cookie.partition(b"=")[0].strip(b" \t") != name]
        if len(kept) < len(cookies):
            pieces.append(message[start : line.start()])
            if any(cookie.strip(b" \t") for cookie in kept):
                pieces.append(b"Cookie:" + b";".join(kept) + b"\r\n")
            start = line.end()
    return b"".join((*pieces, message[start:])) if pieces else message


def set_cookie(sticky: Sticky, value: bytes, *, secure: bool) -> bytes:
    """The field line that sets our cookie (RFC 6265bis)."""
    parts = sticky.name.encode(), value, sticky.ttl_s, sticky.same_site.encode()
    line = b"Set-Cookie: %b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=%b" % parts
    line += b"; Domain=" + sticky.domain.encode() if sticky.domain else b""
    return line + (b"; Secure\r\n" if secure else b"\r\n")


def cookie_set(head: bytes, name: bytes) -> bytes | None:
    """The value that a response's head sets the cookie `name` to; None if it does not, or takes it away."""
    found = _set(name).search(head)
    return found[1].strip(b" \t") or None if found else None
