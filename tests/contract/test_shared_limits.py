"""The Lua script that leases slices, against the arithmetic that it is written after, in a real Redis."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from gslb.balancing.leases import Ask, Spender
from gslb.balancing.limits import meter_of
from gslb.errors import StoreUnavailable
from gslb.model import RateLimit
from gslb.state.leases import RedisLeases
from tests.support.redis_server import RedisServer

BUCKET = RateLimit("api", "client_ip", 100, 10.0, 30, scope="shared")
WINDOW = RateLimit("win", "client_ip", 50, 600.0, 50, "sliding_window", "shared")

_keys = itertools.count()


@pytest.fixture(scope="module")
def server():
    with RedisServer() as running:
        yield running


def lease(server, region: str, *asks: tuple[RateLimit, Ask]) -> list[tuple[int, float]]:
    async def ask() -> list[tuple[int, float]]:
        leases = RedisLeases(server.url, "test", region)
        try:
            return await leases.lease(asks)
        finally:
            await leases.close()

    return asyncio.run(ask())


@settings(max_examples=25)
@given(
    st.sampled_from([BUCKET, WINDOW]),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=12),
)
def test_it_gives_what_the_python_would(server, limit, moves):
    """All asks in one batch: one moment of Redis's clock."""
    key = b"k%d" % next(_keys)
    asks = [Ask(limit.name, key, want, min(lump, want), charge) for want, lump, charge in moves]
    found = lease(server, "r", *((limit, ask) for ask in asks))
    meter, now = meter_of(limit), 1_000.0 if limit is BUCKET else time.time()  # small: exact where Redis rounds
    state = meter.empty_state
    for ask, (given_now, delay) in zip(asks, found, strict=True):
        state, expected, wait = meter.lease(state, ask.want, ask.lump, ask.charge, now)
        assert given_now == expected
        # a window's part moves with the clock, and its wait with the part
        assert delay == pytest.approx(wait, abs=0.001 if limit is BUCKET else 3.0), (ask, given_now)


def test_regions_limits_and_keys_are_apart(server):
    ask = Ask("api", b"a", 30, 0, 0)
    assert lease(server, "one", (BUCKET, ask)) == [(30, 0.0)]
    assert lease(server, "one", (BUCKET, ask))[0][0] in (0, 1)
    assert lease(server, "two", (BUCKET, ask)) == [(30, 0.0)]
    assert lease(server, "one", (BUCKET, ask._replace(key=b"b"))) == [(30, 0.0)]
    changed = RateLimit("api", "client_ip", 100, 10.0, 20, scope="shared")
    assert lease(server, "one", (changed, ask)) == [(20, 0.0)]


def test_a_bucket_fills_by_redis_s_clock_and_expires(server):
    fast = RateLimit("fast", "all", 1_000, 1.0, 100, scope="shared")
    assert lease(server, "clock", (fast, Ask("fast", b"", 100, 0, 0))) == [(100, 0.0)]
    deadline = time.monotonic() + 5
    given_since = 0
    while given_since < 50:
        assert time.monotonic() < deadline
        given_since += lease(server, "clock", (fast, Ask("fast", b"", 50, 0, 0)))[0][0]
    while Redis.from_url(server.url).keys("gslb:test:limit:clock:*"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_stranger_left_there_is_replaced(server):
    lease(server, "odd", (BUCKET, Ask("api", b"x", 1, 0, 0)))
    client = Redis.from_url(server.url)
    [key] = client.keys("gslb:test:limit:odd:*")
    for strange in ("text", "list"):
        client.delete(key)
        if strange == "text":
            client.set(key, "nonsense")
        else:
            client.lpush(key, "x")
        assert lease(server, "odd", (BUCKET, Ask("api", b"x", 30, 0, 0))) == [(30, 0.0)]


def test_two_nodes_admit_no_more_than_the_bound(server):
    """Two nodes of two workers each, as fast as they can, through one Redis."""
    limit = RateLimit("both", "all", 200, 1.0, 50, scope="shared", slice=10)

    async def node(until: float) -> int:
        leases, spenders, admitted = RedisLeases(server.url, "test", "nodes"), [Spender(limit, 2) for _ in range(2)], 0
        while time.monotonic() < until:
            for spender in spenders:
                for _ in range(20):
                    admitted += spender.admit(b"", time.monotonic()) == 0.0
                asks = spender.asks()
                found = await leases.lease([(limit, ask) for ask in asks]) if asks else []
                for ask, (given_now, delay) in zip(asks, found, strict=True):
                    spender.granted(ask.key, given_now, delay, time.monotonic())
            await asyncio.sleep(0.002)
        await leases.close()
        return admitted

    async def both() -> tuple[int, float]:
        began = time.monotonic()
        counts = await asyncio.gather(node(began + 1.5), node(began + 1.5))
        return sum(counts), time.monotonic() - began

    admitted, seconds = asyncio.run(both())
    assert 200 * 1.5 * 0.8 <= admitted <= 50 + 200 * seconds + 4 * 10


def test_a_redis_that_is_not_there_is_said():
    async def ask() -> None:
        await RedisLeases("redis://127.0.0.1:1", "test", "r").lease([(BUCKET, Ask("api", b"", 1, 0, 0))])

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        asyncio.run(ask())
