"""Limits of how many requests run at once: a fixed one over a node's workers, and one that finds itself. Core.

`Gate` counts this worker's requests in its own cell of shared memory and reads the cells of the others, so a fixed
limit holds for the node; workers that look at the same moment can pass it by one each: at most `most + workers - 1`
run.

`Gradient` is the adaptive limit, after Netflix's concurrency-limits (Gradient2) and Envoy's adaptive concurrency. Each
tick it compares the mean time of the requests that ended in it with the least such mean of the last window: what a
request takes when nothing queues. `limit * gradient + headroom`, with `gradient = tolerance * least / mean` between 0.5
and 1, and headroom the square root of the limit, which is the queue that is allowed for; smoothed. It does not grow
while less than half of it is used, and it stays within its bounds. It is each worker's own: bounds are divided.
"""

from __future__ import annotations

import math
from collections.abc import MutableSequence, Sequence

from gslb.model import Adaptive

SAMPLES_MIN = 5  # a mean of fewer requests says nothing: they wait for the next tick
GRADIENT_MIN = 0.5  # it at most halves (before smoothing) with a tick
SMOOTHING = 0.2
PARTS = 4  # of the window: the least mean is forgotten in parts, not all at once

Cells = MutableSequence[int] | memoryview


class Gradient:
    """An adaptive limit of one worker."""

    __slots__ = ("_adaptive", "_count", "_leasts", "_part_until", "_peak", "_sum_s", "least", "limit", "most")

    def __init__(self, adaptive: Adaptive, workers: int, now: float) -> None:
        """`adaptive`'s bounds are the node's."""
        self._adaptive = adaptive
        self.least = max(1, adaptive.least // workers)
        self.most = max(self.least, adaptive.most // workers)
        self.limit = float(self.least)  # it starts low and grows while latency allows: within seconds
        self._sum_s, self._count, self._peak = 0.0, 0, 0
        self._leasts = [math.inf] * PARTS  # the least means of the window's parts, the current one last
        self._part_until = now + adaptive.window_s / PARTS

    def ended(self, seconds: float, running: int) -> None:
        """A request took `seconds`, and `running` of this worker's, itself included, were running."""
        self._sum_s += seconds
        self._count += 1
        self._peak = max(self._peak, running)

    def tick(self, now: float) -> None:
        """Judges what ended since the last judgement; a few times a second."""
        if now >= self._part_until:
            self._leasts = [*self._leasts[1:], math.inf]
            self._part_until = now + self._adaptive.window_s / PARTS
        if self._count < SAMPLES_MIN:
            return
        mean_s, peak = max(self._sum_s / self._count, 1e-6), self._peak
        self._sum_s, self._count, self._peak = 0.0, 0, 0
        self._leasts[-1] = min(self._leasts[-1], mean_s)
        gradient = max(GRADIENT_MIN, min(1.0, self._adaptive.tolerance * min(self._leasts) / mean_s))
        wanted = self.limit * gradient + math.sqrt(self.limit)
        if wanted > self.limit and peak < self.limit / 2:
            return
        wanted = self.limit * (1 - SMOOTHING) + wanted * SMOOTHING
        self.limit = min(max(wanted, float(self.least)), float(self.most))


class Gate:
    """One limit of concurrency as one worker counts by it."""

    __slots__ = ("_cell", "_cells", "_others", "gradient", "most", "name")

    def __init__(
        self, name: str, most: int, gradient: Gradient | None, cells: Cells, cell: int, others: Sequence[Cells] = (),
    ) -> None:
        """This worker counts in `cells[cell]`.

        Args:
            name: the limit's.
            most: requests at once on the node; not looked at with `gradient`.
            gradient: finds the limit of this worker.
            cells: this worker's.
            cell: the place of this limit, the same in all workers' cells.
            others: the other workers' cells.
        """
        self.name, self.most, self.gradient = name, most, gradient
        self._cells, self._cell, self._others = cells, cell, others

    @property
    def running(self) -> int:
        """Requests of this worker that are behind the gate."""
        return self._cells[self._cell]

    def enter(self, share: float) -> int:
        """Takes a place if there is one.

        Args:
            share: of the limit that this request may fill, 1.0 for the most important.

        Returns:
            0 if it has one, 1 if it would have had one with a greater share, 2 if all are taken.
        """
        cells, cell = self._cells, self._cell
        running, limit = cells[cell], float(self.most)
        if self.gradient is not None:
            limit = self.gradient.limit
        else:
            for other in self._others:
                running += other[cell]
        if running + 1 > limit * share and not (running == 0 and limit >= 1):  # one at least, or nobody learns
            return 2 if running + 1 > limit else 1
        cells[cell] += 1
        return 0

    def leave(self, seconds: float | None) -> None:
        """Gives the place back; `seconds` that the request took if it ended well."""
        cells, cell = self._cells, self._cell
        if seconds is not None and self.gradient is not None:
            self.gradient.ended(seconds, cells[cell])
        if cells[cell] > 0:  # a new worker in the row of a dead one starts from nothing
            cells[cell] -= 1
