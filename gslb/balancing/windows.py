"""The sliding window of two counters (Cloudflare, "How we built rate limiting capable of scaling", 2017).

What came within the last window is taken to be `previous * (1 - elapsed / window) + current`: the requests of the
window before count as if they had come evenly. So memory is two numbers a key, and the error is this: a client that
sent all of the last window's requests at its very end can reach up to twice the limit in one window's length; one that
is steady gets exactly the limit. Over whole windows the count is exact. Core; used as buckets.py is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

_EPSILON = 1e-9


class Counts(NamedTuple):
    """A key's state: which window, what came in the one before, what came in it."""

    window: int
    previous: float
    current: float


_NOTHING = Counts(0, 0, 0)


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """`limit` requests in any `window_s`."""

    limit: float
    window_s: float

    @property
    def empty_state(self) -> Counts:
        """Of a key that nobody has used."""
        return _NOTHING

    def _rolled(self, state: Counts, now: float) -> tuple[Counts, float]:
        """The counts as of now, and the part of the window that has passed."""
        window, part = divmod(now / self.window_s, 1.0)
        gone = int(window) - state.window
        if gone == 1:
            state = Counts(int(window), state.current, 0)
        elif gone:
            state = Counts(int(window), 0, 0)
        return state, part

    def _wait_s(self, counts: Counts, part: float, more: int) -> float:
        """Seconds until there is room for `more` if nothing else comes."""
        room = self.limit + _EPSILON - counts.current - more
        if room >= 0.0:
            if counts.previous * (1.0 - part) <= room:
                return 0.0
            return (1.0 - room / counts.previous - part) * self.window_s
        return (1.0 - part + 1.0 - (self.limit - more) / counts.current) * self.window_s

    def take(self, state: Counts, now: float) -> tuple[Counts, float]:
        """Counts one request if there is room: the new state, and 0.0 or the seconds until there is."""
        counts, part = self._rolled(state, now)
        wait_s = self._wait_s(counts, part, 1)
        if wait_s <= 0.0:
            return Counts(counts.window, counts.previous, counts.current + 1), 0.0
        return counts, wait_s

    def lease(self, state: Counts, want: int, lump: int, charge: int, now: float) -> tuple[Counts, int, float]:
        """As `TokenBucket.lease`. What is given in advance counts in the window in which it was asked for."""
        counts, part = self._rolled(state, now)
        current = counts.current + charge
        there = math.floor(self.limit - counts.previous * (1.0 - part) - current + _EPSILON)
        given = max(min(want, there), lump)
        after = Counts(counts.window, counts.previous, current + given)
        return after, given, self._wait_s(after, part, 0)

    def left(self, state: Counts, now: float) -> tuple[int, float]:
        """Requests that there is room for now, and seconds until all of today's are forgotten."""
        counts, part = self._rolled(state, now)
        used = counts.previous * (1.0 - part) + counts.current
        forgotten_s = (2.0 - part if counts.current else 1.0 - part if counts.previous else 0.0) * self.window_s
        return max(0, math.floor(self.limit - used + _EPSILON)), forgotten_s

    @property
    def quota(self) -> tuple[int, int]:
        """What is told to clients: so many requests in so many whole seconds."""
        return int(self.limit), max(1, math.ceil(self.window_s))

    def share(self, parts: int) -> SlidingWindow:
        """One of `parts` windows that together let through as much as this one, but none less than one request."""
        return SlidingWindow(max(1.0, self.limit / parts), self.window_s)
