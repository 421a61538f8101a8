"""The front door: answers HTTP requests for a service with a redirect to the region that the engine picks.

One protocol per connection, no Task and no timer per request. A plain request (most are) is validated and taken apart
by one expression, heads.PLAIN_REQUEST, and answered from ready bytes; the answer is remembered by the connection while
its World is in force. Everything else goes through heads.parse_request.

A redirect leads to a configured region's URL with the target appended as it came. A target starts with "/", so it
can't reach into the authority; a request that already is where it would be sent is refused (508), never redirected.
The node makes one FrontDoor a worker.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from gslb.balancing.request import Request
from gslb.errors import HttpError
from gslb.http.answering import Answering, Door
from gslb.http.forwarded import client_address, is_trusted, parse_networks
from gslb.http.heads import HEAD_BYTES_MAX, PLAIN_REQUEST, TARGET_BYTES_MAX, RequestHead, bad
from gslb.http.redirects import Answer, Named, Redirects, edge_word
from gslb.http.replies import WELL_KNOWN, word_reply
from gslb.model import World

if TYPE_CHECKING:
    from gslb.geo.locate import Locator
    from gslb.telemetry import Counters

_SAFE = frozenset({b"GET", b"HEAD"})


class FrontDoor(Door):
    """All connections of one worker, and what they are answered from."""

    def __init__(self, world: World, locator: Locator, counters: Counters, *, clock: Callable[[], float]) -> None:
        """Serves by `world` at once; call it with the loop running. `clock` gives monotonic seconds."""
        super().__init__(clock)
        self.redirects = Redirects(world, locator, counters)
        self.swap(world, locator, counters)

    def swap(self, world: World, locator: Locator, counters: Counters) -> None:
        """Serves by this World from the next request on, open connections included."""
        self.world, self.counters, self.cells = world, counters, counters.cells
        if not self.redirects.holds(world, locator):
            self.redirects = Redirects(world, locator, counters)
        self.trusted = parse_networks(world.plan.trusted_proxies)
        self.found_cell = counters.index("gslb_frontdoor_requests_total", code=302)
        self.kept_cell = counters.index("gslb_frontdoor_requests_total", code=307)
        self._active_cell = counters.index("gslb_frontdoor_active_connections")

    def protocol(self, scheme: bytes = b"http", source: str = "") -> Connection:
        """See Door."""
        return Connection(self, scheme, source)

    def admit(self, connection: Answering) -> bool:
        """See Door."""
        admitted = super().admit(connection)
        self.cells[self._active_cell] = len(self.connections)
        return admitted

    def leave(self, connection: Answering) -> None:
        """See Door."""
        super().leave(connection)
        self.cells[self._active_cell] = len(self.connections)

    def count(self, status: int) -> None:
        """Counts one answer."""
        self.cells[self.counters.index("gslb_frontdoor_requests_total", code=status)] += 1


class Connection(Answering):
    """One client connection."""

    __slots__ = ("answer", "host")
    door: FrontDoor

    def __init__(self, door: FrontDoor, scheme: bytes = b"http", source: str = "") -> None:
        super().__init__(door, scheme, source)
        self.host = b""  # of the last plain request, and its answer
        self.answer: Answer | None = None

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
        self.slow(data)

    def _remember(self, host: bytes) -> Answer | None:
        """The answer to plain requests of this host; None if it is one for the slow way, which says why."""
        named = self.door.redirects.named(host)
        self.host, self.answer = host, None
        if named is not None and not self.door.redirects.seen_cookies(named.service):
            with contextlib.suppress(HttpError):
                self.answer = self._find(named)
        return self.answer

    def respond(self, head: RequestHead, data: bytes) -> bytes:
        """See Answering."""
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
                word = edge_word(door.world, draining=door.leaving)
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
        here: tuple[bytes, ...] = (named.http if self.scheme == b"http" else named.https,)
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
