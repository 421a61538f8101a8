"""A pool as one worker sees it: which servers are usable, how much each has to do, which one is next.

Core; called by the proxy for every request. One PoolState lives as long as its pool: a new Plan or Status goes in by
`update`, and what is known of a server (running requests, the algorithm's memory) is keyed by server id and stays.
Servers that come back get their share step by step (`ramps.py`): the proxy's sweep calls `sweep`.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import replace
from typing import cast

from gslb.balancing.algorithm import PICK_TRIES_MAX, Listener, Observer, Picker, Placing, Sharing
from gslb.balancing.eligible import Eligible, eligible, of_pool
from gslb.balancing.loads import LoadReport
from gslb.balancing.places import Places
from gslb.balancing.ramps import Ramps
from gslb.model import BreakerState, Gate, Pool, Server, SlowStart, State

_GONE = (State.DOWN,)
_IN_USE = (State.UP, State.UNKNOWN)


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

    `eligible.py` says which servers are usable. `max_connections` holds for the node's workers together where
    `places` counts for them, else for this one.

    `observe` and `report` are the picker's own, as `Observer` and `Listener` say, or None where the algorithm has no
    use for them; an `update` with another algorithm changes them.
    """

    places: Places | None = None  # counts places over the node's workers
    observe: Callable[[str, float, bool, float], None] | None
    report: Callable[[str, LoadReport, float], None] | None

    def __init__(self, pool: Pool, servers: Mapping[str, State] | None = None) -> None:
        """`servers` as in `Status.servers`: keyed by `pool/server id`, what is absent is up."""
        self.pool = pool
        self._states: Mapping[str, State] = {}
        self._all: Mapping[str, Server] = {}
        self._held: Collection[str] = ()
        self._breakers: Mapping[str, BreakerState] = {}
        self._tripped: dict[str, float] = {}  # out by this worker's own word, until control has spoken, or then
        self._ramps = Ramps()
        self._eligible = Eligible((), 0, 0, panic=False)
        self._active: dict[str, int] = {}
        self._full: dict[str, Server] = {}  # usable, at max_connections
        self._free: OrderedDict[str, Server] = OrderedDict()  # usable, not full
        self._picker: Picker = pool.algorithm.build(())
        self._apply(pool, of_pool(pool.name, servers or {}), {})

    # ------------------------------------------------------------ new worlds
    def update(
        self,
        pool: Pool,
        servers: Mapping[str, State],
        breakers: Mapping[str, BreakerState] | None = None,
        now: float = 0.0,
    ) -> None:
        """Takes a new Plan's pool and a new Status's servers; nothing is done where neither touches this pool.

        Args:
            pool: the one in hand, or a new Plan's of the same name.
            servers: as in `Status.servers`.
            breakers: as in `Status.breakers`.
            now: seconds on the monotonic clock of `pick` and `sweep`.
        """
        states, gates = of_pool(pool.name, servers), of_pool(pool.name, breakers or {})
        if pool is self.pool and states == self._states and gates == self._breakers:
            return
        for server in [one for one in self._tripped if gates.get(one) != self._breakers.get(one)]:
            del self._tripped[server]  # control has spoken
        self._ramp(pool, states, gates, now)
        self._apply(pool, states, gates)

    def _ramp(self, pool: Pool, states: Mapping[str, State], gates: Mapping[str, BreakerState], now: float) -> None:
        """Starts ramps of servers that come back or join. Never for an algorithm that hashes: each step moves keys."""
        if getattr(pool.algorithm, "key", None) is not None:
            return
        if pool.slow_start is not None:
            known = {server.id for server in self.pool.servers} if pool is not self.pool else ()
            joined = [server.id for server in pool.servers if server.id not in known] if known else []
            back = [one for one, was in self._states.items() if was in _GONE and states.get(one) not in _GONE]
            freed = [one for one, was in self._breakers.items()
                     if was.gate is Gate.EJECTED and (one not in gates or gates[one].gate is Gate.CLOSED)]  # fmt: skip
            for server in (*joined, *back, *freed):
                self._ramps.start(server, pool.slow_start, now)
        if pool.breaker is not None and pool.breaker.ramp_s:
            for server, one in gates.items():
                was = self._breakers.get(server)
                if one.gate is Gate.CLOSED and was is not None and was.gate in (Gate.OPEN, Gate.HALF_OPEN):
                    self._ramps.start(server, SlowStart(pool.breaker.ramp_s), now)

    def _apply(self, pool: Pool, states: Mapping[str, State], gates: Mapping[str, BreakerState]) -> None:
        self._eligible = found = eligible(pool, states, gates, self._tripped)
        usable = found.servers
        if gates:
            usable = tuple(replace(one, epoch=gates[one.id].epoch) if one.id in gates else one for one in usable)
        if self._ramps:
            usable = self._ramps.weigh(usable)
        changed = pool.algorithm != self.pool.algorithm
        if changed:
            self._picker = pool.algorithm.build(())
        if isinstance(self._picker, Placing):
            self._picker.place(tuple(server for server in pool.servers if server.weight > 0))
        self._picker.update(usable)
        if changed and self.places is not None and isinstance(self._picker, Sharing):
            self._picker.count_in(self.places)
        if changed:
            for server in pool.servers:
                for _ in range(self._active.get(server.id, 0)):
                    self._picker.started(server)
        self.pool, self._states, self._breakers = pool, states, gates
        self._all = {server.id: server for server in (*pool.servers, *usable)}
        held = {one for one, gate in gates.items() if gate.gate is not Gate.CLOSED} | self._tripped.keys()
        # by a breaker or an ejection alone: their sessions stay, and their requests go elsewhere
        self._held = set() if found.panic else {one for one in held if states.get(one, State.UP) in _IN_USE}
        learns, picker = pool.algorithm, self._picker
        self.observe = cast("Observer", picker).observe if getattr(learns, "observes", False) else None
        self.report = cast("Listener", picker).report if getattr(learns, "reports", False) else None
        self._full = {s.id: s for s in usable if 0 < s.max_connections <= self._active.get(s.id, 0)}
        self._free = OrderedDict((s.id, s) for s in usable if s.id not in self._full)

    def trip(self, server_id: str, until: float) -> None:
        """Takes a server out by this worker's own count, until a new Status speaks of it, or `until` (seconds)."""
        self._tripped[server_id] = until
        self._apply(self.pool, self._states, self._breakers)

    def sweep(self, now: float) -> list[str]:
        """Time passes: ramps go on. Returns the servers that `trip` took out and that are back without a word."""
        back = [server for server, until in self._tripped.items() if now >= until]
        for server in back:
            del self._tripped[server]
        if (self._ramps and self._ramps.step(now)) or back:
            self._apply(self.pool, self._states, self._breakers)
        return back

    def probe(self, server_id: str, epoch: int, lease: int) -> Server | None:
        """The half-open server for one leased request; None if the lease is not for what is known of it now."""
        breaker = self._breakers.get(server_id)
        if breaker is None or breaker.epoch != epoch or breaker.gate is not Gate.HALF_OPEN:
            return None
        if self._states.get(server_id, State.UP) not in (State.UP, State.UNKNOWN):
            return None
        for server in self.pool.servers:
            if server.id == server_id and server.weight > 0:
                return replace(server, epoch=epoch, lease=lease)
        return None

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
        if server is not None and server.max_connections and self._is_full(server):
            return self._with_room(server, key, now, tried)
        if server is None:  # the picker gave up looking: any that is left, in turn
            for server_id in self._free:
                if server_id not in tried:
                    self._free.move_to_end(server_id)
                    return self._free[server_id]
        return server

    def _with_room(
        self, server: Server | None, key: bytes | int | None, now: float, tried: Collection[str]
    ) -> Server | None:
        """`server`, or another one that has room when the other workers' requests are counted, too."""
        skip = set(tried) | self._full.keys()
        for _ in range(PICK_TRIES_MAX):
            if server is None or not self._is_full(server):
                return server
            skip.add(server.id)
            server = self._picker.pick(key, now, skip)
        return next((one for one in self._free.values() if one.id not in skip and not self._is_full(one)), None)

    def _is_full(self, server: Server) -> bool:
        if not server.max_connections or self.places is None:
            return False
        return self._active.get(server.id, 0) + self.places.elsewhere(server.id) >= server.max_connections

    def count_in(self, places: Places) -> None:
        """Counts places there from now on. What is running is put there, whatever a dead worker has left."""
        self.places = places
        for server in self.pool.servers:
            self._put(server)
        if isinstance(self._picker, Sharing):
            self._picker.count_in(places)

    def _put(self, server: Server) -> None:
        if server.max_connections and self.places is not None:
            self.places.put(server.id, self._active.get(server.id, 0))

    def started(self, server: Server) -> None:
        """A request was given to `server`: call once per try, and `ended` once when that try is over."""
        server_id = server.id
        active = self._active.get(server_id, 0) + 1
        self._active[server_id] = active
        if server.max_connections:
            self._weigh(server_id, active)
            self._put(server)
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
        if server.max_connections:
            self._put(server)
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
        """Whether the server takes no more for the moment: it is at its max_connections, or its breaker is open."""
        if server_id in self._full or server_id in self._held:
            return True
        server = self._all.get(server_id)
        return server is not None and self._is_full(server)

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
    def panic(self) -> bool:
        """Whether too few servers are available, see `eligible.py`."""
        return self._eligible.panic

    @property
    def usable(self) -> int:
        """How many servers may be given requests, full ones included."""
        return len(self._free) + len(self._full)

    @property
    def usable_servers(self) -> tuple[Server, ...]:
        """Those servers."""
        return self._eligible.servers

    @property
    def total(self) -> int:
        """How many servers are configured."""
        return len(self.pool.servers)
