"""Copies of requests for a mirror pool: sent beside the client's own, their answers thrown away. The proxy's.

A copy never makes a client wait and never takes what a client needs: those in flight are bounded, a body that is too
long is not mirrored, and each has a connection of its own, which ends with it. What was not mirrored is counted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from gslb.errors import HttpError
from gslb.http.chunked import ChunkedBody
from gslb.http.heads import CHUNKED
from gslb.http.responses import UNTIL_CLOSE, parse_response
from gslb.http.rewrite import Edits
from gslb.metrics import MIRRORED
from gslb.model import HeadEdits, Server, ServerTls
from gslb.telemetry import Counters

if TYPE_CHECKING:
    from gslb.http.links import PoolLinks

IN_FLIGHT_MAX = 64  # copies a worker
REQUEST_BYTES_MAX = 65_536  # of a copy, its head included
RESPONSE_BYTES_MAX = 1_048_576  # read of an answer; then the connection is broken off
WITHIN_S = 10.0  # from the connect to the end of the answer

# One request a connection: its end is the answer's. The body is there already, so nobody is asked to go on.
_ALONE = Edits(HeadEdits(set=(("Connection", "close"),), remove=("TE", "Expect")))


class Mirrors:
    """One worker's copies in flight."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, context: Callable[[ServerTls], ssl.SSLContext | None]
    ) -> None:
        """`context`: how TLS is spoken to servers."""
        self._loop, self._context = loop, context
        self._tasks: set[asyncio.Task[None]] = set()

    def count_into(self, counters: Counters) -> None:
        """Looks its series up; a new plan may have moved them."""
        self._cells = counters.cells
        self._results = {
            result: counters.index("gslb_http_mirrored_requests_total", result=result) for result in MIRRORED
        }

    def count(self, result: str) -> None:
        """Counts what became of a copy: one of `telemetry.MIRRORED`."""
        self._cells[self._results[result]] += 1

    def send(self, pool: PoolLinks, request: bytes, now: float) -> None:
        """Sends a whole request to a server of `pool`, if there is room for it."""
        if len(self._tasks) >= IN_FLIGHT_MAX:
            self.count("busy")
            return
        server = pool.state.pick(None, now)  # never one of the breaker's probes: nobody hears what came of it
        if server is None:
            self.count("no_server")
            return
        pool.started(server)
        task = self._loop.create_task(self._send(pool, server, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, pool: PoolLinks, server: Server, request: bytes) -> None:
        drain, tls = _Drain(self._loop), pool.links[server.id].tls
        context = self._context(tls) if tls is not None else None
        name = None if tls is None else tls.server_name or server.host
        try:
            async with asyncio.timeout(WITHIN_S):
                transport, _ = await self._loop.create_connection(
                    lambda: drain, server.host, server.port, ssl=context, server_hostname=name
                )
                transport.write(_ALONE.apply_to_message(request))
                await drain.ended
        except (OSError, TimeoutError):
            pass  # counted below
        finally:
            pool.ended(server)
            drain.abort()
        self.count("answered" if drain.received else "failed")

    def close(self) -> None:
        """Drops what is in flight."""
        for task in tuple(self._tasks):
            task.cancel()


class Copy:
    """A request that is to be mirrored, until all of its body is there."""

    __slots__ = ("_mirrors", "_pieces", "_pool", "_size")

    def __init__(self, mirrors: Mirrors, pool: PoolLinks) -> None:
        self._mirrors, self._pool = mirrors, pool
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, pieces: Iterable[bytes | memoryview], whole: bool, now: float) -> Copy | None:
        """Takes more of the request; `whole`: that was all, it goes out. None once nothing more is wanted."""
        for piece in pieces:
            self._size += len(piece)
            self._pieces.append(bytes(piece))
        if self._size > REQUEST_BYTES_MAX:
            self._mirrors.count("too_large")
            return None
        if whole:
            self._mirrors.send(self._pool, b"".join(self._pieces), now)
            return None
        return self


class _Drain(asyncio.Protocol):
    """Reads an answer and forgets it; `ended` once it is whole, or the connection gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self.received = 0
        self.transport: asyncio.Transport | None = None
        self._head = b""  # until it is whole
        self._left: int | None = None  # of the body: bytes, CHUNKED, UNTIL_CLOSE; None before the head
        self._chunks = ChunkedBody("server")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.received += len(data)
        try:
            whole = self._take(data)
        except HttpError:
            whole = True
        if whole or self.received > RESPONSE_BYTES_MAX:
            self.abort()

    def _take(self, data: bytes) -> bool:
        """Whether the answer is whole; raises HttpError for what is none."""
        if self._left is None:
            self._head += data
            head = parse_response(self._head)
            if head is None:
                return False
            data, self._head = self._head[head.end :], b""
            if head.status < 200:
                return self._take(data) if data else False
            self._left = head.body_length(to_head=False)
        if self._left == CHUNKED:
            self._chunks.feed(data)
            return self._chunks.done
        if self._left == UNTIL_CLOSE:
            return False
        self._left -= len(data)
        return self._left <= 0

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        if not self.ended.done():
            self.ended.set_result(None)

    def abort(self) -> None:
        """Ends the connection."""
        if self.transport is not None:
            self.transport.abort()
