"""resource: turns by what servers say of their load (CPU, memory, or their own figure).

gRPC's weighted round robin (gRFC A58): a server that answers `rate` requests a second while it is `utilisation` busy
could answer rate / utilisation, and that is its weight; errors count as load:

    weight = rate / (utilisation + errors / rate x error_penalty)

A weight is used once reports have come for `blackout` (a server that has just started is no measure of itself) and
until none came for `expiry`. With fewer than two usable weights servers take turns by their configured weight alone;
otherwise one without counts as the mean. The configured weight multiplies all that: it is how an operator, or slow
start, leans on the figures.

Where a report has no rate, the requests that this worker gave the server stand in. They are a part of its load, but
the same part of everybody's; the errors of such a report are left out.

Turns are earliest deadline first: a heap, and 1 / weight to the next deadline, by the weight of that moment. A new
weight counts from the server's next turn on, so nothing is ever rebuilt; it is taken at most once in WEIGH_INTERVAL_S,
and kept within RATIO_MIN to RATIO_MAX of the mean, so that next turn is never far.
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from gslb.balancing.algorithm import ALGORITHMS, PICK_TRIES_MAX
from gslb.balancing.loads import LoadReport
from gslb.model import Server
from gslb.units import Duration, Span

WEIGH_INTERVAL_S = 1.0  # gRFC A58: weight_update_period
RATIO_MIN, RATIO_MAX = 0.1, 10.0
RATE_WINDOW_S = 5.0  # over which our own count of requests is averaged
# Requests a second are kept in whole thousandths: sums of integers don't drift, however often they change.
_SCALE = 1000


class _Known:
    """What is known of a usable server; times in seconds on the picker's clock."""

    __slots__ = ("capacity", "counted_from", "given", "heard", "rate", "server", "since", "used")

    def __init__(self, server: Server) -> None:
        self.server = server
        self.capacity = 0  # requests / s at full load, times _SCALE; 0 before the first report
        self.used = False  # it counts in the sum
        self.heard = -math.inf  # the last report that was taken
        self.since = math.inf  # the first report of an unbroken row
        self.given = 0  # requests since `counted_from`, for servers that don't say their rate
        self.counted_from = math.inf
        self.rate = 0.0


class ResourcePicker:
    """See the module."""

    __slots__ = ("_count", "_heap", "_known", "_now", "_options", "_servers", "_sum")

    def __init__(self, servers: tuple[Server, ...], options: Resource) -> None:
        self._options = options
        self._now = -math.inf  # of the last pick or report
        self._servers: tuple[Server, ...] = ()
        self._known: dict[str, _Known] = {}
        self._heap: list[tuple[float, int, int, _Known]] = []  # deadline, tie, position
        self._sum = self._count = 0  # of the capacities in use
        self.update(servers)

    # ------------------------------------------------------------ requests
    def pick(self, key: bytes | int | None, now: float, skip: Container[str]) -> Server | None:
        """See Picker. A skipped server's turn is spent."""
        del key
        self._now = now
        heap = self._heap
        if not heap:
            return None
        for _ in range(PICK_TRIES_MAX):
            deadline, tie, position, known = heap[0]
            heapq.heapreplace(heap, (deadline + 1.0 / self._weight(known, now), tie, position, known))
            if known.server.id not in skip:
                return known.server
        return None

    def _weight(self, known: _Known, now: float) -> float:
        """The server's weight at this moment; the mean of what servers say is 1."""
        if known.used and now - known.heard > self._options.expiry:
            self._unuse(known)
        weight = known.server.weight
        if not known.used or self._count < 2:
            return weight
        ratio = known.capacity * self._count / self._sum
        return weight * min(max(ratio, RATIO_MIN), RATIO_MAX)

    def started(self, server: Server) -> None:
        """See Picker."""
        known = self._known.get(server.id)
        if known is not None:
            if known.counted_from == math.inf:
                known.counted_from = self._now
            known.given += 1

    def ended(self, server: Server) -> None:
        """Turns don't depend on what is running."""

    # ------------------------------------------------------------ reports
    def report(self, server_id: str, load: LoadReport, now: float) -> None:
        """See Listener."""
        known = self._known.get(server_id)
        if known is None or now - known.heard < WEIGH_INTERVAL_S:
            return
        self._now = now
        capacity = self._capacity(known, load, now)
        if capacity is None:
            return
        if now - known.heard > self._options.expiry:
            known.since = now
            if known.used:
                self._unuse(known)
        known.heard = now
        if known.used:
            self._sum -= known.capacity
        elif now - known.since >= self._options.blackout:
            known.used = True
            self._count += 1
        known.capacity = capacity
        if known.used:
            self._sum += capacity

    def _capacity(self, known: _Known, load: LoadReport, now: float) -> int | None:
        """Requests a second at full load, in whole 1 / _SCALE; None if the report doesn't tell."""
        busy = load.utilisation(self._options.memory_factor)
        rate = load.rate or self._own_rate(known, now)
        if not busy or not rate:
            return None
        if load.rate:
            busy += (load.errors or 0.0) / rate * self._options.error_penalty
        return max(1, round(rate / busy * _SCALE))

    def _own_rate(self, known: _Known, now: float) -> float:
        """Requests a second that this worker gives the server; 0 before there was time to count."""
        elapsed = now - known.counted_from
        if elapsed >= WEIGH_INTERVAL_S:
            fresh = known.given / elapsed
            share = min(1.0, elapsed / RATE_WINDOW_S) if known.rate else 1.0
            known.rate += (fresh - known.rate) * share
            known.given, known.counted_from = 0, now
        return known.rate

    def _unuse(self, known: _Known) -> None:
        """Its reports are too old."""
        self._sum -= known.capacity
        self._count -= 1
        known.used = False

    # ------------------------------------------------------------ new worlds
    def update(self, servers: tuple[Server, ...]) -> None:
        """See Picker. Of a server that leaves nothing is remembered: what it said is no measure of how it returns."""
        if servers == self._servers:
            return
        self._servers = servers
        soonest = self._heap[0][0] if self._heap else 0.0
        due = {known.server.id: deadline - soonest for deadline, _, _, known in self._heap}
        before = self._known
        self._known = {server.id: before.get(server.id) or _Known(server) for server in servers}
        self._sum = self._count = 0
        self._heap = []
        for position, server in enumerate(servers):
            known = self._known[server.id]
            known.server = server
            if known.used:
                self._sum += known.capacity
                self._count += 1
            deadline = due.get(server.id, 0.5 / server.weight)
            self._heap.append((deadline, zlib.crc32(server.id.encode()), position, known))
        heapq.heapify(self._heap)


@ALGORITHMS.register("resource")
@dataclass(frozen=True, slots=True)
class Resource:
    """Turns by what servers say of their CPU, their memory or their own load.

    Attributes:
        blackout: how long a server has to report before its figures count.
        expiry: how long they count after its last report.
        memory_factor: what memory in use weighs against CPU in use; the greater of the two counts.
        error_penalty: how much load a failing request stands for.
    """

    reports: ClassVar[bool] = True

    blackout: Annotated[Duration, Span("0s", "1h")] = 10.0
    expiry: Annotated[Duration, Span("1s", "1h")] = 180.0
    memory_factor: Annotated[float, Ge(0.0), Le(2.0)] = 0.5
    error_penalty: Annotated[float, Ge(0.0), Le(100.0)] = 1.0

    def build(self, servers: tuple[Server, ...]) -> ResourcePicker:
        """See Algorithm."""
        return ResourcePicker(servers, self)
