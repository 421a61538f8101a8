"""Turns by weight, in the order nginx would give them: the picker of `round_robin` and `weighted_round_robin`.

Weights 5, 1, 1 give `a a b a c a a` (smooth weighted round robin: every server gains its weight, the richest serves
and pays the sum; nginx commit 52327e0, 2012). Two things make it cheap here:

- Servers of equal weight differ only by whether they have paid in this round, so a step looks at each distinct
  weight, not at each server.
- The order repeats after Σ(weight / gcd) picks, so it is remembered while it is first walked. No rebuild stalls.

Where even that is too long (SMOOTH_STEPS_MAX), earliest deadline first takes over: the same shares exactly, but heavy
servers may serve in runs (first deadline 0.5 / weight, ties by hash: Envoy's EDF scheduler).
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass

from gslb.balancing.algorithm import PICK_TRIES_MAX
from gslb.model import Server

# Distinct weights x picks in a turn: at most so many steps to compute a turn, and 8 MB to remember it.
SMOOTH_STEPS_MAX = 1_000_000
# Steps that an update may spend to resume in the middle of a turn: about a millisecond.
RESUME_STEPS_MAX = 10_000


@dataclass(slots=True)
class _Group:
    """Servers of one weight: `credit` is that of the members from `next` on; those before it have paid."""

    weight: int
    members: list[int]  # positions in the pool
    credit: int = 0
    next: int = 0


class _Smooth:
    """nginx's order, remembered as it is walked."""

    def __init__(self, servers: tuple[Server, ...], groups: list[_Group], phase: float) -> None:
        """`phase` in 0..1 says where in the turn to start."""
        self._servers, self._groups = servers, groups
        self._price = sum(group.weight * len(group.members) for group in groups)
        self._order: list[Server] = []
        start = int(phase * self._price + 1e-9) % self._price
        if len(groups) == 1:
            self._order = list(servers)
        else:
            start %= max(1, RESUME_STEPS_MAX // len(groups))
            for _ in range(start):
                self._step()
        self._position = start

    def _step(self) -> Server:
        """One turn of nginx's loop over the distinct weights; the earliest server wins a tie."""
        best = self._groups[0]
        for group in self._groups:
            group.credit += group.weight
            if group.credit > best.credit or (
                group.credit == best.credit and group.members[group.next] < best.members[best.next]
            ):
                best = group
        server = self._servers[best.members[best.next]]
        best.next += 1
        if best.next == len(best.members):
            best.next = 0
            best.credit -= self._price
        self._order.append(server)
        return server

    def __iter__(self) -> Iterator[Server]:
        """Endless. A generator, since resuming one costs a third of a method call with its attribute look-ups."""
        order = self._order
        while True:
            while self._position < len(order):
                server = order[self._position]
                self._position += 1
                yield server
            if len(order) < self._price:
                self._step()
            else:
                self._position = 0

    @property
    def phase(self) -> float:
        """How much of the turn is done, 0..1."""
        return self._position / self._price


class _Earliest:
    """Earliest deadline first, for turns too long to compute."""

    def __init__(self, servers: tuple[Server, ...], due: dict[str, float]) -> None:
        """`due`: time to the deadline of servers known before, by id."""
        self._heap = [
            (due.get(server.id, 0.5 / server.weight), zlib.crc32(server.id.encode()), position, server)
            for position, server in enumerate(servers)
        ]
        heapq.heapify(self._heap)

    def __iter__(self) -> Iterator[Server]:
        """Endless."""
        heap, replace = self._heap, heapq.heapreplace
        while True:
            deadline, tie, position, server = heap[0]
            replace(heap, (deadline + 1 / server.weight, tie, position, server))
            yield server

    @property
    def due(self) -> dict[str, float]:
        """Time to each server's deadline, by id."""
        soonest = self._heap[0][0]
        return {server.id: deadline - soonest for deadline, _, _, server in self._heap}


class TurnsPicker:
    """See the module. Survives an update by its place in the turn (or its deadlines)."""

    __slots__ = ("_servers", "_turn", "_walk")

    def __init__(self, servers: tuple[Server, ...]) -> None:
        self._servers: tuple[Server, ...] = ()
        self._turn: _Smooth | _Earliest | None = None
        self._walk: Iterator[Server] = iter(())
        self.update(servers)

    def pick(self, key: bytes | int | None, now: float, skip: Container[str]) -> Server | None:
        """See Picker. A skipped server's turn is spent."""
        del key, now
        tries = PICK_TRIES_MAX
        for server in self._walk:
            if server.id not in skip:
                return server
            tries -= 1
            if not tries:
                break
        return None

    def started(self, server: Server) -> None:
        """Turns don't depend on what is running."""

    def ended(self, server: Server) -> None:
        """Turns don't depend on what is running."""

    def update(self, servers: tuple[Server, ...]) -> None:
        """See Picker."""
        if servers == self._servers:
            return
        self._servers = servers
        if not servers:
            self._walk = iter(())  # the old turn is kept, to resume from when servers return
            return
        old = self._turn
        divisor = math.gcd(*(server.weight for server in servers))
        groups: dict[int, _Group] = {}
        for position, server in enumerate(servers):
            weight = server.weight // divisor
            groups.setdefault(weight, _Group(weight, [])).members.append(position)
        picks = sum(weight * len(group.members) for weight, group in groups.items())
        if picks * len(groups) <= SMOOTH_STEPS_MAX:
            self._turn = _Smooth(servers, list(groups.values()), old.phase if isinstance(old, _Smooth) else 0.0)
        else:
            self._turn = _Earliest(servers, old.due if isinstance(old, _Earliest) else {})
        self._walk = iter(self._turn)
