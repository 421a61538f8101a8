"""RedisStore and Sync over a real redis-server: strangers' values, wrong passwords, loss, freeze and return."""

import asyncio
import contextlib
import json
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from gslb.errors import StateError, StoreUnavailable
from gslb.state.redis import RedisStore
from gslb.state.store import NUMBER_MAX, REPORT_MAX_BYTES, Report
from gslb.state.sync import EXCHANGE_MAX_S, Sync, open_store
from tests.support.redis_server import RedisServer

VIEW = {"regions": {"eu": "up"}}
PREFIX = "gslb:test:"


@pytest.fixture(scope="module")
def shared():
    with RedisServer() as server, Redis(port=server.port) as raw:
        yield server, raw


@pytest.fixture
def server(shared):
    server, raw = shared
    if server._process is None:
        server.start()
    raw.flushall()
    return server


@pytest.fixture
def raw(shared, server):
    return shared[1]


@pytest.fixture
async def store(server):
    made = RedisStore(server.url, "test")
    yield made
    await made.close()


def report(sequence=1, node="edge-1", incarnation=1):
    return Report("view", node, incarnation, sequence, VIEW)


# ---------------------------------------------------------------- what lies in Redis
async def test_every_key_has_the_prefix_and_a_life(store, raw):
    await store.publish(report(), 30)
    await store.publish(report(node="edge-2"), 5)
    await store.publish(Report("region", "eu/a", 1, 1, {"region": "eu", "state": "up"}), 30)
    keys = raw.keys()
    assert sorted(keys) == [b"gslb:test:region", b"gslb:test:region:eu/a", b"gslb:test:view",
                            b"gslb:test:view:edge-1", b"gslb:test:view:edge-2"]  # fmt: skip
    assert all(0 < raw.pttl(key) <= 30_000 for key in keys)
    assert raw.pttl("gslb:test:view") > 5_000
    assert json.loads(raw.get("gslb:test:view:edge-1"))["payload"] == VIEW


def plant(raw, node, data):
    raw.zadd(f"{PREFIX}view", {node: 1e15})
    raw.set(f"{PREFIX}view:{node}", data)


JUNK = [
    b"", b"\xff\xfe", b"{", b"[]", b"null", b"1e999", b"[" * 60_000, b'{"a":' * 5_000, b"9" * 5_000, b"x" * 1_000_000,
    json.dumps({"schema": 2, "kind": "view", "node": "bad", "incarnation": NUMBER_MAX, "sequence": 1, "payload": VIEW}),
    json.dumps({"schema": 1, "kind": "view", "node": "else", "incarnation": 9e15, "sequence": 1, "payload": VIEW}),
    json.dumps({"schema": 1, "kind": "view", "node": "bad", "incarnation": "1", "sequence": 1, "payload": VIEW}),
    json.dumps({"schema": 1, "kind": "view", "node": "bad", "incarnation": 1.5, "sequence": 1, "payload": VIEW}),
    json.dumps({"schema": 1, "kind": "view", "node": "bad", "incarnation": -1, "sequence": 1, "payload": VIEW}),
    '{"schema":1,"kind":"view","node":"bad","incarnation":1e400,"sequence":1,"payload":{"regions":{}}}',
    '{"schema":1,"kind":"view","node":"bad","incarnation":NaN,"sequence":1,"payload":{"regions":{}}}',
]  # fmt: skip


@pytest.mark.parametrize("junk", JUNK, ids=lambda data: repr(data)[:40])
async def test_a_broken_value_is_skipped_counted_and_replaced(store, raw, junk):
    await store.publish(report(node="good"), 30)
    plant(raw, "bad", junk)
    assert [one.node for one in await store.read("view")] == ["good"]
    assert store.ignored.total() == (1 if junk else 0)
    assert await store.publish(report(node="bad"), 30) == (1, 1)
    assert [one.node for one in await store.read("view")] == ["bad", "good"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
almost = st.fixed_dictionaries(
    {}, optional={name: values | st.sampled_from([1, "view", "bad", VIEW]) for name in Report.__slots__}
).map(json.dumps)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=50) | almost.map(str.encode))
async def test_no_value_whatever_raises(store, raw, data):
    raw.flushall()
    plant(raw, "bad", data)
    for one in await store.read("view"):
        assert (one.kind, one.node) == ("view", "bad")
    held = await store.publish(report(node="bad"), 30)
    assert held >= (1, 1)
    assert [one.order for one in await store.read("view")] in ([held], [])


async def test_keys_of_a_wrong_type_are_replaced(store, raw):
    await store.publish(report(node="good"), 30)
    raw.delete("gslb:test:view:good")
    raw.lpush("gslb:test:view:good", "x")
    raw.zadd(f"{PREFIX}view", {b"\xff\xff": 1e15, "": 1e15})
    assert await store.read("view") == ()
    assert store.ignored == {"type": 1}
    assert await store.publish(report(node="good", sequence=2), 30) == (1, 2)
    raw.delete("gslb:test:view")
    raw.set("gslb:test:view", "a string")
    assert await store.read("view") == ()
    assert store.ignored == {"type": 2}
    await store.publish(report(node="good", sequence=3), 30)
    assert [one.sequence for one in await store.read("view")] == [3]


async def test_a_strangers_huge_value_is_not_fetched(store, raw):
    plant(raw, "bad", b"x" * 30_000_000)
    before = raw.info("stats")["total_net_output_bytes"]
    assert await store.read("view") == ()
    assert raw.info("stats")["total_net_output_bytes"] - before < REPORT_MAX_BYTES * 2


async def test_a_key_without_an_end_gets_one(store, raw):
    plant(raw, "bad", "x")
    await store.publish(report(), 30)
    assert 0 < raw.pttl("gslb:test:view") <= 30_000


# ---------------------------------------------------------------- failures
async def test_urls_that_cannot_be_are_refused_without_their_password():
    for url in ("http://:secret@host", "redis://:secret@host:port", "redis://[::1:secret@", "", "redis", "host:6379",
                "redis://:secret@host/0?socket_timeout=x", "redis://:sec/ret@host:x", "redis://h:x?password=secret@1"):
        with pytest.raises(StateError) as caught:
            RedisStore(url, "test")
        assert not re.search("sec|ret@", str(caught.value))


async def test_a_wrong_password_says_so_and_shows_none():
    with RedisServer(password="open-sesame") as server:
        for url in (server.url.replace("open-sesame", "wrong-one"), server.url.replace(":open-sesame@", "")):
            store = RedisStore(url, "test")
            with pytest.raises(StoreUnavailable, match=r"(?i)auth|password") as caught:
                await store.publish(report(), 30)
            assert "wrong-one" not in str(caught.value) + store.endpoint
            await store.close()
        store = RedisStore(server.url, "test")
        assert await store.publish(report(), 30) == (1, 1)
        assert "open-sesame" not in store.endpoint
        await store.close()


async def test_a_stopped_redis_is_unavailable_at_once_and_comes_back(store, server):
    await store.publish(report(), 30)
    server.stop()
    for action in (store.publish(report(2), 30), store.read("view"), store.remove("view", "edge-1"), store.ping()):
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await action
        assert time.monotonic() - started < 0.5
    server.start()
    assert await store.publish(report(3), 30) == (1, 3)
    assert [one.sequence for one in await store.read("view")] == [3]


async def test_a_frozen_redis_does_not_hang_and_no_late_reply_is_mistaken(server):
    store = RedisStore(server.url, "test", timeout_s=0.2)
    await store.publish(report(1), 30)
    server.pause()
    try:
        for action in (store.read("view"), store.publish(report(2), 30), store.ping(), store.remove("view", "x")):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"within 0.2 s|[Tt]imeout"):
                await action
            assert time.monotonic() - started < 1
    finally:
        server.resume()
    for number in range(3, 20):
        assert await store.publish(report(number), 30) == (1, number)
        assert [one.sequence for one in await store.read("view")] == [number]
    await store.close()


# ---------------------------------------------------------------- sync over real servers
class Node:
    """A Sync with what it heard."""

    def __init__(self, name, *urls, incarnation=1, clock=time.monotonic):
        self.heard = {}
        self.sync = Sync(
            open_store(urls, "test"), kind="view", node=name, incarnation=incarnation, payload=lambda: VIEW,
            on_reports=self.hear, clock=clock, interval_s=0.05,
        )  # fmt: skip
        self.task = None

    def hear(self, kind, reports, now):
        for one in reports:
            self.heard[one.node] = max(self.heard.get(one.node, (0, 0)), one.order)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.sync.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.sync.close()


async def until(seen, what, deadline_s=10.0):
    deadline = time.monotonic() + deadline_s
    while not seen():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


async def news(node, of):
    """Waits for a newer report."""
    old = node.heard.get(of, (0, 0))
    await until(lambda: node.heard.get(of, (0, 0)) > old, f"news of {of}")


async def test_two_nodes_hear_each_other_and_a_leaver_is_gone_at_once(server, store):
    async with Node("edge-1", server.url) as one:
        async with Node("edge-2", server.url) as two:
            await news(one, "edge-2")
            await news(two, "edge-1")
        assert [left.node for left in await store.read("view")] == ["edge-1"]


@pytest.mark.parametrize("loss", ["stop", "pause"])
async def test_sync_outlives_the_loss_of_redis_and_says_it_once(server, loss, caplog):
    ticks = 0

    async def heart():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    beating = asyncio.create_task(heart())
    async with Node("edge-1", server.url) as one, Node("edge-2", server.url) as two:
        await news(one, "edge-2")
        getattr(server, loss)()
        await until(lambda: not any(node.sync.endpoints()[0]["up"] for node in (one, two)), "noticing")
        failures, before, started = one.sync.endpoints()[0]["failures"], ticks, time.monotonic()
        await until(lambda: one.sync.endpoints()[0]["failures"] >= failures + 2, "trying again")
        waited = time.monotonic() - started
        assert waited < 2 * EXCHANGE_MAX_S + 1
        assert ticks - before > waited * 20  # the rest of the process goes on
        server.start() if loss == "stop" else server.resume()
        await news(one, "edge-2")
        await until(lambda: all(node.sync.endpoints()[0]["up"] for node in (one, two)), "both nodes back")
        assert one.sync.endpoints()[0]["age_s"] < 5
        failed = sum(node.sync.endpoints()[0]["failures"] for node in (one, two))
    beating.cancel()
    said = [record.message for record in caplog.records if record.name == "gslb.state"]
    away, back = (sum(word in line for line in said) for word in ("is away", "is back"))
    # Once a loss, not once a try. A loss a node; on a busy machine a Redis that has just started may be lost again.
    assert 2 <= away == back < failed


async def test_one_store_alive_is_enough_and_a_frozen_one_slows_nobody(server):
    with RedisServer() as other:
        async with Node("edge-1", server.url, other.url) as one, Node("edge-2", other.url, server.url):
            await until(lambda: all(endpoint["up"] for endpoint in one.sync.endpoints()), "both stores")
            await news(one, "edge-2")
            server.pause()
            try:
                await until(lambda: not one.sync.endpoints()[0]["up"], "noticing")
                started = time.monotonic()
                for _ in range(5):
                    await news(one, "edge-2")
                assert time.monotonic() - started < 2
                assert [one["up"] for one in one.sync.endpoints()] == [False, True]
            finally:
                server.resume()
            other.stop()
            await until(lambda: one.sync.endpoints()[0]["up"], "the other's return")
            await news(one, "edge-2")


async def test_a_node_that_lost_its_directory_becomes_the_newer_one(server, store):
    await store.publish(report(node="edge-1", incarnation=7, sequence=900), 30)
    async with Node("edge-1", server.url, incarnation=1) as one:
        await until(lambda: one.heard.get("edge-1", (0, 0)) > (8, 0), "being heard again")
        assert one.sync.incarnation == 8


async def test_a_forged_greatest_incarnation_is_taken_away(server, store):
    await store.publish(report(node="edge-1", incarnation=NUMBER_MAX, sequence=NUMBER_MAX), 30)
    async with Node("edge-1", server.url, incarnation=3) as one:
        await until(lambda: one.heard.get("edge-1", (0, 0)) != (0, 0), "reading")
        one.heard.clear()
        await until(lambda: one.heard.get("edge-1", (0, 0))[0] == 3, "being heard again")


async def test_a_cancellation_is_never_lost(server):
    """redis-py's own read and write timeouts lose some, and then the node would not end."""
    for number in range(100):
        store = RedisStore(server.url, "test")

        async def keep(store=store):
            for sequence in range(1_000_000):
                with contextlib.suppress(StoreUnavailable):
                    await store.publish(report(sequence), 30)

        task = asyncio.create_task(keep())
        await asyncio.sleep(0.0002 * number)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done
        await store.close()


async def test_closing_is_bounded_while_redis_is_frozen(server):
    async with Node("edge-1", server.url) as one:
        await news(one, "edge-1")
        server.pause()
        started = time.monotonic()
        one.task.cancel()
        await one.sync.close()
        assert time.monotonic() - started < 2
        server.resume()
