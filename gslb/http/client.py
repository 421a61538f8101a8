"""The client's side of the proxy: one protocol per client connection, one request at a time, in order.

`Client.data_received` is half of the hot path (the other half is `upstream.Upstream.data_received`). What made the
difference there, measured: one callback and one expression for a whole head instead of a callback per field; the
bytes forwarded as they came, with a suffix that is made once per connection; bound methods and slots; deadlines as
plain numbers that one sweep looks at, instead of a timer per request; no Task, and no Exchange unless a try failed.
Only the proxy calls this module.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gslb.errors import HttpError
from gslb.http.chunked import ChunkedBody
from gslb.http.dispatch import Dispatch
from gslb.http.endpoint import (
    CLOSED,
    CONNECTING,
    FLUSHING,
    IDLE,
    LINGERING,
    PARTIAL,
    PIPELINED,
    SLOW_SERVER,
    STREAMING,
    WAITING,
)
from gslb.http.forward import believed_request_id, is_plain, plain_suffix, request_head, upgrades
from gslb.http.heads import CHUNKED, PLAIN_REQUEST, RequestHead, bad, parse_request
from gslb.http.replies import ERRORS

if TYPE_CHECKING:
    from gslb.http.proxy import Proxy
    from gslb.http.upstream import Upstream

_EMPTY_LINES = re.compile(rb"(?:\r\n)+").match


class Client(Dispatch):
    """One client connection and the request on it."""

    __slots__ = ("chunks", "scanned", "seen", "suffix")

    def __init__(self, proxy: Proxy, scheme: bytes = b"http", source: str = "") -> None:
        super().__init__(proxy, scheme, source)
        self.scanned = 0  # of a partial head
        self.seen: bytes | None = None  # the Host that `suffix` was made for
        self.suffix = b""
        self.chunks: ChunkedBody | None = None  # the framing of the current request's body

    # ------------------------------------------------------------ a request: the hot path
    def data_received(self, data: bytes) -> None:
        """A plain request goes on as it came, in one write; everything else takes the long way."""
        proxy = self.proxy
        proxy.received += len(data)
        if self.phase:
            self._data_slow(data)
            return
        match = PLAIN_REQUEST(data)
        if match is None or (end := match.end()) > proxy.plain_head_max:
            self._begin(data)
            return
        self.method, target, host, length = match.groups()
        if host != self.seen:
            self._meet(host)
        proxy.number = self.number = number = proxy.number + 1
        if end == len(data) and length is None:
            self.sent = b"%b%b%x\r\n\r\n" % (data[:-2], self.suffix, number)
        else:
            self._plain_body(data, end, int(length or 0))
        self.dispatch(target, data, end)

    # ------------------------------------------------------------ a request: everything that is not plain
    def _meet(self, host: bytes) -> None:
        """Another Host than before on this connection: its suffix is made, and kept for the next request."""
        self.seen = host
        self.host = host.decode("ascii").lower()
        self.suffix = plain_suffix(self.peer, host.lower(), self.proxy.id_prefix)

    def _plain_body(self, data: bytes, end: int, length: int) -> None:
        """A plain head with a body, or with more behind it."""
        body = data[end : end + length]
        self.left = length - len(body)
        self.sent = b"%b%b%x\r\n\r\n%b" % (data[: end - 2], self.suffix, self.number, body)
        if end + length < len(data):
            self._keep_for_later(data[end + length :])

    def _keep_for_later(self, rest: bytes) -> None:
        """What came behind the current request waits, and so does the socket."""
        self.buffer = rest
        self.hold(PIPELINED)

    def _data_slow(self, data: bytes) -> None:
        """Bytes while something else than a new request is expected."""
        phase = self.phase
        if phase == PARTIAL:
            data, self.buffer = self.buffer + data, b""
            self.phase = IDLE
            self._begin(data, self.scanned)
        elif phase == LINGERING:
            self.lingering(data)
        elif phase == CLOSED:
            pass
        elif self.left and self.upstream is not None:
            self.body(self.upstream, data)
        else:  # pipelined, or a body that came before the connection to the server
            self._keep_for_later(self.buffer + data)

    def _begin(self, data: bytes, scanned: int = 0) -> None:
        """Starts the request at the beginning of `data`."""
        proxy = self.proxy
        proxy.number = self.number = proxy.number + 1
        self.method = b""
        if empty := _EMPTY_LINES(data):  # RFC 9112 §2.2: before a request they are passed over
            data, scanned = data[empty.end() :], 0
        try:
            head = parse_request(data, proxy.balancer.max_head_bytes, scanned, self.scheme)
            if head is not None:
                self._take(data, head)
                return
        except HttpError as error:
            self.refuse(error)
            return
        if self.phase == IDLE and not scanned:
            self.deadline = proxy.head_by
        self.buffer, self.scanned, self.phase = data, len(data), PARTIAL

    def _take(self, data: bytes, head: RequestHead) -> None:
        """A valid head: frames the body, makes the head to forward, and dispatches."""
        proxy = self.proxy
        self.method, self.minor = head.method, head.minor
        self.closing = self.closing or head.close
        self.left = head.length
        self.chunks = ChunkedBody("client") if head.length == CHUNKED else None
        pieces, rest = self._split(data[head.end :])
        host = head.host or proxy.default_host
        if is_plain(head):
            self._meet(host)
            sent = b"%b%b%x\r\n\r\n" % (data[: head.end - 2], self.suffix, self.number)
        else:
            self.seen, self.host = None, host.decode("ascii")
            peer = self.arrive(head, host)
            self.believed = self.number, believed_request_id(head, self.peer) or b""
            offered = upgrades(head, proxy.upgrades) if head.upgrade else b""
            self.offered = self.number, offered
            sent = request_head(data, head, peer, host, self.request_id(), offered)
        self.sent = b"".join((sent, *pieces)) if pieces else sent
        if rest:
            self._keep_for_later(rest)
        self.dispatch(head.target, data, head.end, head.specials)

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

    def body(self, upstream: Upstream, data: bytes) -> None:
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
        if self.copy is not None:
            self.copy = self.copy.add(pieces, not self.left, self.started)
        if rest:
            self._keep_for_later(rest)

    # ------------------------------------------------------------ after a response
    def settle(self) -> None:
        """The next request, or the end."""
        if self.closing or self.left:
            self.end(linger=bool(self.left or self.holds))
        elif self.write_paused:
            self.phase = FLUSHING
            self.deadline = self.proxy.idle_by
        elif self.buffer:
            self.phase = FLUSHING
            # Not at once: a long row of pipelined requests that are answered here must not nest.
            self.proxy.loop.call_soon(self._next)
        else:
            self.phase = IDLE
            self.deadline = self.proxy.keepalive_by

    def _next(self) -> None:
        """Takes the request that was pipelined behind the last one."""
        if self.phase != FLUSHING or self.write_paused:
            return
        data, self.buffer = self.buffer, b""
        self.phase = IDLE
        self._begin(data)
        if self.buffer and self.phase != PARTIAL:
            return
        self.release(PIPELINED)
        if self.half_closed and self.phase != LINGERING:
            self.closing = True
            if self.phase in (IDLE, PARTIAL) or self.left:  # nothing more will come of it
                self.give_up()
                self.end(linger=False)

    # ------------------------------------------------------------ the end
    def eof_received(self) -> bool:
        """The client will send no more; it still gets the answers to what it has sent whole."""
        if self.phase in (IDLE, PARTIAL, LINGERING, CLOSED) or self.left or self.scheme == b"https":
            return False  # over TLS our loop has no half-closed connections: close_notify ends both ways
        self.half_closed = True
        if not self.buffer:
            self.closing = True
        return True

    def expire(self) -> None:
        """The deadline has passed (called by the proxy's sweep)."""
        phase = self.phase
        if phase == PARTIAL or (phase == WAITING and self.left and not self.holds & SLOW_SERVER):
            status, detail = ERRORS["request_timeout"]
            self.refuse(bad("request_timeout", detail, status))
        elif phase == IDLE:
            self.end(linger=False)
        elif phase in (CONNECTING, WAITING):
            self.late()
        else:
            stalled = phase == STREAMING and not self.write_paused and not self.left  # by the server, not the client
            self.give_up("idle_timeout" if stalled else "")
            self.abort()

    def expire_whole(self) -> None:
        """The request has taken longer than `timeouts.total` (called by the proxy's sweep)."""
        waiting = self.phase in (CONNECTING, WAITING)
        self.give_up("total_timeout" if waiting else "")
        if waiting:
            self.fail("total_timeout")
        else:
            self.abort()

    def drain(self, idle_by: float) -> None:
        """The proxy ends: the next response says that it is the last; who asks nothing more is gone by `idle_by`.

        A response that is under way has not said so, and its client may send one more request: it is asked again later.
        """
        if self.phase in (IDLE, PARTIAL, CONNECTING, WAITING) and not self.closing:
            self.closing = True
            if self.phase == IDLE and self.method:  # a new connection may still ask once
                self.deadline = min(self.deadline, idle_by)
