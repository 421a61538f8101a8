"""ip_hash: a client's address decides, as in nginx: the first three octets of IPv4, all sixteen of IPv6.

The hash starts at 89 and takes each octet by (hash · 113 + octet) mod 6271; the hash mod Σ weight is a stretch of the
servers in configured order. A server that is down, tried or full passes the client on by another round over the same
octets (nginx 1.22, ngx_http_upstream_ip_hash_module.c). The same server as nginx's `ip_hash` while Σ weight is at most
NGINX_WEIGHT_MAX. 6271 values can't serve more evenly, so above it crc32 of the same octets takes over.

A server that goes down moves its own clients only; adding, removing or weighing one in the configuration moves nearly
all (that is nginx's arithmetic; consistent_hash moves few). A pick is that sum and a bisection. Building costs a pass
over the servers: about a millisecond for 10,000.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from itertools import accumulate
from typing import ClassVar

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.keyed import KeyedPicker
from gslb.model import Server

# Up to here every server's share of nginx's 6271 values is at most a sixth off.
NGINX_WEIGHT_MAX = 1000
# IPv6 addresses whose octets are remembered (parsing one costs 3 µs): 5 MB at most.
ADDRESSES_MAX = 16_384
_OCTETS = {b"%d" % octet: octet for octet in range(256)}


def octets_of(address: bytes) -> bytes | tuple[int, int, int]:
    """What is hashed of an address in canonical text; of anything else all of it."""
    dotted = address.split(b".")
    if len(dotted) == 4:
        first, second, third, _ = dotted
        try:
            return _OCTETS[first], _OCTETS[second], _OCTETS[third]
        except KeyError:
            pass  # a mapped address, or none
    return _octets_of_ipv6(address) if b":" in address else address


@lru_cache(ADDRESSES_MAX)
def _octets_of_ipv6(address: bytes) -> bytes:
    try:
        return IPv6Address(address.decode("ascii")).packed
    except ValueError:
        return address


class IpHashPicker(KeyedPicker):
    """See the module."""

    __slots__ = ("_as_nginx", "_ends", "_total")

    def _build(self, places: tuple[Server, ...]) -> None:
        self._ends = list(accumulate(server.weight for server in places))
        self._total = self._ends[-1]
        self._as_nginx = self._total <= NGINX_WEIGHT_MAX

    def _first(self, key: bytes) -> int:
        return self._again(89, key)

    def _again(self, at: int, key: bytes) -> int:
        octets = octets_of(key)
        if not self._as_nginx:
            return zlib.crc32(bytes(octets), at)
        for octet in octets:
            at = (at * 113 + octet) % 6271
        return at

    def _place(self, at: int) -> int:
        return bisect_right(self._ends, at % self._total if self._as_nginx else at * self._total >> 32)


@ALGORITHMS.register("ip_hash")
@dataclass(frozen=True, slots=True)
class IpHash:
    """By the client's address, as nginx. No options."""

    key: ClassVar[str] = "client_ip"

    def build(self, servers: tuple[Server, ...]) -> IpHashPicker:
        """See Algorithm."""
        return IpHashPicker(servers)
