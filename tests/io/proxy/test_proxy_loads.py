"""Algorithms that learn from responses: `peak_ewma` from their time, `resource` from what servers say in them."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from dataclasses import replace

import pytest

from gslb.balancing.algorithm import ALGORITHMS
from gslb.http.endpoint import RESET_ON_CLOSE
from gslb.http.links import LOADS_MAX_S
from gslb.model import ScalingDriver, ScalingRule, Status, Thresholds, World
from tests.support.proxying import FAST, OK, one_response, plan_of, pool_of, read_head, talk, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
REPORT = b"endpoint-load-metrics"


def pool_by(algorithm: str, backends, name: str = "web", attempts: int = 2, **options):
    return replace(pool_of(backends, name, attempts), algorithm=ALGORITHMS.get(algorithm)(**options))


def saying(report: bytes, reply: bytes = OK) -> bytes:
    """`reply` with a load report."""
    return reply.replace(b"\r\n", b"\r\nEndpoint-Load-Metrics: " + report + b"\r\n", 1)


async def ask(port: int, count: int) -> Counter[int]:
    """Statuses of requests one after the other on one connection."""
    seen: Counter[int] = Counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(GET)
        seen[(await one_response(reader))[0]] += 1
    writer.close()
    return seen


# ---------------------------------------------------------------- response times
async def test_peak_ewma_avoids_a_slow_server(start, backend):
    async def slow(backend, reader, writer):
        while True:
            backend.heads.append(await read_head(reader))
            await asyncio.sleep(0.5)
            writer.write(OK)

    servers = [await backend(slow), await backend(), await backend()]
    running = await start(plan_of(pool_by("peak_ewma", servers)))
    assert await ask(running.port, 60) == {200: 60}
    slow_ones, *others = (len(server.heads) for server in servers)
    assert slow_ones <= 3  # round robin gives it 20
    assert min(others) >= 5


async def test_peak_ewma_avoids_a_server_that_refuses(start, backend):
    gone = await backend()
    await gone.stop()
    running = await start(plan_of(pool_by("peak_ewma", [gone, await backend(), await backend()])))
    assert await ask(running.port, 60) == {200: 60}
    assert 1 <= running.count("gslb_http_retries_total", pool="web") <= 3


async def closes(backend, reader, writer):
    await read_head(reader)


async def hangs(backend, reader, writer):
    await read_head(reader)
    await reader.read()


async def babbles(backend, reader, writer):
    await read_head(reader)
    writer.write(b"nonsense\r\n\r\n")


async def breaks_off(backend, reader, writer):
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")


@pytest.mark.parametrize("handler", [closes, hangs, babbles, breaks_off])
async def test_a_try_that_failed_counts_as_the_penalty(handler, start, backend):
    running = await start(
        plan_of(pool_by("peak_ewma", [await backend(handler)], attempts=1, penalty=30.0), timeouts=FAST)
    )
    await talk(running.port, CLOSING)
    known = running.proxy.pools["web"].state._picker._known["web-1"]
    assert (known.cost, known.pending) == (30.0, 0)


async def test_a_client_that_leaves_says_nothing_of_the_server(start, backend):
    server = await backend(hangs)
    running = await start(plan_of(pool_by("peak_ewma", [server])))
    known = running.proxy.pools["web"].state._picker._known["web-1"]
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(GET)
    await until(lambda: known.pending == 1)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)  # a mere end would still want the answer
    writer.transport.abort()
    await until(lambda: known.pending == 0)
    assert known.cost is None


# ---------------------------------------------------------------- load reports
async def test_resource_follows_what_servers_say(start, backend):
    servers = [
        await backend(reply=saying(b"TEXT cpu_utilization=0.2, rps_fractional=100")),
        await backend(reply=saying(b'JSON {"cpu_utilization": 0.8, "rps_fractional": 100}')),
    ]
    running = await start(plan_of(pool_by("resource", servers, blackout=0.0)))
    assert await ask(running.port, 210) == {200: 210}
    assert len(servers[0].heads) == pytest.approx(168, abs=6)  # 4 : 1
    assert running.count("gslb_http_load_reports_total", pool="web", result="ok") == 210
    for server in servers:
        server.reply = saying(b"TEXT cpu_utilization=high")
    await ask(running.port, 5)
    assert running.count("gslb_http_load_reports_total", pool="web", result="wrong") == 5


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"19\r\nendpoint-load-metrics: x\n\r\n0\r\n\r\n"
)


@pytest.mark.parametrize("reply", [OK, OK.replace(b"\r\nDate", b"\r\nConnection: close\r\nDate"), CHUNKED])
@pytest.mark.parametrize("pieces", [1, 2, 20])
async def test_the_report_is_for_us_alone(reply, pieces, start, backend):
    """The client sees what it would see without it, however the head comes in."""
    said = saying(b"TEXT cpu_utilization=0.4, rps_fractional=9", saying(b"TEXT cpu_utilization=0.1", reply))

    async def in_pieces(backend, reader, writer):
        while True:
            await read_head(reader)
            head = said.index(b"\r\n\r\n") + 4
            size = -(-head // pieces)
            for at in range(0, head, size):
                writer.write(said[at : min(at + size, head)])
                await writer.drain()
                await asyncio.sleep(0.002)
            writer.write(said[head:])

    plain = await backend(reply=reply)
    running = await start(plan_of(pool_by("resource", [await backend(in_pieces)], "loud"), pool_of([plain])))
    loud = await talk(running.port, CLOSING.replace(b"GET /", b"GET /loud/"))
    quiet = await talk(running.port, CLOSING)
    assert loud == quiet
    assert REPORT not in loud.lower().split(b"\r\n\r\n")[0]
    known = running.proxy.pools["loud"].state._picker._known["loud-1"]
    assert known.capacity == round(9 / 0.4 * 1000)  # of two fields the first counts


async def test_other_pools_pass_the_field_on_even_from_the_same_server(start, backend):
    server = await backend(reply=saying(b"TEXT cpu_utilization=0.2"))
    running = await start(plan_of(pool_by("resource", [server], "loud"), pool_of([server])))
    for _ in range(2):
        assert REPORT not in (await talk(running.port, CLOSING.replace(b"GET /", b"GET /loud/"))).lower()
        assert REPORT in (await talk(running.port, CLOSING)).lower()
    assert server.connections == 2


async def test_a_new_plan_listens_or_stops_listening(start, backend):
    server = await backend(reply=saying(b"TEXT cpu_utilization=0.2"))
    quiet = plan_of(pool_of([server]))
    running = await start(quiet)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for generation, pool in enumerate(
        (pool_of([server]), pool_by("resource", [server]), pool_by("peak_ewma", [server])), 2
    ):
        running.proxy.swap(World(plan_of(pool, generation=generation), Status()))
        links = running.proxy.pools["web"]
        assert (links.watch is not None, links.report is not None) == (generation == 4, generation == 3)
        for _ in range(2):
            writer.write(GET)
            _, fields, body = await one_response(reader)
            assert (REPORT.decode() in fields, body) == (generation != 3, b"ok")
    writer.close()
    await until(lambda: len(server.writers) == 1)  # those of the plans before were closed


async def test_what_servers_say_reaches_control_for_a_pool_that_scales_by_cpu(start, backend):
    servers = [await backend(reply=saying(b"TEXT cpu_utilization=0.25, mem_utilization=0.5")), await backend()]
    rule = ScalingRule(1, 2, Thresholds(cpu=0.7), Thresholds(), ScalingDriver())
    running = await start(plan_of(replace(pool_of(servers), scaling=rule)))
    assert await ask(running.port, 4) == {200: 4}
    counts = running.proxy.counts(whole=True)
    assert (counts["web/web-1"].cpu, counts["web/web-1"].memory) == (0.25, 0.5)
    assert (counts["web/web-2"].cpu, counts["web/web-2"].memory) == (None, None)
    clock, running.proxy.clock = running.proxy.clock, lambda: clock() + LOADS_MAX_S
    assert running.proxy.counts(whole=False)["web/web-1"].cpu is None  # too long ago
