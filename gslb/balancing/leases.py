"""Limits that several processes spend: a worker holds slices of each key, and control, or the region's Redis, the rest.

A worker never waits. It meets a key with an *opening slice* on credit, asks for more when half a slice is left, and
refuses what it has no token for. Control charges the opening slice with the first ask, and answers each ask with
exactly one grant, in advance where nothing is there now ("5, from 40 ms on"), so that nobody asks twice. What a worker
holds was taken from the one bucket before; only opening slices were not. Hence, for W worker processes (a replaced one
counts again) in any time t:

    admitted <= burst + rate * t + W * slice

Keys that never come near a slice are never coordinated: a million clients with a request each cost nothing here but a
row in the worker's table (`KEYS_MAX`; an evicted key opens anew, which adds a slice to the bound each time).

While control is away a worker counts by itself, with its share of the rate. Core; the proxy has one `Spender` a limit
(http/limiting.py), control answers by `Counted` (node/leasing.py) or Redis (state/leases.py).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import NamedTuple

from gslb.balancing.limits import KEYS_MAX, Counted, meter_of
from gslb.model import RateLimit

ASKS_MAX = 1024  # in one message; the rest follow in the next
LUMP_S = 0.05  # what is given in advance lasts about so long at the limit's rate: a round trip, with room


class Ask(NamedTuple):
    """A worker wants `want` tokens of a key, at least `lump` of them even if they are still to come.

    `charge`: tokens of an opening slice, to be paid for now.
    """

    limit: str
    key: bytes
    want: int
    lump: int
    charge: int


class Grant(NamedTuple):
    """The answer to one Ask: `given` tokens, to be spent from `delay_s` after now on."""

    limit: str
    key: bytes
    given: int
    delay_s: float


def slice_of(limit: RateLimit, workers: int) -> int:
    """Tokens that a worker may hold of a key: as configured, else half of its even share or LUMP_S worth of rate."""
    if limit.slice:
        return limit.slice
    rate = limit.count / limit.period_s
    return max(1, min(limit.burst, max(limit.burst // (2 * workers), math.ceil(rate * LUMP_S))))


class _Held:
    """What one worker holds of a key."""

    __slots__ = ("asked", "charge", "coming", "due", "tokens")

    def __init__(self, opening: int) -> None:
        self.tokens = opening
        self.charge = opening  # of the opening slice, not yet told to control
        self.coming = 0  # granted, to be spent from `due` on
        self.due = 0.0
        self.asked = 0  # the spender's `era` in which an ask is under way; 0 is none


class Spender:
    """One limit as one of several workers spends it."""

    def __init__(self, limit: RateLimit, workers: int, keys_max: int = KEYS_MAX) -> None:
        """`workers` of this node."""
        self.limit, self.meter = limit, meter_of(limit)
        self.slice = slice_of(limit, workers)
        self.lump = max(1, min(self.slice, math.ceil(limit.count / limit.period_s * LUMP_S)))
        self.alone: Counted | None = None  # counts while control is away
        self.wanted: OrderedDict[bytes, _Held] = OrderedDict()
        self._workers, self._keys_max = workers, keys_max
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._low = self.slice // 2
        self._era = 1

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._held)

    # ------------------------------------------------------------ requests
    def admit(self, key: bytes, now: float) -> float:
        """0.0 if the request may go on, else the seconds until one may. O(1); adds to `wanted` when it runs low."""
        if self.alone is not None:
            return self.alone.admit(key, now)
        held = self._of(key)
        if held.coming and held.due <= now:
            held.tokens += held.coming
            held.coming = 0
        if held.tokens:
            held.tokens -= 1
            wait_s = 0.0
        else:
            wait_s = max(held.due - now, LUMP_S) if held.coming else LUMP_S
        if held.tokens <= self._low and not held.coming and held.asked != self._era:
            self.wanted[key] = held
        return wait_s

    def _of(self, key: bytes) -> _Held:
        table = self._held
        held = table.get(key)
        if held is None:
            held = table[key] = _Held(self.slice)
            if len(table) > self._keys_max:
                gone, _ = table.popitem(last=False)
                self.wanted.pop(gone, None)
        else:
            table.move_to_end(key)
        return held

    def left(self, key: bytes, now: float) -> tuple[int, float]:
        """Tokens that this worker holds of the key, and the seconds until more may be spent."""
        if self.alone is not None:
            return self.alone.left(key, now)
        held = self._held.get(key)
        if held is None:
            return self.slice, 0.0
        return held.tokens, max(0.0, held.due - now) if held.coming else 0.0

    # ------------------------------------------------------------ control
    def asks(self, most: int = ASKS_MAX) -> list[Ask]:
        """What is wanted, taken out of `wanted`: to be sent in one message."""
        found: list[Ask] = []
        while self.wanted and len(found) < most:
            key, held = self.wanted.popitem(last=False)
            want = self.slice - held.tokens
            found.append(Ask(self.limit.name, key, want, min(self.lump, want), held.charge))
            held.asked, held.charge = self._era, 0
        return found

    def granted(self, key: bytes, given: int, delay_s: float, now: float) -> None:
        """Takes a grant. One for a key that was forgotten meanwhile, or asked for in another era, is lost: stricter."""
        held = self._held.get(key)
        if held is None or held.asked != self._era:
            return
        held.asked = 0
        held.coming, held.due = given, now + delay_s

    def leave(self) -> None:
        """Control is away: this worker counts by itself, with its share of the rate. Asks under way are forgotten."""
        if self.alone is None:
            self.alone = Counted(self.meter.share(self._workers), self._keys_max)
            self._era += 1
            self.wanted.clear()

    def rejoin(self) -> None:
        """Control is back."""
        self.alone = None
