"""The server's side of the proxy: one protocol per connection to a server, and the pool of idle ones per server.

`Upstream.data_received` is half of the hot path (the other half is `client.Client.data_received`). Only the proxy
and its clients call this module.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gslb.errors import HttpError
from gslb.http.chunked import ChunkedBody
from gslb.http.forward import response_head
from gslb.http.heads import CHUNKED, LENGTH_DIGITS_MAX
from gslb.http.responses import (
    PLAIN_RESPONSE,
    UNTIL_CLOSE,
    ResponseHead,
    bad_response,
    parse_response,
    response_specials,
)

if TYPE_CHECKING:
    from gslb.http.client import Client

IDLE_PER_SERVER_MAX = 256
CONNECTIONS_PER_SERVER_MAX = 4_096
INTERIM_RESPONSES_MAX = 16
WRITE_BUFFER_HIGH_BYTES = 262_144  # uvloop reads up to 256 KiB at once: one read fits before the other side is paused

# Phases of a connection to a server. IDLE -> WAITING -> (HEAD ->) (BODY ->) IDLE, and CLOSED from any.
IDLE, WAITING, HEAD, BODY, CLOSED = range(5)
_NO_BODY = frozenset({b"204", b"304"})


class Link:
    """The connections of one worker to one server's address. A Link outlives Worlds as long as its server does."""

    __slots__ = ("host", "idle", "open", "port", "retired")

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.idle: list[Upstream] = []  # last used last: taking the last keeps few connections warm
        self.open = 0  # idle, busy and connecting
        self.retired = False

    def retire(self) -> None:
        """The server is gone from the plan: idle connections end now, busy ones after their response."""
        self.retired = True
        for upstream in tuple(self.idle):
            upstream.abort()

    def sweep(self, now: float) -> None:
        """Closes connections that were idle for too long; the oldest come first."""
        idle = self.idle
        while idle and idle[0].idle_until < now:
            idle[0].abort()


class Upstream(asyncio.Protocol):
    """One connection to a server; serves one client's request at a time."""

    __slots__ = (
        "buffer", "chunks", "client", "fresh", "idle_until", "interims", "keep", "left", "link", "made", "paused",
        "phase", "rechunk", "touched", "transport", "write",
    )  # fmt: skip

    def __init__(self, link: Link) -> None:
        self.link = link
        self.phase = IDLE
        self.made = False
        self.client: Client | None = None
        self.buffer = b""  # the start of a response head
        self.chunks: ChunkedBody | None = None
        self.left = 0  # of the response body: bytes, CHUNKED or UNTIL_CLOSE
        self.rechunk = False  # a close-delimited body is chunked for the client
        self.keep = True
        self.fresh = True  # no request was answered on it yet
        self.touched = False  # a byte came since the request was sent
        self.paused = False
        self.interims = 0
        self.idle_until = 0.0

    # ------------------------------------------------------------ the connection
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.made = True
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self.write = self.transport.write  # bound once: an attribute look-up less per request

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed (exc None), reset, or we aborted."""
        phase, client = self.phase, self.client
        self.link.open -= 1
        self.phase, self.client = CLOSED, None
        if phase == IDLE:
            if self in self.link.idle:
                self.link.idle.remove(self)
        elif client is None:
            pass  # aborted by us
        elif phase == BODY:
            if self.left == UNTIL_CLOSE and exc is None:
                if self.rechunk:
                    client.write(b"0\r\n\r\n")
                client.response_done()
            else:
                client.response_truncated()
        else:
            client.upstream_lost(stale=not self.fresh and not self.touched)

    def abort(self) -> None:
        """Ends the connection now; its client hears nothing of it."""
        if self.phase == IDLE and self in self.link.idle:
            self.link.idle.remove(self)
        self.phase, self.client = CLOSED, None
        self.transport.abort()

    def pause_writing(self) -> None:
        """The server reads slowly: the client's body waits."""
        if self.client is not None:
            self.client.hold_for_upstream()

    def resume_writing(self) -> None:
        """The server has caught up."""
        if self.client is not None:
            self.client.release_for_upstream()

    def pause(self) -> None:
        """The client reads slowly: the response waits."""
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        if self.paused:
            self.paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # ------------------------------------------------------------ a request
    def send(self, client: Client, head: bytes) -> None:
        """Sends a request of `client`; the response goes to it."""
        self.client = client
        self.phase = WAITING
        self.write(head)

    def data_received(self, data: bytes) -> None:
        """The hot path: a plain response head, most often with its whole body, goes to the client in one write."""
        client = self.client
        if self.phase != WAITING or client is None or client.closing or client.left or client.method == b"HEAD":
            self._data_slow(data)
            return
        match = PLAIN_RESPONSE(data)
        if match is None:
            self._data_slow(data)
            return
        end = match.end()
        length, dated = UNTIL_CLOSE, False
        for name, value in response_specials(data[:end].lower()):
            if name == b"content-length" and length == UNTIL_CLOSE and value.isdigit():
                length = int(value[: LENGTH_DIGITS_MAX + 1])
            elif name == b"date":
                dated = True
            elif name == b"transfer-encoding" and length == UNTIL_CLOSE and value == b"chunked":
                length = CHUNKED
            elif name != b"connection" or value != b"keep-alive":
                self._data_slow(data)
                return
        status = match[1]
        if length == UNTIL_CLOSE or not dated or status < b"200" or status in _NO_BODY:
            self._data_slow(data)
        elif end + length == len(data):
            client.write(data)
            self.phase, self.client = IDLE, None
            self._park(client)
            client.response_done()
        else:
            client.write(data[:end])
            self._start_body(client, length, data[end:])

    def _park(self, client: Client) -> None:
        """The response is whole: the connection may serve another request, unless something speaks against it."""
        link = self.link
        self.fresh = self.touched = False
        if link.retired or self.transport.is_closing() or len(link.idle) >= IDLE_PER_SERVER_MAX:
            self.abort()
            return
        self.idle_until = client.proxy.idle_by
        if self.paused:
            self.resume()
        link.idle.append(self)

    # ------------------------------------------------------------ everything that is not plain
    def _data_slow(self, data: bytes) -> None:
        """What the hot path does not take."""
        client = self.client
        if self.phase == BODY and client is not None:
            self.body(client, data)
        elif self.phase in (WAITING, HEAD) and client is not None:
            self.touched = True
            try:
                self._head(client, self.buffer + data, len(self.buffer))
            except HttpError as error:
                self.abort()
                client.upstream_failed(error)
        else:  # a byte that nobody asked for: whatever it is, it must not become the next request's answer
            self.abort()

    def _head(self, client: Client, data: bytes, scanned: int) -> None:
        """Takes response heads, interim ones first, until the final one is there."""
        while True:
            head = parse_response(data, scanned)
            if head is None:
                self.buffer, self.phase = data, HEAD
                return
            self.buffer = b""
            if head.status >= 200:
                self._final(client, data, head)
                return
            self.interims += 1
            if self.interims > INTERIM_RESPONSES_MAX:
                raise bad_response("too many interim responses")
            if client.minor:  # RFC 9110 §15.2: never to an HTTP/1.0 client
                client.write(response_head(data, head, None, False, b""))
            data, scanned = data[head.end :], 0
            self.phase = HEAD

    def _final(self, client: Client, data: bytes, head: ResponseHead) -> None:
        """Forwards a final head, framed as this client needs it."""
        body = data[head.end :]
        length = head.body_length(client.method == b"HEAD")
        framed: int | None = length
        if length == 0:
            framed = None if head.length != UNTIL_CLOSE or client.method == b"HEAD" else 0
        self.keep = not head.close and length != UNTIL_CLOSE
        self.rechunk = length == UNTIL_CLOSE and client.minor == 1
        if self.rechunk:
            framed = CHUNKED
        elif length < 0 and client.minor == 0:
            framed = UNTIL_CLOSE
            client.closing = True
        if client.left:
            client.closing = True  # it answered before the request was whole: the rest is not worth reading
        client.write(response_head(data, head, framed, client.closing, client.proxy.date))
        self._start_body(client, length, body, payload_only=client.minor == 0)

    def _start_body(self, client: Client, length: int, body: bytes, payload_only: bool = False) -> None:
        """The head is on its way; what follows is the body."""
        self.phase, self.left = BODY, length
        self.chunks = ChunkedBody("server", payload_only) if length == CHUNKED else None
        client.response_started()
        if body or length == 0:
            self.body(client, body)

    def body(self, client: Client, data: bytes) -> None:
        """Passes body bytes on as they come: no copies, no joins."""
        client.deadline = client.proxy.idle_by
        extra = False
        if self.chunks is not None:
            try:
                pieces, used = self.chunks.feed(data)
            except HttpError:
                self.abort()
                client.response_truncated()
                return
            if pieces:
                client.transport.writelines(pieces)
            done = self.chunks.done
            extra = used < len(data)
        elif self.left == UNTIL_CLOSE:
            if self.rechunk:
                client.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
            else:
                client.write(data)
            return
        else:
            left = self.left - len(data)
            extra = left < 0
            if extra:
                data, left = data[: self.left], 0
            if data:
                client.write(data)
            self.left = left
            done = not left
        if done:
            self._body_done(client, extra)

    def _body_done(self, client: Client, extra: bool) -> None:
        """The response is whole; bytes beyond it (`extra`) poison the connection."""
        self.phase, self.client, self.chunks = IDLE, None, None
        keep, self.keep, self.interims = self.keep, True, 0
        if extra or not keep or client.left:
            self.abort()
        else:
            self._park(client)
        client.response_done()
