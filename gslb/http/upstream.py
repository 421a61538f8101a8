"""The server's side of the proxy: one protocol per connection to a server.

`Upstream.data_received` is half of the hot path (the other half is `client.Client.data_received`). Only the proxy
and its clients call this module.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from gslb.balancing.loads import FIELD, parse_report
from gslb.errors import HttpError
from gslb.http.chunked import ChunkedBody
from gslb.http.endpoint import WRITE_BUFFER_HIGH_BYTES
from gslb.http.forward import response_head
from gslb.http.heads import CHUNKED
from gslb.http.hedging import Rival
from gslb.http.responses import PLAIN_RESPONSE, UNTIL_CLOSE, ResponseHead, bad_response, parse_response

if TYPE_CHECKING:
    from gslb.http.attempts import Attempts
    from gslb.http.coding import Coder
    from gslb.http.links import Link

INTERIM_RESPONSES_MAX = 16
STATUS_ENDS = len("HTTP/1.1 200")
_REPORT_LINE = re.compile(rb"\r\n(?i:" + FIELD + rb"):([^\r\n]*)(?=\r\n)")

# Phases of a connection to a server. IDLE -> WAITING -> (HEAD ->) (BODY ->) IDLE, and CLOSED from any.
IDLE, WAITING, HEAD, BODY, CLOSED = range(5)


class Upstream(asyncio.Protocol):
    """One connection to a server; serves one client's request at a time."""

    __slots__ = (
        "buffer", "chunks", "client", "coder", "fresh", "idle_until", "interims", "keep", "last", "left", "line",
        "link", "made", "paused", "phase", "rechunk", "said_end", "touched", "transport", "write",
    )  # fmt: skip

    def __init__(self, link: Link) -> None:
        self.link = link
        self.phase = IDLE
        self.made = False
        self.client: Attempts | None = None
        self.buffer = b""  # the start of a response head
        self.chunks: ChunkedBody | None = None
        self.coder: Coder | None = None  # what compresses the response's body
        self.left = 0  # of the response body: bytes, CHUNKED or UNTIL_CLOSE
        self.rechunk = False  # a close-delimited body is chunked for the client
        self.keep = True
        self.line = b""  # how the response's status line begins: "HTTP/1.1 200"
        self.fresh = True  # no request was answered on it yet
        self.touched = False  # a byte came since the request was sent
        self.paused = False
        self.interims = 0
        self.said_end = False  # the server has ended its side by the book; over TLS by close_notify
        self.idle_until = 0.0
        self.last = math.inf  # not kept beyond this; by the clock of `Link.keep`

    # ------------------------------------------------------------ the connection
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.made = True
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self.write = self.transport.write  # bound once: an attribute look-up less per request
        if self.link.tls is not None:
            # uvloop throws away what a paused connection still holds when it sees the socket's end: with these bounds
            # it looks no further than what was taken. Its transport has the method, asyncio's interface has not.
            transport.set_read_buffer_limits(1, 0)  # type: ignore[attr-defined]  # as the lines above say

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
            whole = self.said_end or self.link.tls is None  # RFC 8446 §6.1: without close_notify it may be cut short
            if self.left == UNTIL_CLOSE and exc is None and whole:
                if self.coder is not None:
                    self._end_coded(client, self.coder)
                elif self.rechunk:
                    client.write(b"0\r\n\r\n")
                client.response_done(self.line)
            else:
                client.response_truncated()
        else:
            client.upstream_lost(stale=not self.fresh and not self.touched)

    def eof_received(self) -> None:
        """The server closes: an idle connection must not be given another request in the meantime."""
        self.said_end = True
        if self.phase == IDLE:
            self.abort()

    def abort(self) -> None:
        """Ends the connection now; its client hears nothing of it."""
        if self.phase == IDLE and self in self.link.idle:
            self.link.idle.remove(self)
        self.phase, self.client = CLOSED, None
        self.transport.abort()

    def pause_writing(self) -> None:
        """The server reads slowly: the client's body waits."""
        if self.client is not None:
            self.client.hold_for_server()

    def resume_writing(self) -> None:
        """The server has caught up."""
        if self.client is not None:
            self.client.release_for_server()

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
    def begin(self, client: Attempts) -> None:
        """From now on the connection serves `client`, which writes its request to it."""
        self.client = client
        self.phase = WAITING

    def data_received(self, data: bytes) -> None:
        """The hot path: a plain response head, most often with its whole body, goes to the client in one write."""
        client = self.client
        if (
            self.phase != WAITING
            or client is None
            or client.closing
            or client.left
            or client.method == b"HEAD"
            or client.careful
        ):
            self._data_slow(data)
            return
        match = PLAIN_RESPONSE(data)
        if match is None:
            self._data_slow(data)
            return
        end = match.end()
        length = match[2]
        if length is None:
            self._start_plain_body(client, data, end, CHUNKED)
            return
        have = len(data) - end
        if have != int(length):
            self._start_plain_body(client, data, end, int(length))
            return
        proxy = client.proxy
        proxy.sent += len(data)
        client.write(data)
        self.phase, self.client, self.fresh = IDLE, None, False
        if self.paused:
            self.resume()
        self.link.keep(self, proxy.idle_by)
        client.response_done(data)

    # ------------------------------------------------------------ everything that is not plain
    def _data_slow(self, data: bytes) -> None:
        """What the hot path does not take."""
        client = self.client
        hedge: object = client
        if isinstance(hedge, Rival):
            hedge.wins(self)
            self.data_received(data)
        elif self.phase == BODY and client is not None:
            self._body(client, data)
        elif self.phase in (WAITING, HEAD) and client is not None:
            self.touched = True
            try:
                self._head(client, self.buffer + data, len(self.buffer))
            except HttpError as error:
                self.abort()
                client.upstream_failed(error)
        else:  # a byte that nobody asked for: whatever it is, it must not become the next request's answer
            self.abort()

    def _head(self, client: Attempts, data: bytes, scanned: int) -> None:
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
            if head.status == 101:
                client.switched(self, data, head)
                return
            self.interims += 1
            if self.interims > INTERIM_RESPONSES_MAX:
                raise bad_response("too many interim responses")
            if client.minor:  # RFC 9110 §15.2: never to an HTTP/1.0 client
                client.write(response_head(data, head, None, False, b""))
            data, scanned = data[head.end :], 0
            self.phase = HEAD

    def _final(self, client: Attempts, data: bytes, head: ResponseHead) -> None:
        """Forwards a final head, framed as this client needs it, unless the request is tried again because of it."""
        if client.careful and client.refuses(head.status):
            return
        body = data[head.end :]
        length = head.body_length(client.method == b"HEAD")
        framed: int | None = length
        if length == 0:
            framed = None if head.length != UNTIL_CLOSE or client.method == b"HEAD" else 0
        self.keep = not head.close and length != UNTIL_CLOSE
        self.rechunk = length == UNTIL_CLOSE and client.minor > 0
        if self.rechunk:
            framed = CHUNKED
        elif length < 0 and client.minor == 0:
            framed = UNTIL_CLOSE
            client.closing = True
        if client.careful and length and (coder := client.coder_for(data[: head.end], head, length)) is not None:
            self.coder, framed, self.rechunk = coder, CHUNKED, False
        if client.left:
            client.closing = True  # it answered before the request was whole: the rest is not worth reading
        self.line = data[:STATUS_ENDS]
        out = response_head(data, head, framed, client.closing, client.proxy.date)
        if client.careful:
            out = client.final_head(out)
        client.proxy.sent += len(out)
        client.write(out)
        self._start_body(client, length, body, payload_only=client.minor == 0 or self.coder is not None)

    def _start_plain_body(self, client: Attempts, data: bytes, end: int, length: int) -> None:
        """A plain head whose body is not, or not exactly, in the same buffer."""
        proxy = client.proxy
        proxy.sent += end
        self.line = data[:STATUS_ENDS]
        client.write(data[:end])
        self._start_body(client, length, data[end:])

    def _start_body(self, client: Attempts, length: int, body: bytes, payload_only: bool = False) -> None:
        """The head is on its way; what follows is the body."""
        self.phase, self.left = BODY, length
        self.chunks = ChunkedBody("server", payload_only) if length == CHUNKED else None
        client.response_started()
        if body or length == 0:
            self._body(client, body)

    def _body(self, client: Attempts, data: bytes) -> None:
        """Passes body bytes on as they come: no copies, no joins."""
        proxy = client.proxy
        client.deadline = proxy.idle_by
        if self.coder is not None:
            self._coded_body(client, self.coder, data)
            return
        proxy.sent += len(data)
        if self.chunks is not None:
            self._chunked_body(client, self.chunks, data)
        elif self.left == UNTIL_CLOSE:
            if self.rechunk:
                client.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
            else:
                client.write(data)
        elif len(data) <= self.left:
            client.write(data)
            self.left -= len(data)
            if not self.left:
                self._body_done(client, extra=False)
        else:
            if self.left:
                client.write(data[: self.left])
            self._body_done(client, extra=True)

    def _chunked_body(self, client: Attempts, chunks: ChunkedBody, data: bytes) -> None:
        """Body bytes with their framing, checked."""
        try:
            pieces, used = chunks.feed(data)
        except HttpError:
            self.abort()
            client.response_truncated()
            return
        if pieces:
            client.transport.writelines(pieces)
        if chunks.done:
            self._body_done(client, extra=used < len(data))

    def _coded_body(self, client: Attempts, coder: Coder, data: bytes) -> None:
        """Body bytes on their way through a coder."""
        pieces: Sequence[bytes | memoryview] = (data,)
        done, used = False, len(data)
        if self.chunks is not None:
            try:
                pieces, used = self.chunks.feed(data)
            except HttpError:
                self.abort()
                client.response_truncated()
                return
            done = self.chunks.done
        elif self.left != UNTIL_CLOSE:
            used = min(used, self.left)
            pieces = (data[:used],)
            self.left -= used
            done = not self.left
        self._write_chunk(client, coder.feed(pieces))
        if done:
            self._end_coded(client, coder)
            self._body_done(client, extra=used < len(data))

    def _end_coded(self, client: Attempts, coder: Coder) -> None:
        self._write_chunk(client, coder.finish())
        self.coder = None
        client.write(b"0\r\n\r\n")

    def _write_chunk(self, client: Attempts, coded: bytes) -> None:
        if coded:
            client.proxy.sent += len(coded)
            client.transport.writelines((b"%x\r\n" % len(coded), coded, b"\r\n"))

    def _body_done(self, client: Attempts, extra: bool) -> None:
        """The response is whole; bytes beyond it (`extra`) poison the connection."""
        keep = self.keep and not extra and not client.left
        self.phase, self.client, self.chunks = IDLE, None, None
        self.fresh = self.touched = False
        self.keep, self.interims = True, 0
        if self.paused:
            self.resume()
        if keep:
            self.link.keep(self, client.proxy.idle_by)
        else:
            self.abort()
        client.response_done(self.line)


class ReportingUpstream(Upstream):
    """A connection to a server of a pool that goes by load reports: algorithm `resource`, or scaling by CPU.

    A class of its own, so that the other pools' responses are not searched. Which it is, is the Link's to say.
    """

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """As Upstream, but a response with a report in its head takes the slow way."""
        if self.phase == WAITING and _REPORT_LINE.search(data) is not None:
            self._data_slow(data)
        else:
            super().data_received(data)

    def _final(self, client: Attempts, data: bytes, head: ResponseHead) -> None:
        """Takes the report out of the head: it is for us, not for the client."""
        found = _REPORT_LINE.findall(data, 0, head.end)
        if found:
            self._report(client, found[0])
            data = _REPORT_LINE.sub(b"", data[: head.end]) + data[head.end :]
            head = parse_response(data) or head  # never None: it was whole before
        super()._final(client, data, head)

    def _report(self, client: Attempts, value: bytes) -> None:
        """Keeps what the server says, and tells the algorithm; of several fields the first counts."""
        pool, server = client.pool, client.server
        if pool is None or server is None:
            return
        load, wrong = parse_report(value)
        pool.cells[pool.reported["wrong" if wrong else "ok"]] += 1
        if load is not None:
            now = client.proxy.clock()
            pool.loads[server.id] = load, now
            if pool.report is not None:
                pool.report(server.id, load, now)
