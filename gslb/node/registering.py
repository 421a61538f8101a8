"""Control's registry of servers: what is said of them at run time, kept on disk and merged into the Plan.

Decides nothing itself: balancing/changing.py says what a change makes, balancing/merging.py what the pools then are.
The database (state/servers.py) has one thread of its own; while it can't be used, traffic and health checks go on with
the rows that are known, changes are refused with the reason, and it is tried again every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from gslb.balancing.changing import changed, registered, removed
from gslb.balancing.merging import CHANGEABLE, Key, Listed, find, listed
from gslb.balancing.tallies import NOTHING
from gslb.config.compile import region_settings
from gslb.errors import ChangeRefused, RegistryUnavailable
from gslb.health.runner import TARGETS_MAX
from gslb.model import INACTIVE, Balancer, Registration, State, Status
from gslb.node.context import NodeContext
from gslb.node.listen import split
from gslb.node.planning import Planning
from gslb.node.traffic import Traffic
from gslb.ops.server_words import problem_of
from gslb.state.servers import FILE, HISTORY_MAX, ServerTable

LOAD_S = 1.0  # what a start waits for the rows; then it goes on without, and takes them when they come
TICK_S = 1.0  # between samples of the counters, and between tries to open the database
PLAN_INTERVAL_S = 0.2  # at most so often changes make a new Plan; what comes meanwhile goes into the next
CLOSE_S = 2.0
WAIT_S = 3.0  # a change waits so long for those before it
SET_ASIDE_MAX = 10  # files that status names
SKIPPED_MAX = 10  # rows that can't be used, named in status

T = TypeVar("T")
log = logging.getLogger("gslb.registry")


class Registering:
    """The registry of one region node. All methods belong to control's loop."""

    def __init__(
        self, context: NodeContext, planning: Planning, describe: Callable[[], Mapping[str, Any]],
        status: Callable[[], Status], applied: Callable[[], None],
    ) -> None:
        """`describe`: every server's state for people, `status`: for machines; `applied`: there is a new Plan."""
        self._context, self._planning, self._describe = context, planning, describe
        self._status, self._applied = status, applied
        self.rows: Mapping[Key, Registration] = planning.rows  # a replaced control goes on with what was known
        self.traffic = Traffic(context.board, lambda: planning.series.slots)
        self.why = "not open yet"
        self.changes = {"ok": 0, "refused": 0}
        self.set_asides = 0
        self._table = ServerTable(Path(context.directory.path) / FILE)
        self._thread = ThreadPoolExecutor(1, "registry")
        self._lock = asyncio.Lock()
        self._aside: deque[str] = deque(maxlen=SET_ASIDE_MAX)
        self._skipped: deque[str] = deque(maxlen=SKIPPED_MAX)
        self._timer: asyncio.TimerHandle | None = None
        self._planned_at = 0.0
        self._record_at = time.monotonic()
        self._opening: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ life
    async def start(self) -> None:
        """Reads the rows, so that the first Plan has them; goes on without after LOAD_S."""
        self._opening = asyncio.create_task(self._open())
        await asyncio.wait({self._opening}, timeout=LOAD_S)
        if self.rows is not self._planning.rows:
            self._planning.take_rows(self.rows)

    async def run(self) -> None:
        """Samples, records, and tries to open what could not be opened, until cancelled."""
        while True:
            self.traffic.sample(self._balancer)
            if self._opening is not None and self._opening.done():
                self._opening.result()
                self._opening = None
            if not self._table.is_open and self._opening is None:
                self._opening = asyncio.create_task(self._open())
            if self._table.is_open and time.monotonic() >= self._record_at:
                await self._record()
            if self.rows is not self._planning.rows:
                self._plan_soon()
            await asyncio.sleep(TICK_S)

    async def close(self) -> None:
        """Closes the database, after the write under way; waits for it within CLOSE_S."""
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._in_thread(self._table.close), CLOSE_S)
        self._thread.shutdown(wait=False)

    @property
    def _balancer(self) -> Balancer:
        balancer = self._planning.plan.balancer
        assert balancer is not None
        return balancer

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args))

    async def _open(self) -> None:
        """Opens the database and takes its rows; a corrupt file is set aside for a new one."""
        async with self._lock:
            try:
                rows = await self._in_thread(self._table.open)
            except RegistryUnavailable as error:
                self._failed(error)
                if error.corrupt:
                    with contextlib.suppress(RegistryUnavailable):  # told by _replace; tried again with the next tick
                        await self._replace(error)
                return
            self._works()
            self._skipped.clear()
            usable = {row.key: row for row in rows if not self._skip(row)}
            if usable != self.rows:
                self.rows = usable

    def _skip(self, row: Registration) -> bool:
        """Whether a row can't be used; it stays in the database, and status names it."""
        problem = problem_of(row)
        if problem:
            self._skipped.append(f"{row.pool}/{row.server_id}: {problem}")
            log.error("the registry's row %s/%s is not used", row.pool, row.server_id, extra={"why": problem})
        return bool(problem)

    async def _replace(self, error: RegistryUnavailable) -> None:
        """Sets a corrupt file aside and makes a new one of what is known. Raises RegistryUnavailable."""

        def replace_file() -> Path:
            aside = self._table.set_aside()
            self._table.open()
            self._table.put(self.rows.values())
            return aside

        try:
            aside = await self._in_thread(replace_file)
        except RegistryUnavailable as again:
            self._failed(again)
            raise
        self.set_asides += 1
        self._aside.append(str(aside))
        self._works()
        log.error("%s; it is set aside as %s, and a new one has the %d servers known here", error, aside.name,
                  len(self.rows))  # fmt: skip

    def _failed(self, error: RegistryUnavailable) -> None:
        if str(error) != self.why:
            log.error("the registry of servers can't be used; traffic goes on, changes are refused",
                      extra={"why": str(error)})  # fmt: skip
        self.why = str(error)

    def _works(self) -> None:
        if self.why:
            log.info("the registry of servers is open: %s", self._table.path)
        self.why = ""

    # ------------------------------------------------------------ changes
    async def register(self, pool: str, server_id: str, host: str, port: int, words: Mapping[str, Any]) -> bool:
        """Adds a server, or says again what is so; True if it is new. Raises ChangeRefused, RegistryUnavailable."""
        key, pools = (pool, server_id), self._planning.declared
        new = find(pools, self.rows, key) is None
        if (host, port) in map(split, region_settings(self._planning.config, self._context.name).listen):
            raise ChangeRefused(f"{host} port {port} is this balancer itself", 400, "port")
        if new and sum(len(one.servers) for one in self._balancer.pools.values()) >= TARGETS_MAX:
            raise ChangeRefused(f"a node checks at most {TARGETS_MAX} servers", 409)
        await self._change(key, lambda now: registered(pools, self.rows, key, host, port, words, now))
        return new

    async def change(self, pool: str, server_id: str, words: Mapping[str, Any]) -> None:
        """Changes what is said of a server. Raises ChangeRefused, RegistryUnavailable."""
        key = (pool, server_id)
        await self._change(key, lambda now: changed(self._planning.declared, self.rows, key, words, now))

    async def remove(self, pool: str, server_id: str) -> None:
        """Removes a registered server: what it serves is finished. Raises ChangeRefused, RegistryUnavailable."""
        key = (pool, server_id)

        def decide(now: float) -> None:
            del now
            removed(self._planning.declared, self.rows, key)

        await self._change(key, decide)

    async def _change(self, key: Key, decide: Callable[[float], Registration | None]) -> None:
        """One change at a time: decides, keeps it on disk, then serves by it. A caller that goes away stops nothing."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._lock.acquire()
        except TimeoutError:
            self.changes["refused"] += 1
            raise RegistryUnavailable("other changes are being made: try again") from None
        await asyncio.shield(asyncio.create_task(self._commit(key, decide)))

    async def _commit(self, key: Key, decide: Callable[[float], Registration | None]) -> None:
        """What `_change` does, with the lock held; it is released here."""
        try:
            new = decide(time.time())
            if new is not self.rows.get(key):
                await self._write(key, new)
                rows = {other: row for other, row in self.rows.items() if other != key}
                self.rows = rows if new is None else {**rows, key: new}
                self.changes["ok"] += 1
                self._plan_soon()
        except (RegistryUnavailable, ChangeRefused):
            self.changes["refused"] += 1
            raise
        finally:
            self._lock.release()

    async def _write(self, key: Key, row: Registration | None) -> None:
        """Keeps a row, or its absence, on disk. Raises RegistryUnavailable; then nothing has changed."""
        if not self._table.is_open:
            raise RegistryUnavailable(self.why)
        try:
            await (self._in_thread(self._table.drop, *key) if row is None else self._in_thread(self._table.put, (row,)))
        except RegistryUnavailable as error:
            if not error.corrupt:
                self._failed(error)
                raise
            await self._replace(error)
            raise RegistryUnavailable(f"{error}; it is set aside and made anew: try again") from error
        self._works()

    def _plan_soon(self) -> None:
        """Makes a new Plan now, or PLAN_INTERVAL_S after the last one."""
        if self._timer is None:
            wait_s = max(0.0, self._planned_at + PLAN_INTERVAL_S - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._plan)

    def _plan(self) -> None:
        self._timer = None
        if self.rows is self._planning.rows:
            return
        self._planned_at = time.monotonic()
        plan = self._planning.take_rows(self.rows)
        self._applied()
        log.info("servers changed at run time: plan %d", plan.generation)

    # ------------------------------------------------------------ what servers did
    def known(self) -> Iterable[Key]:
        """Every server that the files or a row know, once."""
        pools = self._planning.declared.values()
        return dict.fromkeys([*((pool.name, server.id) for pool in pools for server in pool.servers), *self.rows])

    async def _record(self) -> None:
        """Keeps a sample of each server that did something since the last one."""
        settings = self._planning.config.regions[self._context.name].balancer.registry
        self._record_at, now = time.monotonic() + settings.metrics_interval, time.time()
        async with self._lock:
            self.traffic.keep(self.known())
            samples, kept = self.traffic.news(self.known(), now)
            try:
                await self._in_thread(self._table.record, samples, now - settings.retention, settings.metrics_rows)
            except RegistryUnavailable as error:
                self._failed(error)
                if error.corrupt:
                    with contextlib.suppress(RegistryUnavailable):  # as in _open
                        await self._replace(error)
                return
            kept()
            self._works()

    # ------------------------------------------------------------ what it shows
    def active_servers(self) -> dict[str, int]:
        """How many servers take new requests, by pool."""
        servers = self._status().servers
        return {
            name: sum(
                server.weight > 0 and servers.get(f"{name}/{server.id}", State.UP) in {State.UP, State.UNKNOWN}
                for server in pool.servers
            )
            for name, pool in self._balancer.pools.items()
        }

    def summary(self) -> dict[str, Any]:
        """The region's traffic in a few figures; see ops/summary.py."""
        return self.traffic.summary(self._balancer, self.active_servers())

    def servers(self) -> list[dict[str, Any]]:
        """Every server, declared or registered, as it stands."""
        states = self._describe()
        return [self._shown(one, states) for one in listed(self._planning.declared, self.rows)]

    def server(self, pool: str, server_id: str) -> dict[str, Any]:
        """One of them. Raises ChangeRefused."""
        one = find(self._planning.declared, self.rows, (pool, server_id))
        if one is None:
            raise ChangeRefused(f"there is no server {server_id!r} in pool {pool!r}", 404)
        return self._shown(one, self._describe())

    def _shown(self, one: Listed, states: Mapping[str, Any]) -> dict[str, Any]:
        key, row = f"{one.pool}/{one.server_id}", one.row
        inactive = one.effective["status"] == INACTIVE
        known = states.get(key, {"state": "inactive" if inactive else "unused", "why": one.note})
        count = self.traffic.of((one.pool, one.server_id))
        average_s = count.average_s(NOTHING)
        return {
            "pool": one.pool,
            "server_id": one.server_id,
            "origin": one.origin,
            **one.effective,
            "state": known["state"],
            "why": known["why"],
            "declared": None if one.declared is None else dict(one.declared),
            "differs": list(one.differs),
            "note": one.note,
            "created_at": _iso(row.created_at) if row is not None else None,
            "updated_at": _iso(row.updated_at) if row is not None else None,
            "active_connections": count.active,
            "total_requests": count.total,
            "failed_requests": count.failed,
            "average_response_time": None if average_s is None else round(average_s, 6),
            "cpu_usage": count.cpu,
            "memory_usage": count.memory,
        }

    async def history(self, pool: str, server_id: str) -> list[dict[str, Any]]:
        """The newest samples of a server, the newest first. Raises ChangeRefused, RegistryUnavailable."""
        self.server(pool, server_id)
        found = await self._in_thread(self._table.history, pool, server_id, HISTORY_MAX)
        return [asdict(sample) | {"recorded_at": _iso(sample.recorded_at)} for sample in found]

    def describe(self) -> dict[str, Any]:
        """For `/status`: whether it works, and every server that is not as the files say."""
        every = [one for one in listed(self._planning.declared, self.rows) if one.row is not None]
        return {
            "ok": not self.why,
            "why": self.why,
            "file": str(self._table.path),
            "rows": len(self.rows),
            "set_aside": list(self._aside),
            "skipped": list(self._skipped),
            "servers": {
                f"{one.pool}/{one.server_id}": {
                    "origin": one.origin,
                    "note": one.note,
                    "differs": {
                        word: {"declared": one.declared[word], "effective": one.effective[word]}
                        for word in CHANGEABLE
                        if one.declared is not None and word in one.differs
                    },
                }
                for one in every
            },
        }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
