"""Requests that wait for a place at a server: all servers of their pool are at max_connections. Only dispatch adds.

One queue a pool and worker, bounded in time and, with the other workers' together, in number (at most workers - 1 more
wait, as in places.py); first come, first served. A place that becomes free is given on at once; one that another worker
frees is seen by the sweep. A pool without a queue has none of this: its `pick` and
`ended` are the pool's own.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gslb.http.endpoint import CONNECTING, NOT_CONNECTED

if TYPE_CHECKING:
    from collections.abc import Collection

    from gslb.balancing.places import Places
    from gslb.http.dispatch import Dispatch
    from gslb.http.links import PoolLinks
    from gslb.model import Server
    from gslb.telemetry import Counters


class Waiting:
    """The queue of one pool in one worker."""

    def __init__(self, pool: PoolLinks, places: Places) -> None:
        """`places`: of all workers; see `count_in`."""
        self._pool, self._places = pool, places
        self._clients: deque[tuple[Dispatch, int]] = deque()
        self._due = False
        self._cell: int | None = None  # where the workers count who waits

    def __len__(self) -> int:
        """How many wait; forgets those that have left."""
        self._clients = deque((client, attempt) for client, attempt in self._clients if client.attempt == attempt)
        return len(self._clients)

    def count_in(self, counters: Counters) -> None:
        """A new Plan: where the workers count who waits."""
        name = self._pool.state.pool.name
        self._cell = counters.own("gslb_http_queue_waiting", pool=name)
        self._tell()

    def _tell(self) -> None:
        if self._cell is not None:
            self._places.set(self._cell, len(self._clients))

    def _is_full(self, size: int) -> bool:
        elsewhere = self._places.sum_elsewhere(self._cell) if self._cell is not None else 0
        return len(self._clients) + elsewhere >= size and len(self) + elsewhere >= size

    def count(self, result: str) -> None:
        """Counts a request that was in the queue, or found it full."""
        self._pool.cells[self._pool.queued[result]] += 1

    def pick(self, key: bytes | int | None, now: float, tried: Collection[str] = ()) -> Server | None:
        """In place of the pool's own: nobody overtakes those that wait."""
        return None if self._first() is not None else self._pool.state.pick(key, now, tried)

    def add(self, client: Dispatch) -> bool:
        """Takes a request in; False if the queue is full."""
        queue = self._pool.state.pool.queue
        if queue is None or self._is_full(queue.size):
            self.count("full")
            return False
        client.phase = CONNECTING
        client.attempt += 1
        client.queued = client.attempt
        client.deadline = client.proxy.clock() + queue.timeout_s
        if client.left:
            client.hold(NOT_CONNECTED)
        self._clients.append((client, client.attempt))
        self._tell()
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
        self._give()
        self._tell()

    def _give(self) -> None:
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
