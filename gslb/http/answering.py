"""Connections whose every request is answered at once, without a server: the front door's, and redirects to HTTPS.

A `Door` holds all connections of one worker; an `Answering` is one of them, and reads its heads.
No Task and no timer per request; one coarse sweep ends what is past its deadline. `frontdoor.py` and `secure.py` build
on it.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

from gslb.errors import HttpError
from gslb.http.endpoint import DRAIN_IDLE_S, peer_address
from gslb.http.forwarded import NOBODY, parse_address
from gslb.http.heads import HEAD_BYTES_MAX, RequestHead, parse_request
from gslb.http.replies import error_reply

CONNECTIONS_MAX = 20_000  # of one worker; more are closed at once
HEAD_S = 10.0  # for a whole head to arrive
KEEPALIVE_S = 75.0  # between requests
LINGER_S = 2.0  # for the client to take in the last answer and end
LINGER_BYTES_MAX = 4 * 1024 * 1024  # of a body nobody wants
PIPELINED_MAX = 64  # answers made between two writes
SWEEP_INTERVAL_S = 0.5
WRITE_BUFFER_HIGH_BYTES = 65_536


class Door(ABC):
    """All connections of one worker."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Call it with the loop running. `clock` gives monotonic seconds."""
        self.clock = clock
        self.connections: set[Answering] = set()
        self.draining = self.leaving = False
        self.requests = 0
        self.head_s, self.keepalive_s = HEAD_S, KEEPALIVE_S
        self._wall_clock = time.time  # dates of session cookies, which cross nodes
        self._loop = asyncio.get_running_loop()
        self._sweep()

    @abstractmethod
    def protocol(self, scheme: bytes = b"http", source: str = "") -> Answering:
        """The factory for `loop.create_server`. See Answering."""

    @abstractmethod
    def count(self, status: int) -> None:
        """Counts one answer."""

    @property
    def active(self) -> int:
        """Client connections that are open."""
        return len(self.connections)

    def admit(self, connection: Answering) -> bool:
        """Takes a connection in, if there is room."""
        if len(self.connections) >= CONNECTIONS_MAX:
            return False
        self.connections.add(connection)
        return True

    def leave(self, connection: Answering) -> None:
        """The connection is gone."""
        self.connections.discard(connection)

    def _sweep(self) -> None:
        """Date and deadlines for all requests until the next sweep, and the end of connections past theirs."""
        now = self.clock()
        self.wall_s = int(self._wall_clock())
        self.date = formatdate(usegmt=True).encode()
        self.ending = b"\r\nDate: " + self.date + b"\r\n\r\n"
        self.head_by, self.keepalive_by = now + self.head_s, now + self.keepalive_s
        for connection in [each for each in self.connections if each.deadline < now]:
            connection.expire()
        self._timer = self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def drain(self, *, moving: bool = False) -> None:
        """Every connection closes after its next answer, an idle one soon without. `moving`: see Proxy.drain."""
        self.draining, self.leaving = True, not moving
        idle_by = self.clock() + DRAIN_IDLE_S
        for connection in self.connections:
            connection.drain(idle_by)

    def close(self) -> None:
        """Drops what is left."""
        self._timer.cancel()
        for connection in tuple(self.connections):
            connection.transport.abort()


class Answering(asyncio.Protocol):
    """One client connection. Every request is answered within the callback that completes its head."""

    __slots__ = (
        "buffer", "deadline", "door", "ended", "lingered", "lingering", "paused", "peer", "ready", "scanned", "scheme",
        "source", "transport", "write",
    )  # fmt: skip

    def __init__(self, door: Door, scheme: bytes = b"http", source: str = "") -> None:
        """`scheme`: "https" over TLS. `source`: the client's address, if a PROXY header has told it."""
        self.door, self.scheme, self.source = door, scheme, source
        self.deadline = door.head_by
        self.ready = not door.draining  # the next bytes are the start of a request that may be answered at once
        self.buffer = b""  # an incomplete head, or requests that wait for the client to read
        self.scanned = 0
        self.paused = False
        self.ended = False  # the client will send no more
        self.lingering = False  # all is said; what still comes is thrown away
        self.lingered = 0

    # ------------------------------------------------------------ the connection
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self.write = self.transport.write
        self.peer = parse_address(self.source or peer_address(transport)) or NOBODY
        if not self.door.admit(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.door.leave(self)

    def eof_received(self) -> bool:
        """The client will send no more: what is answered is flushed; what waits for it to read still comes."""
        self.ended = True
        return self.paused and not self.lingering and self.scheme == b"http"  # TLS: see Client.eof_received

    def pause_writing(self) -> None:
        """The client reads slowly: so do we."""
        self.paused = True
        self.ready = False
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self._serve(self.buffer)
            if self.ended and not self.paused:
                self.transport.close()

    def expire(self) -> None:
        """The deadline has passed: within a head that is the client's fault, between requests it is nobody's."""
        if self.lingering or self.paused:
            self.transport.abort()
        elif self.buffer:
            self._finish(self._refusal(408, "request_timeout", "the request did not arrive in time"))
        else:
            self.transport.close()

    def drain(self, idle_by: float) -> None:
        """The next answer is the last; without a request by `idle_by` there is none."""
        self.ready = False
        if not (self.buffer or self.lingering):
            self.deadline = min(self.deadline, idle_by)

    # ------------------------------------------------------------ requests
    @abstractmethod
    def respond(self, head: RequestHead, data: bytes) -> bytes:
        """The response to one request, whose head starts `data`; HttpError for one that gets none but an error."""

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.slow(data)

    def slow(self, data: bytes) -> None:
        """Everything that isn't a plain request."""
        if self.lingering:
            self.lingered += len(data)
            if self.lingered > LINGER_BYTES_MAX:
                self.transport.abort()
        elif self.paused:
            self.buffer += data  # what was under way when reading was paused
        else:
            self._serve(self.buffer + data)

    def _serve(self, data: bytes) -> None:
        """Answers the requests that `data` holds whole, in order; keeps the rest."""
        start, answers = 0, []
        while start < len(data) and not (self.paused or self.lingering):
            piece = data[start : start + HEAD_BYTES_MAX + 1] if start or len(data) > HEAD_BYTES_MAX else data
            try:
                head = parse_request(piece, HEAD_BYTES_MAX, self.scanned, self.scheme)
                if head is None:
                    if not self.scanned:
                        self.deadline = self.door.head_by  # from the first byte: trickling doesn't extend it
                    self.scanned = len(piece)
                    break
                answers.append(self.respond(head, piece))
            except HttpError as error:
                to_head = piece.startswith(b"HEAD ")
                answers.append(self._refusal(error.status, error.reason, str(error), to_head=to_head))
                break
            self.scanned = 0
            start += head.end
            self.deadline = self.door.keepalive_by
            if len(answers) >= PIPELINED_MAX:
                self.write(b"".join(answers))
                answers = []
        self.buffer = b"" if self.lingering else data[start:]
        self.ready = not (self.buffer or self.lingering or self.paused or self.door.draining)
        if self.lingering:
            self._finish(b"".join(answers))
        elif answers:
            self.write(b"".join(answers))

    # ------------------------------------------------------------ ends
    def _refusal(self, status: int, reason: str, detail: str, *, to_head: bool = False) -> bytes:
        """An error response; the connection ends after it."""
        self.lingering = True
        door = self.door
        door.count(status)
        door.requests += 1
        return error_reply(status, reason, detail, b"%x" % door.requests, door.date, close=True, to_head=to_head)

    def _finish(self, last: bytes) -> None:
        """Writes the last answer and says so; closing with bytes unread would reset it away (RFC 9112 §9.6)."""
        self.lingering = True
        self.buffer = b""
        self.deadline = self.door.clock() + LINGER_S
        self.write(last)
        if self.transport.can_write_eof():
            self.transport.write_eof()
