"""A hop on the way to a region: passes connections on, or refuses, swallows or delays them. The drill's own network.

It stands below the code under test: nodes and clients meet a network that misbehaves, not a flag. One thread serves all
hops of a drill; what they do can be changed at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["pass", "refuse", "swallow", "delay"]
DELAY_S = 3.0  # longer than any probe's timeout
CONNECTIONS_MAX = 2_000
_PIECE_BYTES = 65_536


@dataclass(slots=True)
class Hop:
    """One listening address and where it leads."""

    listen: tuple[str, int]
    target: tuple[str, int]
    mode: Mode = "pass"
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        """Begins to listen. Raises OSError."""
        if self.server is None:
            self.server = await asyncio.start_server(self._serve, *self.listen, backlog=1024)

    async def close(self) -> None:
        """Stops listening and drops what is open."""
        if self.server is not None:
            self.server.close()
            self.server = None
        for writer in tuple(self.writers):
            writer.transport.abort()

    async def set(self, mode: Mode) -> None:
        """Does this from now on, to open connections too: what they carry is lost where it would be."""
        self.mode = mode
        if mode == "refuse":
            await self.close()
        else:
            await self.open()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.writers) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self.writers.add(writer)
        try:
            if self.mode == "swallow":
                while await reader.read(_PIECE_BYTES):
                    pass
                return
            there, out = await asyncio.open_connection(*self.target)
            self.writers.add(out)
            try:
                await asyncio.gather(self._pipe(reader, out), self._pipe(there, writer))
            finally:
                out.transport.abort()
                self.writers.discard(out)
        except OSError:
            pass  # one end is gone: so is the other
        finally:
            writer.transport.abort()
            self.writers.discard(writer)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE_BYTES):
            if self.mode == "delay":
                await asyncio.sleep(DELAY_S)
            elif self.mode == "swallow":
                continue
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


class Hops:
    """All hops of a drill, in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._hops: list[Hop] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Hops]:
        """Serves until the end."""
        thread = threading.Thread(target=self._loop.run_forever, name="hops", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            for hop in self._hops:
                self._do(hop.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def add(self, listen: tuple[str, int], target: tuple[str, int]) -> Hop:
        """A hop that passes. Raises OSError."""
        hop = Hop(listen, target)
        self._do(hop.open())
        self._hops.append(hop)
        return hop

    def set(self, mode: Mode, *hops: Hop) -> None:
        """Has these hops do this from now on."""
        for hop in hops:
            self._do(hop.set(mode))

    def _do(self, what: object) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)  # type: ignore[arg-type]  # a coroutine
