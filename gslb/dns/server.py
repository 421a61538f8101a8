"""DNS over UDP and TCP: the shell around `Responder.respond`. The worker starts it on sockets that the parent opened.

UDP: each wake-up of the loop drains the socket up to a bound, and nothing is logged per packet. TCP (RFC 7766): one
protocol object a connection, no Task; queries are answered in the order they came, pipelined or not; connections,
their idleness and what waits in them have bounds. Both work on plain asyncio and on uvloop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import cast

from gslb.dns.responder import Responder

BATCH_MAX = 64  # packets per wake-up, so that other sockets get their turn
# of a UDP query; what is cut off makes it a FORMERR. With every option we know, one has 350 at most; and the memory for
# up to 479 comes from Python's own allocator, which saves a fifth of a recvfrom
PACKET_BYTES_MAX = 479
CONNECTIONS_MAX = 1024  # of each TcpServer; beyond it the one that is idle for longest makes room
MESSAGE_BYTES_MAX = 4096  # of a query over TCP; a longer one ends its connection
QUERIES_PER_TURN_MAX = 256  # of one connection, before the loop gets its turn
WRITE_BYTES_MAX = 1 << 18  # a client that leaves more than this unread isn't read from
IDLE_TIMEOUT_S = 10.0  # RFC 7766 §6.2.3: a few seconds at least
SWEEP_INTERVAL_S = 1.0
BACKLOG = 1024

# of one client, or of buffers that are full now: the next packet may fare better
_PASSING = frozenset({
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EPROTO,
    errno.ENOPROTOOPT, errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EACCES, errno.EINTR,
})  # fmt: skip

log = logging.getLogger("gslb.dns")


class UdpServer:
    """Answers the packets of one bound, non-blocking UDP socket."""

    def __init__(self, sock: socket.socket, responder: Responder, now: Callable[[], float]) -> None:
        """`now` is the clock that the Status' times are told on. The socket stays the caller's to close."""
        self._sock, self._responder, self._now = sock, responder, now
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to answer."""
        self._loop = loop
        loop.add_reader(self._sock.fileno(), self._drain)

    def close(self) -> None:
        """Answers a last batch of what waits, then no more."""
        if self._loop is not None:
            self._drain()
            self._stop()

    def _stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._sock)
            self._loop = None

    def _drain(self) -> None:
        """Answers up to BATCH_MAX packets; the loop calls again if more are there."""
        receive, send, respond = self._sock.recvfrom, self._sock.sendto, self._responder.respond
        now = self._now()
        received = 0
        for _ in range(BATCH_MAX):
            try:
                wire, peer = receive(PACKET_BYTES_MAX)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _PASSING:  # an ICMP error that an earlier answer met
                    continue
                log.error("stopped reading from a DNS socket: %s", error)
                self._stop()
                break
            received += 1
            answer = respond(wire, peer[0], "udp", now)
            if answer is not None:
                try:
                    send(answer, peer)
                except OSError:  # full buffers or an unreachable client: it will ask again
                    self._responder.tally.unsent()
        if received:
            self._responder.settle("udp", received, now)


class TcpServer:
    """Answers the connections of one listening, non-blocking TCP socket."""

    def __init__(self, sock: socket.socket, responder: Responder, now: Callable[[], float]) -> None:
        """`now` is the clock that the Status' times are told on."""
        self.responder, self.now = responder, now
        # least recently used first: a connection that asks is put back at the end
        self.connections: dict[_Connection, float] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self._sock = sock
        self._opening: asyncio.Task[asyncio.Server] | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to accept."""
        self.loop = loop
        self._opening = loop.create_task(
            loop.create_server(lambda: _Connection(self), sock=self._sock, backlog=BACKLOG)
        )
        self._sweep_timer = loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def close(self) -> None:
        """Accepts no more, and closes every connection once what was answered is sent, or is idle for too long."""
        if self._opening is not None:
            self._opening.add_done_callback(_close_server)
            self._opening = None
        for connection in list(self.connections):
            connection.close()

    def used(self, connection: _Connection) -> None:
        """`connection` is new or has asked."""
        assert self.loop is not None
        known = self.connections.pop(connection, None)
        if known is None and len(self.connections) >= CONNECTIONS_MAX:
            next(iter(self.connections)).abort()
        self.connections[connection] = self.loop.time()

    def _sweep(self) -> None:
        """Ends what is idle; one timer for all connections."""
        assert self.loop is not None
        oldest = self.loop.time() - IDLE_TIMEOUT_S
        for connection, since in list(self.connections.items()):
            if since > oldest:
                break
            connection.abort()
        if self._opening is not None or self.connections:
            self._sweep_timer = self.loop.call_later(SWEEP_INTERVAL_S, self._sweep)


def _close_server(opening: asyncio.Task[asyncio.Server]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class _Connection(asyncio.Protocol):
    """One client over TCP: two bytes of length before each message (RFC 1035 §4.2.2)."""

    __slots__ = ("_blocked", "_ended", "_pending", "_server", "_source", "_transport")

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._pending = b""
        self._blocked = self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not of that class
        peer = transport.get_extra_info("peername")
        self._source = peer[0] if peer else ""
        self._transport.set_write_buffer_limits(WRITE_BYTES_MAX)
        self._server.responder.tally.connected(1)
        self._server.used(self)
        if not peer:  # gone before it was accepted
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._pending = b""
        self._ended = True
        self._server.connections.pop(self, None)
        self._server.responder.tally.connected(-1)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._pending += data
        self._work()

    def eof_received(self) -> bool:
        """A half-closed client still gets the answers to what it asked (RFC 7766 §6.2.4)."""
        self._ended = True
        self._work()
        return True  # `_work` closes when all is answered

    def pause_writing(self) -> None:
        """The client reads too slowly: no more is answered, nor read."""
        self._blocked = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._blocked = False
        self._work()

    def close(self) -> None:
        """Closes when what was answered is sent."""
        self._pending = b""
        self._transport.close()

    def abort(self) -> None:
        """Closes now; at once gone from the server's connections."""
        self._server.connections.pop(self, None)
        self._transport.abort()

    def _work(self) -> None:
        """Answers what has come, up to QUERIES_PER_TURN_MAX; the rest when the loop comes back."""
        if self._blocked or self._transport.is_closing():
            return
        server, pending, at, queries = self._server, self._pending, 0, 0
        respond, now = server.responder.respond, server.now()
        out: list[bytes] = []
        while queries < QUERIES_PER_TURN_MAX:
            length = int.from_bytes(pending[at : at + 2], "big")
            end = at + 2 + length
            if len(pending) < at + 2 or (len(pending) < end and length <= MESSAGE_BYTES_MAX):
                break
            if length > MESSAGE_BYTES_MAX:
                self._ended, pending, at = True, b"", 0
                break
            queries += 1
            answer = respond(pending[at + 2 : end], self._source, "tcp", now)
            if answer is not None:
                out += (len(answer).to_bytes(2, "big"), answer)
            at = end
        self._pending = pending[at:]
        if queries:
            server.responder.settle("tcp", queries, now)
            server.used(self)
        if out:
            self._transport.write(b"".join(out))  # may call pause_writing
        self._go_on(more=queries == QUERIES_PER_TURN_MAX)

    def _go_on(self, *, more: bool) -> None:
        """What comes after a turn: the rest, the next data, or the end."""
        if self._blocked or self._transport.is_closing():
            return
        if more:
            self._transport.pause_reading()
            assert self._server.loop is not None
            self._server.loop.call_soon(self._work)
        elif self._ended:
            self._transport.close()
        else:
            self._transport.resume_reading()
