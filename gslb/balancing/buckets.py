"""The token bucket, as arithmetic on one number: when it will be full again (GCRA, as ATM's and RFC 2697's meters).

A bucket holds `burst` tokens and gains `rate` a second. Its state is the time at which it is full: in the past, it is
full; `burst / rate` ahead, it is empty; further ahead, it owes. Taking n tokens moves that time by n / rate. Exact:
in any time t at most `burst + rate * t` are taken. Core; `limits.py`, `leases.py` and state/leases.py (in Lua) use it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_EPSILON = 1e-9  # tokens: what floats lose must not cost a request


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`rate` tokens a second, `burst` at most."""

    rate: float
    burst: float

    @property
    def empty_state(self) -> float:
        """Of a key that nobody has used: full since ever."""
        return 0.0

    def take(self, state: float, now: float) -> tuple[float, float]:
        """Takes one token if there is one: the new state, and 0.0 or the seconds until there is one."""
        after = max(state, now) + 1.0 / self.rate
        wait_s = after - now - (self.burst + _EPSILON) / self.rate
        return (after, 0.0) if wait_s <= 0.0 else (state, wait_s)

    def lease(self, state: float, want: int, lump: int, charge: int, now: float) -> tuple[float, int, float]:
        """Takes a slice, in advance if need be.

        Args:
            state: as it was.
            want: tokens asked for.
            lump: given even if they are still to come; at most `want`.
            charge: tokens that were spent on credit and are paid now.
            now: seconds on the caller's clock.

        Returns:
            The new state, the tokens given, and the seconds after which they may be spent.
        """
        full_at = max(state, now) + charge / self.rate
        there = math.floor(self.burst - (full_at - now) * self.rate + _EPSILON)
        given = max(min(want, there), lump)
        full_at += given / self.rate
        delay_s = full_at - now - (self.burst + _EPSILON) / self.rate
        return full_at, given, max(0.0, delay_s)

    def left(self, state: float, now: float) -> tuple[int, float]:
        """Tokens there now, and seconds until the bucket is full."""
        owed_s = max(0.0, state - now)
        return max(0, math.floor(self.burst - owed_s * self.rate + _EPSILON)), owed_s

    @property
    def quota(self) -> tuple[int, int]:
        """What is told to clients: so many requests in so many whole seconds."""
        return int(self.burst), max(1, math.ceil(self.burst / self.rate))

    def share(self, parts: int) -> TokenBucket:
        """One of `parts` buckets that are together as large as this one, but none smaller than a token."""
        return TokenBucket(self.rate / parts, max(1.0, self.burst / parts))
