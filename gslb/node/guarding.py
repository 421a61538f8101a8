"""Control's part in breakers and outlier ejection: workers' outcomes in, standings and leases out, and what is shown.

What is decided is `balancing/guards.py`, one a guarded pool; this module keeps them, logs, and hands leases to workers.
Only control and its view call it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gslb.balancing.eligible import Eligible, eligible, of_pool
from gslb.balancing.guards import Guards
from gslb.balancing.outcomes import Outcome
from gslb.balancing.route_breaker import pools_of
from gslb.model import BreakerState, Gate, Plan, Pool, State
from gslb.node.messages import Lease, Message

EPOCHS_MAX = 1 << 32  # of one life of control: the next one's are greater

log = logging.getLogger("gslb.control")


class Guarding:
    """All pools of a node; an edge has none. Times are seconds on the monotonic clock."""

    def __init__(self, restarts: int, tell: Callable[[int, Message], bool]) -> None:
        """`restarts`: how often control was replaced; `tell` sends a message to the worker of a slot."""
        self._first_epoch = restarts * EPOCHS_MAX
        self._tell = tell
        self._guards: dict[str, Guards] = {}
        self._pools: Mapping[str, Pool] = {}
        self._panic: dict[str, Eligible] = {}  # of pools that have a threshold
        self._seen: Mapping[str, State] | None = None  # the servers' states that it was made of; None: make it anew

    def configure(self, plan: Plan, now: float) -> None:
        """Takes a new Plan; what is known of servers that stay is kept."""
        balancer = plan.balancer
        self._pools = {**balancer.pools, **pools_of(balancer.routes)} if balancer is not None else {}
        kept: dict[str, Guards] = {}
        for name, pool in self._pools.items():
            if pool.guarded:
                guards = self._guards.get(name)
                if guards is None:
                    guards = Guards(pool, self._first_epoch, now)
                else:
                    guards.configure(pool, now)
                kept[name] = guards
        self._guards = kept
        self._seen = None

    # ------------------------------------------------------------ evidence
    def take(self, outcomes: Iterable[Outcome], servers: Mapping[str, State], now: float) -> bool:
        """A worker's outcomes; `servers` as in `Status.servers`. True if a standing changed."""
        states: dict[str, Mapping[str, State]] = {}
        for outcome in outcomes:
            guards = self._guards.get(outcome.pool)
            if guards is not None:
                if outcome.pool not in states:
                    states[outcome.pool] = of_pool(outcome.pool, servers)
                guards.take(outcome, states[outcome.pool], now)
        return self._tell_news()

    def tick(self, servers: Mapping[str, State], now: float) -> None:
        """Time passes."""
        for name, guards in self._guards.items():
            guards.tick(of_pool(name, servers), now)
        self._tell_news()
        self._watch_panic(servers)

    def lost(self, slot: int) -> None:
        """A worker is gone."""
        for guards in self._guards.values():
            guards.lost(slot)

    def lease(self, slots: Sequence[int], now: float) -> None:
        """Leases what may be leased to the workers of `slots`, after they were told the Status."""
        for name, guards in self._guards.items():
            for grant in guards.lease(slots, now):
                if not self._tell(grant.owner, Lease(name, grant.server, grant.epoch, grant.lease)):
                    guards.void(grant)

    # ------------------------------------------------------------ what follows
    def standings(self) -> dict[str, BreakerState]:
        """For `Status.breakers`."""
        return {
            f"{name}/{server}": standing
            for name, guards in self._guards.items()
            for server, standing in guards.standings.items()
        }

    def _tell_news(self) -> bool:
        changed = False
        for name, guards in self._guards.items():
            for server, standing in guards.news:
                changed = True
                level = logging.WARNING if standing.gate in (Gate.OPEN, Gate.EJECTED) else logging.INFO
                word = "ejected" if standing.gate is Gate.EJECTED else f"breaker {standing.gate.value}"
                log.log(level, "server %s/%s: %s", name, server, word, extra={"why": standing.why})
            guards.news.clear()
        if changed:
            self._seen = None
        return changed

    def _watch_panic(self, servers: Mapping[str, State]) -> None:
        """Looks at every pool with a threshold if anything moved, and logs when panic begins or ends."""
        if servers is self._seen:
            return
        self._seen = servers
        found: dict[str, Eligible] = {}
        for name, pool in self._pools.items():
            if not pool.panic_threshold:
                continue
            guards = self._guards.get(name)
            found[name] = now = eligible(pool, of_pool(name, servers), guards.standings if guards else {})
            before = self._panic.get(name)
            if now.panic != (before is not None and before.panic):
                what = "all get requests" if pool.panic == "all" else "none gets any"
                log.warning(
                    "pool %s: panic, %s" if now.panic else "pool %s: no panic any more%.0s", name, what,
                    extra={"why": f"{now.available} of {now.total} servers are available"},
                )  # fmt: skip
        self._panic = found

    # ------------------------------------------------------------ for people and Prometheus
    def describe(self, now: float) -> dict[str, dict[str, Any]]:
        """Part of `/status`: the servers whose gate isn't closed, and the pools that have a panic threshold."""
        return {
            "breakers": {
                key: {"state": one.gate.value, "why": one.why, "age_s": round(now - one.since_s, 3)}
                for key, one in self.standings().items()
                if one.gate is not Gate.CLOSED
            },
            "panic": {
                name: {"panic": one.panic, "available": one.available, "total": one.total}
                for name, one in self._panic.items()
            },
        }

    def gauge(self, put: Callable[..., None]) -> None:
        """Sets every gauge and total: `put(metric, value, **labels)`."""
        for name, guards in self._guards.items():
            pool = self._pools[name]
            for server in pool.servers:
                standing = guards.standings.get(server.id)
                now = standing.gate if standing is not None else Gate.CLOSED
                for gate in Gate:
                    put("gslb_breaker_state", gate is now, pool=name, server=server.id, state=gate.value)
                if pool.breaker is not None:
                    put("gslb_breaker_opened_total", guards.opened.get(server.id, 0), pool=name, server=server.id)
            if pool.outliers is not None:
                put("gslb_outlier_ejections_total", guards.ejected, pool=name)
        for name, one in self._panic.items():
            put("gslb_pool_panic", one.panic, pool=name)
