"""Rate limits as one process counts them by itself: whose request it is, a bounded table, a verdict. Core.

`Counted` is a limit that one process keeps alone: a single worker's, control's for its node, or a worker's share while
control is away. Limits that workers spend in slices are `leases.py`. The proxy asks for every request that has a limit.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Protocol

from gslb.balancing.buckets import TokenBucket
from gslb.balancing.keys import KINDS, Key, parse_key
from gslb.balancing.request import Request
from gslb.balancing.windows import SlidingWindow
from gslb.model import RateLimit

# Keys that one limit remembers in one process. Beyond it the key that was used longest ago is forgotten, so it starts
# full again: who can send from more keys than this within the time that a bucket takes to fill is not held by it.
KEYS_MAX = 65_536
KEY_BYTES_MAX = 64  # longer keys are hashed: a key costs the same whatever a client sends
NETWORKS_MAX = 4096  # addresses whose network is remembered

EVERYBODY = b"*"
NOBODY = b""  # the one key of all requests that have none: leaving the header out gets nobody past a limit

LIMIT_KINDS = ("all", "route", *(kind for kind in KINDS if kind != "path"), "path")


class Meter(Protocol):
    """The arithmetic of a limit: `TokenBucket` or `SlidingWindow`, over states that it makes itself."""

    @property
    def empty_state(self) -> Any:
        """The state of a key that nobody has used."""

    def take(self, state: Any, now: float) -> tuple[Any, float]:
        """One request: the new state, and 0.0 or the seconds until there is room."""

    def lease(self, state: Any, want: int, lump: int, charge: int, now: float) -> tuple[Any, int, float]:
        """A slice: the new state, what is given, and the seconds until it may be spent."""

    def left(self, state: Any, now: float) -> tuple[int, float]:
        """Requests that there is room for, and the seconds until all is as new."""

    @property
    def quota(self) -> tuple[int, int]:
        """Requests, in whole seconds."""

    def share(self, parts: int) -> Any:
        """One of `parts` meters that make this one."""


def meter_of(limit: RateLimit) -> Meter:
    """The arithmetic that `limit` names."""
    if limit.algorithm == "sliding_window":
        return SlidingWindow(limit.count, limit.period_s)
    return TokenBucket(limit.count / limit.period_s, limit.burst)


# ---------------------------------------------------------------- whose request it is
class Whose:
    """The key of a request under one limit."""

    __slots__ = ("_key", "_prefix", "kind")

    def __init__(self, text: str, prefix: int) -> None:
        """`text` as in configuration; `prefix`: bits of an IPv6 address that are one client.

        Raises ValueError in words for the person who wrote it.
        """
        self.kind = text if text in {"all", "route"} else ""
        self._prefix = prefix
        self._key: Key | None = None if self.kind else _parsed(text)

    def of(self, request: Request, route: bytes) -> bytes:
        """At most KEY_BYTES_MAX bytes. `route` stands for the route that the request takes."""
        key = self._key
        if key is None:
            return EVERYBODY if self.kind == "all" else route
        found = key.of(request)
        if not found:
            return NOBODY
        if key.kind == "client_ip":
            return network(found, self._prefix) if b":" in found else found
        return short(found)


def _parsed(text: str) -> Key:
    try:
        return parse_key(text)
    except ValueError:
        if ":" in text and text.partition(":")[0] + ":NAME" in KINDS:
            raise  # the kind is right, its name is not
        raise ValueError(f"{text!r} is no key of a limit; known: {', '.join(LIMIT_KINDS)}") from None


def short(key: bytes) -> bytes:
    """`key`, or a hash of it where it is long."""
    return key if len(key) <= KEY_BYTES_MAX else blake2b(key, digest_size=16).hexdigest().encode()


@lru_cache(NETWORKS_MAX)
def network(address: bytes, prefix: int) -> bytes:
    """The network of `prefix` bits around an IPv6 address in text; what is no address stays as it is."""
    try:
        return str(ipaddress.IPv6Network((address.decode(), prefix), strict=False)).encode()
    except ValueError:
        return short(address)


# ---------------------------------------------------------------- counting alone
class Counted:
    """One limit that this process counts by itself."""

    def __init__(self, meter: Meter, keys_max: int = KEYS_MAX) -> None:
        self.meter = meter
        self._keys_max = keys_max
        self._states: OrderedDict[bytes, Any] = OrderedDict()  # the last used last

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._states)

    def _state(self, key: bytes) -> Any:
        return self._states.get(key, self.meter.empty_state)

    def _keep(self, key: bytes, state: Any) -> None:
        states = self._states
        states[key] = state
        states.move_to_end(key)
        if len(states) > self._keys_max:
            states.popitem(last=False)

    def admit(self, key: bytes, now: float) -> float:
        """0.0 if the request may go on, else the seconds until one may. O(1)."""
        state, wait_s = self.meter.take(self._state(key), now)
        self._keep(key, state)
        return wait_s

    def lease(self, key: bytes, want: int, lump: int, charge: int, now: float) -> tuple[int, float]:
        """A slice of the key's requests: how many, and the seconds until they may be spent. See `TokenBucket.lease`."""
        state, given, delay_s = self.meter.lease(self._state(key), want, lump, charge, now)
        self._keep(key, state)
        return given, delay_s

    def left(self, key: bytes, now: float) -> tuple[int, float]:
        """Requests that the key has now, and the seconds until all is as new."""
        return self.meter.left(self._state(key), now)
