"""Limits over real sockets: who is refused, in which words, and that places come back however a request ends."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace

import pytest

from gslb.model import Adaptive, ConcurrencyLimit, Limits, RateLimit, Respond, Route, Shedding, Split
from tests.support.proxying import FAST, one_response, parsed, plan_of, pool_of, read_head, talk, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%b\r\n"


def rate(name="r", key="all", count=2, period_s=60.0, burst=2, **options) -> Limits:
    return Limits({name: RateLimit(name, key, count, period_s, burst, **options)}, for_all=(name,))


async def statuses(port: int, *fields: bytes) -> list[int]:
    return [parsed(await talk(port, GET % one)).status for one in fields]


async def test_over_the_rate_is_429_with_the_fields(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server]), limits=rate()))
    assert await statuses(running.port, b"", b"") == [200, 200]
    refused = parsed(await talk(running.port, GET % b""))
    assert (refused.status, refused.getheader("X-Gslb-Error")) == (429, "rate_limited")
    assert 25 <= int(refused.getheader("Retry-After")) <= 30
    assert refused.getheader("RateLimit-Policy") == '"r";q=2;w=60'
    assert refused.getheader("RateLimit").startswith('"r";r=0;t=')
    assert len(server.heads) == 2
    assert running.count("gslb_http_limited_total", limit="r", reason="rate_limited") == 1
    assert running.count("gslb_http_refused_total", code="429") == 1


async def test_a_refused_client_keeps_its_connection(start, backend):
    running = await start(plan_of(pool_of([await backend()]), limits=rate(burst=1)))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    found = []
    for _ in range(3):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        found.append((await one_response(reader))[0])
    writer.close()
    assert found == [200, 429, 429]


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("client_ip", b"X-Forwarded-For: 192.0.2.1\r\n", b"X-Forwarded-For: 192.0.2.2\r\n"),
        ("header:X-Key", b"X-Key: a\r\n", b"X-Key: b\r\n"),
        ("cookie:sid", b"Cookie: sid=a\r\n", b"Cookie: sid=b\r\n"),
    ],
)
@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window"])
async def test_each_key_has_its_own(key, one, other, algorithm, start, backend):
    limits = rate(key=key, algorithm=algorithm, period_s=600.0)
    running = await start(plan_of(pool_of([await backend()]), limits=limits, trusted_proxies=("127.0.0.1",)))
    assert await statuses(running.port, one, other, one, other, one, other) == [200, 200, 200, 200, 429, 429]


async def test_limits_hold_where_they_are_named(start, backend):
    limits = Limits({name: RateLimit(name, "all", 1, 60.0, 1) for name in ("route", "pool", "split")})
    web = replace(pool_of([await backend()], "web"), limits=("pool",))
    one = replace(pool_of([await backend()], "one"), limits=("split",))
    routes = (
        Route("web", path="/route", limits=("route",)),
        Route(path="/fixed", action=Respond(200), limits=("route",)),
        Route(path="/split", action=Split((("one", 1), ("free", 1)))),
        Route("free", path="/free"),
        Route("web"),
    )
    free = pool_of([await backend()], "free")
    running = await start(plan_of(web, one, free, limits=limits, routes=routes))

    async def ask(path: bytes) -> int:
        return parsed(await talk(running.port, GET.replace(b"GET /", b"GET " + path) % b"")).status

    assert [await ask(b"/route"), await ask(b"/route"), await ask(b"/fixed")] == [200, 429, 429]
    assert await ask(b"/") == 429  # the pool's one was spent by /route
    assert [await ask(b"/free") for _ in range(4)] == [200] * 4
    assert sorted([await ask(b"/split") for _ in range(4)]) == [200, 200, 200, 429]


async def hang(one, reader, writer):
    one.heads.append(await read_head(reader))
    await reader.read()


async def test_places_come_back_however_a_request_ends(start, backend):
    """Answered, refused by the server, timed out, broken off by the client: each gives its place back once."""
    limits = Limits(concurrency={"c": ConcurrencyLimit("c", 2)}, for_all=("c",))
    hanging = await backend(hang)
    pools = pool_of([await backend()], "ok"), pool_of([1], "refused", attempts=1)
    running = await start(plan_of(*pools, pool_of([hanging], "hang", attempts=1), limits=limits, timeouts=FAST))
    for path in (b"/ok/", b"/refused/", b"/x", b"/ok/"):
        await talk(running.port, GET.replace(b"GET /", b"GET " + path) % b"")
        assert running.count("gslb_limit_running", limit="c") == 0
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: running.count("gslb_limit_running", limit="c") == 1)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: running.count("gslb_limit_running", limit="c") == 0)


async def test_too_many_at_once_is_503(start, backend):
    limits = Limits(concurrency={"c": ConcurrencyLimit("c", 2)}, for_all=("c",))
    hanging = await backend(hang)
    running = await start(plan_of(pool_of([hanging]), limits=limits))
    writers = []
    for _ in range(2):
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        writers.append(writer)
    await until(lambda: running.count("gslb_limit_running", limit="c") == 2)
    refused = parsed(await talk(running.port, GET % b""))
    assert (refused.status, refused.getheader("X-Gslb-Error")) == (503, "concurrency_limited")
    assert refused.getheader("Retry-After") == "1"
    for writer in writers:
        writer.close()


async def test_an_adaptive_limit_serves_and_shows_itself(start, backend):
    limits = Limits(concurrency={"a": ConcurrencyLimit("a", adaptive=Adaptive(3, 50))}, for_all=("a",))
    running = await start(plan_of(pool_of([await backend()]), limits=limits))
    assert await statuses(running.port, *[b""] * 10) == [200] * 10
    await until(lambda: running.count("gslb_limit_concurrency", limit="a") >= 3)
    assert running.count("gslb_limit_running", limit="a") == 0


async def test_under_lag_batch_is_refused_first(start, backend):
    limits = Limits(shedding=Shedding(lag_s=0.1, header="X-Priority"))
    ranked = (Route("web", path=f"/{name}", priority=name) for name in ("batch", "critical"))
    routes = (*ranked, Route("web"))
    running = await start(plan_of(pool_of([await backend()]), limits=limits, routes=routes))

    async def ask(path: str, fields: bytes = b"") -> int:
        return parsed(await talk(running.port, GET.replace(b"/", path.encode(), 1) % fields)).status

    assert await ask("/batch") == 200
    for _ in range(20):
        running.proxy.limiter.overload.look(0.15)
    running.proxy._shed()
    assert [await ask("/batch"), await ask("/critical"), await ask("/")] == [503, 200, 200]
    assert await ask("/", b"X-Priority: batch\r\n") == 503
    assert await ask("/batch", b"X-Priority: critical\r\n") == 503  # nobody vouches for it
    assert running.count("gslb_http_limited_total", limit="shedding", reason="overloaded") == 3
    for _ in range(20):
        running.proxy.limiter.overload.look(0.0)
    running.proxy._shed()
    assert await ask("/batch") == 200


async def test_a_new_plan_keeps_what_is_known_of_limits_that_stay(start, backend):
    from gslb.model import Status, World

    plan = plan_of(pool_of([await backend()]), limits=rate(burst=1))
    running = await start(plan)
    assert await statuses(running.port, b"", b"") == [200, 429]
    running.proxy.swap(World(replace(plan, generation=2), Status()))
    assert await statuses(running.port, b"") == [429]
    other = replace(plan, generation=3, balancer=replace(plan.balancer, limits=rate(burst=3)))
    running.proxy.swap(World(other, Status()))
    assert await statuses(running.port, b"") == [200]
