"""What control knows of a region's traffic: each server's numbers as the workers tell them, samples of the counters.

The registry (node/registering.py) shows it and keeps its history; the arithmetic is balancing/tallies.py's and
ops/summary.py's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gslb.balancing.merging import Key
from gslb.balancing.tallies import NOTHING, Counted, Totals
from gslb.metrics import CLASSES, METRICS
from gslb.model import Balancer
from gslb.node.board import Board
from gslb.node.messages import ServerCounts
from gslb.ops.summary import WINDOW_S, PoolSample, Sample, summary
from gslb.state.servers import ServerMetrics
from gslb.telemetry import Counters

SAMPLES_MAX = 128  # within WINDOW_S; one a second, and one a question


class Traffic:
    """One region node's. All methods belong to control's loop."""

    def __init__(self, board: Board, slots: Callable[[], Mapping[str, int]]) -> None:
        """`slots` says where the counters are in the board's rows now."""
        self._board, self._slots = board, slots
        self._totals = Totals()
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._recorded: dict[Key, Counted] = {}

    def heard(self, slot: int, message: ServerCounts) -> None:
        """What a worker says that servers did."""
        self._totals.heard(slot, message.pid, message.counts)

    def of(self, key: Key) -> Counted:
        """One server's numbers since the node's start."""
        return self._totals.of("/".join(key))

    def keep(self, keys: Iterable[Key]) -> None:
        """Forgets the numbers of all other servers that are not busy any more."""
        known = set(keys)
        self._totals.keep({"/".join(key) for key in known})
        self._recorded = {key: count for key, count in self._recorded.items() if key in known}

    # ------------------------------------------------------------ the window
    def sample(self, balancer: Balancer) -> None:
        """Reads every pool's counters, summed over the workers."""
        rows = self._board.counters
        index = Counters(rows[0], self._slots()).index
        width = METRICS["gslb_http_request_seconds"].width
        pools = {}
        for name in balancer.pools:
            cells = [index("gslb_http_requests_total", pool=name, code=code) for code in CLASSES]
            first = index("gslb_http_request_seconds", pool=name)
            buckets = [row[first : first + width] for row in rows]
            pools[name] = PoolSample(
                tuple(sum(row[cell] for row in rows) for cell in cells), tuple(map(sum, zip(*buckets, strict=True)))
            )
        now = time.monotonic()
        while len(self._samples) > 1 and self._samples[1].at <= now - WINDOW_S:
            self._samples.popleft()
        self._samples.append(Sample(now, pools))

    def summary(self, balancer: Balancer, active: Mapping[str, int]) -> dict[str, Any]:
        """The region's figures over the window up to now; `active` as in ops/summary.py."""
        self.sample(balancer)
        return summary(self._samples[0], self._samples[-1], active)

    # ------------------------------------------------------------ history
    def news(self, keys: Iterable[Key], at: float) -> tuple[list[ServerMetrics], Callable[[], None]]:
        """A row of each server that did something since the last ones were kept; call the second once they are.

        `at`: Unix seconds.
        """
        rows, counts = [], {}
        for key in keys:
            count, before = self.of(key), self._recorded.get(key, NOTHING)
            if count != before:
                average_s = count.average_s(before)
                did = count.active, count.total, count.failed
                rows.append(ServerMetrics(*key, *did, average_s, count.cpu, count.memory, at))
                counts[key] = count
        return rows, lambda: self._recorded.update(counts)
