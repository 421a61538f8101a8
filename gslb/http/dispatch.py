"""From a head to a server: the route, the pool, the pick; or an answer of our own. Errors are answered here.

`Dispatch.dispatch` is on the hot path: a request whose route and pool have no rules of their own (`Way.rich`) costs one
look-up and one pick. Rules that look into the request are `_dispatch_rich`. The layer between `Straggling` (what
goes to another region) and `Client` (what is read from the client); only those call it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gslb.balancing.outcomes import GATEWAY
from gslb.balancing.request import Request
from gslb.balancing.sessions import ID_BYTES
from gslb.balancing.sticky import NONE, CookieSticking, Found, KeySticking
from gslb.errors import HttpError
from gslb.http.coding import coded_head
from gslb.http.cookies import cookie_set, set_cookie, without_cookie
from gslb.http.endpoint import STREAMING
from gslb.http.heads import CHUNKED, Field
from gslb.http.limiting import Refusal
from gslb.http.replies import ERRORS, WELL_KNOWN, error_reply, word_reply
from gslb.http.reporting import COUNTED, FAILURES
from gslb.http.straggling import Straggling

if TYPE_CHECKING:
    from gslb.balancing.route_breaker import RouteBreaker
    from gslb.http.coding import Coder, Compression
    from gslb.http.limiting import Guard
    from gslb.http.links import PoolLinks, Way
    from gslb.http.proxy import Proxy
    from gslb.http.responses import ResponseHead
    from gslb.model import Server

_SERVER_ERROR = ord("5")


class Dispatch(Straggling):
    """One client connection and where its current request goes."""

    __slots__ = ("believed", "coder", "compresses", "found", "queued")

    def __init__(self, proxy: Proxy, scheme: bytes = b"http", source: str = "") -> None:
        super().__init__(proxy, scheme, source)
        # The current request.
        self.believed = 0, b""  # the number of a request that a trusted proxy has named, and that name
        self.found: Found = NONE  # its session
        self.compresses: tuple[int, Compression | None, str] = 0, None, ""  # its number, the route's way, the coding
        self.coder: tuple[int, Coder | None] = 0, None  # its number, what compresses its response; None: nothing does
        self.queued = -1  # the attempt that waits in its pool's queue, if it is the current one

    # ------------------------------------------------------------ the hot path
    def dispatch(self, target: bytes, data: bytes, end: int, specials: Sequence[Field] = ()) -> None:
        """Finds the route, the pool and a server; all that is needed to forward the request is in place.

        Args:
            target: origin-form, or `*`.
            data: starts with the head as it came.
            end: where the head ends in `data`.
            specials: the head's special fields, unless it was plain.
        """
        proxy = self.proxy
        if target == WELL_KNOWN:
            self._answer_word()
            return
        path = target.decode("ascii")
        if "?" in path:
            path = path[: path.index("?")]
        way = proxy.find(self.host, path)
        if way is None:
            self.fail("no_route")
            return
        self.careful = way.careful
        self.pool = pool = way.pool
        self.started = now = proxy.clock()
        if way.rich:
            self._dispatch_rich(way, Request(self.method, self.host, target, data[:end], self._address(specials)))
            return
        server = pool.pick(None, now)
        if server is None:
            self._wait(pool)
            return
        self.try_server(pool, server)

    def _wait(self, pool: PoolLinks) -> bool:
        """No server takes the request now: it waits for one where the pool has a queue, else it is answered."""
        if pool.queue is None or not pool.state.usable:
            self.fail("no_healthy_server")
        elif pool.queue.add(self):
            return True
        else:
            self.fail("queue_full")
        return False

    def late(self) -> None:
        """See Attempts; or the queue has given no server in time."""
        if self.queued == self.attempt and self.pool is not None and self.pool.queue is not None:
            self.attempt += 1
            self.pool.queue.count("timeout")
            self.fail("queue_timeout")
        else:
            super().late()

    # ------------------------------------------------------------ rules that look into the request
    def _address(self, specials: Sequence[Field]) -> bytes:
        """The client's address, trusted proxies looked through."""
        number, peer = self.hopped
        if number != self.number:
            peer = self.peer
        return self.proxy.client_address(peer, specials) if peer.trusted and specials else peer.address

    def _dispatch_rich(self, way: Way, request: Request) -> None:
        """Applies the rules of a route and its pool in their order, then picks."""
        if self.proxy.elsewhere.draining and self.stray(self.sent):
            return
        self.first = self.number, self.sent
        chosen = self.proxy.choose(request) if way.route.conditional else way
        if chosen is None:
            self.pool = None
            self.fail("no_route")
            return
        self.careful = chosen.careful
        if chosen.compression is not None:
            self.compresses = self.number, chosen.compression, chosen.compression.accepted(request)
        if not self._admitted(chosen.guard, request):
            return
        if chosen.breaker is not None and not self._passes(chosen.breaker):
            return
        pool = self.follow(chosen, request)
        if pool is None:
            return
        if chosen.shared and not self._admitted(chosen.shared[pool.state.pool.name], request):
            return
        self.key = key = pool.key.of(request) if pool.key is not None else None
        if pool.sticking is not None:
            server = self._stick(pool, pool.sticking, request, key)
        else:
            server = pool.pick(key, self.started)
        if server is None and not self._wait(pool):
            return
        if chosen.actions is not None:
            self.start_copy(chosen.actions)
        if server is None:
            return
        self.try_server(pool, server)
        if pool.hedges is not None:
            pool.hedges.add(self)

    def _admitted(self, guard: Guard, request: Request) -> bool:
        """Whether the limits let the request through; else it is answered. Its places are given back with its end."""
        passed = guard.admit(request, self.peer.trusted, self.started)
        if isinstance(passed, Refusal):
            self._limited(passed)
            return False
        if passed:
            self.held = (*(self.held or ()), *passed)
        return True

    def _passes(self, breaker: RouteBreaker) -> bool:
        """Whether the route's breaker lets the request through; else it is answered."""
        self.passage = breaker.admit(self.started)
        if self.passage is None:
            self.pool = None
            self.fail("route_open")
            return False
        self.held = self.held or ()
        return True

    def _stick(
        self, pool: PoolLinks, sticking: CookieSticking | KeySticking, request: Request, key: bytes | None
    ) -> Server | None:
        """The server of the request's session; a new session begins at the one that is picked."""
        self.found = found = sticking.find(request, pool.state, self.proxy.wall_s)
        server = found.server or pool.pick(key, self.started)
        if isinstance(sticking, CookieSticking):
            self.sent = without_cookie(self.sent, sticking.name)
            self.careful = self.careful or found.news
        elif sticking.news:
            self.proxy.sharing.soon()
        return server

    def coder_for(self, head: bytes, parsed: ResponseHead, length: int) -> Coder | None:
        """See Attempts. A response that might have been compressed is noted, too: see coded_head."""
        number, compression, coding = self.compresses
        if number != self.number or compression is None or not compression.applies(head, parsed, length):
            return None
        usable = coding and self.minor and self.method != b"HEAD"
        coder = compression.coder(coding) if usable else None
        self.coder = self.number, coder
        return coder

    def final_head(self, head: bytes) -> bytes:
        """See Attempts: with what the route changes in it, and the session's cookie; a server's own is noted."""
        edits, pool, server = self.edits, self.pool, self.server
        if self.coder[0] == self.number:
            head = coded_head(head, self.coder[1])
        if edits is not None:
            head = edits.apply(head)
        sticking = pool.sticking if pool is not None else None
        if sticking is None or server is None:
            return head
        if isinstance(sticking, CookieSticking) and self.found.news:
            session = self.found.session or sticking.begin(server, self.proxy.wall_s, os.urandom(ID_BYTES))
            sticking.note(session, server)
            self.proxy.sharing.soon()
            line = set_cookie(sticking.sticky, sticking.sealed(session), secure=self.peer.scheme == b"https")
            head = head[:-2] + line + b"\r\n"
        elif isinstance(sticking, KeySticking) and sticking.learned:
            value = cookie_set(head, sticking.learned)
            if value is not None:
                sticking.learn(value, server.id, self.proxy.wall_s)
                if sticking.news:
                    self.proxy.sharing.soon()
        return head

    # ------------------------------------------------------------ answering ourselves
    def request_id(self) -> bytes:
        """The current request's id."""
        number, name = self.believed
        return name if name and number == self.number else b"%b%x" % (self.proxy.id_prefix, self.number)

    def fail(self, reason: str) -> None:
        """Answers with one of `replies.ERRORS`, unless another region can help; then the connection goes on."""
        if self.proxy.elsewhere.pools and self.rescue(reason):
            return
        status, detail = ERRORS[reason]
        if self.held is not None:
            self.leave_gates(None, FAILURES.get(reason, GATEWAY if reason == "no_healthy_server" else None))
        if self.pool is not None and reason in COUNTED:
            self.pool.failed(COUNTED[reason])
            self.pool.answered(_SERVER_ERROR, self.proxy.clock() - self.started)
        else:
            self.proxy.count_refused(status)
        self._answer(status, reason, detail)

    def _limited(self, refusal: Refusal) -> None:
        """Answers a request that a limit does not let through."""
        self.proxy.count_refused(refusal.status)
        self._answer(refusal.status, refusal.reason, ERRORS[refusal.reason][1], refusal.fields)

    def refuse(self, error: HttpError) -> None:
        """The client broke HTTP: answers if that is still possible, then closes."""
        self.give_up()
        if self.phase == STREAMING:
            self.abort()
            return
        self.proxy.count_refused(error.status)
        self.left = CHUNKED  # whatever else comes is read and thrown away
        self._answer(error.status, error.reason, str(error))

    def _answer(self, status: int, reason: str, detail: str, fields: bytes | None = None) -> None:
        """Writes an error; `fields` in place of those that go with its status."""
        self.closing = self.closing or bool(self.left)
        date, to_head = self.proxy.date, self.method == b"HEAD"
        reply = error_reply(
            status, reason, detail, self.request_id(), date, close=self.closing, to_head=to_head, fields=fields
        )
        self._write_own(reply)

    def _answer_word(self) -> None:
        """The region's own word, on the same path as traffic."""
        self.closing = self.closing or bool(self.left)
        word, date, to_head = self.proxy.word, self.proxy.date, self.method == b"HEAD"
        self._write_own(word_reply(word, date, close=self.closing, to_head=to_head))
