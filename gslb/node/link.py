"""One end of the socket between control and a worker: frames in and out, with a bound on what waits.

A send never waits: when the other end does not read, `send` says False and the caller falls back (control owes the
worker a full copy; a worker drops the event and counts it).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from gslb.node.messages import Decoder, Message, encode

WAITING_MAX_BYTES = 4 << 20


class Link(asyncio.Protocol):
    """Speaks messages over one connected Unix socket."""

    def __init__(self, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self._on_message, self._on_lost = on_message, on_lost
        self._decoder = Decoder()
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def open(
        cls, sock: socket.socket, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> Link:
        """Takes over `sock`."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(lambda: cls(on_message, on_lost), sock=sock)
        return link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: hands on every whole message."""
        for message in self._decoder.feed(data):
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio when the other process is gone."""
        del exc
        self._transport = None
        self._on_lost()

    def send(self, message: Message) -> bool:
        """Queues a message; False when the link is gone or too much waits already. A first frame may be any size."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > WAITING_MAX_BYTES:
            return False
        transport.write(encode(message))
        return True

    @property
    def closed(self) -> bool:
        """The other end is gone, or we closed."""
        return self._transport is None

    def close(self) -> None:
        """Closes the socket."""
        if self._transport is not None:
            self._transport.close()
