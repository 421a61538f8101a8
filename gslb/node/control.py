"""The control process of a node: whatever may block or stall lives here, and never in front of an answer.

It probes, listens to the shared store, judges, publishes Plan and Status to the workers, serves the admin API, and
reloads. One tick four times a second turns all evidence so far into a Status; only a Status that steers something new
gets a new generation.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Coroutine, Hashable
from dataclasses import replace
from typing import Any

from aiohttp import web

from gslb.config.compile import safety_rules
from gslb.errors import ConfigError, StateError
from gslb.geo.locate import Locator
from gslb.health.runner import Runner, name_of
from gslb.model import State, Status
from gslb.node.alert_facts import AlertFacts
from gslb.node.alerting import Alerting
from gslb.node.board import PARENT_BEATS, READY, STATUS_GENERATION
from gslb.node.certificates import Certificates
from gslb.node.context import NodeContext
from gslb.node.discovering import Discovering
from gslb.node.draining import Draining
from gslb.node.guarding import Guarding
from gslb.node.leasing import Leasing
from gslb.node.messages import Asks, Outcomes, Sessions
from gslb.node.overriding import Overriding
from gslb.node.planning import Planning
from gslb.node.prefixing import Prefixing
from gslb.node.registering import Registering
from gslb.node.scaling import Scaling
from gslb.node.sessions import SessionSpread
from gslb.node.sides import EdgeSide, RegionSide, Side
from gslb.node.spread import Spread
from gslb.node.table_cache import TableCache
from gslb.node.view import View
from gslb.ops.admin import make_app, run_admin
from gslb.state.store import Report
from gslb.state.sync import Sync, open_store
from gslb.steering.engine import last_good, steers

TICK_S = 0.25
FIRST_ROUND_S = 0.8
FILES_LOOK_S = 2.0
PARENT_HANG_S = 2.0

log = logging.getLogger("gslb.control")


class Control:
    """One node's control, inside a running event loop."""

    def __init__(self, context: NodeContext, restarts: int) -> None:
        self.context = context
        self.row = context.board.rows[0]
        self.started = time.monotonic()
        self.planning = Planning(context, restarts)
        self.draining = Draining(context.board, lambda: self.planning.plan)
        self.side: Side = (EdgeSide if context.role == "edge" else RegionSide)(context)
        self.registering = Registering(
            context, self.planning, lambda: self.overriding.shown(self.side.describe(time.monotonic())["servers"]),
            lambda: self.status,
            self._take_plan,
        ) if context.role == "region" else None  # fmt: skip
        self.scaling = Scaling(context, self.registering) if self.registering is not None else None
        self.discovering = Discovering(context, self._discovered) if self.registering is not None else None
        heard = self.registering.traffic.heard if self.registering is not None else None
        self.spread = Spread(heard, self._reported, self._worker_lost, self._asked, self._learned)
        self.sessions = SessionSpread(self.spread.tell, lambda: self.spread.slots)
        self.leasing = Leasing(self.spread.tell, time.monotonic)
        self.guarding = Guarding(restarts, self.spread.tell)
        self.certificates = Certificates()
        self.view = View(self)
        self.locator = Locator(self.planning.database, self.planning.plan.services)
        self.incarnation = context.directory.raise_incarnation()
        self.status = Status()
        self.overriding = Overriding(
            context, lambda: self.planning.plan, lambda: safety_rules(self.planning.config), lambda: self.status,
            self._again,
        )
        self.runner = Runner(self._probed, clock=time.monotonic, rng=random.Random(), changing=self.side.changing)
        self.alerting = Alerting(context, lambda: self.planning.config, AlertFacts(self).look)
        self.sync: Sync | None = None
        self.reloads: dict[str, int] = {"ok": 0, "refused": 0}
        self._admin: list[web.AppRunner] = []
        self.prefixing = Prefixing(self.spread.tables, lambda: self.locator, TableCache(context.cache))
        self._tasks: set[asyncio.Task[None]] = set()
        self._done = asyncio.Event()
        self._moving = False
        self._parent = (0, self.started)  # its heartbeat, and when it last moved

    # ------------------------------------------------------------ life
    async def start(self) -> None:
        """Starts everything; the workers serve after the first round of probes, or without it."""
        if self.registering is not None:
            await self.registering.start()
        if self.discovering is not None:
            self.planning.take_found(self.discovering.found)
            self.discovering.configure(self.planning.plan)
        self._weigh()
        self._certify()
        self.side.configure(self.planning.plan, self.planning.config)
        self.guarding.configure(self.planning.plan, time.monotonic())
        self.leasing.configure(self.planning.plan, self._limits_redis())
        self.sessions.configure(self.planning.plan, next(iter(self.planning.config.state.redis), ""))
        self.side.remember(self.context.directory.load_last_good() or {})
        self.runner.set_targets(self.side.targets())
        self.spread.plan(self.planning.plan, self.planning.cookie_secret)
        await self.runner.start()
        self._start_sync()
        for coroutine in (self._ticks(), self._looks(), self.sessions.run(), self.alerting.run()):
            self._run(coroutine)
        if self.registering is not None:
            self._run(self.registering.run())
        if self.scaling is not None:
            self.scaling.configure(self.planning.plan)
            self._run(self.scaling.run())
        app = make_app(self.view, self.planning.config.secrets.admin_token, self.registering)
        for sock in self.context.sockets.admin:
            self._admin.append(await run_admin(app, sock))
        if self.context.role == "edge":
            self.prefixing.build(self.planning.plan)

    def _start_sync(self) -> None:
        """Shares reports with the other nodes."""
        self.sync = Sync(
            open_store(self.planning.config.state.redis, self.planning.config.cluster),
            kind=self.side.kind,
            node=self.context.node,
            incarnation=self.incarnation,
            payload=lambda: {
                **self.side.payload(self.status), "overrides": self.overriding.told(), **self.alerting.said(),
            },
            on_reports=self._heard,
            clock=time.monotonic,
            raise_incarnation=self.context.directory.raise_incarnation,
        )
        self._run(self.sync.run())

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Keeps a background task, and says so if one ends by an error: control is then replaced."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and task.exception() is not None:
                log.critical("a part of control failed", exc_info=task.exception())
                self._done.set()

        task.add_done_callback(ended)

    async def stopped(self) -> None:
        """Returns when control was told to stop, or a part of it failed."""
        await self._done.wait()
        for task in tuple(self._tasks):
            task.cancel()
        await self.runner.stop()
        await self.leasing.stop()
        await self.sessions.stop()
        if self.discovering is not None:
            self.discovering.stop()
        for admin in self._admin:
            await admin.cleanup()
        if self.sync is not None:
            await self.sync.close(farewell=not self._moving)
        if self.registering is not None:
            await self.registering.close()
        self.spread.close()

    def stop(self, *, moving: bool = False) -> None:
        """Ends control; the parent has ended the workers before. `moving`: another takes over, the workers serve on."""
        self._moving = moving
        self._done.set()

    # ------------------------------------------------------------ evidence
    def _probed(self, key: Hashable, ok: bool, why: str, rtt_s: float, body: bytes | None, now: float) -> None:
        self.side.result(key, ok, why, rtt_s, body, now)
        self.view.count_probe(name_of(key), ok=ok)

    def _heard(self, kind: str, reports: tuple[Report, ...], now: float) -> None:
        self.side.heard(kind, reports, now)
        self.overriding.heard(reports)
        self.alerting.heard(kind, reports, now)

    def _reported(self, message: Outcomes) -> None:
        """A worker's outcomes: if a breaker moves, every worker hears it now and not with the next tick."""
        now = time.monotonic()
        moved = self.guarding.take(message.outcomes, self.status.servers, now)
        if moved and self.spread.number:  # the first Status waits for the first round of probes
            self._judge(first=False)
        self.guarding.lease(self.spread.slots, now)

    def _asked(self, slot: int, message: Asks) -> None:
        self.leasing.take(slot, message)

    def _learned(self, slot: int, message: Sessions) -> None:
        self.sessions.take(slot, message)

    def _limits_redis(self) -> str:
        """The Redis of this region that shared limits lease from; "" for none."""
        config, name = self.planning.config, self.context.name
        own = config.regions[name].balancer.limits_redis if name in config.regions else None
        return own or next(iter(config.state.redis), "")

    def _worker_lost(self, slot: int) -> None:
        self.guarding.lost(slot)

    # ------------------------------------------------------------ judgement
    async def _ticks(self) -> None:
        """Judges and publishes; the first Status waits a moment for the first round."""
        deadline = time.monotonic() + FIRST_ROUND_S
        while not self.side.complete() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self._judge(first=True)
        self.row.header[READY] = 1
        while True:
            self.row.beat()
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self.guarding.tick(self.status.servers, now)
            self._judge(first=False)
            if isinstance(self.side, RegionSide):
                self.spread.loads(self.side.agents.take())
            self.spread.settle()
            self.guarding.lease(self.spread.slots, now)

    def _judge(self, *, first: bool) -> None:
        """Makes a Status of all evidence and publishes it if it differs."""
        side = self.side
        said = self.overriding
        forced = {key: state for key, (state, _) in said.servers().items()}
        servers = side.servers(forced)
        if not first and self._weigh():
            self._take_plan()  # which judges
            return
        regions, services = said.shared(side.regions(time.monotonic(), said.regions()), said.services())
        new = replace(
            self.status, regions=regions, servers=servers, services=services,
            stale=side.stale, draining=self._parent_hangs() or bool(said.draining),
            breakers=self.guarding.standings(),
        )  # fmt: skip
        new = replace(new, share=side.share(self.planning.plan, new, time.monotonic()))
        new = replace(new, last_good=last_good(self.planning.plan.services.values(), new))
        if new == self.status and not first:
            return
        if first or steers(new) != steers(self.status):
            header = self.row.header
            header[STATUS_GENERATION] += 1
            new = replace(new, generation=header[STATUS_GENERATION])
            self._tell(self.status, new)
        if new.draining != self.status.draining:
            why = said.draining or "the parent stands still"
            log.warning("draining: %s" if new.draining else "not draining any more%.0s", why)
        self.draining.update(new.draining and self.context.role == "region", time.monotonic())
        self.status = new
        self.spread.publish(new)

    def _weigh(self) -> bool:
        """Whether what operators and agents say of servers' weights has made another Plan."""
        weights = dict(self.side.weights(time.monotonic()))
        for key, share in self.overriding.weights().items():
            weights[key] = share * weights.get(key, 1.0)
        if weights == self.planning.weights:
            return False
        self.planning.take_weights(weights)
        return True

    def _again(self) -> None:
        """Something was said: every worker hears it now and not with the next tick."""
        if self.spread.number:
            self._judge(first=False)

    def _parent_hangs(self) -> bool:
        """Whether the parent stands still: nobody would replace a process of this node, so it takes no new clients."""
        beats, now = self.row.header[PARENT_BEATS], time.monotonic()
        if beats != self._parent[0] or not beats:
            self._parent = (beats, now)
        return now - self._parent[1] > PARENT_HANG_S

    def _tell(self, old: Status, new: Status) -> None:
        """Logs what changed, and keeps it on disk as last known good."""
        for name, known in new.regions.items():
            before = old.regions.get(name)
            if known.state is not (before.state if before else State.UNKNOWN):
                log.warning("region %s is %s", name, known.state.value, extra={"why": known.why})
        for key in old.servers.keys() | new.servers.keys():
            state = new.servers.get(key, State.UP)
            if state not in {old.servers.get(key, State.UP), State.UNKNOWN}:
                log.warning("server %s is %s", key, state.value)
        kept = self.side.keep()
        if not new.stale and kept:
            with contextlib.suppress(StateError):  # a full disk: told by the directory's own log
                self.context.directory.save_last_good(kept)

    # ------------------------------------------------------------ plans
    async def reload(self) -> dict[str, Any]:
        """Reads the files again and serves by them. Raises ConfigError; then everything goes on as it was."""
        try:
            plan, notes = await self.planning.reload()
        except ConfigError as error:
            self.reloads["refused"] += 1
            log.error("the new configuration is refused; everything goes on as it was", extra={"why": str(error)})
            raise
        self.reloads["ok"] += 1
        self._take_plan()
        for note in notes:
            log.warning("a reload can't change this: restart the node", extra={"why": note})
        log.info("reloaded: plan %d", plan.generation)
        return {"plan_generation": plan.generation, "needs_restart": notes}

    def hang_up(self) -> None:
        """HUP: reloads in the background; a refusal is told by the log."""

        async def reload() -> None:
            with contextlib.suppress(ConfigError):
                await self.reload()

        self._run(reload())

    def _take_plan(self) -> None:
        """Watches and spreads the Plan that planning holds now."""
        plan = self.planning.plan
        self._certify()
        self.side.configure(plan, self.planning.config)
        self.guarding.configure(plan, time.monotonic())
        self.leasing.configure(plan, self._limits_redis())
        self.sessions.configure(plan, next(iter(self.planning.config.state.redis), ""))
        if self.scaling is not None:
            self.scaling.configure(plan)
        if self.discovering is not None:
            self.discovering.configure(plan)
        self.runner.set_targets(self.side.targets())
        self.locator = Locator(self.planning.database, plan.services)
        self.spread.plan(plan, self.planning.cookie_secret)
        self._judge(first=False)
        if self.context.role == "edge":
            self.prefixing.build(self.planning.plan)

    def _discovered(self) -> None:
        """The DNS gives other servers than before."""
        assert self.discovering is not None
        self.planning.take_found(self.discovering.found)
        if self.spread.number:  # else the first Plan is still to be spread, and it has them
            self._take_plan()

    def _certify(self) -> None:
        """Reads the certificates that the Plan names."""
        if self.certificates.configure(self.planning.plan):
            self.spread.keys(self.certificates.keys)
            self.side.certify(self.certificates.keys)

    async def _looks(self) -> None:
        """Notices replaced files: certificates and keys, the GeoIP database."""
        while True:
            await asyncio.sleep(FILES_LOOK_S)
            if self.certificates.look():
                self.spread.keys(self.certificates.keys)
                self.side.certify(self.certificates.keys)
                self.runner.set_targets(self.side.targets())
            if self.planning.geo_changed() is not None:
                self._take_plan()
