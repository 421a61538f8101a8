"""What became of a worker's requests, server by server, until it is told to control. Core; no clock, no I/O.

A worker keeps one Tally a guarded pool. Each result counts only if its request began under the epoch that the worker
knows now. A worker whose own count suffices (trigger.py) takes the server out at once and says why; control, which adds
the workers up, has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gslb.balancing.trigger import Trigger
from gslb.model import BreakerRule, BreakerState, Server

CONNECT, TIMEOUT, RESET, GATEWAY, SERVER_ERROR = KINDS = ("connect", "timeout", "reset", "gateway", "5xx")
GATEWAY_KINDS = frozenset({CONNECT, TIMEOUT, RESET, GATEWAY})  # the network's, or a 502, 503 or 504
GATEWAY_STATUSES = frozenset({b"502", b"503", b"504"})
PROBES_MAX = 1024  # results of probes that wait to be told


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one worker tells of one server, since it last told.

    `runs`: failures, and gateway failures, in a row at the end of it. `tripped`: its own count sufficed, and why.
    `probe`: a lease by its number, and what came of it; None: nothing.
    """

    pool: str
    server: str
    epoch: int
    successes: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)  # by KINDS
    runs: tuple[int, int] = (0, 0)
    tripped: str = ""
    probe: tuple[int, bool | None] | None = None


@dataclass(slots=True)
class _Count:
    """One server under one epoch."""

    epoch: int
    trigger: Trigger | None
    successes: int = 0  # not yet told
    failures: dict[str, int] = field(default_factory=dict)
    uncounted: int = 0  # successes that the trigger has not heard of: it is asked on failures only
    run: int = 0
    gateway_run: int = 0
    tripped: str = ""


class Tally:
    """One guarded pool in one worker."""

    __slots__ = ("_counts", "_epochs", "_pool", "_probes", "_rule")

    def __init__(self, pool: str, rule: BreakerRule | None) -> None:
        self._pool, self._rule = pool, rule
        self._counts: dict[str, _Count] = {}
        self._epochs: dict[str, int] = {}  # what isn't here is at 0
        self._probes: list[tuple[str, int, int, bool | None]] = []  # server, epoch, lease, result

    def configure(self, rule: BreakerRule | None) -> None:
        """A new plan; counts under another rule are forgotten."""
        if rule != self._rule:
            self._rule = rule
            self._counts.clear()

    def update(self, breakers: Mapping[str, BreakerState]) -> None:
        """A new Status, by server id: counts of earlier epochs are forgotten."""
        self._epochs = {server: one.epoch for server, one in breakers.items()}
        for server in [one for one, count in self._counts.items() if count.epoch != self._epochs.get(one, 0)]:
            del self._counts[server]

    # ------------------------------------------------------------ results
    def _count(self, server: Server) -> _Count | None:
        """Where to count a result; None for one that began under another epoch."""
        count = self._counts.get(server.id)
        if count is not None:
            return count if count.epoch == server.epoch else None
        if server.epoch != self._epochs.get(server.id, 0):
            return None
        self._counts[server.id] = count = _Count(server.epoch, Trigger(self._rule) if self._rule else None)
        return count

    def succeeded(self, server: Server) -> None:
        """A request to `server`, as the pool gave it, went well."""
        if server.lease:
            self.probed(server, ok=True)
            return
        count = self._count(server)
        if count is not None:
            count.successes += 1
            count.uncounted += 1
            count.run = count.gateway_run = 0

    def failed(self, server: Server, kind: str, now: float) -> str:
        """A request failed as one of KINDS; why this worker takes the server out, "" while it does not."""
        if server.lease:
            self.probed(server, ok=False)
            return ""
        count = self._count(server)
        if count is None:
            return ""
        count.failures[kind] = count.failures.get(kind, 0) + 1
        count.run += 1
        count.gateway_run = count.gateway_run + 1 if kind in GATEWAY_KINDS else 0
        if count.trigger is None or count.tripped:
            return ""
        count.tripped = count.trigger.add(count.uncounted, 1, 1, now)
        count.uncounted = 0
        return count.tripped

    def probed(self, server: Server, ok: bool | None) -> None:
        """What came of a leased request; None: nothing."""
        self._answer(server.id, server.epoch, server.lease, ok)

    def void(self, server_id: str, epoch: int, lease: int) -> None:
        """A lease that no request has used."""
        self._answer(server_id, epoch, lease, None)

    def _answer(self, server_id: str, epoch: int, lease: int, ok: bool | None) -> None:
        if len(self._probes) < PROBES_MAX:
            self._probes.append((server_id, epoch, lease, ok))

    def forget(self, server_id: str) -> None:
        """The server is back in though control has said nothing: its count starts anew."""
        self._counts.pop(server_id, None)

    # ------------------------------------------------------------ telling
    def take(self) -> list[Outcome]:
        """All that is to be told; from then on it counts as told."""
        told = []
        for server, count in self._counts.items():
            if count.successes or count.failures:
                runs = count.run, count.gateway_run
                done = count.successes, count.failures
                told.append(Outcome(self._pool, server, count.epoch, *done, runs, count.tripped))
                count.successes, count.failures = 0, {}
        told += [Outcome(self._pool, one, epoch, probe=(lease, ok)) for one, epoch, lease, ok in self._probes]
        self._probes = []
        return told
