"""Connections to servers: opened ahead of their use, bounded while idle, ended when they are old."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gslb.model import Connections, State, Status, World
from tests.support.proxying import one_response, plan_of, pool_of, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def pool_with(backends, **words):
    return replace(pool_of(backends), connections=Connections(**words))


async def test_warm_connections_are_there_before_a_request_and_come_back(start, backend):
    server = await backend()
    running = await start(plan_of(pool_with([server], warm=3)))
    link = running.proxy.pools["web"].links["web-1"]
    await until(lambda: len(link.idle) == 3)
    assert server.connections == 3
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(GET)
    assert (await one_response(reader))[0] == 200
    assert server.connections == 3  # none was opened for it
    link.idle[0].abort()
    await until(lambda: len(link.idle) == 3)
    assert server.connections == 4
    assert link.open == 3
    writer.close()


async def test_a_server_that_is_down_or_away_is_not_stormed(start, backend):
    server, away = await backend(), await backend()
    await away.stop()
    plan = plan_of(pool_with([server, away], warm=2))
    running = await start(plan)
    links = running.proxy.pools["web"].links
    await until(lambda: len(links["web-1"].idle) == 2 and links["web-2"].warm_from > 0 and links["web-2"].open == 0)
    running.proxy.swap(World(plan, Status(servers={"web/web-1": State.DOWN, "web/web-2": State.DOWN})))
    before, links["web-2"].warm_from = links["web-1"].warm_from, 0.0
    for one in tuple(links["web-1"].idle):
        one.abort()
    await asyncio.sleep(0)
    running.proxy._sweep()
    assert (links["web-1"].warm_from, links["web-2"].warm_from) == (before, 0.0)


async def test_no_more_idle_ones_are_kept_than_allowed(start, backend):
    server = await backend()
    running = await start(plan_of(pool_with([server], idle=2)))
    link = running.proxy.pools["web"].links["web-1"]
    clients = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(4)]
    for _, writer in clients:
        writer.write(GET)
    for reader, writer in clients:
        assert (await one_response(reader))[0] == 200
        writer.close()
    await until(lambda: link.open == len(link.idle) <= 2)


@pytest.mark.parametrize(("lifetime_s", "connections"), [(3600.0, 1), (1e-6, 2)])
async def test_an_old_connection_ends_after_its_response(start, backend, lifetime_s, connections):
    server = await backend()
    running = await start(plan_of(pool_with([server], lifetime_s=lifetime_s)))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    clock = running.proxy.clock
    for step in range(3):
        running.proxy.clock = lambda step=step: clock() + step  # the sweep's deadlines move with it
        running.proxy._tick()
        writer.write(GET)
        assert (await one_response(reader))[0] == 200
    assert server.connections == connections
    writer.close()


async def test_pools_that_keep_alike_share_connections_and_others_do_not(start, backend):
    server = await backend()
    same = [pool_with([server], idle=9), replace(pool_with([server], idle=9), name="other")]
    unlike = replace(pool_with([server], idle=8), name="third")
    running = await start(plan_of(unlike, *(replace(one, servers=same[0].servers) for one in same)))
    links = [pool.links["web-1"] for pool in running.proxy.pools.values()]
    assert links[1] is links[2] is not links[0]
