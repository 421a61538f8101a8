"""A worker and its link: Worlds are swapped whole and in order, gaps and overflows are asked for, a lost link too."""

import asyncio
import socket
from types import SimpleNamespace

import pytest

from gslb.model import Plan, Status
from gslb.node import worker as worker_module
from gslb.node.board import PLAN_GENERATION, READY, STATUS_NUMBER, Board
from gslb.node.link import Link
from gslb.node.messages import Drain, FullStatus, Hello, NewPlan, StatusChange, WantFull
from gslb.node.worker import Worker


class Plane:
    """Stands in for a data plane: remembers the Worlds, and can refuse one."""

    active = 0

    def __init__(self, *_):
        self.worlds, self.drained, self.closed, self.refuse = [], False, False, ""

    async def swap(self, world, _secret):
        if world.plan.cluster == self.refuse:
            raise ValueError("a zone that can't be served")
        self.worlds.append(world)

    def install(self, *_):
        pass

    def drain(self, *, moving):
        self.drained = True

    def close(self):
        self.closed = True


def plan(generation, cluster="example"):
    return NewPlan(Plan(cluster, generation, {}, {}, {}), b"")


async def seen(condition, deadline_s=5.0):
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def pair(monkeypatch):
    """A worker, its control's end of the link, and what each was told."""
    monkeypatch.setattr(worker_module, "EdgePlane", Plane)
    board = Board(2, counter_cells=8)
    asked, links = [], []
    made = Worker(SimpleNamespace(role="edge"), 0, board.rows[1], lambda: asked.append(True))

    async def link():
        ours, theirs = socket.socketpair()
        told = []
        control = await Link.open(ours, told.append, lambda: None)
        links.append(control)
        await made.connect(theirs)
        await seen(lambda: told)
        return control, told

    await made.start()
    yield SimpleNamespace(worker=made, plane=made.plane, header=board.rows[1].header, asked=asked, link=link)
    made.stop()
    await made.stopped()
    for each in links:
        each.close()
    await asyncio.sleep(0.01)


async def test_worlds_in_order_and_never_an_older_plan(pair):
    control, told = await pair.link()
    assert isinstance(told[0], Hello)
    control.send(plan(2))
    control.send(FullStatus(7, Status(1)))
    control.send(StatusChange(8, 2, stale=True))
    control.send(plan(1))
    control.send(StatusChange(9, 3))
    await seen(lambda: pair.header[STATUS_NUMBER] == 9)
    assert [(world.plan.generation, world.status.generation) for world in pair.plane.worlds] == [(2, 1), (2, 2), (2, 3)]
    assert pair.header[READY] == 1
    assert pair.header[PLAN_GENERATION] == 2


async def test_a_gap_is_asked_for_and_changes_nothing(pair):
    control, told = await pair.link()
    control.send(plan(1))
    control.send(FullStatus(1, Status(1)))
    control.send(StatusChange(3, 9))
    await seen(lambda: WantFull(1) in told)
    assert pair.plane.worlds[-1].status.generation == 1


async def test_a_plan_that_cannot_be_served_leaves_the_old_one(pair):
    control, _ = await pair.link()
    pair.plane.refuse = "broken"
    control.send(plan(1))
    control.send(FullStatus(1, Status(1)))
    control.send(plan(2, "broken"))
    control.send(plan(3))
    await seen(lambda: pair.header[PLAN_GENERATION] == 3)
    assert [world.plan.generation for world in pair.plane.worlds] == [1, 3]


async def test_a_new_link_replaces_the_old_one_and_asks_for_none(pair):
    await pair.link()
    control, _ = await pair.link()
    control.send(plan(1))
    control.send(FullStatus(1, Status(1)))
    await seen(lambda: pair.plane.worlds)
    assert pair.asked == []


async def test_a_lost_link_is_asked_for_once_and_the_worker_serves_on(pair):
    control, _ = await pair.link()
    control.send(plan(1))
    control.send(FullStatus(1, Status(1)))
    await seen(lambda: pair.plane.worlds)
    control.close()
    await seen(lambda: pair.asked)
    assert pair.asked == [True]
    control, _ = await pair.link()
    control.send(FullStatus(1, Status(5)))
    await seen(lambda: pair.plane.worlds[-1].status.generation == 5)


async def test_an_overflow_asks_for_everything_anew(pair):
    _, told = await pair.link()
    for number in range(worker_module.MESSAGES_MAX + 5):
        pair.worker._receive(StatusChange(number, number))
    await seen(lambda: sum(isinstance(message, Hello) for message in told) >= 2)
    assert sum(isinstance(message, Hello) for message in told) == 2


async def test_a_part_that_fails_ends_the_worker(pair):
    control, _ = await pair.link()

    async def broken(*_):
        raise RuntimeError("a bug")

    pair.plane.swap = broken
    control.send(plan(1))
    control.send(FullStatus(1, Status(1)))
    async with asyncio.timeout(5):
        await pair.worker.stopped()
    assert pair.worker.failed


async def test_drain_closes_the_plane(pair):
    pair.worker._receive(Drain(1.0))
    async with asyncio.timeout(5):
        await pair.worker.stopped()
    assert pair.plane.drained
    assert pair.plane.closed
