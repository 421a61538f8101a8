"""Hedged requests: a GET that is not answered in time is asked of a second server too; the first answer counts.

After Dean and Barroso, "The Tail at Scale" (2013): a few more requests cut the slowest percent. A hedge takes a place
in the pool's retry budget, so a pool that is slow as a whole is not asked twice. No timer per request: a pool's
requests come due in the order in which they came, so one queue and one timer serve them all. Dispatch calls `add`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from gslb.balancing.exchange import Exchange
from gslb.balancing.tallies import LOST
from gslb.http.endpoint import CLOSED, CONNECTING, WAITING

if TYPE_CHECKING:
    from gslb.errors import HttpError
    from gslb.http.attempts import Attempts
    from gslb.http.links import PoolLinks
    from gslb.http.upstream import Upstream
    from gslb.model import Server

QUEUE_MAX = 65_536  # requests of a pool that may come due; more are not hedged
RESOLUTION_S = 0.005  # hedges are late by at most this, and the timer no busier
HEDGED = frozenset({b"GET", b"HEAD"})


class Hedges:
    """The requests of one pool, in one worker, that have not come due."""

    def __init__(self, pool: PoolLinks) -> None:
        self._pool = pool
        self._waiting: deque[tuple[float, Attempts, int]] = deque()
        self._timed = False

    def add(self, client: Attempts) -> None:
        """The request that `client` has just given to a server comes due after the pool's `hedge_s`."""
        after_s = self._pool.state.pool.retries.hedge_s
        if client.method in HEDGED and not client.left and len(self._waiting) < QUEUE_MAX:
            self._waiting.append((client.started + after_s, client, client.number))
            if not self._timed:
                self._timed = True
                client.proxy.loop.call_later(after_s, self._due)

    def _due(self) -> None:
        """Hedges what has come due; most requests are over by then."""
        waiting = self._waiting
        self._timed = False
        if not waiting:
            return
        proxy = waiting[0][1].proxy
        now = proxy.clock()
        while waiting and waiting[0][0] <= now:
            _, client, number = waiting.popleft()
            if client.number == number and client.phase == WAITING and client.rival is None:
                hedge(client, self._pool, now)
        if waiting:
            self._timed = True
            proxy.loop.call_later(max(RESOLUTION_S, waiting[0][0] - now), self._due)


def hedge(client: Attempts, pool: PoolLinks, now: float) -> None:
    """Asks a second server, if there is one and the budget has room."""
    upstream, first = client.upstream, client.server
    if upstream is None or first is None or upstream.touched or not client.sent or client.pool is not pool:
        return
    exchange = client.exchange
    if exchange is None:
        deadline = client.started + client.proxy.balancer.timeouts.first_byte_s
        exchange = Exchange(pool.state.pool.retries, deadline, first)
    second = pool.pick(client.key, now, exchange.tried)
    if second is None or not exchange.reserve(pool.budget, pool.active):
        return
    exchange.tried += (second.id,)
    client.exchange = exchange
    client.rival = Rival(client, pool, second)


class Rival:
    """The second server of a hedged request. To its connection it is a client until a byte comes."""

    __slots__ = (
        "attempt", "began", "client", "closing", "left", "method", "peer", "phase", "pool", "proxy", "server",
        "source", "transport", "upstream",
    )  # fmt: skip

    def __init__(self, client: Attempts, pool: PoolLinks, server: Server) -> None:
        self.client, self.pool, self.server = client, pool, server
        self.proxy, self.method = client.proxy, client.method
        self.transport, self.peer, self.source = client.transport, client.peer, client.source  # for a PROXY header
        self.closing = True  # nothing of its response takes the hot path before `wins`
        self.left = self.attempt = 0
        self.began = self.proxy.clock()
        self.phase = CONNECTING
        self.upstream: Upstream | None = None
        pool.started(server)
        pool.cells[pool.hedges_sent] += 1
        link = pool.links[server.id]
        if link.idle:
            self.connected(link.idle.pop())
        else:
            pool.cells[pool.connects] += 1
            self.proxy.connect(link, cast("Attempts", self))

    def connected(self, upstream: Upstream) -> None:
        """Its connection is there: the request goes out once more."""
        self.phase = WAITING
        self.upstream = upstream
        upstream.begin(cast("Attempts", self))
        upstream.write(self.client.sent)

    def wins(self, upstream: Upstream) -> None:
        """It answers first: the request is its alone, the other server is let go."""
        client = self.client
        if client.upstream is not None:
            client.upstream.abort()
        if client.server is not None:
            self.pool.ended(client.server)
            if self.pool.watch is not None:
                self.pool.watch.ended(client.server, "", client.began)
        client.again = client.number, self.began
        self.pool.cells[self.pool.hedges_won] += 1
        client.rival = None
        client.server, client.upstream = self.server, upstream
        upstream.client = client
        if client.write_paused:
            upstream.pause()

    def cancel(self) -> None:
        """The other one answers, or nobody wants an answer any more."""
        self.phase = CLOSED
        self.attempt += 1
        if self.upstream is not None:
            self.upstream.abort()
        self._ended("")

    def _ended(self, reason: str) -> None:
        """Frees the place at the server; `reason` if the server is to blame."""
        self.pool.ended(self.server)
        if reason:
            self.pool.tallies[self.server.id][LOST] += 1
        if self.pool.watch is not None:
            self.pool.watch.ended(self.server, reason, self.began)

    def _fails(self, reason: str, counted: str) -> None:
        """It came to nothing; if the first server did too, the request has failed."""
        self.phase = CLOSED
        self._ended(reason)
        self.pool.failed(counted)
        client = self.client
        client.rival = None
        if client.server is None:
            client.lost_both()

    def connect_failed(self, error: HttpError) -> None:
        """See Attempts."""
        self._fails(error.reason, "connect")

    def upstream_lost(self, stale: bool) -> None:
        """See Attempts."""
        del stale
        self._fails("upstream_closed", "reset")

    def hold_for_server(self) -> None:
        """Its request has no body that could wait."""

    def release_for_server(self) -> None:
        """See hold_for_server."""
