"""Drawing lots by weight, O(1) a draw: what `random`, `power_of_two` and `peak_ewma` pick their candidates by.

The core has no randomness of its own, so every picker has a generator: the 64-bit congruential one of Knuth's MMIX
(TAOCP 2, 3.3.4), of which only the high bits are used. It starts from the servers' ids and from the time of the first
draw: a picker that is asked the same at the same times answers the same, and two workers, which are never asked first
at the same nanosecond, do not walk in step.

Weights enter through an alias table (Vose, IEEE Trans. Softw. Eng. 17(9), 1991), in whole numbers: shares are exact.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

from gslb.model import Server

_MULTIPLIER, _INCREMENT, _MASK = 6_364_136_223_846_793_005, 1_442_695_040_888_963_407, (1 << 64) - 1
WARM_UP_STEPS = 4  # seeds that differ little are far apart after these


class Lots:
    """Draws positions of a list, each as often as its weight says."""

    __slots__ = ("_alias", "_keep", "_span", "_state", "_total", "begun")

    def __init__(self) -> None:
        self._state = 0
        self.begun = False
        self.weigh(())

    def begin(self, servers: Iterable[Server], now: float) -> None:
        """Seeds the generator: once, before the first draw. `now` in seconds on any clock."""
        seed = zlib.crc32(struct.pack("<d", now))
        for server in servers:
            seed = zlib.crc32(server.id.encode(), seed)
        self._state = seed
        for _ in range(WARM_UP_STEPS):
            self._state = (self._state * _MULTIPLIER + _INCREMENT) & _MASK
        self.begun = True

    def weigh(self, weights: Sequence[int]) -> None:
        """From now on position i is drawn in weights[i] of Σweights draws; O(n). Weights are at least 1."""
        count, total = len(weights), sum(weights)
        self._total, self._span = total, count * total
        parts = [weight * count for weight in weights]  # a position of average weight has `total` of them
        self._alias = list(range(count))
        self._keep = [total] * count
        small = [i for i in range(count) if parts[i] < total]
        large = [i for i in range(count) if parts[i] > total]
        while small:
            poor, rich = small.pop(), large[-1]  # while one has too little another has too much
            self._keep[poor], self._alias[poor] = parts[poor], rich
            parts[rich] -= total - parts[poor]
            if parts[rich] <= total:
                large.pop()
                if parts[rich] < total:
                    small.append(rich)

    def draw(self) -> int:
        """A position. There must be one, and `begin` must have been called."""
        self._state = state = (self._state * _MULTIPLIER + _INCREMENT) & _MASK
        position, part = divmod(state * self._span >> 64, self._total)
        return position if part < self._keep[position] else self._alias[position]
