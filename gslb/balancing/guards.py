"""A pool's breakers and outlier detector under one epoch per server, as control keeps them for all workers. Core.

Outcomes come in through `take`, time through `tick`; what follows for the servers is `standings` (which goes into the
Status) and `news` (for logs). Probes of half-open servers are leased by `lease`, one worker after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gslb.balancing.breaker import Breaker
from gslb.balancing.eligible import is_in_use
from gslb.balancing.outcomes import GATEWAY_KINDS, Outcome
from gslb.balancing.outliers import Detector
from gslb.model import BreakerState, Gate, Pool, State


@dataclass(frozen=True, slots=True)
class Grant:
    """A probe of `server` for worker `owner`."""

    server: str
    epoch: int
    lease: int
    owner: int


class Guards:
    """One pool. Times are seconds on the caller's monotonic clock; servers are known by id."""

    def __init__(self, pool: Pool, first_epoch: int, now: float) -> None:
        """`first_epoch`: epochs of changes are greater; a control that is replaced must not use one twice."""
        self._pool = pool
        self._first_epoch = first_epoch
        self._breakers: dict[str, Breaker] = {}
        self._detector: Detector | None = None
        self._turn = 0  # whose turn it is to be given a lease
        self.standings: dict[str, BreakerState] = {}
        self.news: list[tuple[str, BreakerState]] = []  # emptied by whoever reads it, after each call
        self.opened: dict[str, int] = {}  # how often, by server
        self.ejected = 0  # how often
        self.configure(pool, now)

    def configure(self, pool: Pool, now: float) -> None:
        """A new plan's pool. What is known of a server stays, unless another rule holds for it now."""
        self._ids = ids = {server.id for server in pool.servers}
        old = self._pool
        self._pool = pool
        if pool.breaker != old.breaker:
            self._breakers = {}
        self._breakers = {server: one for server, one in self._breakers.items() if server in ids}
        if pool.outliers is None:
            self._detector = None
        elif self._detector is None:
            self._detector = Detector(pool.outliers, ids, now)
        else:
            self._detector.configure(pool.outliers, ids)
        self.opened = {server: count for server, count in self.opened.items() if server in ids}
        self.standings = {server: one for server, one in self.standings.items() if server in ids}
        for server in tuple(self.standings):
            self._settle(server, now)

    # ------------------------------------------------------------ evidence
    def take(self, outcome: Outcome, states: Mapping[str, State], now: float) -> None:
        """Counts what a worker tells, unless it is of another epoch; `states`: by server id, what isn't up."""
        server = outcome.server
        standing = self.standings.get(server)
        if outcome.epoch != (standing.epoch if standing else 0) or server not in self._ids:
            return
        breaker = self._breaker(server)
        failures = sum(outcome.failures.values())
        if breaker is not None:
            if outcome.probe is not None:
                breaker.result(*outcome.probe, now)
            breaker.count(outcome.successes, failures, outcome.runs[0], now, outcome.tripped)
        if self._settle(server, now) or (standing and standing.gate is not Gate.CLOSED):
            return
        if self._detector is not None:
            gateway = sum(count for kind, count in outcome.failures.items() if kind in GATEWAY_KINDS)
            why = self._detector.observe(server, outcome.successes, failures, outcome.runs, gateway, now)
            if why and self._detector.eject(server, why, self._available(states), now):
                self._settle(server, now)

    def tick(self, states: Mapping[str, State], now: float) -> None:
        """Time passes; call several times a second."""
        for server, standing in tuple(self.standings.items()):
            if standing.gate is not Gate.CLOSED and server in self._breakers:  # time moves no closed one
                self._breakers[server].tick(now)
                self._settle(server, now)
        if self._detector is not None and self._detector.is_due(now):
            self._detector.tick(now, self._available(states))
            for server in {*self._detector.why, *self.standings}:
                self._settle(server, now)

    def lost(self, owner: int) -> None:
        """A worker is gone: its leases are void."""
        for breaker in self._breakers.values():
            breaker.lost(owner)

    # ------------------------------------------------------------ probes
    def lease(self, owners: Sequence[int], now: float) -> list[Grant]:
        """Leases every probe that may be sent now; workers take turns."""
        grants = []
        for server, standing in self.standings.items():
            while owners and standing.gate is Gate.HALF_OPEN:
                owner = owners[self._turn % len(owners)]
                number = self._breakers[server].lease(owner, now)
                if number is None:
                    break
                self._turn += 1
                grants.append(Grant(server, standing.epoch, number, owner))
        return grants

    def void(self, grant: Grant) -> None:
        """The lease could not be told to its owner."""
        self._breakers[grant.server].result(grant.lease, None, 0.0)

    # ------------------------------------------------------------ what follows
    def _breaker(self, server: str) -> Breaker | None:
        """Made when a server is first heard of: most never fail."""
        rule = self._pool.breaker
        if rule is None:
            return None
        breaker = self._breakers.get(server)
        if breaker is None:
            self._breakers[server] = breaker = Breaker(rule)
        return breaker

    def _available(self, states: Mapping[str, State]) -> set[str]:
        return {one.id for one in self._pool.servers if is_in_use(one, states, self.standings)}

    def _settle(self, server: str, now: float) -> bool:
        """Brings a server's standing up to date; True if its gate moved, which begins a new epoch."""
        breaker, detector = self._breakers.get(server), self._detector
        gate, why = (breaker.gate, breaker.why) if breaker is not None else (Gate.CLOSED, "")
        if detector is not None and detector.is_ejected(server):
            gate, why = Gate.EJECTED, detector.why[server]
        old = self.standings.get(server)
        if gate is (old.gate if old else Gate.CLOSED):
            return False
        if gate is Gate.CLOSED and old is not None and old.gate is Gate.EJECTED:
            why = "its ejection is over"
        new = BreakerState(gate, (old.epoch if old else self._first_epoch) + 1, why, now)
        self.standings[server] = new
        self.news.append((server, new))
        if gate is Gate.OPEN:
            self.opened[server] = self.opened.get(server, 0) + 1
        elif gate is Gate.EJECTED:
            self.ejected += 1
        return True
