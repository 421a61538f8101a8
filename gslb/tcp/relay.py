"""Bytes both ways between two sockets, as cheap as the kernel allows: a little by hand, a lot by `splice`. A shell.

Most connections carry small messages and are idle in between: they cost two sockets and no buffer. One that keeps
filling the buffer gets a pipe a direction, and from then on its bytes never enter this process (splice(2)). A side
that does not read is not read for; a side that ends is told to the other, which may go on (half-close). No Task, no
transport: callbacks of the loop on bare sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Callable

READ_BYTES_MAX = 65_536
BULK_AFTER = 8  # full buffers in a row: then a pipe pays
PIPE_BYTES = 262_144
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, for no time
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ has it from Linux 2.6.35 on, Python since 3.10 on some builds


class Way:
    """One direction."""

    __slots__ = ("_full", "_loop", "_pending", "_pipe", "_piped", "_relay", "_sink", "_source", "ended", "moved")

    def __init__(self, relay: Relay, source: socket.socket, sink: socket.socket) -> None:
        self._relay, self._source, self._sink, self._loop = relay, source, sink, relay.loop
        self._pending = memoryview(b"")  # read, and not yet taken by the sink
        self._pipe: tuple[int, int] | None = None
        self._piped = 0  # bytes in the pipe
        self._full = 0
        self.ended = False  # the source has said all, and the sink has it
        self.moved = 0  # bytes, since somebody counted
        self._loop.add_reader(source.fileno(), self._readable)

    # ------------------------------------------------------------ there
    def _readable(self) -> None:
        relay = self._relay
        relay.touched = True
        try:
            if self._pipe is not None:
                self._splice(self._pipe)
                return
            data = self._source.recv(READ_BYTES_MAX)
            if not data:
                self._end()
                return
            self.moved += len(data)
            sent = self._send(data)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            relay.abort()
            return
        if sent < len(data):
            self._pending = memoryview(data)[sent:]
            self._hold()
        elif sent == READ_BYTES_MAX:
            self._full += 1
            if self._full == BULK_AFTER:
                self._open_pipe()
        else:
            self._full = 0

    def _send(self, data: bytes | memoryview) -> int:
        try:
            return self._sink.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def _open_pipe(self) -> None:
        """A pipe of a good size; without one (descriptors, or the user's share of pipes) things go on as they are."""
        with contextlib.suppress(OSError):
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.fcntl(self._pipe[1], _F_SETPIPE_SZ, PIPE_BYTES)

    def _splice(self, pipe: tuple[int, int]) -> None:
        """Source → pipe → sink. The pipe is empty whenever the source is read."""
        count = os.splice(self._source.fileno(), pipe[1], PIPE_BYTES, flags=_FLAGS)
        if not count:
            self._end()
            return
        self.moved += count
        self._piped += count
        self._drain_pipe(pipe)
        if self._piped:
            self._hold()

    def _drain_pipe(self, pipe: tuple[int, int]) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._piped:
                self._piped -= os.splice(pipe[0], self._sink.fileno(), self._piped, flags=_FLAGS)

    # ------------------------------------------------------------ a sink that is full
    def _hold(self) -> None:
        self._loop.remove_reader(self._source.fileno())
        self._loop.add_writer(self._sink.fileno(), self._writable)

    def _writable(self) -> None:
        self._relay.touched = True
        try:
            if self._pending:
                self._pending = self._pending[self._send(self._pending) :]
            elif self._pipe is not None:
                self._drain_pipe(self._pipe)
        except OSError:
            self._relay.abort()
            return
        if not self._pending and not self._piped:
            self._loop.remove_writer(self._sink.fileno())
            self._loop.add_reader(self._source.fileno(), self._readable)

    # ------------------------------------------------------------ the end
    def _end(self) -> None:
        """The source has said all; the sink hears so. Nothing is on its way: it would not have been read for."""
        self._loop.remove_reader(self._source.fileno())
        self.ended = True
        with contextlib.suppress(OSError):  # it is gone, too
            self._sink.shutdown(socket.SHUT_WR)
        self._relay.half_ended()

    def close(self) -> None:
        """Lets go of everything but the sockets."""
        self._loop.remove_reader(self._source.fileno())
        self._loop.remove_writer(self._sink.fileno())
        if self._pipe is not None:
            for descriptor in self._pipe:
                os.close(descriptor)
            self._pipe = None


class Relay:
    """Two connected, non-blocking sockets, which it owns. `on_end` is called once, when both are closed."""

    __slots__ = ("_closed", "_on_end", "client", "loop", "received", "sent", "server", "touched")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, client: socket.socket, server: socket.socket, on_end: Callable[[], None]
    ) -> None:
        self.loop, self.client, self.server, self._on_end = loop, client, server, on_end
        self.touched = True  # something moved since somebody looked
        self._closed = False
        self.received = Way(self, client, server)
        self.sent = Way(self, server, client)

    def half_ended(self) -> None:
        """One side has said all; when both have, that is the end."""
        if self.received.ended and self.sent.ended:
            self._close()

    def abort(self) -> None:
        """One side broke off, or is to: both ends learn so (by RST), not by what looks like a proper end."""
        for sock in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for way in (self.received, self.sent):
            way.close()
        self.client.close()
        self.server.close()
        self._on_end()
