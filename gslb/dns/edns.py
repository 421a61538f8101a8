"""EDNS: the OPT record, client subnet, cookies, NSID. Pure; for the DNS room only.

Sources: RFC 6891 (EDNS), RFC 7871 (client subnet), RFC 7873 and 9018 (cookies), RFC 5001 (NSID), RFC 8914 (extended
errors). Options that we don't know are ignored (RFC 6891 §6.1.2).
"""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

from gslb.dns.wire import BADVERS, FORMERR, Query
from gslb.errors import WireError

PAYLOAD_BYTES = 1232  # what we offer and the most we send over UDP (DNS flag day 2020: fits every path)
PAYLOAD_BYTES_MIN = 512  # without EDNS, and the least that an EDNS payload means (RFC 6891 §6.2.3)
DO = 0x8000
NSID, SUBNET, COOKIE, EDE = 3, 8, 10, 15
EDE_NOT_AUTHORITATIVE = 20
CLIENT_COOKIE_BYTES = 8
SERVER_COOKIE_BYTES_MIN, SERVER_COOKIE_BYTES_MAX = 8, 32
STAMP_INTERVAL_S = 10.0  # how often the timestamp in server cookies moves on
ADDRESS_BITS = {1: 32, 2: 128}  # of the address families of RFC 7871
OPT_BYTES_MAX = 63  # of ours on the fast path: 11, a client subnet of 24, a cookie of 28


class Subnet(NamedTuple):
    """A client subnet: `family` 4, 6, or 0 with nothing said; `address` as a number, zero beyond `source_length`.

    `wire` is the option's content as it came.
    """

    family: int
    source_length: int
    address: int
    wire: bytes

    def option(self, scope: int) -> bytes:
        """The option of the answer: family, source and address echoed, with `scope` (RFC 7871 §7.2.1)."""
        return b"\0\x08" + len(self.wire).to_bytes(2, "big") + self.wire[:3] + bytes((scope,)) + self.wire[4:]


def parse_subnet(content: bytes) -> Subnet:
    """Reads a client subnet option's content. Raises WireError (FORMERR) by the rules of RFC 7871 §6 and §7.1.2."""
    if len(content) < 4:
        raise WireError("a client subnet too short", FORMERR)
    family, source_length = content[0] << 8 | content[1], content[2]
    if content[3]:
        raise WireError("a client subnet with a scope in a query", FORMERR)
    if family == 0 and source_length == 0 and len(content) == 4:
        return Subnet(0, 0, 0, content)
    bits = ADDRESS_BITS.get(family, -1)
    if source_length > bits or len(content) - 4 != (source_length + 7) >> 3:
        raise WireError("a client subnet of an unknown family or a wrong length", FORMERR)
    known = int.from_bytes(content[4:], "big")
    spare = -source_length % 8
    if known & ((1 << spare) - 1):
        raise WireError("a client subnet with bits beyond its source prefix", FORMERR)
    address = known >> spare << bits - source_length
    return Subnet(4 if family == 1 else 6, source_length, address, content)


class Edns(NamedTuple):
    """What a query's OPT record says to us. `cookie` is the client's half, b"" without."""

    payload_bytes: int
    flags: int
    subnet: Subnet | None = None
    cookie: bytes = b""
    nsid: bool = False


def parse_opt(query: Query) -> Edns | None:
    """The EDNS of a query, None without. Raises WireError: BADVERS, FORMERR for two OPTs and malformed options."""
    if query.opt is None:
        return None
    if query.opts != 1:
        raise WireError("more than one OPT record, or one in the wrong place", FORMERR)
    payload, ttl, options = query.opt
    if ttl >> 16 & 0xFF:
        raise WireError("an EDNS version that is not 0", BADVERS)
    return Edns(max(payload, PAYLOAD_BYTES_MIN), ttl & DO, *parse_options(options))


def parse_options(options: bytes) -> tuple[Subnet | None, bytes, bool]:
    """An OPT record's rdata: the client subnet, the client's cookie (b"" without) and whether NSID is asked for.

    Of an option that comes twice the first counts (RFC 7873 §5.2). Raises WireError (FORMERR).
    """
    subnet, cookie, nsid, at = None, b"", False, 0
    while at < len(options):
        end = at + 4 + int.from_bytes(options[at + 2 : at + 4], "big")
        if end > len(options) or len(options) - at < 4:
            raise WireError("an option ends beyond its record", FORMERR)
        code, content = options[at] << 8 | options[at + 1], options[at + 4 : end]
        at = end
        if code == SUBNET:
            subnet = subnet or parse_subnet(content)
        elif code == COOKIE:
            cookie = cookie or _client_cookie(content)
        elif code == NSID:
            nsid = True
    return subnet, cookie, nsid


def _client_cookie(content: bytes) -> bytes:
    """The client's cookie; a malformed length is FORMERR (RFC 7873 §5.2.2)."""
    server = len(content) - CLIENT_COOKIE_BYTES
    if server and not SERVER_COOKIE_BYTES_MIN <= server <= SERVER_COOKIE_BYTES_MAX:
        raise WireError("a cookie of a wrong length", FORMERR)
    return content[:CLIENT_COOKIE_BYTES]


def opt_record(options: bytes = b"", flags: int = 0, extended_rcode: int = 0) -> bytes:
    """Our OPT record. `extended_rcode`: the upper eight bits of the RCODE; `flags`: DO copied (RFC 3225 §3)."""
    return (
        b"\0\0\x29" + PAYLOAD_BYTES.to_bytes(2, "big") + bytes((extended_rcode, 0)) + flags.to_bytes(2, "big")
        + len(options).to_bytes(2, "big") + options
    )  # fmt: skip


def text_option(code: int, content: bytes) -> bytes:
    """An option with plain content, as NSID."""
    return code.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content


class Cookies:
    """Makes server cookies in the layout of RFC 9018 §4: version, reserved, timestamp, hash.

    The hash is a keyed BLAKE2b of 8 bytes and not SipHash-2-4: it is in Python's standard library, and only nodes of
    one cluster (with one secret) need to agree. No cookie is ever refused: a wrong or an old one is answered with a
    fresh one, so none is verified.
    """

    __slots__ = ("_base", "_hasher", "_refresh_at", "_stamp")

    def __init__(self, secret: bytes) -> None:
        """`secret`: of any length; the same on every node of the cluster."""
        self._base = hashlib.blake2b(digest_size=8, key=hashlib.blake2b(secret, digest_size=32).digest())
        self._refresh_at = -math.inf
        self.refresh(0.0)

    def refresh(self, now: float) -> None:
        """Moves the timestamp on to `now`, in seconds; called once a batch."""
        if now < self._refresh_at:
            return
        self._refresh_at = now + STAMP_INTERVAL_S
        self._stamp = b"\1\0\0\0" + (int(now) & 0xFFFFFFFF).to_bytes(4, "big")
        self._hasher = self._base.copy()
        self._hasher.update(self._stamp)

    def option(self, client: bytes, source: str) -> bytes:
        """The COOKIE option for a client's cookie and the address that it came from."""
        hasher = self._hasher.copy()
        hasher.update(client + source.encode())
        return b"\0\x0a\0\x18" + client + self._stamp + hasher.digest()
