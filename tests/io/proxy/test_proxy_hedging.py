"""A second server is asked when the first is slow: the first answer counts, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gslb.balancing.exchange import BUDGET_MIN
from gslb.model import Retries, Timeouts
from tests.support.proxying import one_response, parsed, plan_of, pool_of, read_body, read_head, talk, until

END = b"Host: a\r\nConnection: close\r\n"
GET = b"GET / HTTP/1.1\r\n" + END + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + END + b"Content-Length: 3\r\n\r\nabc"
HEDGE = Retries(hedge_s=0.05)


def slow(delay_s: float):
    async def handler(backend, reader, writer):
        while True:
            head = await read_head(reader)
            await read_body(reader, head)
            backend.heads.append(head)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), delay_s)
                return  # the connection has ended before the answer
            writer.write(b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n\r\nslow")

    return handler


async def breaks_off(backend, reader, writer):
    backend.heads.append(await read_head(reader))
    await asyncio.sleep(0.2)


async def settled(running, *ids: str) -> None:
    """Nothing is held any more: no place at a server, none in the budget."""
    pool = running.proxy.pools["web"]
    await until(lambda: all(pool.state.active(one) == 0 for one in ids))
    assert pool.budget.taken == 0


async def test_the_faster_of_two_answers(start, backend):
    tardy, quick = await backend(slow(3.0)), await backend()
    running = await start(plan_of(pool_of([tardy, quick], retries=HEDGE)))
    for _ in range(4):
        assert parsed(await talk(running.port, GET, 2.0)).whole == b"ok"
    assert len(tardy.heads) >= 2
    assert running.count("gslb_http_hedges_total", pool="web", result="sent") == len(tardy.heads)
    assert running.count("gslb_http_hedges_total", pool="web", result="won") == len(tardy.heads)
    assert running.count("gslb_http_requests_total", pool="web", code="2xx") == 4
    await settled(running, "web-1", "web-2")


async def test_the_first_may_still_win_and_the_second_is_let_go(start, backend):
    servers = [await backend(slow(0.15)), await backend(slow(3.0))]
    running = await start(plan_of(pool_of(servers, retries=HEDGE)))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await one_response(reader))[2] == b"slow"
    assert running.count("gslb_http_hedges_total", pool="web", result="sent") == 1
    assert running.count("gslb_http_hedges_total", pool="web", result="won") == 0
    await settled(running, "web-1", "web-2")
    await until(lambda: not servers[1].writers)  # its connection could not be used again
    writer.close()


async def test_a_quick_pool_is_asked_once(start, backend):
    servers = [await backend(), await backend()]
    running = await start(plan_of(pool_of(servers, retries=HEDGE)))
    for _ in range(20):
        assert parsed(await talk(running.port, GET)).status == 200
    assert sum(len(server.heads) for server in servers) == 20
    await asyncio.sleep(0.1)
    assert running.count("gslb_http_hedges_total", pool="web", result="sent") == 0


async def test_only_a_get_or_a_head_is_asked_twice(start, backend):
    servers = [await backend(slow(0.2)) for _ in range(2)]
    running = await start(plan_of(pool_of(servers, retries=HEDGE)))
    assert parsed(await talk(running.port, POST)).status == 200
    assert parsed(await talk(running.port, GET.replace(b"GET", b"HEAD")), "HEAD").status == 200
    assert sum(len(server.heads) for server in servers) == 3
    await settled(running, "web-1", "web-2")


@pytest.mark.parametrize("bad_first", [True, False])
async def test_if_one_breaks_off_the_other_answers(bad_first, start, backend):
    servers = [await backend(breaks_off), await backend(slow(0.4))]
    running = await start(plan_of(pool_of(servers if bad_first else servers[::-1], retries=HEDGE)))
    assert parsed(await talk(running.port, GET)).whole == b"slow"
    assert [len(server.heads) for server in servers] == [1, 1]
    await settled(running, "web-1", "web-2")


async def test_if_both_break_off_the_client_is_told(start, backend):
    running = await start(plan_of(pool_of([await backend(breaks_off) for _ in range(2)], retries=HEDGE)))
    reply = parsed(await talk(running.port, GET))
    assert (reply.status, reply.getheader("X-Gslb-Error")) == (502, "upstream_closed")
    await settled(running, "web-1", "web-2")


async def test_a_pool_that_is_slow_as_a_whole_is_not_asked_twice(start, backend):
    servers = [await backend(slow(0.5)) for _ in range(2)]
    patient = Retries(budget=0.0, hedge_s=0.05)
    running = await start(plan_of(pool_of(servers, retries=patient), timeouts=Timeouts(first_byte_s=5)))
    replies = await asyncio.gather(*(talk(running.port, GET) for _ in range(20)))
    assert {parsed(reply).status for reply in replies} == {200}
    assert running.count("gslb_http_hedges_total", pool="web", result="sent") == BUDGET_MIN
    assert sum(len(server.heads) for server in servers) == 20 + BUDGET_MIN
    await settled(running, "web-1", "web-2")


async def test_a_client_that_leaves_takes_both_tries_with_it(start, backend):
    servers = [await backend(slow(5.0)) for _ in range(2)]
    running = await start(plan_of(pool_of(servers, retries=HEDGE)))
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: all(server.heads for server in servers))
    running.proxy.close()
    writer.close()
    await until(lambda: running.proxy.active == 0)
    await settled(running, "web-1", "web-2")
