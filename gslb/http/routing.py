"""What a route does with a request before a server is picked: answers it, rewrites it, chooses among pools, copies it.

Carries out what `actions.py` has compiled; nothing here runs for a route that only names a pool. The layer between
`Attempts` and `Dispatch`; only those call it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from gslb.errors import HttpError
from gslb.http.attempts import Attempts
from gslb.http.mirror import Copy

if TYPE_CHECKING:
    from gslb.balancing.request import Request
    from gslb.balancing.split import Splitter
    from gslb.http.actions import Actions
    from gslb.http.fixed import FixedAnswer
    from gslb.http.links import PoolLinks, Way
    from gslb.http.proxy import Proxy
    from gslb.http.rewrite import Edits


class Routing(Attempts):
    """One client connection and what the route of its current request asks for."""

    __slots__ = ("copy", "edits")

    def __init__(self, proxy: Proxy, scheme: bytes = b"http", source: str = "") -> None:
        super().__init__(proxy, scheme, source)
        self.edits: Edits | None = None  # what the route changes in the response's head
        self.copy: Copy | None = None  # the current request for a mirror, while its body is coming

    @abstractmethod
    def request_id(self) -> bytes:
        """The current request's id."""

    def follow(self, way: Way, request: Request) -> PoolLinks | None:
        """Does what the route says; the pool to pick from, None if the request was answered."""
        actions = way.actions
        self.pool, self.edits = way.pool, None
        if actions is None:
            return way.pool
        if actions.answer is not None:
            self._answer_fixed(actions.answer, request)
            return None
        if actions.request is not None:
            try:
                self.sent = actions.request.apply(self.sent, request.target)
            except HttpError as error:
                self.fail(error.reason)
                return None
        self.edits = actions.response
        if actions.split is not None:
            self.pool = self._share(actions.split, request)
        return self.pool

    def _share(self, split: Splitter, request: Request) -> PoolLinks:
        """The pool of a split; another of it where that has no server left."""
        pools = [self.proxy.pools[name] for name in split.order(request)]
        return next((pool for pool in pools if pool.state.usable), pools[0])

    def start_copy(self, actions: Actions) -> None:
        """Begins a copy for the mirror if it is this request's turn. An upgrade has nothing that could be copied."""
        number, offered = self.offered
        if actions.mirror is None or (offered and number == self.number) or not actions.mirror.next():
            return
        copy = Copy(self.proxy.mirrors, self.proxy.pools[actions.mirror_pool])
        self.copy = copy.add((self.sent,), not self.left, self.started)

    def _answer_fixed(self, answer: FixedAnswer, request: Request) -> None:
        """Writes a redirect or a fixed response."""
        self.closing = self.closing or bool(self.left)
        end = b"Date: %b\r\nX-Request-Id: %b\r\n" % (self.proxy.date, self.request_id())
        end += b"Connection: close\r\n\r\n" if self.closing else b"\r\n"
        self.proxy.count_refused(answer.status)
        self._write_own(answer.reply(request, self.peer.scheme, end))

    def _write_own(self, reply: bytes) -> None:
        """Writes a whole response of our own."""
        self._over()
        if self.held is not None:
            self.leave_gates(None)
        self.pool = None
        self.proxy.sent += len(reply)
        self.write(reply)
        self.settle()
