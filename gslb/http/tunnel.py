"""A tunnel: after a protocol switch, bytes pass between client and server as they come (RFC 9110 §7.8, RFC 6455).

Both transports get a protocol of their own, so a byte costs what the event loop costs and the hot path of requests
knows nothing of tunnels. Back-pressure and half-closing go through; the sweep ends a tunnel in which nothing moves.
`Attempts.switched` makes one; nobody else does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gslb.http.endpoint import TUNNEL

if TYPE_CHECKING:
    from gslb.http.attempts import Attempts
    from gslb.http.upstream import Upstream


class Tunnel:
    """Two connections as one. The client stays in the proxy's books until both are gone."""

    __slots__ = ("_open", "client", "upstream")

    def __init__(self, client: Attempts, upstream: Upstream, early: bytes) -> None:
        """`early`: what the server has sent behind its 101."""
        self.client, self.upstream = client, upstream
        self._open = 2
        near, far = End(self, client.transport), End(self, upstream.transport)
        near.other, far.other = far, near
        client.phase = TUNNEL
        client.deadline = client.proxy.tunnel_by
        client.transport.set_protocol(near)
        upstream.transport.set_protocol(far)
        if client.write_paused:  # far was paused for it, and resumes with it
            upstream.pause()
        if early:
            far.data_received(early)
        if client.buffer:  # it did not wait for the answer
            data, client.buffer = client.buffer, b""
            near.data_received(data)
        client.release(client.holds)
        if client.half_closed:
            near.eof_received()

    def lost(self, end: End) -> None:
        """One connection is gone: the other one ends once what was under way to it is written."""
        end.other.transport.close()
        self._open -= 1
        if not self._open:
            self.client.tunnel_ended(self.upstream)


class End(asyncio.Protocol):
    """One end: what it receives is written to the other."""

    __slots__ = ("ended", "other", "transport", "tunnel")
    other: End

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport) -> None:
        self.tunnel, self.transport = tunnel, transport
        self.ended = False  # it will send no more

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        client = self.tunnel.client
        proxy = client.proxy
        client.deadline = proxy.tunnel_by
        if self.transport is client.transport:
            proxy.received += len(data)
        else:
            proxy.sent += len(data)
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        """This end reads slowly: the other is not read."""
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """This end has caught up."""
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """This end will send no more: told to the other, which may go on. TLS can't half-close: then all ends."""
        self.ended = True
        other = self.other
        if other.ended or other.transport.is_closing() or not other.transport.can_write_eof():
            return False
        other.transport.write_eof()
        return self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        self.tunnel.lost(self)
