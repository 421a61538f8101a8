"""What the algorithms that go by a key share: places, looks, bounded loads, and requests without a key. Core.

Every server of the pool has a **place**, usable or not. A key leads to a place; if its server is down, tried, full or
has more than its share, the key leads on to another place. So a server that goes down moves its own keys only, and
gets them back; what the places are changes with the configuration alone. The files in `algorithms/` say where a key
leads; only they use this module.

Bounded loads: a server has room while its requests < c · (all requests + 1) · weight / Σ weight (Mirrokni, Thorup,
Zadimoghaddam: Consistent Hashing with Bounded Loads, SODA 2018). Requests and weights are those of the usable servers,
the requests in all workers of the node where `places` counts for them (then at most workers - 1 more run, see there).
With fewer requests than servers that is one a server: a key that comes twice at once goes to two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Container
from itertools import accumulate
from math import inf
from typing import Annotated

from annotated_types import Ge, Le

from gslb.balancing.algorithm import PICK_TRIES_MAX
from gslb.balancing.places import ALL, Places
from gslb.model import Server

BALANCE_FACTOR_MAX = 1000.0
_MASK = (1 << 32) - 1
_GOLDEN = 0x9E3779B9  # 2^32 / the golden ratio: its multiples fill a circle most evenly (Knuth, TAOCP 3, §6.4)

BalanceFactor = Annotated[float, Ge(0), Le(BALANCE_FACTOR_MAX)]


def check_balance_factor(factor: float) -> None:
    """Raises ValueError, in words for the person who wrote it, where no server might have room."""
    if 0 < factor < 1:
        raise ValueError(f"balance_factor {factor} leaves no room for all requests: write 0 (off), or 1 and more")


class KeyedPicker(ABC):
    """A Picker (and a Placing) for keys. An algorithm fills in `_build`, `_first`, `_place` and perhaps `_again`.

    A request without a key goes to the servers by weight in an even order: the n-th to the fraction n · φ of them.
    So does, by its hash, one whose looks all fail.
    """

    __slots__ = (
        "_active",
        "_configured",
        "_cumulative",
        "_factor",
        "_inflight",
        "_live",
        "_places",
        "_turn",
        "_usable",
        "_usable_ids",
        "places",
    )

    def __init__(self, servers: tuple[Server, ...], balance_factor: float = 0.0) -> None:
        """`balance_factor` is the c of the bounded loads; 0 is no bound."""
        self._factor = balance_factor
        self.places: Places | None = None  # counts for the other workers, too
        self._active: dict[str, int] = {}  # counted only where loads are bounded
        self._inflight = 0  # requests on the usable servers
        self._turn = 0
        self._configured: tuple[Server, ...] = ()
        self._places: tuple[Server, ...] = ()
        self._live: list[Server | None] = []  # by place: the server as it is now, None while it is not usable
        self._usable: tuple[Server, ...] = ()
        self._usable_ids: Container[str] = ()
        self._cumulative: list[int] = []  # weights of the usable servers, added up
        self.update(servers)

    # ------------------------------------------------------------ what an algorithm says
    @abstractmethod
    def _build(self, places: tuple[Server, ...]) -> None:
        """The places are others than before; there is at least one."""

    @abstractmethod
    def _first(self, key: bytes) -> int:
        """Where a key's way begins: any number that `_place` and `_again` understand."""

    @abstractmethod
    def _place(self, at: int) -> int:
        """The place that `at` means."""

    def _again(self, at: int, key: bytes) -> int:
        """Where the way goes on: another hash (a step of Knuth and Lewis's generator, TAOCP 2, §3.3.4)."""
        return (at * 1664525 + 1013904223) & _MASK

    # ------------------------------------------------------------ picking
    def pick(self, key: bytes | int | None, now: float, skip: Container[str]) -> Server | None:
        """See Picker."""
        if not self._usable:
            return None
        if key is None or key == b"":
            return self._in_turn(skip)
        text = key if isinstance(key, bytes) else b"%d" % key
        at = self._first(text)
        server = self._live[self._place(at)]
        if server is not None and server.id not in skip and (not self._factor or self._has_room(server)):
            return server
        return self._pick_beyond(text, at, skip)

    def _pick_beyond(self, key: bytes, at: int, skip: Container[str]) -> Server | None:
        """The first with room on the way of `key`; else another with room; else any, by the key's hash."""
        live, crowded = self._live, False
        for _ in range(PICK_TRIES_MAX):
            server = live[self._place(at)]
            if server is not None and server.id not in skip:
                if not self._factor or self._has_room(server):
                    return server
                crowded = True
            at = self._again(at, key)
        if crowded:
            return self._pick_roomy(skip)
        server = self._at((at * _GOLDEN) & _MASK)
        return server if server.id not in skip else None

    def _pick_roomy(self, skip: Container[str]) -> Server | None:
        """The next in turn with room, else the least loaded of those: a hot key's own way is full.

        At least 1 - 1/c of the weight has room at any time, so one of PICK_TRIES_MAX does all but always.
        """
        least, found = inf, None
        for _ in range(PICK_TRIES_MAX):
            server = self._in_turn(skip)
            if server is None:
                break
            if self._has_room(server):
                return server
            load = self._running(server.id) / server.weight
            if load < least:
                least, found = load, server
        return found

    def _in_turn(self, skip: Container[str]) -> Server | None:
        """The next server of those outside `skip`, by weight in an even order."""
        for _ in range(PICK_TRIES_MAX):
            self._turn = (self._turn + _GOLDEN) & _MASK
            server = self._at(self._turn)
            if server.id not in skip:
                return server
        return None

    def _at(self, number: int) -> Server:
        """The usable server at a 32-bit number, each with a stretch as long as its weight."""
        return self._usable[bisect_right(self._cumulative, number * self._cumulative[-1] >> 32)]

    def _has_room(self, server: Server) -> bool:
        """Whether one more request keeps to the bound. An idle server always has room."""
        inflight = self._inflight + (self.places.elsewhere(ALL) if self.places is not None else 0)
        return self._running(server.id) * self._cumulative[-1] < self._factor * (inflight + 1) * server.weight

    def _running(self, server_id: str) -> int:
        own = self._active.get(server_id, 0)
        return own + self.places.elsewhere(server_id) if self.places is not None else own

    # ------------------------------------------------------------ what is going on
    def started(self, server: Server) -> None:
        """See Picker."""
        if self._factor:
            self._count(server.id, 1)

    def ended(self, server: Server) -> None:
        """See Picker."""
        if self._factor:
            self._count(server.id, -1)

    def _count(self, server_id: str, change: int) -> None:
        active = self._active.get(server_id, 0) + change
        if active < 0:
            return  # ended once too often
        if active:
            self._active[server_id] = active
        else:
            del self._active[server_id]
        if server_id in self._usable_ids:
            self._inflight += change
        self._tell(server_id)

    def _tell(self, server_id: str) -> None:
        """Lets the other workers see what runs."""
        if self.places is not None:
            self.places.put(server_id, self._active.get(server_id, 0))
            self.places.put(ALL, self._inflight)

    def count_in(self, places: Places) -> None:
        """Counts there from now on; what is running is put there, whatever a dead worker has left."""
        if self._factor:
            self.places = places
            for server in self._places:
                self._tell(server.id)

    def place(self, servers: tuple[Server, ...]) -> None:
        """See Placing."""
        self._configured = servers

    def update(self, servers: tuple[Server, ...]) -> None:
        """See Picker. Builds only where servers came, went for good or changed; else it costs a pass over them."""
        usable = {server.id: server for server in servers}
        placed = {server.id: server for server in self._configured}
        places = (*self._configured, *(server for server in servers if server.id not in placed))
        if places != self._places:
            self._places = places
            if places:
                self._build(places)
        self._live = [usable.get(server.id) for server in places]
        self._usable, self._usable_ids = servers, usable.keys()
        self._cumulative = list(accumulate(server.weight for server in servers))
        self._inflight = sum(active for server_id, active in self._active.items() if server_id in usable)
