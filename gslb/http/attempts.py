"""The current request's way to a server: who gets it, on which connection, and what happens when that fails.

The middle of a client's connection: below it is `Endpoint` (the connection as such), above it `Client` (what the client
says and is told). Only those call it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from gslb.balancing.exchange import Exchange
from gslb.balancing.tallies import LOST, SECONDS
from gslb.errors import HttpError
from gslb.http.endpoint import (
    CLOSED,
    CONNECTING,
    FLUSHING,
    IDLE,
    NOT_CONNECTED,
    PIPELINED,
    SLOW_SERVER,
    STREAMING,
    WAITING,
    Endpoint,
)
from gslb.http.forward import switch_head
from gslb.http.reporting import COUNTED, FAILURES, answered_as
from gslb.http.tunnel import Tunnel

if TYPE_CHECKING:
    from gslb.balancing.concurrency import Gate
    from gslb.balancing.route_breaker import Passage
    from gslb.http.coding import Coder
    from gslb.http.hedging import Rival
    from gslb.http.links import Link, PoolLinks
    from gslb.http.proxy import Proxy
    from gslb.http.responses import ResponseHead
    from gslb.http.upstream import Upstream
    from gslb.model import Server

_INFORMATIONAL = ord("1")
ZERO = ord("0")
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})  # RFC 9110 §9.2.2


class Attempts(Endpoint):
    """One client connection and the server that its current request is at."""

    __slots__ = (
        "again", "attempt", "careful", "exchange", "held", "key", "left", "method", "minor", "number", "offered",
        "passage", "pool", "rival", "sent", "server", "started", "upstream",
    )  # fmt: skip

    def __init__(self, proxy: Proxy, scheme: bytes = b"http", source: str = "") -> None:
        super().__init__(proxy, scheme, source)
        self.method = b""
        self.minor = 1
        self.number = 0  # of the current request
        self.offered = 0, b""  # the number of a request that asks for other protocols, and which the server may use
        self.left = 0  # of the request's body still to come: bytes, or CHUNKED
        self.sent = b""  # all of the request, while it may be sent again; b"" once more was sent
        self.started = 0.0
        self.again = 0, 0.0  # the number of a request that was tried again, and when its last try began
        self.attempt = 0  # a connect that ends under another number is not ours any more
        self.careful = False  # some rule looks at the response's head: no hot path for it
        self.pool: PoolLinks | None = None
        self.key: bytes | None = None  # what the pool's algorithm hashes, where it hashes anything
        self.server: Server | None = None  # holds a place in its pool until `_ended`
        self.exchange: Exchange | None = None  # made when a first try fails
        self.held: tuple[Gate, ...] | None = None  # limits that it has a place of; None only with no passage either
        self.passage: Passage | None = None  # through its route's breaker
        self.upstream: Upstream | None = None
        self.rival: Rival | None = None  # a second server that was asked, while neither has answered

    @abstractmethod
    def fail(self, reason: str) -> None:
        """Answers with one of `replies.ERRORS`."""

    @abstractmethod
    def final_head(self, head: bytes) -> bytes:
        """A response's head as the client gets it."""

    @abstractmethod
    def coder_for(self, head: bytes, parsed: ResponseHead, length: int) -> Coder | None:
        """What is to compress a response with a body of `length`."""

    @abstractmethod
    def settle(self) -> None:
        """After a response: the next request, or the end."""

    @abstractmethod
    def body(self, upstream: Upstream, data: bytes) -> None:
        """More of the request's body."""

    # ------------------------------------------------------------ there and back: the hot path
    def try_server(self, pool: PoolLinks, server: Server) -> None:
        """Gives the request to `server`, on an idle connection if there is one."""
        pool.started(server)
        self.server = server
        link = pool.links[server.id]
        idle = link.idle
        if not idle:
            self._connect(pool, link)
            return
        self.send(idle.pop())
        if self.holds:
            self._resume_body()

    def send(self, upstream: Upstream) -> None:
        """Sends what there is of the request."""
        self.upstream = upstream
        self.phase = WAITING
        self.deadline = self.pool.try_by  # type: ignore[union-attr]  # there is one where a server was picked
        upstream.begin(self)
        upstream.write(self.sent)

    def response_done(self, line: bytes) -> None:
        """The response, whose status line begins `line`, was written to its end; the server's connection is let go."""
        pool, proxy = self.pool, self.proxy
        if pool is not None and self.server is not None:  # always so: for the type checker
            pool.ended(self.server)
            seconds = proxy.clock() - self.started
            pool.answered(line[9], seconds)
            tally = pool.tallies[self.server.id]  # one look-up and two adds: what this server did
            tally[line[9] - ZERO] += 1
            tally[SECONDS] += seconds
            if pool.watch is not None:  # one slot read: few pools learn from how requests end
                pool.watch.answered(self.server, line, self.began)
            if self.held is not None:  # one slot read for requests without limits
                self.leave_gates(seconds, answered_as(line))
        self.server = self.upstream = None
        if self.exchange is not None:
            self._over()
        if self.closing or self.left or self.buffer or self.write_paused:
            self.settle()
        else:
            self.phase = IDLE
            self.deadline = proxy.keepalive_by

    def switched(self, upstream: Upstream, data: bytes, head: ResponseHead) -> None:
        """The server switches protocols: from here on bytes pass as they come. Raises HttpError if nobody asked."""
        number, offered = self.offered
        out = switch_head(data, head, offered if number == self.number else b"")
        assert self.pool is not None
        assert self.server is not None
        self.pool.answered(_INFORMATIONAL, self.proxy.clock() - self.started)
        if self.server is not None:
            self.pool.tallies[self.server.id][_INFORMATIONAL - ZERO] += 1
            if self.pool.watch is not None:
                self.pool.watch.answered(self.server, data, self.began)
        self.proxy.sent += len(out)
        self.write(out)
        self.sent = b""
        self._over()
        Tunnel(self, upstream, data[head.end :])

    def tunnel_ended(self, upstream: Upstream) -> None:
        """Both of its connections are gone."""
        upstream.link.open -= 1
        self.phase, self.upstream = CLOSED, None
        self.proxy.leave(self)
        self._ended()
        self.leave_gates(None, "")

    # ------------------------------------------------------------ the connection
    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: whatever was asked for is not wanted any more."""
        del exc
        self.phase = CLOSED
        self.proxy.leave(self)
        self.give_up()

    def pause_writing(self) -> None:
        """The client reads slowly: the server's response waits."""
        self.write_paused = True
        if self.upstream is not None:
            self.upstream.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_paused = False
        self.deadline = self.proxy.idle_by
        if self.upstream is not None:
            self.upstream.resume()
        elif self.phase == FLUSHING:
            self.settle()

    def hold_for_server(self) -> None:
        """The server does not keep up with the request's body."""
        self.hold(SLOW_SERVER)

    def release_for_server(self) -> None:
        """The server keeps up again."""
        self.release(SLOW_SERVER)
        self.deadline = self.proxy.idle_by

    # ------------------------------------------------------------ when a try fails
    def _connect(self, pool: PoolLinks, link: Link) -> None:
        """Asks for a fresh connection; the body waits in the socket until it is there."""
        self.phase = CONNECTING
        self.deadline = self.proxy.first_byte_by  # connecting has its own, shorter bound
        self.attempt += 1
        if self.left:
            self.hold(NOT_CONNECTED)
        pool.cells[pool.connects] += 1
        self.proxy.connect(link, self)

    def connected(self, upstream: Upstream) -> None:
        """The connection that was asked for is there."""
        self.send(upstream)
        if self.exchange is not None:
            self.deadline = min(self.deadline, self.exchange.deadline)
        self._resume_body()

    def _resume_body(self) -> None:
        """Takes up the request's body again, first what was on its way when reading was paused."""
        if self.left:
            data, self.buffer = self.buffer, b""
            self.release(NOT_CONNECTED | PIPELINED)
            if data and self.upstream is not None:
                self.body(self.upstream, data)

    def upstream_lost(self, stale: bool) -> None:
        """The server closed before a whole response head came.

        A kept-alive connection may close as a request is sent on it: that request is sent once more, on a fresh
        connection, if it may be repeated and all of it is still here (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
        """
        upstream, self.upstream = self.upstream, None
        if self.rival is not None:  # it may still answer
            self._ended("upstream_closed")
        elif stale and self.repeatable and self.pool and upstream:
            self._connect(self.pool, upstream.link)
        elif not self._try_again("reset", "upstream_closed"):
            self.fail("upstream_closed")

    @property
    def began(self) -> float:
        """When the current try began."""
        number, began = self.again
        return began if number == self.number else self.started

    def connect_failed(self, error: HttpError) -> None:
        """The server could not be reached; nothing was sent, so another may be tried."""
        if not self._try_again("connect", error.reason):
            self.fail(error.reason)

    def lost_both(self) -> None:
        """A hedged request has lost its first server, then its second."""
        if not self._try_again("reset", "upstream_closed"):
            self.fail("upstream_closed")

    def late(self) -> None:
        """The server has not answered in time."""
        self.attempt += 1
        self._cancel_rival()
        if self.upstream is not None:
            self.upstream.abort()
            self.upstream = None
        if not self._try_again("timeout", "first_byte_timeout"):
            self.fail("first_byte_timeout")

    def refuses(self, status: int) -> bool:
        """Whether a response of this status is thrown away and the request tried again."""
        assert self.pool is not None
        retries = self.pool.state.pool.retries
        if status not in retries.statuses:
            return False
        if self.rival is not None:  # it may have a better one
            self._ended("refused_status")
        elif not self._try_again("status", "refused_status"):
            return False
        if self.upstream is not None:
            self.upstream.abort()
            self.upstream = None
        return True

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent twice, and is still here whole."""
        return bool(self.sent) and not self.left and self.method in IDEMPOTENT

    def _try_again(self, kind: str, reason: str) -> bool:
        """Whether another try comes, after a pause; the server of the last one is let go in any case."""
        pool, server, proxy = self.pool, self.server, self.proxy
        assert pool is not None
        now = proxy.clock()
        exchange = self.exchange
        if exchange is None:
            assert server is not None
            deadline = self.started + proxy.balancer.timeouts.first_byte_s
            exchange = self.exchange = Exchange(pool.state.pool.retries, deadline, server)
        if not exchange.may(kind, self.repeatable, pool.budget, pool.active, now):
            if kind != "status":  # that response goes to the client
                self._ended(reason)
            return False
        self._ended(reason)
        pool.failed(COUNTED[reason])
        pool.cells[pool.retries] += 1
        self.phase = CONNECTING
        self.attempt += 1
        self.deadline = exchange.deadline
        if self.left:
            self.hold(NOT_CONNECTED)
        proxy.loop.call_later(exchange.delay_s(proxy.chance()), self._again, self.attempt, reason)
        return True

    def _again(self, attempt: int, reason: str) -> None:
        """The pause before another try is over."""
        if self.attempt != attempt or self.phase != CONNECTING:
            return  # the client is gone, or its time is up
        pool, exchange = self.pool, self.exchange
        assert pool is not None
        assert exchange is not None
        now = self.proxy.clock()
        server = exchange.next(pool.state, self.key, now)
        self.again = self.number, now
        if server is None:
            self.fail(reason)
        else:
            self.try_server(pool, server)
            if self.phase in (CONNECTING, WAITING):
                self.deadline = min(self.deadline, exchange.deadline)

    def upstream_failed(self, error: HttpError) -> None:
        """The server's response is no HTTP."""
        self.upstream = None
        self._ended(error.reason)
        self.fail(error.reason)

    def response_started(self) -> None:
        """A final head was written to the client: from here on nothing can be tried again or answered otherwise."""
        self.phase = STREAMING
        self.sent = b""
        if self.exchange is not None:
            self._over()

    def response_truncated(self) -> None:
        """The server broke off within a body: the client must not take it for whole (RFC 9112 §8)."""
        self.upstream = None
        if self.pool is not None:
            self.pool.failed("truncated")
        self._ended("truncated")
        if self.held is not None:
            self.leave_gates(None, FAILURES["truncated"])
        self.abort(reset=self.minor == 0)

    def _over(self) -> None:
        """A request that was tried more than once is over, or one of its tries is answered."""
        self._cancel_rival()
        if self.exchange is not None:
            self.exchange.over()
            self.exchange = None

    def _cancel_rival(self) -> None:
        """A second server is not needed any more."""
        if self.rival is not None:
            self.rival.cancel()
            self.rival = None

    def _ended(self, reason: str = "") -> None:
        """Frees the place at the server; `reason` as in `replies.ERRORS` if the server is to blame."""
        pool, server = self.pool, self.server
        if server is not None and pool is not None:
            pool.ended(server)
            if reason:
                pool.tallies[server.id][LOST] += 1
            if pool.watch is not None:
                pool.watch.ended(server, reason, self.began)
            self.server = None

    def give_up(self, reason: str = "") -> None:
        """Lets go of the server in the middle of whatever it was doing; `reason` as for `_ended`."""
        self.attempt += 1
        if self.upstream is not None:
            self.upstream.abort()
            self.upstream = None
        self._ended(reason)
        self._over()
        if self.held is not None:
            self.leave_gates(None, FAILURES.get(reason))

    def leave_gates(self, seconds: float | None, failed: str | None = None) -> None:
        """Gives back the request's places, once however it ended.

        Args:
            seconds: that it took, if it ended well.
            failed: how it failed its route, "" if it did not; None if that says nothing of the route.
        """
        held, self.held = self.held, None
        for gate in held or ():
            gate.leave(seconds)
        passage, self.passage = self.passage, None
        if passage is not None:
            passage.ended(failed, self.proxy.clock())
