"""Picking a server, in this process and as the proxy does it: through `PoolState`, with requests under way.

`pick` is the figure with the bar; `turn` is a pick with its started and ended, which is where an algorithm may hide
its work. The clock is read around every pick and its own cost taken off; of ROUNDS rounds the least disturbed
counts, of several weightings the dearest. Where the algorithm goes by a key, every pick has another client's address.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.pool import PoolState
from gslb.model import Pool, Server

PICKS = 20_000
ROUNDS = 3
IN_FLIGHT = 256
WEIGHTS = ((1,), (1, 2, 3, 4, 5), tuple(range(1, 998)))


@dataclass(frozen=True, slots=True)
class Cost:
    """Time of one pick, and of a pick with its started and ended, in µs."""

    pick_us: float
    turn_us: float


def _keys(algorithm: str, number: int) -> list[bytes | None]:
    """What the proxy would pass for PICKS requests: addresses no two of which are alike, or nothing."""
    if not hasattr(ALGORITHMS.get(algorithm), "key"):
        return [None] * PICKS
    spread = (each * 0x9E3779B1 & 0xFFFFFFFF for each in range(number, number + PICKS))
    return [b"%d.%d.%d.%d" % tuple(each.to_bytes(4)) for each in spread]


def _round(pool: PoolState, running: deque[Server], keys: list[bytes | None]) -> Cost:
    clock = time.perf_counter_ns
    reading = -max(clock() - clock() for _ in range(1000))  # the cheapest pair of readings
    picking = 0
    begin = clock()
    for key in keys:
        before = clock()
        server = pool.pick(key, 0.0)
        picking += clock() - before
        assert server is not None
        pool.started(server)
        running.append(server)
        if len(running) > IN_FLIGHT:
            pool.ended(running.popleft())
    whole = clock() - begin
    return Cost((picking / PICKS - reading) / 1000, (whole / PICKS - 2 * reading) / 1000)


def measure(algorithm: str, count: int, weights: tuple[int, ...]) -> Cost:
    """An algorithm with its default options over `count` servers whose weights repeat `weights`."""
    servers = tuple(
        Server(f"s{n}", f"10.0.{n >> 8}.{n & 255}", 1024, weights[n % len(weights)]) for n in range(count)
    )
    pool = PoolState(Pool("bench", servers, ALGORITHMS.get(algorithm)()))
    running: deque[Server] = deque()
    rounds = [_round(pool, running, _keys(algorithm, number * PICKS)) for number in range(ROUNDS)]
    return min(rounds, key=lambda cost: cost.turn_us)


def dearest(algorithm: str, count: int) -> Cost:
    """The worst weighting's cost."""
    costs = [measure(algorithm, count, weights) for weights in WEIGHTS]
    return Cost(max(cost.pick_us for cost in costs), max(cost.turn_us for cost in costs))


def algorithms() -> list[str]:
    """Every registered algorithm."""
    return list(ALGORITHMS.known())
