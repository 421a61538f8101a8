"""Prints what one pick costs: every algorithm, 10 to 10,000 servers, equal and mixed weights. Bars in DESIGN.md.

.venv/bin/python tests/bench/bench_pick.py
"""

import time
from collections import deque

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.pool import PoolState
from gslb.model import Pool, Server

PICKS = 100_000
RUNNING = 256
WEIGHTS = {"equal": [1], "1..5": [1, 2, 3, 4, 5], "1..997": list(range(1, 998))}


def measure(pool: PoolState) -> tuple[float, float]:
    """Microseconds of one pick, and of a pick with its started and ended, RUNNING requests at a time."""
    running: deque[Server] = deque()
    picking = 0
    clock = time.perf_counter_ns
    read = -max(clock() - clock() for _ in range(1000))  # what looking at the clock costs
    begin = clock()
    for number in range(PICKS):
        server = pool.pick(number, 0.0)
        pool.started(server)
        running.append(server)
        if len(running) > RUNNING:
            pool.ended(running.popleft())
    whole = clock() - begin
    for number in range(PICKS):
        before = clock()
        server = pool.pick(number, 0.0)
        picking += clock() - before - read
        pool.started(server)
        running.append(server)
        pool.ended(running.popleft())
    return picking / PICKS / 1000, whole / PICKS / 1000


def main() -> None:
    print(f"{'algorithm':20} {'weights':8} {'servers':>8} {'us a pick':>10} {'with started, ended':>20}")  # noqa: T201 - a bench prints
    for name, algorithm in ALGORITHMS.known().items():
        for label, weights in WEIGHTS.items():
            for count in (10, 1_000, 10_000):
                servers = tuple(Server(f"s{i}", "127.0.0.1", 1, weights[i % len(weights)]) for i in range(count))
                picking, whole = measure(PoolState(Pool("p", servers, algorithm())))
                print(f"{name:20} {label:8} {count:8} {picking:10.2f} {whole:20.2f}")  # noqa: T201 - a bench prints


if __name__ == "__main__":
    main()
