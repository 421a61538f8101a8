"""Servers that come back get their share step by step. Core; a worker's `PoolState` keeps one Ramps a pool.

Slow start (Envoy's "Slow start mode"): weight · max(min_weight, (t / window) ^ (1 / aggression)), after a server was
seen down or newly joined; a breaker that closes again ramps in the same way, linearly. Weights change in coarse steps,
so that a picker is brought up to date STEPS times a window at most, off the hot path.
"""

from __future__ import annotations

from dataclasses import replace

from gslb.model import Server, SlowStart

STEPS = 10  # a window
SCALE = 100  # weights are whole numbers: while anybody ramps, all are so many times as great


class Ramps:
    """Who ramps in one pool, and how far each has come. Times are seconds on the caller's monotonic clock."""

    __slots__ = ("_began", "_steps")

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, SlowStart]] = {}
        self._steps: dict[str, int] = {}  # those of the weights that `weigh` gave last

    def __bool__(self) -> bool:
        """Whether anybody ramps."""
        return bool(self._began)

    def start(self, server: str, shape: SlowStart, now: float) -> None:
        """`server` (an id) comes back."""
        self._began[server] = now, shape
        self._steps[server] = 0

    def stop(self, server: str) -> None:
        """It is gone again."""
        if self._began.pop(server, None) is not None:
            del self._steps[server]

    def step(self, now: float) -> bool:
        """Time passes; whether the weights have changed."""
        changed = False
        for server, (began, shape) in tuple(self._began.items()):
            step = int((now - began) / shape.window_s * STEPS + 1e-9)
            if step >= STEPS:
                self.stop(server)
                changed = True
            elif step != self._steps[server]:
                self._steps[server] = step
                changed = True
        return changed

    def weigh(self, servers: tuple[Server, ...]) -> tuple[Server, ...]:
        """`servers` with the weights of this step; themselves while none of them ramps."""
        if not any(server.id in self._began for server in servers):
            return servers
        return tuple(
            replace(server, weight=max(1, round(server.weight * SCALE * self._factor(server.id)))) for server in servers
        )

    def _factor(self, server: str) -> float:
        began = self._began.get(server)
        if began is None:
            return 1.0
        shape = began[1]
        done = self._steps[server] / STEPS
        share: float = done ** (1 / shape.aggression)
        return max(shape.min_weight, share)
