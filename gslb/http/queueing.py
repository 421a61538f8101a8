"""Requests that wait for a place at a server: all servers of their pool are at max_connections. Only dispatch adds.

One queue a pool and worker, bounded in number and in time; first come, first served. A place that becomes free is given
on at once; one that another worker frees is seen by the sweep. A pool without a queue has none of this: its `pick` and
`ended` are the pool's own.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gslb.http.endpoint import CONNECTING, NOT_CONNECTED

if TYPE_CHECKING:
    from collections.abc import Collection

    from gslb.http.dispatch import Dispatch
    from gslb.http.links import PoolLinks
    from gslb.model import Server


class Waiting:
    """The queue of one pool in one worker."""

    def __init__(self, pool: PoolLinks) -> None:
        self._pool = pool
        self._clients: deque[tuple[Dispatch, int]] = deque()
        self._due = False

    def __len__(self) -> int:
        """How many wait; forgets those that have left."""
        self._clients = deque((client, attempt) for client, attempt in self._clients if client.attempt == attempt)
        return len(self._clients)

    def count(self, result: str) -> None:
        """Counts a request that was in the queue, or found it full."""
        self._pool.cells[self._pool.queued[result]] += 1

    def pick(self, key: bytes | int | None, now: float, tried: Collection[str] = ()) -> Server | None:
        """In place of the pool's own: nobody overtakes those that wait."""
        return None if self._first() is not None else self._pool.state.pick(key, now, tried)

    def add(self, client: Dispatch) -> bool:
        """Takes a request in; False if the queue is full."""
        queue = self._pool.state.pool.queue
        if queue is None or (len(self._clients) >= queue.size and len(self) >= queue.size):
            self.count("full")
            return False
        client.phase = CONNECTING
        client.attempt += 1
        client.queued = client.attempt
        client.deadline = client.proxy.clock() + queue.timeout_s
        if client.left:
            client.hold(NOT_CONNECTED)
        self._clients.append((client, client.attempt))
        return True

    def ended(self, server: Server) -> None:
        """In place of the pool's own: a place is free."""
        self._pool.state.ended(server)
        if self._clients and not self._due:
            self._due = True
            self._clients[0][0].proxy.loop.call_soon(self.look)  # not at once: the request that ended is not yet done

    def look(self) -> None:
        """Gives free places to those that wait."""
        self._due = False
        while (client := self._first()) is not None:
            server = self._pool.state.pick(client.key, client.proxy.clock())
            if server is None:
                return
            self._clients.popleft()
            client.attempt += 1
            self.count("served")
            client.try_server(self._pool, server)

    def _first(self) -> Dispatch | None:
        """Who has waited longest; forgets those before it that have left."""
        while self._clients:
            client, attempt = self._clients[0]
            if client.attempt == attempt:
                return client
            self._clients.popleft()
        return None
