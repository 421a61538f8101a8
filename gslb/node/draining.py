"""How far a region's drain has come: for how long, who is left, until when resolvers may still send clients.

Control tells it when a drain begins and ends; the admin API shows what it says, `gslb drain --wait` counts down by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gslb.model import Plan
from gslb.node.board import Board
from gslb.telemetry import Counters

RESULTS = ("proxied", "redirected", "nowhere", "second_hop")


class Draining:
    """One region node's drain."""

    def __init__(self, board: Board, plan: Callable[[], Plan]) -> None:
        self._board, self._plan = board, plan
        self._since: float | None = None
        self._before: dict[str, int] = {}  # stragglers when it began

    def update(self, draining: bool, now: float) -> None:
        """Notes that the node drains now, or that it doesn't."""
        if draining == (self._since is not None):
            return
        self._since = now if draining else None
        self._before = self._stragglers()

    def describe(self, why: str, now: float) -> dict[str, Any] | None:
        """None while it doesn't drain.

        `clients_left` are open connections; `dns_ends_in_s` is how long an answer that was given before may still be
        cached by a resolver that keeps to TTLs; `done`: nobody is left, and nobody should come.
        """
        if self._since is None:
            return None
        plan, lasted_s = self._plan(), now - self._since
        region = plan.balancer.region if plan.balancer is not None else ""
        ttls = [one.ttl_max_s for one in plan.services.values() if any(each.name == region for each in one.regions)]
        ends_in_s = max(0.0, max(ttls, default=0.0) - lasted_s)
        clients = self._sum("gslb_http_active_connections")
        return {
            "why": why,
            "for_s": round(lasted_s, 1),
            "clients_left": clients,
            "requests_left": self._sum("gslb_http_active_requests") + self._sum("gslb_http_tunnels"),
            "stragglers": {name: count - self._before[name] for name, count in self._stragglers().items()},
            "dns_ends_in_s": round(ends_in_s, 1),
            "done": not clients and not ends_in_s,
        }

    def _stragglers(self) -> dict[str, int]:
        return {name: self._sum("gslb_stragglers_total", result=name) for name in RESULTS}

    def _sum(self, name: str, **labels: str) -> int:
        rows = self._board.counters
        cell = Counters(rows[0], self._plan().counters).index(name, **labels)
        return sum(row[cell] for row in rows)
