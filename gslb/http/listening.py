"""A listening socket that is read by hand, where asyncio's servers won't do: a bounded loop, and a rest when it fails.

For what takes bare sockets: `accepting.py` (a PROXY header comes first) and TCP mode.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

ACCEPTS_MAX = 64  # at one wake-up
REST_S = 0.1  # after an accept that failed for want of descriptors


class Listening:
    """One listening socket."""

    def __init__(
        self, sock: socket.socket, room: Callable[[], bool], take: Callable[[socket.socket, Any], None]
    ) -> None:
        """Needs a running loop; `settle` begins.

        Args:
            sock: listens, does not block.
            room: whether one more connection may be taken; while not, they wait in the kernel's queue.
            take: gets each connection and its peer's address, as `socket.accept` has them.
        """
        self._sock, self._room, self._take = sock, room, take
        self._loop = asyncio.get_running_loop()
        self._open, self._reading = True, False

    def settle(self) -> None:
        """Reads from the socket while there is room: to be called when that may have changed."""
        wanted = self._open and self._room()
        if wanted and not self._reading:
            self._loop.add_reader(self._sock.fileno(), self._accept)
        elif self._reading and not wanted:
            self._loop.remove_reader(self._sock.fileno())
        self._reading = wanted

    def close(self) -> None:
        """Takes nothing more; the socket is closed."""
        self._open = False
        self.settle()
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError:  # out of descriptors: those that end make room, and asking again at once would spin
                self._loop.remove_reader(self._sock.fileno())
                self._reading = False
                self._loop.call_later(REST_S, self.settle)
                return
            self._take(sock, peer)
        self.settle()
