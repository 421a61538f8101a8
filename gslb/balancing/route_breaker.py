"""A route's breaker as one worker has it: whether a request may go on, and what became of it. Core.

It is the breaker of a pool with one server, ALL, of the route's own name (`pools_of`): control keeps it (`guards.py`)
and spreads its standing as any other, and a worker whose own count suffices closes the route at once (`outcomes.py`).
Where a server's breaker sends requests elsewhere, this one has nowhere to: they are answered 503. When it closes again
the share of requests that go on grows over `ramp`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.eligible import of_pool
from gslb.balancing.outcomes import Tally
from gslb.model import BreakerRule, BreakerState, Gate, Pool, Route, Server

ALL = "all"
NAME_MAX = 100
PROBE_START_S = 1.0  # a lease that no request has used by then goes back, for another worker to use
PROBES_HELD_MAX = 1000
FIRST_SHARE = 0.1  # of requests, when it has closed
_CLOSED = BreakerState(Gate.CLOSED, 0)


def names_of(routes: Sequence[Route]) -> list[str]:
    """A name of each route that tells it from the others, and stays its own when others come and go."""
    found, seen = [], Counter[str]()
    for route in routes:
        parts = (",".join(sorted(route.methods)), ",".join(route.hosts), route.path or route.pattern)
        name = "route:" + ("|".join(part for part in parts if part).replace("/", "|") or "any")[:NAME_MAX]
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    return found


def pools_of(routes: Sequence[Route]) -> dict[str, Pool]:
    """What stands for the routes that have a breaker, where pools are guarded."""
    return {
        name: Pool(name, (Server(ALL, "", 0),), ALGORITHMS.get("round_robin")(), breaker=route.breaker)
        for name, route in zip(names_of(routes), routes, strict=True)
        if route.breaker is not None
    }


@dataclass(frozen=True, slots=True)
class Passage:
    """One request on its way through: under which epoch it began, and by which lease if it is a probe."""

    breaker: RouteBreaker
    server: Server

    def ended(self, failed: str | None, now: float) -> None:
        """`failed`: as one of outcomes.KINDS; "" if all was well, None if its end says nothing of the route."""
        self.breaker.ended(self.server, failed, now)


class RouteBreaker:
    """See the module. `wake` is told that there is something urgent to tell control."""

    def __init__(self, name: str, rule: BreakerRule, wake: Callable[[], None]) -> None:
        self.name, self.rule, self._wake = name, rule, wake
        self.tally = Tally(name, rule)
        self._server = Server(ALL, "", 0)
        self._standing = _CLOSED
        self._shut_until = 0.0  # by this worker's own word
        self._ramp_from: float | None = None
        self._credit = 0.0
        self._probes: deque[tuple[int, int, float]] = deque()  # epoch, lease, until when it may begin

    # ------------------------------------------------------------ requests
    def admit(self, now: float) -> Passage | None:
        """Lets one request through; None for one that must be answered 503."""
        gate = self._standing.gate
        if gate is Gate.HALF_OPEN:
            self.sweep(now)
            if not self._probes:
                return None
            epoch, lease, _ = self._probes.popleft()
            return Passage(self, replace(self._server, epoch=epoch, lease=lease))
        if gate is not Gate.CLOSED or now < self._shut_until or not self._has_turn(now):
            return None
        return Passage(self, self._server)

    def _has_turn(self, now: float) -> bool:
        """While it ramps, evenly spread requests are let through: a share of them that grows."""
        if self._ramp_from is None:
            return True
        passed = (now - self._ramp_from) / self.rule.ramp_s
        if passed >= 1.0:
            self._ramp_from = None
            return True
        self._credit += max(FIRST_SHARE, passed)
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True

    def ended(self, server: Server, failed: str | None, now: float) -> None:
        """See Passage."""
        if failed is None:
            if server.lease:
                self.tally.probed(server, ok=None)
        elif not failed:
            self.tally.succeeded(server)
        elif self.tally.failed(server, failed, now):
            self._shut_until = now + self.rule.open_for_s
        if failed or server.lease:
            self._wake()

    # ------------------------------------------------------------ control's word
    def update(self, breakers: Mapping[str, BreakerState], now: float) -> None:
        """A new Status."""
        new = of_pool(self.name, breakers).get(ALL, _CLOSED)
        self.tally.update({ALL: new} if new is not _CLOSED else {})
        old, self._standing = self._standing, new
        if new.epoch == old.epoch:
            return
        self._shut_until = 0.0  # control has spoken
        self._server = replace(self._server, epoch=new.epoch)
        ramps = new.gate is Gate.CLOSED and old.gate in (Gate.OPEN, Gate.HALF_OPEN) and self.rule.ramp_s > 0
        self._ramp_from, self._credit = (now if ramps else None), 0.0

    def lease(self, server_id: str, epoch: int, lease: int, now: float) -> None:
        """One of the next requests is a probe."""
        del server_id
        if len(self._probes) < PROBES_HELD_MAX:
            self._probes.append((epoch, lease, now + PROBE_START_S))

    def sweep(self, now: float) -> None:
        """Leases that nobody used go back."""
        while self._probes and self._probes[0][2] <= now:
            epoch, lease, _ = self._probes.popleft()
            self.tally.void(ALL, epoch, lease)
            self._wake()
