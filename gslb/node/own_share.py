"""What a region's node sees of itself, a second at a time: the share of its clients that it can have.

The arithmetic is health/share.py's; this reads the workers' counters. Control asks with every judgement.
"""

from __future__ import annotations

import logging

from gslb.health.share import Seen, Share
from gslb.http.replies import healthy_capacity
from gslb.metrics import CLASSES
from gslb.model import Plan, Status
from gslb.node.board import Board
from gslb.telemetry import Counters

LOOK_S = 1.0

log = logging.getLogger("gslb.control")


class OwnShare:
    """One region node's."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._share = Share()
        self._looked = 0.0
        self._before = (0, 0)

    @property
    def why(self) -> str:
        """Why it is below 1; "" if it isn't."""
        return self._share.why

    def look(self, plan: Plan, status: Status, now: float) -> float:
        """The share now; looked at again each LOOK_S."""
        lasted_s = now - self._looked
        if lasted_s < LOOK_S or plan.balancer is None:
            return self._share.share
        requests, failed = self._counts(plan, draining=status.draining)
        first = not self._looked
        new = (0, 0) if first else (requests - self._before[0], failed - self._before[1])
        self._before, self._looked = (requests, failed), now
        healthy = healthy_capacity(plan.balancer, status)
        capacity = plan.regions[plan.balancer.region].capacity * healthy
        load = new[0] / lasted_s / capacity if capacity else 0.0
        before = self._share.share
        share = self._share.look(Seen(healthy, load, max(0, new[0]), max(0, min(new))), now)
        if share != before:
            log.warning("the region can have %.0f %% of its clients", 100 * share, extra={"why": self.why or "whole"})
        return share

    def _counts(self, plan: Plan, *, draining: bool) -> tuple[int, int]:
        """Requests of the region's own pools since the start, and those that failed or had to go elsewhere."""
        assert plan.balancer is not None
        rows = self._board.counters
        index = Counters(rows[0], plan.counters).index
        total: list[int] = []
        bad: list[int] = []
        for pool in plan.balancer.pools:
            cells = {code: index("gslb_http_requests_total", pool=pool, code=code) for code in CLASSES}
            total += cells.values()
            bad.append(cells["5xx"])
        rescued = index("gslb_stragglers_total", result="proxied")
        requests, failed = (sum(row[cell] for row in rows for cell in cells) for cells in (total, bad))
        if not draining:
            elsewhere = sum(row[rescued] for row in rows)
            requests, failed = requests + elsewhere, failed + elsewhere
        return requests, failed
