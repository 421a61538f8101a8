"""What one worker's proxy and the other workers tell each other of sessions. Only the proxy and its plane use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gslb.balancing.sticky import KeySticking

if TYPE_CHECKING:
    from gslb.http.links import PoolLinks

GATHER_S = 0.01  # sessions are gathered for so long before the other workers hear of them

Entries = tuple[tuple[bytes, str], ...]


class Sharing:
    """Sessions that are new or elsewhere. `share(pool, entries)` tells the others; nobody listens until it is set."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pools: Callable[[], Mapping[str, PoolLinks]],
        wall_clock: Callable[[], float],
    ) -> None:
        self.share: Callable[[str, Entries], None] = lambda _pool, _entries: None
        self._loop, self._pools, self._wall_clock = loop, pools, wall_clock
        self._waiting = False

    def soon(self) -> None:
        """Some session is new or elsewhere: the other workers hear of it in a moment, together with others."""
        if not self._waiting:
            self._waiting = True
            self._loop.call_later(GATHER_S, self._tell)

    def _tell(self) -> None:
        self._waiting = False
        for name, pool in self._pools().items():
            told = pool.sticking.told() if pool.sticking is not None else ()
            if told:
                self.share(name, told)

    def remember(self, pool: str, entries: Sequence[tuple[bytes, str]]) -> None:
        """Takes what another worker has learned."""
        pools = self._pools()
        sticking = pools[pool].sticking if pool in pools else None
        if isinstance(sticking, KeySticking):
            now_s = int(self._wall_clock())
            for key, server_id in entries:
                sticking.remember(key, server_id, now_s)
