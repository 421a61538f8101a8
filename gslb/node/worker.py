"""A data worker: keeps its link to control, turns messages into Worlds, and hands them to its plane.

It serves on while control is away, asks for a full copy when a number is missing, beats its heart on the board, and
on TERM drains for a bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from gslb.balancing.leases import Ask
from gslb.balancing.outcomes import Outcome
from gslb.errors import GslbError
from gslb.model import Plan, Status, World
from gslb.node.board import PLAN_GENERATION, READY, STATUS_GENERATION, STATUS_NUMBER, Row
from gslb.node.context import NodeContext
from gslb.node.link import Link
from gslb.node.messages import (
    Asks,
    Drain,
    FullStatus,
    Grants,
    Hello,
    Lease,
    Loads,
    Message,
    NewKeys,
    NewPlan,
    NewTables,
    Outcomes,
    ServerCounts,
    Sessions,
    StatusChange,
    WantFull,
    apply,
)
from gslb.node.planes import EdgePlane, Plane, RegionPlane

BEAT_INTERVAL_S = 0.25
COUNTS_EVERY_BEATS = 4  # what servers did is told once a second
DRAIN_GRACE_S = 10.0
MOVE_GRACE_S = 60.0  # for what a worker still serves when its successor has taken over
GC_THRESHOLD = 100_000
MESSAGES_MAX = 1024

log = logging.getLogger("gslb.worker")


@dataclass(slots=True)
class Known:
    """What control has told so far."""

    plan: Plan | None = None
    cookie_secret: bytes = b""
    status: Status | None = None
    number: int = -1


class Worker:
    """One data worker inside a running event loop."""

    def __init__(
        self, context: NodeContext, index: int, row: Row, ask_link: Callable[[], None] = lambda: None
    ) -> None:
        """`ask_link` asks the parent for a new link to control."""
        self._index, self._row, self._ask_link = index, row, ask_link
        self._known = Known()
        self._link: Link | None = None
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(MESSAGES_MAX)
        self._told = False  # what servers did, to this link
        self._missed = False  # the inbox was full: what control said is asked for again
        self._done = asyncio.Event()
        self._leave_by = math.inf
        self.failed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.plane: Plane = (EdgePlane if context.role == "edge" else RegionPlane)(context, index, row)
        self.plane.report = self._report
        self.plane.ask, self.plane.share = self._ask, self._share

    async def start(self) -> None:
        """Starts the heartbeat and the inbox."""
        for coroutine in (self._beat(), self._work()):
            task = asyncio.create_task(coroutine)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part that fails ends the worker, and the parent replaces it: half a worker would serve stale answers."""
        if not task.cancelled() and task.exception() is not None:
            log.critical("worker %d: a part of it failed", self._index + 1, exc_info=task.exception())
            self.failed = True
            self._done.set()

    async def connect(self, sock: socket.socket) -> None:
        """Takes a new link to control and introduces itself; the old link is closed."""
        old, self._link = self._link, None
        if old is not None:
            old.close()
        self._link = await Link.open(sock, self._receive, self._lost)
        self._told = False
        self._link.send(Hello(self._index, os.getpid()))

    async def stopped(self) -> None:
        """Returns when the worker has drained."""
        await self._done.wait()
        for task in self._tasks:
            task.cancel()

    def stop(self, grace_s: float = DRAIN_GRACE_S, *, moving: bool = False) -> None:
        """Drains within `grace_s`, then ends; of several calls the soonest end holds. `moving`: see Drain."""
        self._leave_by = min(self._leave_by, time.monotonic() + grace_s)
        self._receive(Drain(grace_s, moving))

    # ------------------------------------------------------------ messages
    def _report(self, outcomes: tuple[Outcome, ...]) -> None:
        """Tells control; what it can't be told is gone, and breakers can live with that."""
        if self._link is not None:
            self._link.send(Outcomes(outcomes))

    def _ask(self, number: int, asks: tuple[Ask, ...]) -> bool:
        """Asks control for slices; False if it can't be told."""
        return self._link is not None and self._link.send(Asks(number, asks))

    def _share(self, pool: str, entries: tuple[tuple[bytes, str], ...]) -> None:
        """Tells control where sessions are; what it can't be told the other workers do not hear."""
        if self._link is not None:
            self._link.send(Sessions(pool, entries))

    def _lost(self) -> None:
        """Control is gone, or the link broke: serve on with what is known; the parent hands over a new link."""
        if self._link is not None and self._link.closed:  # not an older one that we closed ourselves
            self._link = None
            self._ask_link()

    def _receive(self, message: Message) -> None:
        """Queues a message; on overflow everything is asked for anew rather than guessed."""
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            self._missed = True

    async def _work(self) -> None:
        """Takes the messages one at a time: a World is swapped whole or not at all."""
        while True:
            message = await self._inbox.get()
            try:
                if isinstance(message, Drain):
                    await self._drain(message)
                else:
                    await self._take(message)
            except (GslbError, OSError, ValueError) as error:  # ValueError: a zone that can't be served
                log.error("worker %d can't use a %s: %s", self._index + 1, type(message).__name__, error)
            if self._missed and self._inbox.empty() and self._link is not None:
                self._missed = not self._link.send(Hello(self._index, os.getpid()))

    async def _take(self, message: Message) -> None:
        """Learns one message and, once Plan and Status are known, swaps the World."""
        known = self._known
        if self._passed_on(message):
            return
        if isinstance(message, NewPlan):
            if known.plan is not None and message.plan.generation < known.plan.generation:
                return  # never an older one over a newer
            known.plan, known.cookie_secret = message.plan, message.cookie_secret
        elif isinstance(message, FullStatus):
            known.status, known.number = message.status, message.number
        elif isinstance(message, StatusChange):
            if known.status is None or message.number != known.number + 1:
                if self._link is not None:
                    self._link.send(WantFull(known.number))
                return
            known.status, known.number = apply(known.status, message), message.number
        if known.plan is None or known.status is None:
            return
        await self.plane.swap(World(known.plan, known.status), known.cookie_secret)
        header = self._row.header
        header[PLAN_GENERATION], header[STATUS_NUMBER] = known.plan.generation, known.number
        header[STATUS_GENERATION] = known.status.generation
        if not header[READY]:
            gc.collect()
            gc.freeze()
            header[READY] = 1

    def _passed_on(self, message: Message) -> bool:
        """Whether this was for the plane alone; it has it then."""
        if isinstance(message, NewTables):
            self.plane.install(message.stamp, message.tables)
        elif isinstance(message, NewKeys):
            self.plane.certify(message.keys)
        elif isinstance(message, Sessions):
            self.plane.remember(message.pool, message.entries)
        elif isinstance(message, Loads):
            self.plane.loads(message.pool, message.loads)
        elif isinstance(message, Grants):
            self.plane.granted(message.number, message.grants)
        elif isinstance(message, Lease):
            self.plane.lease(message.pool, message.server, message.epoch, message.lease)
        else:
            return False
        return True

    # ------------------------------------------------------------ life
    async def _beat(self) -> None:
        """Moves the heart: a loop that stalls for seconds is a hang to the parent."""
        for number in itertools.count():
            self._row.beat()
            if number % COUNTS_EVERY_BEATS == 0:
                self._tell_counts()
            await asyncio.sleep(BEAT_INTERVAL_S)

    def _tell_counts(self) -> None:
        """Tells control what servers did; all of it to a control that has just been linked."""
        if self._link is None:
            self._told = False
            return
        counts = self.plane.counts(whole=not self._told)
        self._told = not counts or self._link.send(ServerCounts(os.getpid(), counts))

    async def _drain(self, message: Drain) -> None:
        """Stops taking, waits for what is there, drops the rest."""
        self._leave_by = min(self._leave_by, time.monotonic() + message.grace_s)
        self.plane.drain(moving=message.moving)
        while self.plane.active and time.monotonic() < self._leave_by:
            await asyncio.sleep(0.05)
        self.plane.close()
        self._done.set()


def watch_channel(channel: socket.socket, on_link: asyncio.Queue[tuple[int, socket.socket]]) -> None:
    """Puts every (worker slot, link socket) that the parent hands over into `on_link`."""
    loop = asyncio.get_running_loop()
    channel.setblocking(False)

    def readable() -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(channel, 64, 4)
        except BlockingIOError:
            return
        if not data:
            loop.remove_reader(channel.fileno())
            return
        for descriptor in descriptors:
            on_link.put_nowait((int(data), socket.socket(fileno=descriptor)))

    loop.add_reader(channel.fileno(), readable)


async def _main(context: NodeContext, index: int, channel: socket.socket) -> int:
    def ask_link() -> None:
        with contextlib.suppress(OSError):  # a full channel: the parent has been asked already
            channel.send(b"link")

    worker = Worker(context, index, context.board.rows[index + 1], ask_link)
    await worker.start()
    links: asyncio.Queue[tuple[int, socket.socket]] = asyncio.Queue()
    watch_channel(channel, links)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.stop)
    loop.add_signal_handler(signal.SIGUSR2, lambda: worker.stop(MOVE_GRACE_S, moving=True))

    async def take_links() -> None:
        while True:
            _, sock = await links.get()
            await worker.connect(sock)

    taking = asyncio.create_task(take_links())
    await worker.stopped()
    taking.cancel()
    return 1 if worker.failed else 0


def run_worker(context: NodeContext, index: int, channel: socket.socket) -> int:
    """What a forked worker process does; returns its exit code."""
    gc.set_threshold(GC_THRESHOLD, 50, 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_main(context, index, channel))
