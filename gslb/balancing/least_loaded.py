"""The server with the least (active + 1) / weight, equals in turn: what `least_connections` and its namesake pick by.

The `+ 1` counts the request about to be given, so an idle server of weight 2 goes before an idle one of weight 1
(HAProxy's leastconn, Envoy's weighted least request). Only what this worker gave out is counted.

Servers stand in one queue per load; a heap holds the loads. Starting or ending a request moves one server between two
queues, so no operation looks at all servers. Weights enter through the load, a correctly rounded quotient: equal
fractions are equal floats.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Container

from gslb.balancing.algorithm import PICK_TRIES_MAX
from gslb.model import Server

# Empty queues are dropped when they come to the top of the heap; beyond this surplus all of them are, at once.
EMPTY_QUEUES_MAX = 1024


class LeastLoadedPicker:
    """See the module."""

    __slots__ = ("_active", "_heap", "_load", "_queues")

    def __init__(self, servers: tuple[Server, ...]) -> None:
        self._active: dict[str, int] = {}  # of any server with requests, usable or not
        self._load: dict[str, float] = {}  # of the usable servers
        # OrderedDict: taking the first and putting it last is O(1), where a dict walks over its deleted entries
        self._queues: dict[float, OrderedDict[str, Server]] = {}
        self._heap: list[float] = []
        self.update(servers)

    def pick(self, key: bytes | int | None, now: float, skip: Container[str]) -> Server | None:
        """See Picker."""
        del key, now
        heap, queues = self._heap, self._queues
        while heap:
            queue = queues[heap[0]]
            if queue:
                server = next(iter(queue.values()))
                if server.id not in skip:
                    return server
                return self._pick_beyond(skip)
            del queues[heapq.heappop(heap)]
        return None

    def _pick_beyond(self, skip: Container[str]) -> Server | None:
        """The least loaded that isn't in `skip`, when the very first is."""
        tries, aside, found = PICK_TRIES_MAX, [], None
        while self._heap and tries and found is None:
            load = heapq.heappop(self._heap)
            aside.append(load)
            for server in self._queues[load].values():
                if server.id not in skip:
                    found = server
                    break
                tries -= 1
                if not tries:
                    break
        for load in aside:
            heapq.heappush(self._heap, load)
        return found

    def started(self, server: Server) -> None:
        """See Picker."""
        self._move(server.id, 1)

    def ended(self, server: Server) -> None:
        """See Picker."""
        self._move(server.id, -1)

    def _move(self, server_id: str, change: int) -> None:
        """Counts, and puts a usable server last in the queue of its new load."""
        active = self._active.get(server_id, 0) + change
        if active > 0:
            self._active[server_id] = active
        elif active == 0:
            del self._active[server_id]
        else:
            return  # ended once too often
        old = self._load.get(server_id)
        if old is None:
            return
        queues = self._queues
        server = queues[old].pop(server_id)
        self._load[server_id] = load = (active + 1) / server.weight
        if load in queues:
            queues[load][server_id] = server
            return
        queues[load] = OrderedDict({server_id: server})
        heapq.heappush(self._heap, load)
        if len(queues) > 2 * len(self._load) + EMPTY_QUEUES_MAX:
            self._drop_empty()

    def _drop_empty(self) -> None:
        """Forgets the empty queues: O(n), after at least n moves since the last time."""
        self._queues = {load: queue for load, queue in self._queues.items() if queue}
        self._heap = sorted(self._queues)

    def update(self, servers: tuple[Server, ...]) -> None:
        """See Picker. Servers that stay keep their place among equals; new ones stand behind them."""
        fresh = {server.id: server for server in servers}
        kept = [server_id for load in sorted(self._queues) for server_id in self._queues[load] if server_id in fresh]
        order = dict.fromkeys(kept) | dict.fromkeys(fresh)
        self._load, self._queues = {}, {}
        for server_id in order:
            server = fresh[server_id]
            load = (self._active.get(server_id, 0) + 1) / server.weight
            self._load[server_id] = load
            self._queues.setdefault(load, OrderedDict())[server_id] = server
        self._heap = sorted(self._queues)
