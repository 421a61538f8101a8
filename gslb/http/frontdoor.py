"""The front door: answers HTTP requests for a service with a redirect to the region that the engine picks.

One protocol per connection, no Task and no timer per request. A plain request (most are) is validated and taken apart
by one expression, heads.PLAIN_REQUEST, and answered from ready bytes; the answer is remembered by the connection while
its World is in force. Everything else goes through heads.parse_request.

A redirect leads to a configured region's URL with the target appended as it came. A target starts with "/", so it
can't reach into the authority; a request that already is where it would be sent is refused (508), never redirected.
The node makes one FrontDoor a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

from gslb.balancing.request import Request
from gslb.errors import HttpError
from gslb.http.forwarded import NOBODY, client_address, is_trusted, parse_address, parse_networks
from gslb.http.heads import HEAD_BYTES_MAX, PLAIN_REQUEST, TARGET_BYTES_MAX, RequestHead, bad, parse_request
from gslb.http.redirects import Answer, Named, Redirects, edge_word
from gslb.http.replies import WELL_KNOWN, error_reply, word_reply
from gslb.model import World

if TYPE_CHECKING:
    from gslb.geo.locate import Locator
    from gslb.telemetry import Counters

CONNECTIONS_MAX = 20_000  # of one worker; more are closed at once
HEAD_S = 10.0  # for a whole head to arrive
KEEPALIVE_S = 75.0  # between requests
LINGER_S = 2.0  # for the client to take in the last answer and end
LINGER_BYTES_MAX = 4 * 1024 * 1024  # of a body nobody wants
PIPELINED_MAX = 64  # answers made between two writes
SWEEP_INTERVAL_S = 0.5
WRITE_BUFFER_HIGH_BYTES = 65_536

_SAFE = frozenset({b"GET", b"HEAD"})


class FrontDoor:
    """All connections of one worker, and what they are answered from."""

    def __init__(self, world: World, locator: Locator, counters: Counters, *, clock: Callable[[], float]) -> None:
        """Serves by `world` at once; call it with the loop running. `clock` gives monotonic seconds."""
        self.clock = clock
        self.connections: set[Connection] = set()
        self.draining = False
        self.requests = 0
        self.head_s, self.keepalive_s = HEAD_S, KEEPALIVE_S
        self.redirects = Redirects(world, locator, counters)
        self.swap(world, locator, counters)
        self._wall_clock = time.time  # dates of session cookies, which cross nodes
        self._loop = asyncio.get_running_loop()
        self._sweep()

    def swap(self, world: World, locator: Locator, counters: Counters) -> None:
        """Serves by this World from the next request on, open connections included."""
        self.world, self.counters, self.cells = world, counters, counters.cells
        if not self.redirects.holds(world, locator):
            self.redirects = Redirects(world, locator, counters)
        self.trusted = parse_networks(world.plan.trusted_proxies)
        self.found_cell = counters.index("gslb_frontdoor_requests_total", code=302)
        self.kept_cell = counters.index("gslb_frontdoor_requests_total", code=307)
        self._active_cell = counters.index("gslb_frontdoor_active_connections")

    def protocol(self) -> Connection:
        """The factory for `loop.create_server`."""
        return Connection(self)

    @property
    def active(self) -> int:
        """Client connections that are open."""
        return len(self.connections)

    def admit(self, connection: Connection) -> bool:
        """Takes a connection in, if there is room."""
        if len(self.connections) >= CONNECTIONS_MAX:
            return False
        self.connections.add(connection)
        self.cells[self._active_cell] = len(self.connections)
        return True

    def leave(self, connection: Connection) -> None:
        """The connection is gone."""
        self.connections.discard(connection)
        self.cells[self._active_cell] = len(self.connections)

    def count(self, status: int) -> None:
        """Counts one answer."""
        self.cells[self.counters.index("gslb_frontdoor_requests_total", code=status)] += 1

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

    def drain(self) -> None:
        """Closes idle connections, and every other one after its next answer."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()

    def close(self) -> None:
        """Drops what is left."""
        self._timer.cancel()
        for connection in tuple(self.connections):
            connection.transport.abort()


class Connection(asyncio.Protocol):
    """One client connection. Every request is answered within the callback that completes its head."""

    __slots__ = (
        "answer", "buffer", "deadline", "door", "ended", "host", "lingered", "lingering", "paused", "peer", "ready",
        "scanned", "transport", "write",
    )  # fmt: skip

    def __init__(self, door: FrontDoor) -> None:
        self.door = door
        self.deadline = door.head_by
        self.ready = not door.draining  # the next bytes are the start of a request that may be answered at once
        self.buffer = b""  # an incomplete head, or requests that wait for the client to read
        self.scanned = 0
        self.paused = False
        self.ended = False  # the client will send no more
        self.lingering = False  # all is said; what still comes is thrown away
        self.lingered = 0
        self.host = b""  # of the last plain request, and its answer
        self.answer: Answer | None = None

    # ------------------------------------------------------------ the connection
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self.write = self.transport.write
        peername = transport.get_extra_info("peername")
        self.peer = (parse_address(peername[0]) if isinstance(peername, tuple) else None) or NOBODY
        if not self.door.admit(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.door.leave(self)

    def eof_received(self) -> bool:
        """The client will send no more: what is answered is flushed; what waits for it to read still comes."""
        self.ended = True
        return self.paused and not self.lingering

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

    def drain(self) -> None:
        """Closes if idle."""
        self.ready = False
        if not (self.buffer or self.lingering):
            self.transport.close()

    # ------------------------------------------------------------ requests
    def data_received(self, data: bytes) -> None:
        """Answers at once a plain request without a body that came alone and whole."""
        if self.ready:
            match = PLAIN_REQUEST(data)
            if match is not None and match.end() == len(data) <= HEAD_BYTES_MAX:
                method, target, host, length = match.groups()
                door, answer = self.door, self.answer
                if (
                    host != self.host
                    or answer is None
                    or answer.source is not door.redirects
                    or answer.until < math.inf
                ):
                    answer = self._remember(host)
                if answer is not None and length is None and len(target) <= TARGET_BYTES_MAX:
                    if answer.turns:
                        answer = answer.next()
                    self.deadline = door.keepalive_by
                    cells = door.cells
                    cells[answer.cell] += 1
                    if method in _SAFE:
                        cells[door.found_cell] += 1
                        self.write(answer.found + target + door.ending)
                    else:
                        cells[door.kept_cell] += 1
                        self.write(answer.kept + target + door.ending)
                    return
        self._slow(data)

    def _remember(self, host: bytes) -> Answer | None:
        """The answer to plain requests of this host; None if it is one for the slow way, which says why."""
        named = self.door.redirects.named(host)
        self.host, self.answer = host, None
        if named is not None and not self.door.redirects.seen_cookies(named.service):
            with contextlib.suppress(HttpError):
                self.answer = self._find(named)
        return self.answer

    def _slow(self, data: bytes) -> None:
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
                head = parse_request(piece, HEAD_BYTES_MAX, self.scanned)
                if head is None:
                    if not self.scanned:
                        self.deadline = self.door.head_by  # from the first byte: trickling doesn't extend it
                    self.scanned = len(piece)
                    break
                answers.append(self._respond(head, piece))
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

    def _respond(self, head: RequestHead, data: bytes) -> bytes:
        """The response to one request; raises HttpError for one that gets none but an error."""
        door = self.door
        # A body is not read (its request is going elsewhere), so the connection can't be used after one.
        close = head.close or head.length != 0 or head.continues or door.draining
        if not head.host:
            raise bad("missing_host", "a front door needs the Host field to know which service is meant")
        if head.target == b"*":
            raise bad("bad_target", "only a path can be redirected")
        named = door.redirects.named(head.host)
        if named is None:
            if head.target == WELL_KNOWN and head.method in _SAFE:
                self.lingering = close
                door.count(200)
                word = edge_word(door.world, draining=door.draining)
                return word_reply(word, door.date, close=close, to_head=head.method == b"HEAD")
            raise bad("unknown_host", "no service of this name is configured here", 421)
        answer = self._find(named, head, data).next()
        self.lingering = close
        safe = head.method in _SAFE
        door.cells[answer.cell] += 1
        door.cells[door.found_cell if safe else door.kept_cell] += 1
        ending = b"\r\nConnection: close" + door.ending if close else door.ending
        return (answer.found if safe else answer.kept) + head.target + ending

    def _find(self, named: Named, head: RequestHead | None = None, data: bytes = b"") -> Answer:
        """Who asks, and where to send them. Raises HttpError if there is nowhere."""
        door, client = self.door, self.peer
        here: tuple[bytes, ...] = (named.http,)
        if door.trusted and is_trusted(client, door.trusted):
            client = client_address(head.specials if head else (), client, door.trusted)
            here = (named.http, named.https)  # the proxy may have taken TLS off
        answer = None
        if head is not None and door.redirects.seen_cookies(named.service):
            request = Request(head.method, named.service, head.target, data[: head.end], b"")
            answer = door.redirects.of_session(named.service, request, door.wall_s)
        answer = answer or door.redirects.find(named.service, client, door.clock())
        if answer is None:
            raise HttpError("no region of this service has a URL", blame="us", status=503, reason="no_region")
        if answer.place in here or any(each.place in here for each in answer.turns):
            raise HttpError("the service's region is this very place", blame="us", status=508, reason="redirect_loop")
        return answer

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
