"""Takes connections that begin with a PROXY header: reads the header and nothing beyond it, then hands the socket on.

The header comes before the TLS handshake, so it is taken from the bare socket (seen by MSG_PEEK first); what follows
is then a connection like any other, with TLS or without. A connection from elsewhere than the networks allowed, or
without a whole header in time, is closed without a word: the spec (§2) forbids guessing. `node/listeners.py` makes one
a listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from gslb.errors import HttpError
from gslb.http.forwarded import NOBODY, is_trusted, parse_address, parse_networks
from gslb.http.listening import Listening
from gslb.http.proxy_protocol import V2_BODY_BYTES_MAX, V2_HEAD_BYTES, Ends, Header

PENDING_MAX = 4096  # connections whose header or handshake is not there yet; more wait in the kernel's queue
_SEEN_MAX = V2_HEAD_BYTES + V2_BODY_BYTES_MAX

Serve = Callable[[bytes, str], asyncio.Protocol]
Take = Callable[[socket.socket, str], None]


class Acceptor:
    """The connections of one listening socket that are not served yet."""

    def __init__(
        self, sock: socket.socket, serve: Serve | None, *, scheme: bytes, context: ssl.SSLContext | None, head_s: float,
        take: Take | None = None,
    ) -> None:  # fmt: skip
        """Starts at once, inside a running loop.

        Args:
            sock: listens, does not block.
            serve: makes a protocol of the scheme and the client's address …
            take: … or this takes the bare socket and the client's address.
            scheme: what clients speak.
            context: TLS, after the header.
            head_s: for a whole header, and again for a handshake.
        """
        self._serve, self._scheme, self._context, self._head_s = serve, scheme, context, head_s
        self._take = take
        self._networks = parse_networks(())
        self._loop = asyncio.get_running_loop()
        self._pending: set[_Pending] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True
        self._listening = Listening(sock, self._has_room, self._accept)
        self._listening.settle()

    def _has_room(self) -> bool:
        return len(self._pending) + len(self._tasks) < PENDING_MAX

    def allow(self, networks: Iterable[str]) -> None:
        """Takes connections from these networks only."""
        self._networks = parse_networks(networks)

    def close(self) -> None:
        """Takes nothing new; what has no header yet is closed."""
        self._open = False
        self._listening.close()
        for pending in tuple(self._pending):
            pending.end()

    def _accept(self, sock: socket.socket, peer: Any) -> None:
        sock.setblocking(False)
        address = parse_address(peer[0]) if isinstance(peer, tuple) else None
        if address is not None and not is_trusted(address, self._networks):
            sock.close()
            return
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending.add(_Pending(self._loop, sock, self._head_s, self._headed))

    def _headed(self, pending: _Pending, ends: Ends | None) -> None:
        """A header is whole, or will never be (None)."""
        self._pending.discard(pending)
        if ends is not None and self._open:
            source = ends.source or _peer_of(pending.sock)  # a proxy's own check speaks for itself
            if self._take is not None:
                self._take(pending.sock, source)
                self._listening.settle()
                return
            task = self._loop.create_task(self._hand_on(pending.sock, source))
            self._tasks.add(task)
            task.add_done_callback(self._handed)
        else:
            pending.sock.close()
        self._listening.settle()

    def _handed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._listening.settle()

    async def _hand_on(self, sock: socket.socket, source: str) -> None:
        """A Task, but one a connection: with TLS it lasts as long as the handshake."""
        context, serve = self._context, self._serve
        assert serve is not None
        try:
            await self._loop.connect_accepted_socket(
                lambda: serve(self._scheme, source),
                sock,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self._head_s,
            )
        except (OSError, ssl.SSLError):  # the client is gone, or its TLS is not ours
            sock.close()


class _Pending:
    """One connection whose header is being read."""

    __slots__ = ("_done", "_header", "_loop", "_timer", "sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        head_s: float,
        done: Callable[[_Pending, Ends | None], None],
    ) -> None:
        self.sock, self._loop, self._done, self._header = sock, loop, done, Header()
        self._timer = loop.call_later(head_s, self.end)
        loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            seen = self.sock.recv(_SEEN_MAX, socket.MSG_PEEK)
            if not seen:
                self.end()
                return
            length = self._header.take(seen)
            self.sock.recv(length)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, HttpError):
            self.end()
            return
        if self._header.ends is not None:
            self.end(self._header.ends)

    def end(self, ends: Ends | None = None) -> None:
        """Stops reading and says so."""
        self._timer.cancel()
        self._loop.remove_reader(self.sock.fileno())
        self._done(self, ends)


def _peer_of(sock: socket.socket) -> str:
    """The address of the proxy itself."""
    with contextlib.suppress(OSError):
        peer = sock.getpeername()
        return str(parse_address(peer[0]) or NOBODY) if isinstance(peer, tuple) else "127.0.0.1"
    return str(NOBODY)
