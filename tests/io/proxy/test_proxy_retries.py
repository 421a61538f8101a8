"""Tries after other failures than a failed connect: what may be repeated, how often, until when."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

import pytest

from gslb.balancing.exchange import BUDGET_MIN
from gslb.model import Retries, Timeouts
from tests.support.proxying import one_response, parsed, plan_of, pool_of, read_body, read_head, talk, until

END = b"Host: a\r\nConnection: close\r\n"
GET = b"GET / HTTP/1.1\r\n" + END + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + END + b"Content-Length: 3\r\n\r\nabc"
BUSY = b"HTTP/1.1 503 Busy\r\nDate: x\r\nContent-Length: 4\r\n\r\nbusy"
ALL = Retries(3, frozenset({"connect", "reset", "timeout", "status"}), frozenset({503}), per_try_s=0.4)


async def breaks_off(backend, reader, writer):
    backend.heads.append(await read_head(reader))


async def hangs(backend, reader, writer):
    backend.heads.append(await read_head(reader))
    await reader.read()


async def busy(backend, reader, writer):
    while True:
        head = await read_head(reader)
        await read_body(reader, head)
        backend.heads.append(head)
        writer.write(BUSY)


BAD = {"reset": (breaks_off, 502), "timeout": (hangs, 504), "status": (busy, 503)}


@pytest.mark.parametrize("kind", BAD)
async def test_an_idempotent_request_is_tried_on_another_server(kind, start, backend):
    bad, good = await backend(BAD[kind][0]), await backend()
    running = await start(plan_of(pool_of([bad, good], retries=ALL)))
    for _ in range(4):
        assert parsed(await talk(running.port, GET)).status == 200
    assert len(good.heads) == 4
    assert len(bad.heads) >= 1
    assert running.count("gslb_http_retries_total", pool="web") == len(bad.heads)
    assert running.count("gslb_http_requests_total", pool="web", code="2xx") == 4
    counted = {"reset": "reset", "timeout": "first_byte_timeout", "status": "status"}[kind]
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason=counted) == len(bad.heads)
    assert running.proxy.pools["web"].budget.taken == 0


@pytest.mark.parametrize("kind", BAD)
async def test_a_request_that_may_not_be_repeated_is_not(kind, start, backend):
    bad, good = await backend(BAD[kind][0]), await backend()
    running = await start(plan_of(pool_of([bad, good], retries=ALL)))
    statuses = [parsed(await talk(running.port, POST)).status for _ in range(2)]
    assert sorted(statuses) == [200, BAD[kind][1]]
    assert running.count("gslb_http_retries_total", pool="web") == 0


@pytest.mark.parametrize("kind", BAD)
async def test_what_is_not_asked_for_is_not_tried_again(kind, start, backend):
    pool = pool_of([await backend(BAD[kind][0]), await backend()])
    running = await start(plan_of(pool, timeouts=Timeouts(first_byte_s=0.4)))
    assert sorted([parsed(await talk(running.port, GET)).status for _ in range(2)]) == [200, BAD[kind][1]]


async def test_the_last_response_goes_to_the_client_whatever_its_status(start, backend):
    servers = [await backend(busy) for _ in range(4)]
    running = await start(plan_of(pool_of(servers, retries=ALL)))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for number in range(1, 4):  # the connection goes on
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        status, _, body = await one_response(reader)
        assert (status, body) == (503, b"busy")
        assert sum(len(server.heads) for server in servers) == 3 * number
    writer.close()
    assert running.proxy.pools["web"].budget.taken == 0


async def test_all_tries_are_inside_one_deadline(start, backend):
    servers = [await backend(hangs) for _ in range(3)]
    plan = plan_of(pool_of(servers, retries=ALL), timeouts=Timeouts(first_byte_s=0.6))
    running = await start(plan)
    began = time.monotonic()
    assert parsed(await talk(running.port, GET)).status == 504
    assert time.monotonic() - began < 1.15  # 0.6 and the sweep's coarseness; three tries of 0.4 would be 1.2 and more
    await until(lambda: all(running.proxy.pools["web"].state.active(f"web-{n}") == 0 for n in (1, 2, 3)))


async def test_the_budget_bounds_what_a_failing_pool_gets(start, backend):
    servers = [await backend(hangs) for _ in range(2)]
    patient = Retries(2, ALL.on, budget=0.0, per_try_s=0.3)
    running = await start(plan_of(pool_of(servers, retries=patient), timeouts=Timeouts(first_byte_s=5)))
    replies = await asyncio.gather(*(talk(running.port, GET) for _ in range(20)))
    assert {parsed(reply).status for reply in replies} == {504}
    assert running.count("gslb_http_retries_total", pool="web") == BUDGET_MIN
    assert running.proxy.pools["web"].budget.taken == 0


async def test_a_client_that_leaves_during_the_pause_costs_nothing_more(start, backend, free_port):
    slow = Retries(3, backoff_s=0.5, backoff_max_s=0.5)
    running = await start(plan_of(pool_of([free_port, free_port], retries=slow)))
    running.proxy.chance = lambda: 1.0
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(GET)
    await until(lambda: running.count("gslb_http_retries_total", pool="web") == 1)
    sock = writer.get_extra_info("socket")  # a reset: after a mere end it might still want its answer
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: running.proxy.active == 0)
    assert running.proxy.pools["web"].budget.taken == 0
    await asyncio.sleep(0.6)  # longer than the pause
    assert running.count("gslb_http_upstream_connections_total", pool="web") == 1


async def test_the_whole_exchange_has_a_bound_too(start, backend):
    async def trickle(backend, reader, writer):
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    bounds = Timeouts(total_s=0.5)
    for handler in (trickle, hangs):
        running = await start(plan_of(pool_of([await backend(handler)]), timeouts=bounds))
        reply = await talk(running.port, GET)
        assert (b"total_timeout" in reply) == (handler is hangs)
        assert len(reply) < 1000
        await until(lambda running=running: running.proxy.pools["web"].state.active("web-1") == 0)
