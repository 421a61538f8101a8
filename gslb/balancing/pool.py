"""A pool as one worker sees it: which servers are usable, how much each has to do, which one is next.

Core; called by the proxy for every request. One PoolState lives as long as its pool: a new Plan or Status goes in by
`update`, and what is known of a server (running requests, the algorithm's memory) is keyed by server id and stays.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from typing import cast

from gslb.balancing.algorithm import Listener, Observer, Picker, Placing
from gslb.balancing.loads import LoadReport
from gslb.model import Pool, Server, State


class _Either:
    """Membership in one of two containers: what was tried, and what is full."""

    __slots__ = ("_one", "_other")

    def __init__(self, one: Container[str], other: Container[str]) -> None:
        self._one, self._other = one, other

    def __contains__(self, item: object) -> bool:
        """True if either holds `item`."""
        return item in self._one or item in self._other


class PoolState:
    """One pool in one worker.

    A server is usable while it is up or unknown (a balancer that has just started must serve at once) and its weight
    is not 0. `max_connections` holds per worker: the limit of a node is that times its workers.

    `observe` and `report` are the picker's own, as `Observer` and `Listener` say, or None where the algorithm has no
    use for them; an `update` with another algorithm changes them.
    """

    observe: Callable[[str, float, bool, float], None] | None
    report: Callable[[str, LoadReport, float], None] | None

    def __init__(self, pool: Pool, servers: Mapping[str, State] | None = None) -> None:
        """`servers` as in `Status.servers`: keyed by `pool/server id`, what is absent is up."""
        self.pool = pool
        self._states: Mapping[str, State] = {}
        self._all: Mapping[str, Server] = {}
        self._active: dict[str, int] = {}
        self._full: dict[str, Server] = {}  # usable, at max_connections
        self._free: OrderedDict[str, Server] = OrderedDict()  # usable, not full
        self._picker: Picker = pool.algorithm.build(())
        self._apply(pool, self._relevant(pool, servers or {}))

    # ------------------------------------------------------------ new worlds
    @staticmethod
    def _relevant(pool: Pool, servers: Mapping[str, State]) -> dict[str, State]:
        """Server id -> state, of this pool's servers that aren't up. Costs what isn't up, not what is configured."""
        prefix = pool.name + "/"
        size = len(prefix)
        return {key[size:]: state for key, state in servers.items() if key.startswith(prefix)}

    def update(self, pool: Pool, servers: Mapping[str, State]) -> None:
        """Takes a new Plan's pool and a new Status's servers; nothing is done where neither touches this pool."""
        states = self._relevant(pool, servers)
        if pool is not self.pool or states != self._states:
            self._apply(pool, states)

    def _apply(self, pool: Pool, states: Mapping[str, State]) -> None:
        weighty = tuple(server for server in pool.servers if server.weight > 0)
        usable = tuple(
            server for server in weighty if states.get(server.id, State.UP) in (State.UP, State.UNKNOWN)
        )
        changed = pool.algorithm != self.pool.algorithm
        if changed:
            self._picker = pool.algorithm.build(())
        if isinstance(self._picker, Placing):
            self._picker.place(weighty)
        self._picker.update(usable)
        if changed:
            for server in pool.servers:
                for _ in range(self._active.get(server.id, 0)):
                    self._picker.started(server)
        self.pool, self._states = pool, states
        self._all = {server.id: server for server in pool.servers}
        learns, picker = pool.algorithm, self._picker
        self.observe = cast("Observer", picker).observe if getattr(learns, "observes", False) else None
        self.report = cast("Listener", picker).report if getattr(learns, "reports", False) else None
        self._full = {s.id: s for s in usable if 0 < s.max_connections <= self._active.get(s.id, 0)}
        self._free = OrderedDict((s.id, s) for s in usable if s.id not in self._full)

    # ------------------------------------------------------------ requests
    def pick(self, key: bytes | int | None, now: float, tried: Collection[str] = ()) -> Server | None:
        """The server for a request; None if no usable server outside `tried` has room.

        Args:
            key: what a hashing algorithm hashes, None where there is nothing.
            now: seconds on a monotonic clock.
            tried: server ids that this request has been to.
        """
        if not self._free:
            return None
        skip: Container[str] = tried
        if self._full:
            skip = _Either(tried, self._full) if tried else self._full
        server = self._picker.pick(key, now, skip)
        if server is None:  # the picker gave up looking: any that is left, in turn
            for server_id in self._free:
                if server_id not in tried:
                    self._free.move_to_end(server_id)
                    return self._free[server_id]
        return server

    def started(self, server: Server) -> None:
        """A request was given to `server`: call once per try, and `ended` once when that try is over."""
        server_id = server.id
        active = self._active.get(server_id, 0) + 1
        self._active[server_id] = active
        if server.max_connections:
            self._weigh(server_id, active)
        self._picker.started(server)

    def ended(self, server: Server) -> None:
        """That try is over. One `ended` too many is ignored."""
        server_id = server.id
        active = self._active.get(server_id, 0) - 1
        if active < 0:
            return
        if active:
            self._active[server_id] = active
        else:
            del self._active[server_id]
        if server_id in self._full:
            self._weigh(server_id, active)
        self._picker.ended(server)

    def _weigh(self, server_id: str, active: int) -> None:
        """Moves a usable server between free and full; its limit is today's, the caller's Server may be older."""
        server = self._free.get(server_id) or self._full.get(server_id)
        if server is None:
            return
        full = 0 < server.max_connections <= active
        if full and server_id in self._free:
            self._full[server_id] = self._free.pop(server_id)
        elif not full and server_id in self._full:
            self._free[server_id] = self._full.pop(server_id)

    # ------------------------------------------------------------ sessions
    def keeps(self, server_id: str) -> Server | None:
        """The server if sessions may stay on it: it is not down. A draining one takes no others (HAProxy's `drain`)."""
        server = self._all.get(server_id)
        return server if server is not None and self._states.get(server_id) is not State.DOWN else None

    def full(self, server_id: str) -> bool:
        """Whether the server is at its max_connections."""
        return server_id in self._full

    def choices(self) -> Iterable[Server]:
        """The servers that may be given new sessions, full ones included."""
        return itertools.chain(self._free.values(), self._full.values())

    # ------------------------------------------------------------ what it shows
    def active(self, server_id: str) -> int:
        """Requests that this worker has running on the server."""
        return self._active.get(server_id, 0)

    @property
    def running(self) -> Mapping[str, int]:
        """Requests that this worker has running, by server id; servers that left the pool among them."""
        return self._active

    @property
    def usable(self) -> int:
        """How many servers may be given requests, full ones included."""
        return len(self._free) + len(self._full)

    @property
    def total(self) -> int:
        """How many servers are configured."""
        return len(self.pool.servers)
