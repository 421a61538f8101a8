"""What a data worker tells control of its requests' outcomes, and the probes that control leases to it. A shell.

A `Watch` is a pool's part that learns from how requests end (`PoolLinks.watch`, None for all other pools): it is
guarded, or its algorithm goes by response times. Attempts and hedges tell it how each try ended. `Reporter` is the
proxy's: failures and probes are told within REPORT_INTERVAL_S, mere successes with one of the sweeps. What counts as
too much is `balancing/outcomes.py`. Only the proxy and its connections call this module.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gslb.balancing.eligible import of_pool
from gslb.balancing.outcomes import (
    CONNECT,
    GATEWAY,
    GATEWAY_STATUSES,
    RESET,
    SERVER_ERROR,
    TIMEOUT,
    Outcome,
    Tally,
)
from gslb.balancing.route_breaker import RouteBreaker, names_of

if TYPE_CHECKING:
    from gslb.http.links import PoolLinks
    from gslb.model import BreakerState, Route, Server

REPORT_INTERVAL_S = 0.05  # between two reports of failures
PLAIN_INTERVAL_S = 1.0  # between two reports of successes alone
PROBE_START_S = 1.0  # a lease that no request has used by then goes back, for another worker to use
PROBES_HELD_MAX = 1000  # leases that wait for a request

Report = Callable[[tuple[Outcome, ...]], None]
_FAILURE = ord("5")

# What our reasons count as. What isn't here is no fault of the server.
FAILURES = {
    "connect_failed": CONNECT, "connect_timeout": TIMEOUT, "first_byte_timeout": TIMEOUT, "idle_timeout": TIMEOUT,
    "upstream_closed": RESET, "bad_response": RESET, "truncated": RESET, "total_timeout": TIMEOUT,
    "refused_status": GATEWAY, "tls_failed": CONNECT,
}  # fmt: skip

# What our reasons are called in `gslb_http_upstream_errors_total`.
COUNTED = {
    "connect_failed": "connect", "server_busy": "connect", "connect_timeout": "connect_timeout",
    "first_byte_timeout": "first_byte_timeout", "upstream_closed": "reset", "bad_response": "bad_response",
    "refused_status": "status", "total_timeout": "total_timeout", "no_healthy_server": "no_server", "tls_failed": "tls",
    "queue_full": "queue_full", "queue_timeout": "queue_timeout",
}  # fmt: skip


def answered_as(line: bytes) -> str:
    """How an answer with this status line fails, "" for one that does not."""
    if line[9] != _FAILURE:
        return ""
    return GATEWAY if line[9:12] in GATEWAY_STATUSES else SERVER_ERROR


def unheard(outcomes: tuple[Outcome, ...]) -> None:
    """Where reports go until somebody listens."""


class Watch:
    """One such pool of one worker."""

    __slots__ = ("_guarded", "_links", "_probes", "_reporter", "tally")

    def __init__(self, links: PoolLinks, reporter: Reporter) -> None:
        pool = links.state.pool
        self.tally = Tally(pool.name, pool.breaker)
        self._guarded = pool.guarded
        self._links, self._reporter = links, reporter
        self._probes: deque[tuple[str, int, int, float]] = deque()  # server, epoch, lease, until when it may start

    def update(self, breakers: Mapping[str, BreakerState], now: float) -> None:
        """A new Plan or Status, which the pool's state has taken."""
        del now
        pool = self._links.state.pool
        self._guarded = pool.guarded
        self.tally.configure(pool.breaker)
        self.tally.update(of_pool(pool.name, breakers))

    # ------------------------------------------------------------ outcomes
    def answered(self, server: Server, line: bytes, began: float) -> None:
        """A try that began at `began` ended with a whole response, whose status line begins `line`."""
        observe = self._links.state.observe
        if observe is not None:
            now = self._reporter.clock()
            observe(server.id, now - began, True, now)
        if not self._guarded:
            return
        failed = answered_as(line)
        if failed:
            self._failed(server, failed)
            return
        self.tally.succeeded(server)
        if server.lease:
            self._reporter.wake()

    def ended(self, server: Server, reason: str, began: float) -> None:
        """A try ended otherwise; `reason` as in `replies.ERRORS`, "" if nobody is to blame (the client left)."""
        observe = self._links.state.observe
        if observe is not None and reason:
            now = self._reporter.clock()
            observe(server.id, now - began, False, now)
        if not self._guarded:
            return
        kind = FAILURES.get(reason)
        if kind is not None:
            self._failed(server, kind)
        elif server.lease:
            self.tally.probed(server, ok=None)
            self._reporter.wake()

    def _failed(self, server: Server, kind: str) -> None:
        now = self._reporter.clock()
        if self.tally.failed(server, kind, now):
            state = self._links.state
            rule = state.pool.breaker
            state.trip(server.id, now + (rule.open_for_s if rule is not None else 0.0))
        self._reporter.wake()

    def forget(self, server_ids: Sequence[str]) -> None:
        """These are back in without a word of control."""
        for server_id in server_ids:
            self.tally.forget(server_id)

    # ------------------------------------------------------------ probes
    def lease(self, server_id: str, epoch: int, lease: int, now: float) -> None:
        """One of the next requests goes to this half-open server."""
        if len(self._probes) < PROBES_HELD_MAX:
            self._probes.append((server_id, epoch, lease, now + PROBE_START_S))
            self._links.pick = self._pick  # instead of a test in every pick

    def _pick(self, key: bytes | int | None, now: float, tried: Collection[str] = ()) -> Server | None:
        """As `PoolState.pick`, while there are leases."""
        server = None
        while self._probes and server is None:
            server_id, epoch, lease, until = self._probes.popleft()
            server = self._links.state.probe(server_id, epoch, lease) if now < until else None
            if server is None:
                self._give_back(server_id, epoch, lease)
        if not self._probes:
            self._links.pick = self._links.state.pick
        return server or self._links.state.pick(key, now, tried)

    def _give_back(self, server_id: str, epoch: int, lease: int) -> None:
        self.tally.void(server_id, epoch, lease)
        self._reporter.wake()

    def sweep(self, now: float) -> None:
        """Leases that nobody used go back."""
        while self._probes and self._probes[0][3] <= now:
            server_id, epoch, lease, _ = self._probes.popleft()
            self._give_back(server_id, epoch, lease)
        if not self._probes:
            self._links.pick = self._links.state.pick


class Reporter:
    """The outcomes of one worker on their way to control. `report` is where they go."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.report: Report = unheard
        self._loop = loop
        self._watches: dict[str, Watch | RouteBreaker] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told_s = 0.0
        self._told_plain_s = 0.0

    def route_breakers(self, routes: Sequence[Route]) -> list[RouteBreaker | None]:
        """The routes' breakers; one that is known stays while its rule does."""
        found: list[RouteBreaker | None] = []
        for name, route in zip(names_of(routes), routes, strict=True):
            known = self._watches.get(name)
            if route.breaker is None:
                found.append(None)
            elif isinstance(known, RouteBreaker) and known.rule == route.breaker:
                found.append(known)
            else:
                found.append(RouteBreaker(name, route.breaker, self.wake))
        return found

    def configure(
        self,
        pools: Mapping[str, PoolLinks],
        routes: Iterable[RouteBreaker | None],
        breakers: Mapping[str, BreakerState],
    ) -> None:
        """A new Plan: every pool that learns has its watch, and no other pool has one."""
        self._watches = {one.name: one for one in routes if one is not None}
        for name, links in pools.items():
            if not links.state.pool.guarded and links.state.observe is None:
                links.watch, links.pick = None, links.state.pick
                continue
            if links.watch is None:
                links.watch = Watch(links, self)
            self._watches[name] = links.watch
        self.update(breakers)

    def update(self, breakers: Mapping[str, BreakerState]) -> None:
        """A new Status."""
        now = self.clock()
        for watch in self._watches.values():
            watch.update(breakers, now)

    def lease(self, pool: str, server_id: str, epoch: int, lease: int) -> None:
        """Control leases a probe to this worker."""
        watch = self._watches.get(pool)
        if watch is not None:
            watch.lease(server_id, epoch, lease, self.clock())

    # ------------------------------------------------------------ when to tell
    def wake(self) -> None:
        """Something is urgent: tells it now, or as soon as the last report is old enough."""
        if self._timer is None:
            wait_s = max(0.0, self._told_s + REPORT_INTERVAL_S - self.clock())
            self._timer = self._loop.call_later(wait_s, self._tell)

    def sweep(self, now: float) -> None:
        """Called by the proxy's sweep."""
        for watch in self._watches.values():
            watch.sweep(now)
        if self._watches and now >= self._told_plain_s + PLAIN_INTERVAL_S and self._timer is None:
            self._tell()

    def _tell(self) -> None:
        """Tells all there is. What can't be told is gone: a breaker needs no single result, and a lease expires."""
        self._timer = None
        self._told_s = self._told_plain_s = self.clock()
        outcomes = tuple(outcome for watch in self._watches.values() for outcome in watch.tally.take())
        if outcomes:
            self.report(outcomes)

    def close(self) -> None:
        """Tells nothing more."""
        if self._timer is not None:
            self._timer.cancel()
