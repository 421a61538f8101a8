"""A request that this region can't serve goes to another one: proxied there, or its client is redirected.

The layer between `Routing` and `Dispatch`; only those call it, and nothing here runs for a request that is served here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from gslb.http import hops
from gslb.http.forward import Peer
from gslb.http.heads import request_specials
from gslb.http.routing import Routing

if TYPE_CHECKING:
    from gslb.http.elsewhere import Place
    from gslb.http.heads import RequestHead
    from gslb.http.proxy import Proxy

_NOBODY = Peer(b"", trusted=False)
_SAFE = frozenset({b"GET", b"HEAD"})
_UNSENT = frozenset({"no_healthy_server", "connect_failed", "connect_timeout", "tls_failed", "server_busy"})


class Straggling(Routing):
    """One client connection, whose current request may come from another region or go to one."""

    __slots__ = ("first", "hopped", "host")

    def __init__(self, proxy: Proxy, scheme: bytes = b"http", source: str = "") -> None:
        super().__init__(proxy, scheme, source)
        self.host = ""
        self.first = 0, b""  # the number of a request that our rules change, and what it was before
        self.hopped = 0, _NOBODY  # the number of a request that another region forwards, and its client

    # ------------------------------------------------------------ from another region
    def arrive(self, head: RequestHead, host: bytes) -> Peer:
        """Who sends a request whose head has special fields: the client, also where another region forwards it."""
        for field in head.specials:
            if field.name == hops.FIELD:
                proxy = self.proxy
                client = hops.read(field.value, head.method, host, head.target, proxy.elsewhere.secret, proxy.wall_s)
                peer = self.peer if client is None else Peer(client.address, False, client.scheme)
                self.hopped = self.number, peer
                return peer
        return self.peer

    # ------------------------------------------------------------ to another region
    def rescue(self, reason: str) -> bool:
        """Whether a request that would be answered with this error goes elsewhere: none of it may have been served."""
        elsewhere = self.proxy.elsewhere
        if not elsewhere.pools or not self.sent or not (reason in _UNSENT or (
            reason == "upstream_closed" and self.repeatable
        )):  # fmt: skip
            return False
        if self.pool is not None and self.pool.state.pool.name in elsewhere.pools:
            return False  # it was there that it failed
        number, first = self.first
        return self.stray(first if number == self.number else self.sent)

    def stray(self, request: bytes) -> bool:
        """Sends the current request (as it came, and as it would be forwarded) elsewhere, if that can be."""
        proxy, elsewhere = self.proxy, self.proxy.elsewhere
        if self.hopped[0] == self.number:
            elsewhere.count("second_hop")
            return False
        service, named = elsewhere.service(self.host)
        client = self._client(request)
        place = elsewhere.find(service, client, proxy.clock()) if service else None
        if place is None:
            elsewhere.count("nowhere")
            return False
        self._over()
        if elsewhere.rule.mode == "redirect" and named:
            self._redirect(place, request)
            return True
        host = b"" if named else service.encode()
        marked = hops.mark(request, proxy.balancer.region, hops.Hop(client, self.peer.scheme), elsewhere.secret,
                           proxy.wall_s, host)  # fmt: skip
        self.sent, self.edits, self.careful, self.key = marked, None, False, None
        self.pool = place.pool
        elsewhere.count("proxied")
        self.try_server(place.pool, place.server)
        return True

    def _client(self, request: bytes) -> bytes:
        """The client's address; trusted proxies are looked through by the fields that would be forwarded."""
        peer = self.peer
        if not peer.trusted:
            return peer.address
        return self.proxy.client_address(peer, request_specials(request[: request.index(b"\r\n\r\n") + 4]))

    def _redirect(self, place: Place, request: bytes) -> None:
        """As the front door does (RFC 9110 §15.4): a method that isn't GET or HEAD is kept."""
        status = HTTPStatus.FOUND if self.method in _SAFE else HTTPStatus.TEMPORARY_REDIRECT
        target = request.split(b" ", 2)[1]
        target = target if target[:1] == b"/" else b"/"
        self.closing = self.closing or bool(self.left)
        self.proxy.elsewhere.count("redirected")
        self.proxy.count_refused(status)
        self._write_own(
            b"".join(
                (
                    b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Length: 0\r\nCache-Control: no-store\r\n"
                    % (status, status.phrase.encode(), self.proxy.date),
                    b"X-Gslb-Region: %b\r\nLocation: %b%b\r\n"
                    % (place.region.name.encode(), place.region.url.rstrip("/").encode(), target),
                    b"Connection: close\r\n\r\n" if self.closing else b"\r\n",
                )
            )
        )
