"""peak_ewma: of two servers drawn by weight the one with the least cost x (requests under way + 1) / weight.

A server's cost is an average of its response times that rises at once and falls slowly (Twitter Finagle's PeakEwma):
a sample above it replaces it, one below it counts by how long ago the last one was, with the time constant `decay`.

Three things keep that from going wrong; each is a bug of its own elsewhere:

- A server without a sample that has requests under way costs `penalty`, or it would take everything until its first
  reply. One that joins later starts at the median of the others.
- Silence is no good news: a cost falls with time only while nothing is under way, or a server that hangs would look
  better and better.
- A server that got no request for two decays is given one, whatever it costs, and its cost is forgotten: it is that of
  a server without a sample until the reply. Where a trickle of requests keeps it from that, a peak is forgotten after
  two decays all the same. One slow reply, such as the first with its connection to make, must not starve a server that
  is as good as the others.

A try that failed counts as `penalty`, or as the time that it took if that was more.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass
from statistics import median
from typing import Annotated, ClassVar

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.lots import Lots
from gslb.model import Server
from gslb.units import Duration, Span

CHOICES = 2
DRAWS_MAX = 8  # since the same server may come again, or may be in `skip`
STALE_DECAYS = 2.0  # without a request for so many decays a server is given one; a peak is remembered as long


class _Known:
    """What is known of a usable server; times in seconds on the picker's clock."""

    __slots__ = ("cost", "peaked", "pending", "picked", "sampled", "server")

    def __init__(self, server: Server, pending: int, cost: float | None) -> None:
        self.server = server
        self.pending = pending
        self.cost = cost  # seconds; None before there was a sample to know it by
        self.picked = -math.inf
        self.sampled = -math.inf
        self.peaked = -math.inf  # the sample that `cost` comes down from


class PeakEwmaPicker:
    """See the module."""

    __slots__ = (
        "_decay_s",
        "_known",
        "_lots",
        "_now",
        "_order",
        "_penalty_s",
        "_pending",
        "_servers",
        "_stale_s",
    )  # fmt: skip

    def __init__(self, servers: tuple[Server, ...], decay_s: float, penalty_s: float) -> None:
        self._decay_s, self._penalty_s, self._stale_s = decay_s, penalty_s, STALE_DECAYS * decay_s
        self._now = -math.inf  # of the last pick
        self._pending: dict[str, int] = {}  # of any server with requests, usable or not
        self._known: dict[str, _Known] = {}
        self._order: list[_Known] = []
        self._servers: tuple[Server, ...] = ()
        self._lots = Lots()
        self.update(servers)

    # ------------------------------------------------------------ requests
    def pick(self, key: bytes | int | None, now: float, skip: Container[str]) -> Server | None:
        """See Picker."""
        del key
        order, lots = self._order, self._lots
        if not order:
            return None
        if not lots.begun:
            lots.begin((known.server for known in order), now)
        self._now = now
        best: _Known | None = None
        least, left = 0.0, min(CHOICES, len(order))
        for _ in range(DRAWS_MAX):
            known = order[lots.draw()]
            if known is best or known.server.id in skip:
                continue
            load = self._load(known, now)
            if best is None or load < least:
                best, least = known, load
            left -= 1
            if not left:
                break
        return best.server if best is not None else None

    def _load(self, known: _Known, now: float) -> float:
        """What one more request would cost there; 0 where a sample is wanted."""
        if now - known.picked > self._stale_s:
            return 0.0
        pending, cost = known.pending, known.cost
        if cost is None:
            cost = self._penalty_s if pending else 0.0
        elif not pending:
            cost *= math.exp((known.sampled - now) / self._decay_s)
        return cost * (pending + 1) / known.server.weight

    def started(self, server: Server) -> None:
        """See Picker."""
        server_id = server.id
        self._pending[server_id] = pending = self._pending.get(server_id, 0) + 1
        known = self._known.get(server_id)
        if known is not None:
            known.pending = pending
            if self._now - known.picked > self._stale_s:
                known.cost = None
            known.picked = self._now

    def ended(self, server: Server) -> None:
        """See Picker."""
        server_id = server.id
        pending = self._pending.get(server_id, 0) - 1
        if pending > 0:
            self._pending[server_id] = pending
        elif pending == 0:
            del self._pending[server_id]
        else:
            return  # ended once too often
        known = self._known.get(server_id)
        if known is not None:
            known.pending = pending

    def observe(self, server_id: str, seconds: float, ok: bool, now: float) -> None:
        """See Observer."""
        known = self._known.get(server_id)
        if known is None:
            return
        sample = seconds if ok else max(seconds, self._penalty_s)
        if known.cost is None or sample >= known.cost or now - known.peaked > self._stale_s:
            known.cost, known.peaked = sample, now
        else:
            share = math.exp((known.sampled - now) / self._decay_s)
            known.cost = known.cost * share + sample * (1.0 - share)
        known.sampled = now

    # ------------------------------------------------------------ new worlds
    def update(self, servers: tuple[Server, ...]) -> None:
        """See Picker. Of a server that leaves only its requests are remembered: it comes back as a new one."""
        if servers == self._servers:
            return
        self._servers = servers
        before = self._known
        costs = [known.cost for known in before.values() if known.cost is not None]
        usual = median(costs) if costs else None
        self._known, self._order = {}, []
        for server in servers:
            known = before.get(server.id)
            if known is None:
                known = _Known(server, self._pending.get(server.id, 0), usual)
                if usual is not None:
                    known.picked = known.sampled = known.peaked = self._now
            known.server = server
            self._known[server.id] = known
            self._order.append(known)
        self._lots.weigh([server.weight for server in servers])


@ALGORITHMS.register("peak_ewma")
@dataclass(frozen=True, slots=True)
class PeakEwma:
    """Of two servers drawn by weight, the least response time x (requests under way + 1) / weight.

    Attributes:
        decay: how long a slow response is remembered (the time constant of the average).
        penalty: what a failed try counts as, at least, and a server that was never measured.
    """

    observes: ClassVar[bool] = True

    decay: Annotated[Duration, Span("100ms", "10m")] = 10.0
    penalty: Annotated[Duration, Span("1ms", "10m")] = 1.0

    def build(self, servers: tuple[Server, ...]) -> PeakEwmaPicker:
        """See Algorithm."""
        return PeakEwmaPicker(servers, self.decay, self.penalty)
