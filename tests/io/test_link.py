"""The link between control and a worker, and control's side of it, over real socket pairs."""

import asyncio
import socket

import pytest

from gslb.model import Plan, State, Status
from gslb.node import link as link_module
from gslb.node.link import Link
from gslb.node.messages import FullStatus, Hello, NewPlan, StatusChange, WantFull
from gslb.node.spread import Spread


def plan(generation=1):
    return Plan("example", generation, {}, {}, {})


async def seen(condition, deadline_s=5.0):
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def spread():
    spread = Spread()
    spread.opened = []
    yield spread
    spread.close()
    for link in spread.opened:
        link.close()
    await asyncio.sleep(0.01)  # the transports close at the loop's next turn


async def joined(spread):
    ours, theirs = socket.socketpair()
    got = []
    worker = await Link.open(theirs, got.append, lambda: None)
    spread.opened.append(worker)
    await spread.join(1, ours)
    worker.send(Hello(0, 1))
    return worker, got


async def test_a_worker_is_told_all_and_then_changes_in_order(spread):
    spread.plan(plan(), b"secret")
    worker, got = await joined(spread)
    spread.publish(Status(1))
    await seen(lambda: len(got) == 2)
    assert isinstance(got[0], NewPlan)
    assert got[1] == FullStatus(1, Status(1))
    spread.publish(Status(2, servers={"a/b": State.DOWN}))
    await seen(lambda: len(got) == 3)
    assert got[2] == StatusChange(2, 2, servers={"a/b": State.DOWN})
    worker.close()
    await seen(lambda: spread.links == 0)


async def test_nothing_goes_out_before_the_first_status(spread):
    spread.plan(plan(), b"")
    _, got = await joined(spread)
    await asyncio.sleep(0.05)
    assert got == []
    spread.publish(Status())
    await seen(lambda: len(got) == 2)


async def test_a_gap_is_paid_with_a_full_copy(spread):
    spread.plan(plan(), b"")
    spread.publish(Status(1))
    worker, got = await joined(spread)
    await seen(lambda: len(got) == 2)
    worker.send(WantFull(0))
    await seen(lambda: len(got) == 3)
    assert got[2] == FullStatus(1, Status(1))


async def test_a_worker_that_does_not_read_is_owed_and_paid_later(spread, monkeypatch):
    monkeypatch.setattr(link_module, "WAITING_MAX_BYTES", 1000)
    spread.plan(plan(), b"")
    spread.publish(Status(1))
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    await spread.join(1, ours)
    spread._introduce(1)
    servers = {f"pool/{n}": State.DOWN for n in range(20_000)}
    for generation in range(2, 30):  # far more than the socket's buffers hold
        spread.publish(Status(generation, servers=servers if generation % 2 else {}))
    assert 1 in spread._owed
    got = []
    spread.opened.append(await Link.open(theirs, got.append, lambda: None))

    def paid():
        spread.settle()
        return bool(got) and got[-1] == FullStatus(spread.number, spread.status)

    await seen(paid)
    assert not spread._owed
