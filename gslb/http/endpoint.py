"""A client's connection as such: reading paused and resumed, deadlines, lingering, closing. No HTTP here.

`Client` builds on it; nobody else does.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from gslb.http.proxy import Proxy

LINGER_S = 2.0
DRAIN_IDLE_S = 1.0  # of a drain: what a client has sent by then is answered, not reset
LINGER_BYTES_MAX = 4 * 1024 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for no time
# One side is paused when this much waits on the other. uvloop reads up to 256 KiB at once, so one read fits.
WRITE_BUFFER_HIGH_BYTES = 262_144

# Phases of a client's connection.
#   IDLE -> (PARTIAL ->) (CONNECTING ->) WAITING -> (STREAMING ->) IDLE | FLUSHING
#   FLUSHING (the client has not read the last response, or its next request is about to be taken) -> IDLE
#   WAITING -> TUNNEL (the server switched protocols: see tunnel.py) -> CLOSED
#   any -> LINGERING (all is said, waits for the client's end) | CLOSED
IDLE, PARTIAL, CONNECTING, WAITING, STREAMING, FLUSHING, LINGERING, CLOSED, TUNNEL = range(9)

# Why reading is paused, as bits.
PIPELINED, SLOW_SERVER, NOT_CONNECTED = 1, 2, 4


def peer_address(transport: asyncio.BaseTransport) -> str:
    """The address of a socket's peer; on a Unix socket it is a process of this host, so this host's."""
    peername = transport.get_extra_info("peername")
    return peername[0] if isinstance(peername, tuple) else "127.0.0.1"


class Endpoint(asyncio.Protocol):
    """One client connection, without what is said on it."""

    __slots__ = (
        "buffer", "closing", "deadline", "half_closed", "holds", "lingered", "peer", "phase", "proxy", "scheme",
        "source", "transport", "write", "write_paused",
    )  # fmt: skip

    def __init__(self, proxy: Proxy, scheme: bytes = b"http", source: str = "") -> None:
        """`scheme`: "https" over TLS. `source`: the client's address, if a PROXY header has told it."""
        self.proxy, self.scheme, self.source = proxy, scheme, source
        self.phase = IDLE
        self.deadline = 0.0
        self.closing = False  # the connection ends after the current response
        self.half_closed = False  # the client will send no more
        self.write_paused = False
        self.holds = 0
        self.lingered = 0
        self.buffer = b""  # a partial head, or what came after the current request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self.write = self.transport.write  # bound once: an attribute look-up less per response
        self.peer = self.proxy.peer(self.source or peer_address(transport), self.scheme)
        self.closing = self.proxy.draining or self.proxy.elsewhere.draining
        self.deadline = self.proxy.head_by
        if not self.proxy.admit(self):
            self.transport.abort()

    def hold(self, why: int) -> None:
        """Pauses reading for one more reason."""
        if not self.holds and not self.transport.is_closing():
            self.transport.pause_reading()
        self.holds |= why

    def release(self, why: int) -> None:
        """Reads again if these were the last reasons not to."""
        if self.holds & why:
            self.holds &= ~why
            if not self.holds and not self.transport.is_closing():
                self.transport.resume_reading()

    def end(self, linger: bool) -> None:
        """Ends the connection once all is written.

        `linger`: the client may still be sending. Closing at once would reset the connection and could take the
        answer with it (RFC 9112 §9.6), so what comes is read and thrown away, for a bounded time and size.
        """
        self.phase = LINGERING
        self.buffer = b""
        if linger and not self.half_closed:
            self.deadline = self.proxy.clock() + LINGER_S
            if self.transport.can_write_eof():  # not under TLS: there the answer's length and close say that it is all
                self.transport.write_eof()
            self.release(self.holds)
        else:
            self.deadline = self.proxy.idle_by
            self.transport.close()

    def lingering(self, data: bytes) -> None:
        """Throws away what came after the end, within bounds."""
        self.lingered += len(data)
        if self.lingered > LINGER_BYTES_MAX:
            self.abort()

    def abort(self, reset: bool = False) -> None:
        """Ends the connection now, without what is still to be written.

        `reset`: by RST. A body that ends with the connection would look whole to the client after a plain close.
        """
        self.phase = CLOSED
        if reset and not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()
