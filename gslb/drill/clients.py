"""Played clients: with resolvers that keep to TTLs, with stubborn ones, and through the front door.

Threads, no asyncio. Each asks, keeps the answer as its resolver would, and makes requests; a browser tries once more
before it gives up. Two watchers ask anew all the time: they see every answer, as no client does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gslb.demo.clients import NoAnswer, Place, ask, get
from gslb.drill.report import Answer, Request

PAUSE_S = 0.1  # between two requests of a client
LOOK_S = 0.05  # between two looks of a watcher
STUBBORN_S = 300.0
SAMPLES_MAX = 1_000_000


@dataclass(slots=True)
class World:
    """What the clients live in.

    `doors`: by region, where its addresses lead (`host:port`); `addresses`: by address, its region; `places`: of the
    clients, of which the first is near the region that is lost.
    """

    dns: tuple[str, int]
    front: str
    service: str
    doors: Mapping[str, str]
    addresses: Mapping[str, str]
    places: tuple[Place, ...]


@dataclass(slots=True)
class Prober:
    """All clients of a drill; `answers` and `requests` hold what they saw, by `clock`."""

    world: World
    clock: Callable[[], float] = time.monotonic
    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    states: list[tuple[float, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, state: Callable[[], str]) -> None:
        """Begins; `state` says what an edge's status shows of the region."""
        loops: list[Callable[[], None]] = [
            self._watcher("dns", self._dns), self._watcher("front door", self._front), self._states(state)
        ]  # fmt: skip
        for place in self.world.places:
            loops += [self._resolving("honest", place, None), self._resolving("stubborn", place, STUBBORN_S)]
        loops += [self._through_front_door] * 2
        for loop in loops:
            thread = threading.Thread(target=self._until_stopped, args=(loop,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ends; every client has finished when this returns."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def success(self, last_s: float) -> float:
        """The share of the requests of the last seconds that were served; 1 without any."""
        since = self.clock() - last_s
        mine = [one.ok for one in self.requests[-1000:] if one.at >= since]
        return sum(mine) / len(mine) if mine else 1.0

    def _until_stopped(self, turn: Callable[[], None]) -> None:
        while not self._stop.is_set() and len(self.requests) < SAMPLES_MAX and len(self.answers) < SAMPLES_MAX:
            turn()

    # ------------------------------------------------------------ watchers
    def _watcher(self, source: str, look: Callable[[], str]) -> Callable[[], None]:
        def turn() -> None:
            at = self.clock()
            try:
                region = look()
            except NoAnswer:
                region = ""
            self.answers.append(Answer(at, source, region))
            self._stop.wait(LOOK_S)

        return turn

    def _states(self, state: Callable[[], str]) -> Callable[[], None]:
        def turn() -> None:
            at, seen = self.clock(), state()
            if seen and (not self.states or self.states[-1][1] != seen):
                self.states.append((at, seen))
            self._stop.wait(LOOK_S)

        return turn

    def _dns(self) -> str:
        found, _, _ = ask(self.world.dns, self.world.service, "A", self.world.places[0].subnet)
        return self.world.addresses.get(found[0], "?") if found else ""

    def _front(self) -> str:
        return get(f"{self.world.front}/drill", host=self.world.service).headers.get("x-gslb-region", "")

    # ------------------------------------------------------------ clients
    def _resolving(self, client: str, place: Place, keep_s: float | None) -> Callable[[], None]:
        """A client whose resolver keeps answers for `keep_s`, or None: for their TTL."""
        known: list[tuple[str, float]] = []

        def door() -> str:
            now = self.clock()
            if not known or known[0][1] <= now:
                found, ttl_s, _ = ask(self.world.dns, self.world.service, "A", place.subnet)
                region = self.world.addresses[found[0]]
                known[:] = [(region, now + (ttl_s if keep_s is None else keep_s))]
            return self.world.doors[known[0][0]]

        return lambda: self._visit(client, lambda: get(f"http://{door()}/drill", host=self.world.service).status)

    def _through_front_door(self) -> None:
        def follow() -> int:
            page = get(f"{self.world.front}/drill", host=self.world.service)
            region = page.headers.get("x-gslb-region", "")
            parts = urlsplit(page.headers.get("location", ""))
            if region not in self.world.doors:
                return 0
            return get(f"http://{self.world.doors[region]}{parts.path}", host=parts.netloc).status

        self._visit("front door", follow)

    def _visit(self, client: str, once: Callable[[], int]) -> None:
        """One request; a second try before it counts as failed."""
        at, ok = self.clock(), False
        for _ in range(2):
            try:
                ok = once() == 200
            except (NoAnswer, KeyError, IndexError):
                ok = False
            if ok:
                break
        self.requests.append(Request(at, client, ok))
        self._stop.wait(PAUSE_S)
