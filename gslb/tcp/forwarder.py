"""TCP listeners: a server for each connection by its pool's algorithm, then a relay. One Forwarder a data worker.

Pools, their servers' states, breakers and counts are the HTTP proxy's own (`PoolLinks`): a connection is to a pool what
a request is. A server that can't be reached is a failed try, and another is tried while the pool's `attempts` last;
nothing was sent yet. What runs when a server drains or leaves the plan goes on. `node/listeners.py` makes the fronts.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gslb.balancing.request import Request
from gslb.balancing.tallies import LOST, SECONDS
from gslb.http.accepting import Acceptor
from gslb.http.forwarded import NOBODY, parse_address
from gslb.http.listening import Listening
from gslb.http.proxy_protocol import Ends, encode
from gslb.tcp.relay import Relay
from gslb.telemetry import Counters

if TYPE_CHECKING:
    from gslb.http.links import PoolLinks
    from gslb.model import Listener, Plan, Server

CONNECTIONS_MAX = 16_384  # of one worker; more wait in the kernel's queue
SWEEP_INTERVAL_S = 0.25
_FINE = b"HTTP/1.1 200"  # what a connection that was made counts as
_ANSWERED = 2  # its place in a tally


class Forwarder:
    """All TCP listeners of one worker. Everything happens in its event loop."""

    def __init__(
        self, pools: Callable[[], Mapping[str, PoolLinks]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`pools` gives the worker's pools as they are now. Needs a running event loop."""
        self.pools, self.clock = pools, clock
        self.loop = asyncio.get_running_loop()
        self.sessions: set[Session] = set()
        self.fronts: dict[str, Front] = {}
        self.connect_s, self.idle_s = 2.0, 3600.0
        self._counters: Counters | None = None
        self._timer = self.loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def swap(self, plan: Plan, counters: Counters) -> None:
        """Serves by a Plan from now on; connections that are there stay."""
        self._counters = counters
        if plan.balancer is not None:
            self.connect_s, self.idle_s = plan.balancer.timeouts.connect_s, plan.balancer.timeouts.tunnel_s
        for listener in plan.listeners:
            if listener.address in self.fronts and listener.pool:
                self.fronts[listener.address].update(listener)

    def open(self, sock: socket.socket, listener: Listener, head_s: float) -> Front:
        """Takes connections from a listening socket."""
        front = self.fronts[listener.address] = Front(self, sock, listener, head_s)
        return front

    def settle(self) -> None:
        """The number of connections has changed: every front looks whether it may take more."""
        for front in self.fronts.values():
            front.settle()

    def count(self, name: str, amount: int, **labels: str) -> None:
        """Adds to a counter."""
        if self._counters is not None:
            self._counters.cells[self._counters.index(name, **labels)] += amount

    def _sweep(self) -> None:
        """Ends what is idle for too long, and counts bytes."""
        self._timer = self.loop.call_later(SWEEP_INTERVAL_S, self._sweep)
        now, active = self.clock(), dict.fromkeys({front.pool for front in self.fronts.values()}, 0)
        for session in tuple(self.sessions):
            active[session.pool] = active.get(session.pool, 0) + 1
            session.sweep(now)
        if self._counters is not None:  # set, not changed: a worker that died left its number behind
            for name, number in active.items():
                self._counters.cells[self._counters.index("gslb_tcp_active_connections", pool=name)] = number

    @property
    def active(self) -> int:
        """Connections that are open."""
        return len(self.sessions)

    def close(self) -> None:
        """Drops what is left."""
        self._timer.cancel()
        for session in tuple(self.sessions):
            session.abort()


class Front:
    """One listening socket."""

    def __init__(self, forwarder: Forwarder, sock: socket.socket, listener: Listener, head_s: float) -> None:
        self._forwarder, self.pool = forwarder, listener.pool
        self._acceptor: Acceptor | None = None
        self._listening: Listening | None = None
        if listener.proxy_networks:
            self._acceptor = Acceptor(
                sock, None, scheme=b"", context=None, head_s=head_s, take=self._take
            )
            self._acceptor.allow(listener.proxy_networks)
        else:
            self._listening = Listening(sock, lambda: forwarder.active < CONNECTIONS_MAX, self._accept)
            self._listening.settle()

    def update(self, listener: Listener) -> None:
        """A new Plan's word."""
        self.pool = listener.pool
        if self._acceptor is not None and listener.proxy_networks:
            self._acceptor.allow(listener.proxy_networks)

    def settle(self) -> None:
        """The number of connections has changed; an Acceptor has bounds of its own."""
        if self._listening is not None:
            self._listening.settle()

    def _accept(self, sock: socket.socket, peer: Any) -> None:
        self._take(sock, peer[0] if isinstance(peer, tuple) else "127.0.0.1")

    def _take(self, sock: socket.socket, source: str) -> None:
        forwarder = self._forwarder
        pool = forwarder.pools().get(self.pool)
        if pool is None or forwarder.active >= CONNECTIONS_MAX:
            sock.close()
            return
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        forwarder.sessions.add(Session(forwarder, pool, sock, source))

    def close(self) -> None:
        """Takes nothing new."""
        for one in (self._acceptor, self._listening):
            if one is not None:
                one.close()


class Session:
    """One client's connection, from the first pick to its end."""

    __slots__ = (
        "_began", "_client", "_deadline", "_forwarder", "_pool", "_relay", "_server", "_source", "_task", "pool"
    )  # fmt: skip

    def __init__(self, forwarder: Forwarder, pool: PoolLinks, client: socket.socket, source: str) -> None:
        self._forwarder, self._pool, self._client, self._source = forwarder, pool, client, source
        self.pool = pool.state.pool.name
        self._began = forwarder.clock()
        self._deadline = self._began + forwarder.idle_s
        self._server: Server | None = None
        self._relay: Relay | None = None
        # One Task a connection, for as long as it takes to connect: bytes pass without.
        self._task: asyncio.Task[None] | None = forwarder.loop.create_task(self._begin())

    # ------------------------------------------------------------ finding a server
    async def _begin(self) -> None:
        tried: list[str] = []
        address = str(parse_address(self._source) or NOBODY).encode()
        key = self._pool.key.of(Request(b"", "", b"/", b"", address)) if self._pool.key is not None else None
        result = "no_server"
        for _ in range(self._pool.state.pool.retries.attempts):
            server = self._pool.pick(key, self._forwarder.clock(), tried)
            if server is None:
                break
            self._pool.started(server)
            self._server = server
            sock, why = await self._connect(server)
            if sock is not None:
                self._connected(server, sock)
                return
            result = "connect_failed"
            self._lost(server, why)
            tried.append(server.id)
        self._forwarder.count("gslb_tcp_connections_total", 1, pool=self.pool, result=result)
        self._task = None
        self._client.close()
        self._ended()

    async def _connect(self, server: Server) -> tuple[socket.socket | None, str]:
        """A connection to the server, its PROXY header sent; or why there is none."""
        forwarder, sock, why = self._forwarder, None, "connect_failed"
        self._pool.cells[self._pool.connects] += 1
        try:
            async with asyncio.timeout(forwarder.connect_s):
                family, kind, protocol, _, where = (
                    await forwarder.loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
                )[0]
                sock = socket.socket(family, kind, protocol)
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await forwarder.loop.sock_connect(sock, where)
                header = self._header()
                if header:
                    await forwarder.loop.sock_sendall(sock, header)
                return sock, ""
        except TimeoutError:
            why = "connect_timeout"
        except OSError:
            pass
        except asyncio.CancelledError:
            if sock is not None:
                sock.close()
            raise
        if sock is not None:
            sock.close()
        return None, why

    def _header(self) -> bytes:
        """The PROXY header that the server wants, b"" for none."""
        version = self._pool.state.pool.proxy_protocol
        if not version:
            return b""
        peer, here = ("", 0), ("", 0)
        with contextlib.suppress(OSError):
            names = self._client.getpeername(), self._client.getsockname()
            peer, here = (name[:2] if isinstance(name, tuple) else ("", 0) for name in names)
        address = str(parse_address(self._source) or NOBODY)
        port = peer[1] if peer[0] == self._source else 0
        return encode(version, Ends(address, port, here[0], here[1]))

    def _lost(self, server: Server, why: str) -> None:
        """A try that came to nothing."""
        pool = self._pool
        pool.ended(server)
        pool.failed("connect" if why == "connect_failed" else why)
        pool.tallies[server.id][LOST] += 1
        if pool.watch is not None:
            pool.watch.ended(server, why, self._began)
        self._server = None

    def _connected(self, server: Server, sock: socket.socket) -> None:
        self._task = None
        self._forwarder.count("gslb_tcp_connections_total", 1, pool=self.pool, result="ok")
        if self._pool.watch is not None:
            self._pool.watch.answered(server, _FINE, self._began)
        self._relay = Relay(self._forwarder.loop, self._client, sock, self._ended)

    # ------------------------------------------------------------ the end
    def sweep(self, now: float) -> None:
        """Counts what has passed; ends the connection if nothing did for too long."""
        relay = self._relay
        if relay is None:
            return
        self._count(relay)
        if relay.touched:
            relay.touched, self._deadline = False, now + self._forwarder.idle_s
        elif now > self._deadline:
            relay.abort()

    def _count(self, relay: Relay) -> None:
        for name, way in (("received", relay.received), ("sent", relay.sent)):
            if way.moved:
                self._forwarder.count(f"gslb_tcp_{name}_bytes_total", way.moved, pool=self.pool)
                way.moved = 0

    def abort(self) -> None:
        """Ends it now."""
        if self._relay is not None:
            self._relay.abort()
            return
        if self._task is not None:
            self._task.cancel()
        self._client.close()
        self._ended()

    def _ended(self) -> None:
        """Both sides are closed, or there never was a second."""
        forwarder, pool, server = self._forwarder, self._pool, self._server
        if self not in forwarder.sessions:
            return
        forwarder.sessions.discard(self)
        if self._relay is not None:
            self._count(self._relay)
        if server is not None:
            pool.ended(server)
            tally = pool.tallies[server.id]
            tally[_ANSWERED] += 1
            tally[SECONDS] += forwarder.clock() - self._began
            self._server = None
        forwarder.settle()


