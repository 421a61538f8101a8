"""Probes over real sockets: every way in which a server can be up, down, frozen or strange."""

import asyncio
import random
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop

from gslb.health.check import BODY_MAX_BYTES
from gslb.health.checks.http import HttpCheck
from gslb.health.checks.tcp import TcpCheck
from gslb.health.runner import Runner, Target
from tests.support.moody import moody
from tests.support.sandbox import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready"


class Backend:
    """Answers every request with `reply`; None: accepts and never answers."""

    def __init__(self, reply: bytes | None = OK) -> None:
        self.reply = reply
        self.heads: list[bytes] = []
        self.connections = self.open = self.most_open = 0

    async def serve(self, reader, writer) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if self.reply is not None:
                writer.write(self.reply)
                await writer.drain()
                if self.reply.endswith(b"..."):  # a body that never ends
                    await reader.read()
            else:
                await reader.read()
        self.open -= 1
        writer.close()


@asynccontextmanager
async def backend(reply: bytes | None = OK):
    one = Backend(reply)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()


@asynccontextmanager
async def running(targets, changing=lambda key: False, **options):
    results: list[tuple] = []
    runner = Runner(
        lambda *result: results.append(result),
        clock=time.monotonic,
        rng=random.Random(1),
        changing=changing,
        **options,
    )
    runner.set_targets(targets)
    await runner.start()
    try:
        yield runner, results
    finally:
        await runner.stop()


async def until(condition, timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def target(url: str, check=None, interval_s=0.05, timeout_s=0.2, fast_interval_s=0.02) -> Target:
    return Target(check or HttpCheck(), url, interval_s, fast_interval_s, timeout_s)


async def first_result(reply: bytes | None, check=None) -> tuple:
    async with backend(reply) as server, running({"a": target(server.url, check)}) as (_, results):
        await until(lambda: results)
        return results[0]


@pytest.mark.parametrize(
    ("reply", "check", "ok", "why"),
    [
        (OK, HttpCheck(), True, "status 200"),
        (OK, HttpCheck(body="ready"), True, "status 200"),
        (OK, HttpCheck(body="gone"), False, "lacks"),
        (OK, TcpCheck(), True, "connected"),
        (None, TcpCheck(), True, "connected"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", HttpCheck(), False, "status 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", None, True, "status 302"),
        (None, HttpCheck(), False, "no answer within 0.2 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nslow...", HttpCheck(), False, "no answer within 0.2 s"),
        (b"", HttpCheck(), False, "closed before a whole reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", HttpCheck(), False, "closed before a whole"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", HttpCheck(), False, "broken reply"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", HttpCheck(), False, "broken reply"),
        (b"\x00\xff" * 500 + b"\r\n\r\n", HttpCheck(), False, "broken reply"),
    ],
)
async def test_one_probe(reply, check, ok, why):
    key, found, reason, rtt_s, body, now = await first_result(reply, check)
    assert (key, found) == ("a", ok), reason
    assert why in reason
    assert 0 <= rtt_s < 1
    assert now <= time.monotonic()
    assert (body is None) == (not ok and "lacks" not in why and "status" not in why)


async def test_a_refusing_port():
    async with backend() as server:
        url = server.url
    for check in (HttpCheck(), TcpCheck()):
        async with running({"a": target(url, check)}) as (_, results):
            await until(lambda: results)
        assert results[0][1:3] == (False, "no connection: Connection refused")


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:99999", "nonsense", "http://[::1", "http://a b/"])
async def test_a_url_that_cannot_be_used_is_a_failure_not_an_error(url):
    for check in (HttpCheck(), TcpCheck()):
        async with running({"a": target(url, check)}) as (_, results):
            await until(lambda: results)
            assert results[0][1] is False


async def test_a_huge_body_is_cut():
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000
    *_, body, _ = await first_result(reply)
    assert len(body) == BODY_MAX_BYTES


async def test_what_is_sent():
    async with backend() as server:
        check = HttpCheck(path="/h%20x?a=1", host="www.example.com")
        async with running({"a": target(server.url, check)}) as (_, results):
            await until(lambda: results)
        head = server.heads[0].decode()
        assert head.startswith("GET /h%20x?a=1 HTTP/1.1\r\nHost: www.example.com\r\n")


async def test_proxies_from_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await first_result(OK))[1] is True


async def test_every_probe_connects_anew():
    async with backend() as server, running({"a": target(server.url)}) as (_, results):
        await until(lambda: len(results) >= 5)
        assert server.connections >= 5


async def test_one_probe_for_all_that_ask_the_same():
    async with backend() as server:
        targets = {f"pool{i}/s": target(server.url, HttpCheck(path="/h"), interval_s=5) for i in range(4)}
        targets["other"] = target(server.url, HttpCheck(path="/other"), interval_s=5)
        async with running(targets) as (_, results):
            await until(lambda: len(results) == 5)
        assert server.connections == 2
        assert {result[0] for result in results} == set(targets)


async def test_new_targets_leave_the_others_alone():
    async with backend() as one, backend() as two:
        stays = target(one.url, interval_s=60)
        async with running({"a": stays}) as (runner, results):
            await until(lambda: results)
            runner.set_targets({"a": stays, "b": target(two.url, interval_s=60)})
            await until(lambda: len(results) == 2)
            runner.set_targets({"a": stays, "a2": stays})
            runner.set_targets({"a": stays})
            await asyncio.sleep(0.05)
        assert (one.connections, two.connections) == (1, 1)


async def test_removed_targets_are_not_reported():
    async with backend(None) as server, running({"a": target(server.url)}) as (runner, results):
        await until(lambda: server.open)
        runner.set_targets({})
        await asyncio.sleep(0.3)
        assert results == []


async def test_the_fast_interval_while_in_doubt():
    async with backend() as server:
        doubtful = {"a": target(server.url, interval_s=60, fast_interval_s=0.01)}
        async with running(doubtful, changing=lambda key: True) as (_, results):
            await until(lambda: len(results) >= 4)


async def test_never_two_probes_of_one_target_at_once():
    async with backend(None) as server, running({"a": target(server.url, interval_s=0.01)}) as (_, results):
        await until(lambda: len(results) >= 3)
        assert server.most_open == 1


async def test_probes_under_way_are_bounded():
    async with backend(None) as server:
        targets = {i: target(server.url, HttpCheck(path=f"/{i}"), timeout_s=0.05) for i in range(20)}
        async with running(targets, concurrent_max=3) as (_, results):
            await until(lambda: len({result[0] for result in results}) == 20)
        assert server.most_open <= 4  # one may be closing as the next opens


async def test_7_the_traffic_is_the_same_at_no_and_at_all_failures():
    """Frozen and refusing targets are probed as often as good ones: the interval counts from start to start."""
    async with backend() as gone:
        refusing = gone.url
    async with backend() as good, backend(None) as frozen:
        targets = {
            "good": target(good.url, interval_s=0.1, timeout_s=0.05),
            "frozen": target(frozen.url, interval_s=0.1, timeout_s=0.05),
            "refusing": target(refusing, interval_s=0.1, timeout_s=0.05),
        }
        async with running(targets) as (_, results):
            await until(lambda: len(results) >= 45, 10)
    counts = Counter(result[0] for result in results)
    assert max(counts.values()) - min(counts.values()) <= 3, counts


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("ok", [True, False])
def test_a_stall_of_our_own_is_not_a_targets_failure(loop, ok):
    """The answer arrived in time, while this process stood still: it counts. What never came is still a failure."""

    async def stalling(server, url):
        found = []
        for count in range(3):
            server.silent.set()
            async with running({"a": target(url)}) as (_, results):
                await until(lambda count=count: len(server.seen) > count)
                if ok:
                    server.silent.clear()  # it answers in its thread, at once
                time.sleep(0.4)  # past the time limit: that is the point
                await until(lambda results=results: results)
            found.append(results[0][1:3])
        return found

    port = free_port()
    with moody(port) as (server,), asyncio.Runner(loop_factory=loop) as runner:
        found = runner.run(stalling(server, f"http://127.0.0.1:{port}"))
    assert found == [(ok, "status 200" if ok else "no answer within 0.2 s")] * 3


def test_too_many_targets_are_refused(monkeypatch):
    monkeypatch.setattr("gslb.health.runner.TARGETS_MAX", 1)
    runner = Runner(lambda *_: None, clock=time.monotonic, rng=random.Random(1), changing=lambda _: False)
    with pytest.raises(ValueError, match="at most 1"):
        runner.set_targets({"a": target("http://a"), "b": target("http://b")})
