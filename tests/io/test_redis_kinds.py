"""Sentinel, Cluster, TLS with an ACL user, and hints: over real servers, which are killed while it runs."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import pytest

from gslb.balancing.leases import Ask
from gslb.errors import StateError, StoreUnavailable
from gslb.model import RateLimit
from gslb.state.leases import RedisLeases
from gslb.state.redis import RedisStore
from gslb.state.redis_client import connect, kind_of, public
from gslb.state.sessions import Record, RedisSessions
from gslb.state.store import Report
from gslb.state.sync import Sync
from tests.support.certificates import Authority
from tests.support.proxying import until
from tests.support.redis_kinds import Servers, cluster, sentinels
from tests.support.redis_server import RedisServer
from tests.support.sandbox import free_port

pytestmark = pytest.mark.timeout(60)


def report(sequence=1, state="up"):
    return Report("view", "edge-1", 1, sequence, {"regions": {"eu": state}})


async def works(url):
    """A store, leases and sessions at this URL do what they should."""
    store = RedisStore(url, "example")
    assert await store.publish(report(), 5.0) == (1, 1)
    assert [one.node for one in await store.read("view")] == ["edge-1"]
    assert await store.ping() >= 0
    await store.remove("view", "edge-1")
    assert await store.read("view") == ()
    await store.close()
    leases = RedisLeases(url, "example", "eu")
    limit = RateLimit("api", "client_ip", 10, 1.0, 10)
    granted = await leases.lease([(limit, Ask("api", b"one", 3, 1, 0)), (limit, Ask("api", b"two", 3, 1, 0))])
    assert [given for given, _ in granted] == [3, 3]
    await leases.close()
    sessions = RedisSessions(url, "example", "eu")
    await sessions.write([Record("web", key, "web-1", 1, 60) for key in ("a", "b")])
    await sessions.close()


async def test_the_master_of_sentinels_is_followed_through_a_failover(tmp_path):
    with sentinels(tmp_path) as (servers, url):
        await works(url)
        store = RedisStore(url, "example")
        assert store.kind == "sentinel"
        assert "secret" not in store.endpoint
        await store.publish(report(), 60.0)
        servers.kill("one")
        began = time.monotonic()
        sequence = 1
        while True:
            sequence += 1
            asked = time.monotonic()
            try:
                await store.publish(report(sequence), 60.0)
                found = [one.sequence for one in await store.read("view")]
                break
            except StoreUnavailable:
                assert time.monotonic() - asked < 2.0, "nobody waits for it"
                assert time.monotonic() - began < 20.0, "the replica never became the master"
                await asyncio.sleep(0.1)
        assert found == [sequence]
        await store.close()


async def test_a_cluster_keeps_our_keys_together(tmp_path):
    with cluster(tmp_path) as (_, url):
        await works(url)
        store = RedisStore(url, "example")
        assert store.kind == "cluster"
        await store.publish(report(), 60.0)
        await store.hint()
        assert [one async for one in store.hints()] == []
        await store.close()


@pytest.mark.parametrize("kind", [cluster, sentinels])
async def test_servers_that_freeze_are_told_of_in_one_way_and_used_again(tmp_path, kind):
    """All of them stop, again and again, wherever an exchange is just then; nothing but StoreUnavailable comes out."""
    with kind(tmp_path) as (servers, url):
        store, failed, sequence = RedisStore(url, "example"), 0, 0

        async def exchange():
            nonlocal sequence
            sequence += 1
            await store.publish(report(sequence=sequence), 60.0)
            return [one.sequence for one in await store.read("view")]

        for turn in range(4):
            freeze = asyncio.get_running_loop().call_later(0.01 * turn, servers.signal, signal.SIGSTOP)
            for _ in range(40):
                try:
                    await exchange()
                except StoreUnavailable:
                    failed += 1
                    break
            freeze.cancel()
            servers.signal(signal.SIGSTOP)
            with pytest.raises(StoreUnavailable):
                await exchange()
            servers.signal(signal.SIGCONT)
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline:
                with contextlib.suppress(StoreUnavailable):
                    assert await exchange() == [sequence]
                    break
            else:
                pytest.fail("it is not used again")
        assert failed
        await store.close()


@pytest.mark.parametrize("kind", [cluster, sentinels])
async def test_servers_that_are_gone_are_told_of_in_one_way(tmp_path, kind):
    with kind(tmp_path) as (servers, url):
        used = RedisStore(url, "example"), RedisLeases(url, "example", "eu"), RedisSessions(url, "example", "eu")
        fresh = RedisStore(url, "example"), RedisLeases(url, "example", "eu"), RedisSessions(url, "example", "eu")
        asks = [(RateLimit("api", "client_ip", 10, 1.0, 10), Ask("api", b"one", 3, 1, 0))]
        await used[0].publish(report(), 60.0)
        await used[1].lease(asks)
        await used[2].write([Record("web", "a", "web-1", 1, 60)])
        servers.stop()
        for store, leases, sessions in (used, fresh):
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    await store.publish(report(), 60.0)
                with pytest.raises(StoreUnavailable):
                    await store.read("view")
                with pytest.raises(StoreUnavailable):
                    await leases.lease(asks)
                with pytest.raises(StoreUnavailable):
                    await sessions.write([Record("web", "a", "web-1", 1, 60)])
                with contextlib.suppress(StoreUnavailable):  # a Cluster's client has nothing to listen to
                    assert [one async for one in store.hints()] == []
            await store.close()
            await leases.close()
            await sessions.close()


# ---------------------------------------------------------------- TLS and ACL
ACL = (
    "user gslb on >pass%word ~gslb:* &gslb:* -@all +@connection +get +set +getrange +del +zadd +zrem +zrevrange "
    "+zremrangebyscore +pexpire +pttl +type +strlen +time +evalsha +eval +script|load +publish +subscribe "
    "+unsubscribe"
)


@pytest.fixture
def secure(tmp_path):
    """A Redis that speaks TLS to whoever shows a certificate, with a user who may do what gslb does and no more."""
    authority = Authority(tmp_path)
    server, client = authority.issue("127.0.0.1"), authority.issue("client")
    servers, port = Servers(tmp_path), free_port()
    servers.start(
        "tls", port, "port 0", f"tls-port {port}", f"tls-cert-file {server.certificate}", f"tls-key-file {server.key}",
        f"tls-ca-cert-file {authority.file}", "tls-auth-clients yes", ACL, "user default off",
    )  # fmt: skip
    keys = f"ssl_ca_certs={authority.file}&ssl_certfile={client.certificate}&ssl_keyfile={client.key}"
    yield f"rediss://gslb:pass%25word@127.0.0.1:{port}/0?{keys}", f"127.0.0.1:{port}"
    servers.stop()


async def test_over_tls_as_an_acl_user_who_may_do_just_what_is_needed(secure):
    url, where = secure
    await works(url)
    store = RedisStore(url, "example")
    assert store.endpoint == f"rediss://{where}/0"
    heard = asyncio.create_task(anext(aiter(store.hints())))
    await asyncio.sleep(0)

    async def hinted():
        await store.hint()
        return heard.done()

    deadline = time.monotonic() + 5
    while not await hinted():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await store.close()


async def test_without_the_authority_or_the_password_nothing_is_told(secure):
    url, where = secure
    for wrong in (f"rediss://gslb:pass%25word@{where}/0", url.replace("pass%25word", "guess"), f"redis://{where}/0"):
        store = RedisStore(wrong, "example")
        with pytest.raises(StoreUnavailable) as error:
            await store.publish(report(), 5.0)
        assert "word@" not in str(error.value)
        assert "guess" not in str(error.value)
        await store.close()


def test_the_acl_in_the_docs_is_the_one_that_is_tested():
    page = (Path(__file__).resolve().parents[2] / "docs/state.md").read_text()
    assert ACL.replace("pass%word", "PASSWORD") in " ".join(page.split())


# ---------------------------------------------------------------- hints
async def syncing(store, node, said, heard):
    def hear(kind, reports, now):
        heard.append((now, {one.node: one.payload for one in reports}))

    sync = Sync(
        [store], kind="view", node=node, incarnation=1, payload=lambda: {"regions": {"eu": said[0]}}, on_reports=hear,
        clock=time.monotonic, interval_s=3.0,
    )  # fmt: skip
    return asyncio.create_task(sync.run())


async def test_what_changes_is_heard_at_once_and_not_with_the_next_poll():
    with RedisServer() as redis:
        one, two = RedisStore(redis.url, "example"), RedisStore(redis.url, "example")
        said, heard, ignored = ["up"], [], []
        tasks = [await syncing(one, "edge-1", said, ignored), await syncing(two, "edge-2", ["up"], heard)]

        def seen(state):
            return any(found.get("edge-1") == {"regions": {"eu": state}} for _, found in heard)

        await until(lambda: seen("up"), 8)
        said[0] = "down"
        await until(lambda: any(found.get("edge-1") == {"regions": {"eu": "down"}} for _, found in ignored), 8)
        published = time.monotonic()
        await until(lambda: seen("down"), 1.5)
        assert time.monotonic() - published < 1.5, "the poll comes every 3 s"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await one.close()
        await two.close()


async def test_a_flood_of_strangers_hints_costs_a_bounded_number_of_reads():
    with RedisServer() as redis:
        store, stranger = RedisStore(redis.url, "example"), connect(redis.url, 1.0)
        heard = []
        task = await syncing(store, "edge-1", ["up"], heard)
        await until(lambda: bool(heard), 5)
        began, before = time.monotonic(), len(heard)
        while time.monotonic() - began < 1.0:
            await stranger.publish("gslb:example:hint", b"\xff" * 1000)
        kinds, rounds = 2, (len(heard) - before) / 2
        assert rounds <= 1.2 / 0.05, f"{kinds} reads a round, one round each 50 ms at most"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stranger.aclose()
        await store.close()


# ---------------------------------------------------------------- URLs
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+sentinel://a:1", "name of their master"),
        ("redis+sentinel://a:1/gslb/x", "name of their master"),
        ("redis+sentinel://a:x/gslb", "is no Redis URL"),
        ("redis+sentinel://a:1/gslb?colour=red", "unknown option colour"),
        ("redis+cluster://a:1/3", "no databases"),
        ("redis+cluster://u:secret@,b:1", "a host is missing"),
        ("http://a:1", "is no Redis URL"),
    ],
)
def test_a_url_that_can_be_none_is_told_without_its_password(url, says):
    with pytest.raises(StateError, match=says) as error:
        connect(url, 1.0)
    assert "secret" not in str(error.value)


def test_what_is_shown_of_a_url():
    assert public("redis+sentinel://user:secret@a:1,b:2/gslb/0?ssl=true") == "redis+sentinel://a:1,b:2/gslb/0"
    assert kind_of("unix:///run/redis.sock") == "single"
