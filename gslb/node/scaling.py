"""Control's auto-scaling: measures pools, asks balancing/scaling.py, has servers come and go by a driver.

Servers that come register (the driver's answer names them, or they do it themselves), are checked and start slowly as
all do. Servers that leave are registered ones, the least busy and the newest first: they drain, are removed, and only
then is the driver told to end them. Which are leaving is on disk, so a new control goes on with it. Each node of a
region scales by what it sees and for itself. Every decision is an event with its reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gslb.balancing.merging import Key
from gslb.balancing.scaling import Load, Scaler, ScalingDecision
from gslb.balancing.tallies import Counted
from gslb.errors import ChangeRefused, GslbError, StateError
from gslb.model import MAINTENANCE, Balancer, Plan, ScalingRule, Server
from gslb.node.context import NodeContext
from gslb.node.drivers import DriverFailed, call
from gslb.node.registering import Registering
from gslb.ops.server_words import NewServer, read

TICK_S = 1.0
SETTLE_S = 2.0  # until no worker gives a draining server more, and control has heard of what it was given
RETRY_S, RETRY_MAX_S = 10.0, 300.0  # after a driver that failed
TRIES_MAX = 5  # to have a server ended
EVENTS_MAX = 100
COMING_MAX = 1000  # servers of one answer

log = logging.getLogger("gslb.scaling")


@dataclass(slots=True)
class Leaving:
    """A server on its way out: not before `settled`, by `until` whatever runs. `tries` to end it came to nothing."""

    host: str
    port: int
    settled: float
    until: float
    removed: bool = False
    tries: int = 0


class Scaling:
    """One region node's. All methods belong to control's loop."""

    def __init__(self, context: NodeContext, registering: Registering) -> None:
        self._context, self._registering = context, registering
        self._scalers: dict[str, Scaler] = {}
        self._balancer: Balancer | None = None
        self._before: dict[Key, Counted] = {}
        self._measured_at = 0.0
        self._leaving: dict[Key, Leaving] = {}
        self._failures: dict[str, int] = {}
        self._held: dict[str, float] = {}  # pools whose driver failed: not before then
        self._busy: dict[str, asyncio.Task[None]] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
        self.counts: dict[tuple[str, str, str], int] = {}
        self._number = 0
        self._remember()

    # ------------------------------------------------------------ life
    def configure(self, plan: Plan) -> None:
        """Takes a Plan; a pool whose rule is as it was goes on where it was."""
        self._balancer = plan.balancer
        rules = {} if plan.balancer is None else {name: one.scaling for name, one in plan.balancer.pools.items()}
        known, self._scalers = self._scalers, {}
        for name, rule in rules.items():
            if rule is not None:
                old = known.get(name)
                self._scalers[name] = old if old is not None and old.rule == rule else Scaler(rule)

    async def run(self) -> None:
        """Measures and decides until cancelled; what a driver does meanwhile holds up its own pool only."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                if self._balancer is not None and self._scalers:
                    self._tick(self._balancer, time.monotonic())
        finally:
            for task in tuple(self._busy.values()):
                task.cancel()

    def _tick(self, balancer: Balancer, now: float) -> None:
        for name, load in self._measure(balancer, now):
            scaler = self._scalers[name]
            scaler.see(load, now)
            if name in self._busy or now < self._held.get(name, now):
                continue
            due = self._due(name, now)
            if due is not None:
                self._begin(name, self._end(due, scaler.rule))
            elif (decision := scaler.decide(now)) is not None:
                begun = self._come if decision.action == "up" else self._go
                self._begin(name, begun(name, scaler.rule, decision))

    def _begin(self, pool: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._busy[pool] = asyncio.get_running_loop().create_task(work)

        def ended(task: asyncio.Task[None]) -> None:
            self._busy.pop(pool, None)
            if not task.cancelled() and task.exception() is not None:
                log.error("scaling of pool %s failed", pool, exc_info=task.exception())
                self._hold(pool)

        task.add_done_callback(ended)

    # ------------------------------------------------------------ measuring
    def _measure(self, balancer: Balancer, now: float) -> Iterable[tuple[str, Load]]:
        """Every scaled pool's load since the last time; none the first time."""
        passed, self._measured_at = now - self._measured_at, now
        before, self._before = self._before, {}
        active = self._registering.active_servers()
        found = []
        for name in self._scalers:
            counts = []
            there = [one for one in balancer.pools[name].servers if not one.draining and one.weight]
            for server in there:
                key = (name, server.id)
                count = self._before[key] = self._registering.traffic.of(key)
                counts.append((count, before.get(key, count)))
            found.append((name, _load(there, active.get(name, 0), counts, passed)))
        return found

    # ------------------------------------------------------------ coming
    async def _come(self, pool: str, rule: ScalingRule, decision: ScalingDecision) -> None:
        """Asks for servers, and registers those that the answer names."""
        event = self._event(pool, decision, count=decision.wanted - decision.servers)
        try:
            answer = await call(rule.driver, event, self._context.config_directory)
        except DriverFailed as error:
            self._hold(pool)
            self._done(event, "failed", str(error))
            return
        self._failures.pop(pool, None)
        names = await self._register(pool, answer.get("servers", []))
        self._done(event, "done", "; ".join(names) or "asked for; they will register")

    async def _register(self, pool: str, servers: Any) -> list[str]:
        """What became of each server that a driver names."""
        said = []
        for words in servers[:COMING_MAX] if isinstance(servers, list) else ():
            try:
                given = {**words, "pool": pool} if isinstance(words, dict) else words
                new = read(NewServer, json.dumps(given).encode())
                await self._registering.register(pool, new.id, new.host, new.port, new.said())
                said.append(f"{new.id} registered")
            except GslbError as error:
                said.append(f"{words!r:.200} is not registered: {error}")
        return said

    # ------------------------------------------------------------ going
    async def _go(self, pool: str, rule: ScalingRule, decision: ScalingDecision) -> None:
        """Drains the servers that leave."""
        event = self._event(pool, decision, count=decision.servers - decision.wanted)
        chosen = self._choose(pool, decision.servers - decision.wanted)
        if not chosen:
            self._done(event, "failed", "all its servers are declared in the files or found by DNS, and those stay")
            return
        now, said = time.monotonic(), []
        for server in chosen:
            try:
                await self._registering.change(pool, server.id, {"status": MAINTENANCE})
            except GslbError as error:
                said.append(f"{server.id} does not drain: {error}")
                continue
            settled = now + SETTLE_S
            leaving = Leaving(server.host, server.port, settled, max(settled, now + rule.drain_s))
            self._leaving[pool, server.id] = leaving
            said.append(f"{server.id} drains")
        self._keep()
        self._done(event, "done", "; ".join(said))

    def _choose(self, pool: str, count: int) -> list[Server]:
        """Registered servers, the least busy first, of them the newest."""
        assert self._balancer is not None
        rows = self._registering.rows
        able = [
            one for one in self._balancer.pools[pool].servers
            if not one.draining and (row := rows.get((pool, one.id))) is not None and row.host is not None
        ]  # fmt: skip
        able.sort(key=lambda one: (self._busyness(pool, one.id), -rows[pool, one.id].created_at))
        return able[:count]

    def _busyness(self, pool: str, server_id: str) -> int:
        return self._registering.traffic.of((pool, server_id)).active

    def _due(self, pool: str, now: float) -> Key | None:
        """A server of the pool that has finished, or whose time is up."""
        for key, one in self._leaving.items():
            idle = not self._busyness(*key) or now >= one.until
            if key[0] == pool and now >= one.settled and idle:
                return key
        return None

    async def _end(self, key: Key, rule: ScalingRule) -> None:
        """Removes a drained server, then has it ended; tried again if that fails, TRIES_MAX times."""
        one, (pool, server_id) = self._leaving[key], key
        event = self._event(pool, None, count=1)
        event |= {"action": "end", "server": {"server_id": server_id, "host": one.host, "port": one.port}}
        try:
            if not one.removed:
                with contextlib.suppress(ChangeRefused):  # somebody has removed it
                    await self._registering.remove(*key)
                one.removed = True
            await call(rule.driver, event, self._context.config_directory)
        except GslbError as error:
            one.tries += 1
            self._hold(pool)
            if one.tries < TRIES_MAX:
                log.warning("%s of pool %s is not ended yet", server_id, pool, extra={"why": str(error)})
                return
            self._done(event, "failed", f"{server_id} is removed but was not ended: {error}")
        else:
            self._failures.pop(pool, None)
            self._done(event, "done", f"{server_id} has finished and is gone")
        del self._leaving[key]
        self._keep()

    def _hold(self, pool: str) -> None:
        """Leaves a pool alone for a while whose driver failed."""
        failures = self._failures[pool] = self._failures.get(pool, 0) + 1
        self._held[pool] = time.monotonic() + min(RETRY_S * 2 ** (failures - 1), RETRY_MAX_S)

    # ------------------------------------------------------------ what is kept and told
    def _remember(self) -> None:
        """Goes on with the servers that were leaving when the last control ended."""
        now = time.monotonic()
        for one in self._context.directory.kept("scaling").get("leaving", ()):
            with contextlib.suppress(KeyError, TypeError):
                self._leaving[str(one["pool"]), str(one["server_id"])] = Leaving(
                    str(one["host"]), int(one["port"]), now + SETTLE_S, now + max(SETTLE_S, float(one["drain_s"]))
                )

    def _keep(self) -> None:
        now = time.monotonic()
        leaving = [
            {"pool": pool, "server_id": name, "host": one.host, "port": one.port, "drain_s": max(0.0, one.until - now)}
            for (pool, name), one in self._leaving.items()
        ]
        try:
            self._context.directory.keep("scaling", {"leaving": leaving})
        except StateError as error:
            log.warning("can't keep which servers are leaving", extra={"why": str(error)})

    def _event(self, pool: str, decision: ScalingDecision | None, *, count: int) -> dict[str, Any]:
        """What a driver gets, and what is told of a decision."""
        self._number += 1
        stamp = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = {"id": f"{self._context.node}/{pool}/{stamp}/{self._number}", "at": stamp,
                 "region": self._context.name, "node": self._context.node, "pool": pool, "count": count}  # fmt: skip
        if decision is not None:
            event |= {"action": decision.action, "servers": decision.servers, "wanted": decision.wanted,
                      "why": decision.why, "trace": list(decision.trace)}  # fmt: skip
        return event

    def _done(self, event: dict[str, Any], result: str, outcome: str) -> None:
        """Keeps an event and says it in the log."""
        self.events.append(event | {"result": result, "outcome": outcome})
        key = (event["pool"], event["action"], result)
        self.counts[key] = self.counts.get(key, 0) + 1
        say = log.warning if result == "failed" else log.info
        say("pool %s: %s %d: %s", event["pool"], event["action"], event["count"], result,
            extra={"why": event.get("why", ""), "outcome": outcome})  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """Pools that scale, what was measured of them, and the last events, the newest first."""
        now = time.monotonic()
        return {
            "pools": {name: self._described(name, scaler, now) for name, scaler in self._scalers.items()},
            "events": list(reversed(self.events)),
        }

    def _described(self, name: str, scaler: Scaler, now: float) -> Mapping[str, Any]:
        return {
            **scaler.describe(now),
            "leaving": [server for pool, server in self._leaving if pool == name],
            "held_s": round(max(0.0, self._held.get(name, now) - now), 1),
        }


def _load(there: list[Server], active: int, counts: list[tuple[Counted, Counted]], passed_s: float) -> Load:
    """The figures of one pool, from each server's numbers now and `passed_s` before."""
    answers = sum(now.answers - before.answers for now, before in counts)
    cpus = [now.cpu for now, _ in counts if now.cpu is not None]
    of_one = max(active, 1)
    return Load(
        servers=len(there),
        active=active,
        cpu=sum(cpus) / len(cpus) if cpus else None,
        connections=sum(now.active for now, _ in counts) / of_one,
        requests=sum(now.total - before.total for now, before in counts) / passed_s / of_one,
        latency_s=sum(now.seconds - before.seconds for now, before in counts) / answers if answers else None,
    )
