"""The client's side of the proxy: one protocol per client connection, one request at a time, in order.

`Client.data_received` is half of the hot path (the other half is `upstream.Upstream.data_received`). What made the
difference there, measured: one callback and two expressions for a whole head instead of a callback per field; the
bytes forwarded as they came, with a suffix that is made once per connection; bound methods and slots; deadlines as
plain numbers that one sweep looks at, instead of a timer per request; no Task and no Exchange unless a try failed.
Only the proxy calls this module.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gslb.balancing.exchange import Exchange
from gslb.errors import HttpError
from gslb.http.chunked import ChunkedBody
from gslb.http.forward import Peer, believed_request_id, is_plain, plain_suffix, request_head
from gslb.http.heads import CHUNKED, PLAIN_REQUEST, RequestHead, bad, parse_request, request_specials
from gslb.http.replies import ERRORS, WELL_KNOWN, error_reply, word_reply
from gslb.http.upstream import WRITE_BUFFER_HIGH_BYTES, Upstream

if TYPE_CHECKING:
    from gslb.http.proxy import PoolLinks, Proxy
    from gslb.model import Server

LINGER_S = 2.0
LINGER_BYTES_MAX = 4 * 1024 * 1024
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})  # RFC 9110 §9.2.2

# Phases of a client's connection.
#   IDLE -> (PARTIAL ->) (CONNECTING ->) WAITING -> (STREAMING ->) IDLE | FLUSHING
#   FLUSHING (the client has not read the last response) -> IDLE
#   any -> LINGERING (all is said, waits for the client's end) | CLOSED
IDLE, PARTIAL, CONNECTING, WAITING, STREAMING, FLUSHING, LINGERING, CLOSED = range(8)

# Why reading is paused.
PIPELINED, SLOW_SERVER, NOT_CONNECTED = 1, 2, 4


class Client(asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "attempt", "buffer", "chunks", "closing", "deadline", "exchange", "half_closed", "holds", "host", "left",
        "lingered", "memo", "memo_length", "method", "minor", "peer", "phase", "pool", "proxy", "request_id",
        "scanned", "sent", "server", "suffix", "transport", "upstream", "write", "write_paused",
    )  # fmt: skip

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.phase = IDLE
        self.deadline = 0.0
        self.closing = False  # the connection ends after the current response
        self.half_closed = False  # the client will send no more
        self.write_paused = False
        self.holds = 0
        self.buffer = b""  # a partial head, or what came after the current request
        self.scanned = 0
        # Of the last plain request on this connection: clients repeat themselves, so its special fields are not
        # looked into twice.
        self.memo: list[tuple[bytes, bytes]] | None = None
        self.memo_length = 0
        self.suffix = b""
        self.host = ""
        # Of the current request.
        self.method = b""
        self.minor = 1
        self.left = 0  # of its body still to come: bytes, or CHUNKED
        self.chunks: ChunkedBody | None = None
        self.request_id = b""
        self.sent = b""  # all of the request, while it may be sent again; b"" once more was sent
        self.lingered = 0
        self.attempt = 0  # a connect that ends under another number is not ours any more
        self.pool: PoolLinks | None = None
        self.server: Server | None = None  # holds a place in its pool until `ended`
        self.exchange: Exchange | None = None
        self.upstream: Upstream | None = None

    # ------------------------------------------------------------ the connection
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self.write = self.transport.write
        peername = transport.get_extra_info("peername")
        address = peername[0] if isinstance(peername, tuple) else ""
        self.peer = Peer(address.encode(), self.proxy.is_trusted(address))
        self.closing = self.proxy.draining
        self.deadline = self.proxy.head_by
        if not self.proxy.admit(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: whatever was asked for is not wanted any more."""
        self.phase = CLOSED
        self.proxy.clients.discard(self)
        self._give_up()

    def eof_received(self) -> bool:
        """The client will send no more; it still gets the answers to what it has sent whole."""
        if self.phase in (IDLE, PARTIAL, LINGERING, CLOSED) or self.left:
            return False
        self.half_closed = True
        if not self.buffer:
            self.closing = True
        return True

    def pause_writing(self) -> None:
        """The client reads slowly: the server's response waits."""
        self.write_paused = True
        if self.upstream is not None:
            self.upstream.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_paused = False
        if self.upstream is not None:
            self.upstream.resume()
            self.deadline = self.proxy.idle_by
        elif self.phase == FLUSHING:
            self._settle()

    def _hold(self, why: int) -> None:
        """Pauses reading for one more reason."""
        if not self.holds and not self.transport.is_closing():
            self.transport.pause_reading()
        self.holds |= why

    def _release(self, why: int) -> None:
        """One reason less; reads again if it was the last."""
        if self.holds & why:
            self.holds &= ~why
            if not self.holds and not self.transport.is_closing():
                self.transport.resume_reading()

    def hold_for_upstream(self) -> None:
        """The server does not keep up with the request's body."""
        self._hold(SLOW_SERVER)

    def release_for_upstream(self) -> None:
        """The server keeps up again."""
        self._release(SLOW_SERVER)
        self.deadline = self.proxy.idle_by

    # ------------------------------------------------------------ a request: the hot path
    def data_received(self, data: bytes) -> None:
        """A plain request without a body, whose special fields are those of the one before, takes the short way."""
        if self.phase != IDLE:
            self._data_slow(data)
            return
        match = PLAIN_REQUEST(data)
        if match is None or match.end() != len(data) or request_specials(data.lower()) != self.memo or self.memo_length:
            self._begin(data)
            return
        proxy = self.proxy
        self.method = match[1]
        proxy.number = number = proxy.number + 1
        self.request_id = b"%x" % number
        self.sent = b"%b%b%b\r\n\r\n" % (data[:-2], self.suffix, self.request_id)
        self._dispatch(match[2])

    def _dispatch(self, target: bytes) -> None:
        """Finds the route, the pool and a server, and sends; all that it needs of the request is in place."""
        proxy = self.proxy
        if target == WELL_KNOWN:
            self._answer_word()
            return
        path = target.decode("latin-1")
        if "?" in path:
            path = path[: path.index("?")]
        route = proxy.router.find(self.host, path)
        if route is None:
            self.fail("no_route")
            return
        self.pool = pool = proxy.pools[route.pool]
        server = pool.state.pick(None, proxy.clock())
        if server is None:
            self.fail("no_healthy_server")
            return
        self._try(pool, server)

    def _try(self, pool: PoolLinks, server: Server) -> None:
        """Gives the request to `server`, on an idle connection if there is one."""
        pool.state.started(server)
        self.server = server
        idle = pool.links[server.id].idle
        if idle:
            self._send(idle.pop())
            if self.holds & NOT_CONNECTED:
                self._resume_body()
        else:
            self._connect(pool, server)

    def _send(self, upstream: Upstream) -> None:
        """Sends what there is of the request."""
        self.upstream = upstream
        self.phase = WAITING
        self.deadline = self.proxy.first_byte_by
        upstream.send(self, self.sent)
        if self.write_paused:
            upstream.pause()

    # ------------------------------------------------------------ a response
    def response_started(self) -> None:
        """A final head was written to the client: from here on nothing can be tried again or answered otherwise."""
        self.phase = STREAMING
        self.sent = b""

    def response_done(self) -> None:
        """The response was written to its end; the server's connection has been let go."""
        self.upstream = None
        self._ended()
        self._settle()

    def response_truncated(self) -> None:
        """The server broke off within a body: the client must not take it for whole (RFC 9112 §8)."""
        self.upstream = None
        self._ended()
        self.phase = CLOSED
        self.transport.abort()

    def _ended(self) -> None:
        """Frees the place at the server."""
        if self.server is not None and self.pool is not None:
            self.pool.state.ended(self.server)
            self.server = None

    def _settle(self) -> None:
        """After a response: the next request, or the end."""
        if self.closing:
            self._close(linger=bool(self.left or self.holds))
        elif self.left:
            self._close(linger=True)
        elif self.write_paused:
            self.phase = FLUSHING
            self.deadline = self.proxy.idle_by
        else:
            self.phase = IDLE
            self.deadline = self.proxy.keepalive_by
            self.exchange = None
            if self.buffer:
                # Not at once: a long row of pipelined requests that are answered here must not nest.
                self.phase = FLUSHING
                self.proxy.loop.call_soon(self._next)

    def _next(self) -> None:
        """Takes the request that was pipelined behind the last one."""
        if self.phase != FLUSHING or self.write_paused:
            return
        data, self.buffer = self.buffer, b""
        self.phase = IDLE
        self._begin(data)
        if self.buffer and self.phase != PARTIAL:
            return
        self._release(PIPELINED)
        if self.half_closed:
            self.closing = True
            if self.phase in (IDLE, PARTIAL) or self.left:  # nothing more will come of it
                self._give_up()
                self._close(linger=False)

    # ------------------------------------------------------------ a request: everything that is not plain
    def _data_slow(self, data: bytes) -> None:
        """Bytes while something else than a new request is expected."""
        phase = self.phase
        if phase == PARTIAL:
            data, self.buffer = self.buffer + data, b""
            self.phase = IDLE
            self._begin(data, self.scanned)
        elif phase == LINGERING:
            self.lingered += len(data)
            if self.lingered > LINGER_BYTES_MAX:
                self.transport.abort()
        elif phase == CLOSED:
            pass
        elif self.left and self.upstream is not None:
            self._body(self.upstream, data)
        else:  # pipelined, or a body that came before the connection to the server
            self.buffer += data
            self._hold(PIPELINED)

    def _begin(self, data: bytes, scanned: int = 0) -> None:
        """Starts the request at the beginning of `data`."""
        proxy = self.proxy
        proxy.number += 1
        self.request_id = b"%x" % proxy.number
        self.method = b""
        self.left = 0
        if data.startswith(b"\r\n"):
            data = data[2:]  # RFC 9112 §2.2
        try:
            head = parse_request(data, proxy.balancer.max_head_bytes, scanned)
            if head is None:
                if not scanned:
                    self.deadline = proxy.head_by
                self.buffer, self.scanned, self.phase = data, len(data), PARTIAL
                return
            if b"websocket" in head.upgrade:
                status, detail = ERRORS["upgrade_not_built"]
                raise bad("upgrade_not_built", detail, status)
            self._take(data, head)
        except HttpError as error:
            self.refuse(error)

    def _take(self, data: bytes, head: RequestHead) -> None:
        """A valid head: frames the body, makes the head to forward, and dispatches."""
        proxy = self.proxy
        self.method, self.minor = head.method, head.minor
        self.closing = self.closing or head.close
        self.host = (head.host or proxy.default_host).decode("latin-1")
        body, self.left = data[head.end :], head.length
        self.chunks = ChunkedBody("client") if head.length == CHUNKED else None
        pieces, rest = self._split(body)
        if is_plain(head):
            self.memo, self.memo_length = request_specials(data[: head.end].lower()), head.length
            self.suffix = plain_suffix(self.peer, head.host, proxy.id_prefix)
            sent = b"%b%b%b\r\n\r\n" % (data[: head.end - 2], self.suffix, self.request_id)
        else:
            self.memo = None
            believed = believed_request_id(head, self.peer)
            request_id = believed or proxy.id_prefix + self.request_id
            sent = request_head(data, head, self.peer, proxy.default_host, request_id)
        self.sent = b"".join((sent, *pieces)) if pieces else sent
        if rest:
            self.buffer = rest
            self._hold(PIPELINED)
        self._dispatch(head.target)

    def _split(self, data: bytes) -> tuple[list[bytes | memoryview], bytes]:
        """What of `data` is the current request's body, ready to forward, and what comes after it."""
        if self.chunks is not None:
            pieces, used = self.chunks.feed(data)
            if self.chunks.done:
                self.left, self.chunks = 0, None
            return pieces, data[used:]
        mine = data[: self.left]
        self.left -= len(mine)
        return [mine] if mine else [], data[len(mine) :]

    def _body(self, upstream: Upstream, data: bytes) -> None:
        """More of the request's body."""
        try:
            pieces, rest = self._split(data)
        except HttpError as error:
            self.refuse(error)
            return
        self.sent = b""
        self.deadline = self.proxy.idle_by if self.left or self.phase == STREAMING else self.proxy.first_byte_by
        if pieces:
            upstream.transport.writelines(pieces)
        if rest:
            self.buffer = rest
            self._hold(PIPELINED)

    # ------------------------------------------------------------ trying
    def _connect(self, pool: PoolLinks, server: Server) -> None:
        """Asks for a fresh connection; the body waits in the socket until it is there."""
        self.phase = CONNECTING
        self.deadline = self.proxy.first_byte_by  # connecting has its own, shorter bound
        self.attempt += 1
        if self.left:
            self._hold(NOT_CONNECTED)
        self.proxy.connect(pool.links[server.id], self)

    def connected(self, upstream: Upstream) -> None:
        """The connection that was asked for is there."""
        self._send(upstream)
        self._resume_body()

    def _resume_body(self) -> None:
        """Takes up the request's body again, first what was on its way when reading was paused."""
        if self.left:
            data, self.buffer = self.buffer, b""
            self._release(NOT_CONNECTED | PIPELINED)
            if data and self.upstream is not None:
                self._body(self.upstream, data)

    def upstream_lost(self, stale: bool) -> None:
        """The server closed before a whole response head came.

        A kept-alive connection may close as a request is sent on it: that request is sent once more on a fresh
        connection if it may be repeated and all of it is still here (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
        """
        self.upstream = None
        server, pool = self.server, self.pool
        if stale and self.sent and not self.left and self.method in IDEMPOTENT:
            assert server is not None
            assert pool is not None
            self._connect(pool, server)
        else:
            self._ended()
            self.fail("upstream_closed")

    def connect_failed(self, error: HttpError) -> None:
        """The server could not be reached; nothing was sent, so another may be tried."""
        pool, server = self.pool, self.server
        assert pool is not None
        assert server is not None
        self._ended()
        now = self.proxy.clock()
        if self.exchange is None:
            self.exchange = Exchange(pool.state.pool.attempts, now + self.proxy.balancer.timeouts.first_byte_s)
            self.exchange.tried = (server.id,)
        if self.exchange.failed(error, now):
            following = self.exchange.next(pool.state, None, now)
            if following is not None:
                self._try(pool, following)
                return
        self.fail(error.reason)

    def upstream_failed(self, error: HttpError) -> None:
        """The server's response is no HTTP."""
        self.upstream = None
        self._ended()
        self.fail(error.reason)

    def _give_up(self) -> None:
        """Lets go of the server in the middle of whatever it was doing."""
        self.attempt += 1
        if self.upstream is not None:
            self.upstream.abort()
            self.upstream = None
        self._ended()

    # ------------------------------------------------------------ answering ourselves
    def fail(self, reason: str) -> None:
        """Answers with one of `replies.ERRORS`; the connection goes on if the request was whole."""
        status, detail = ERRORS[reason]
        self._answer(status, reason, detail, close=self.closing or bool(self.left))

    def refuse(self, error: HttpError) -> None:
        """The client broke HTTP: answers if that is still possible, then closes."""
        self._give_up()
        self.closing = True
        if self.phase == STREAMING:
            self.transport.abort()
            return
        self.left = self.left or CHUNKED  # what else comes is read and thrown away
        self._answer(error.status, error.reason, str(error), close=True)

    def _answer(self, status: int, reason: str, detail: str, close: bool) -> None:
        proxy = self.proxy
        self.closing = close
        request_id = proxy.id_prefix + self.request_id
        to_head = self.method == b"HEAD"
        self.write(error_reply(status, reason, detail, request_id, proxy.date, close=close, to_head=to_head))
        self._settle()

    def _answer_word(self) -> None:
        """The region's own word, on the same path as traffic."""
        proxy = self.proxy
        self.closing = self.closing or bool(self.left)
        self.write(word_reply(proxy.word, proxy.date, close=self.closing, to_head=self.method == b"HEAD"))
        self._settle()

    def _close(self, linger: bool) -> None:
        """Ends the connection once all is written.

        `linger`: the client may still be sending. Closing at once would reset the connection and could take the
        answer with it (RFC 9112 §9.6), so what comes is read and thrown away, for a bounded time and size.
        """
        self.phase = LINGERING
        self.buffer = b""
        if linger and not self.half_closed:
            self.deadline = self.proxy.clock() + LINGER_S
            self.holds, held = 0, self.holds
            if held and not self.transport.is_closing():
                self.transport.resume_reading()
            self.transport.write_eof()
        else:
            self.deadline = self.proxy.idle_by
            self.transport.close()

    # ------------------------------------------------------------ time
    def expire(self) -> None:
        """The deadline has passed (called by the proxy's sweep)."""
        phase = self.phase
        if phase == PARTIAL or (phase == WAITING and self.left):
            status, detail = ERRORS["request_timeout"]
            self.refuse(bad("request_timeout", detail, status))
        elif phase == IDLE:
            self._close(linger=False)
        elif phase in (CONNECTING, WAITING):
            self._give_up()
            self.fail("first_byte_timeout")
        else:
            self._give_up()
            self.transport.abort()

    def drain(self) -> None:
        """The proxy ends: an idle connection closes now, a busy one after its response."""
        if self.phase == IDLE and self.method:
            self._close(linger=False)
        self.closing = True
