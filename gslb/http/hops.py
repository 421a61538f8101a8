"""The mark of a request that one region forwards to another: it makes one hop, never a second. Pure.

`X-Gslb-Hop: 1;from=eu-west;at=1764214000;for=203.0.113.9;proto=https;sig=…` is signed with the cluster's secret over
these words, the method, the host and the target. Whoever shows a valid one is a region of this cluster, and is
believed who the client is. Any such field, valid or not, keeps the request from another hop: a forged one takes
nothing but that from its sender. Servers never see it.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from hashlib import blake2b

from gslb.http.forwarded import parse_address

FIELD = b"x-gslb-hop"
AGE_MAX_S = 60  # clocks of regions may differ by as much
MAC_BYTES = 12
_MARK = re.compile(
    rb"(1;from=[A-Za-z0-9._-]{1,64};at=([0-9]{1,12});for=([0-9A-Fa-f.:]{2,45});proto=(https?));sig=([A-Za-z0-9_-]{16})"
).fullmatch
_HOST_LINE = re.compile(rb"\r\nhost:[^\r\n]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hop:
    """Who the client of a forwarded request is: its address as text, and how it spoke to the first region."""

    address: bytes
    scheme: bytes


def mark(request: bytes, region: str, client: Hop, secret: bytes, now: int, host: bytes = b"") -> bytes:
    """`request` (a head, and what follows it) as another region gets it.

    Args:
        request: with a Host field.
        region: this one.
        client: who sent it.
        secret: the cluster's.
        now: Unix seconds.
        host: what the Host field says from now on; b"" leaves it.
    """
    if host:
        request = _HOST_LINE.sub(b"\r\nHost: " + host, request, count=1)
    words = b"1;from=%b;at=%d;for=%b;proto=%b" % (region.encode(), now, client.address, client.scheme)
    end = request.index(b"\r\n\r\n")
    method, target, _ = request[: request.index(b"\r\n")].split(b" ")
    found = _HOST_LINE.search(request, 0, end)
    named = found[0].partition(b":")[2].strip() if found is not None else b""
    sig = _mac(words, method, named.lower(), target, secret)
    return request[:end] + b"\r\nX-Gslb-Hop: " + words + b";sig=" + sig + request[end:]


def read(value: bytes, method: bytes, host: bytes, target: bytes, secret: bytes, now: int) -> Hop | None:
    """Who the client is by a mark; None if it isn't one, is too old, of the future, or not this cluster's.

    `host` in lower case, `now` in Unix seconds.
    """
    match = _MARK(value)
    if match is None or abs(now - int(match[2])) > AGE_MAX_S or parse_address(match[3].decode()) is None:
        return None
    if not hmac.compare_digest(match[5], _mac(match[1], method, host, target, secret)):
        return None
    return Hop(match[3], match[4])


def _mac(words: bytes, method: bytes, host: bytes, target: bytes, secret: bytes) -> bytes:
    """A keyed BLAKE2b; none of the words holds a newline, so they can't run into each other."""
    said = b"\n".join((words, method, host, target))
    digest = blake2b(said, key=secret[:64], digest_size=MAC_BYTES, person=b"gslb-hop").digest()
    return base64.urlsafe_b64encode(digest)
