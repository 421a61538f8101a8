"""A route's share-out of requests to several pools by weight: by turns, or by a key that stays with its pool. Core.

By turns is nginx's smooth weighted round robin: for each `cw += w`, the greatest is picked, `cw -= total`. By key is
weighted rendezvous hashing (Schindelhauer, Schomaker: Weighted Distributed Hash Tables, SPAA 2005): score = -w / ln(h),
the greatest wins, so that a change of weights moves only as many keys as the shares differ by, on every worker alike.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

from gslb.balancing.keys import Key, parse_key
from gslb.balancing.request import Request
from gslb.model import Split

POOLS_MAX = 16  # of one split: each costs an addition a request


def rendezvous(key: bytes, weights: Sequence[tuple[str, int]]) -> list[str]:
    """The names ranked for `key`; weights are over 0."""
    scores = []
    for name, weight in weights:
        digest = hashlib.blake2b(key, digest_size=8, key=name.encode()[:64]).digest()
        share = ((int.from_bytes(digest) >> 12) + 0.5) * 2.0**-52  # never 0 and never 1 as a double
        scores.append((weight / -math.log(share), name))
    return [name for _, name in sorted(scores, reverse=True)]


class Splitter:
    """One split in one worker: whose turn it is."""

    __slots__ = ("_current", "_key", "_total", "_weights")

    def __init__(self, split: Split) -> None:
        self._weights = split.weights
        self._total = sum(weight for _, weight in self._weights)
        self._current = dict.fromkeys((name for name, _ in self._weights), 0)
        self._key: Key | None = parse_key(split.key) if split.key else None

    def order(self, request: Request) -> Iterator[str]:
        """The pools to ask for this request: the first is its own, the others are for when that has no server.

        A request without the key (no such cookie, say) takes its turn.
        """
        key = self._key.of(request) if self._key is not None else None
        if key is not None:
            yield from rendezvous(key, self._weights)
            return
        current = self._current
        for name, weight in self._weights:
            current[name] += weight
        first = max(current, key=current.__getitem__)
        current[first] -= self._total
        yield first
        yield from sorted((name for name, _ in self._weights if name != first), key=current.__getitem__, reverse=True)


class Portion:
    """Picks a percentage of what passes, evenly: 25 % is every fourth."""

    __slots__ = ("_percent", "_sum")

    def __init__(self, percent: float) -> None:
        self._percent, self._sum = percent, 0.0

    def next(self) -> bool:
        """Whether this one belongs to it."""
        self._sum += self._percent
        if self._sum < 100.0:
            return False
        self._sum -= 100.0
        return True
