"""Random and mutated bytes on the port, thousands of cases: nothing escapes, and the next good request is served."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gslb.http.proxy import Proxy
from gslb.telemetry import local_counters
from tests.support.proxying import FAST, Backend, plan_of, pool_of, read_head

SEEDS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a%20b?c=d HTTP/1.1\r\nHost: a.example:80\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"PUT http://a.example/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"OPTIONS * HTTP/1.0\r\nX-Forwarded-For: 192.0.2.1\r\nTE: trailers\r\nConnection: te, x\r\nX: 1\r\n\r\n",
]
REPLIES = [
    b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\nKeep-Alive: 5\r\nConnection: keep-alive, x\r\n\r\nhello",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
]


class Bench:
    """A proxy and two servers in a thread: one that is good (/good), one that says what it is told to."""

    def __init__(self) -> None:
        self.reply = b""
        self.escaped: list[dict] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _say(self, backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(self.reply)
        await writer.drain()

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: self.escaped.append(context))
        self._end = asyncio.Event()
        self._loop = loop
        good, odd = await Backend().start(), await Backend(self._say).start()
        plan = plan_of(pool_of([good], "good"), pool_of([odd]), timeouts=FAST)
        self.proxy = Proxy(plan, local_counters(plan))
        listener = await loop.create_server(self.proxy.protocol, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        listener.close()
        self.proxy.close()
        await good.stop()
        await odd.stop()
        await asyncio.sleep(0.05)

    def send(self, data: bytes, split: int | None = None) -> bytes:
        """Sends `data`, at once or in two pieces, ends, and reads what comes."""
        got = b""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            sock.sendall(data[:split])
            if split:
                time.sleep(0.0005)  # so that they arrive apart
                sock.sendall(data[split:])
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65_536):
                got += piece
        return got

    def check(self) -> None:
        """A good request is served, and nothing has escaped."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        client.request("GET", "/good/x")
        assert client.getresponse().read() == b"ok"
        client.close()
        assert self.escaped == []

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)


@pytest.fixture(scope="module")
def bench():
    running = Bench()
    yield running
    running.stop()


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed, or two, with bytes replaced, inserted, removed or repeated."""
    data = bytearray(draw(st.sampled_from(seeds)))
    if draw(st.booleans()):
        data += draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        piece = draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\t", b",", b";", b"0", b"-", b"\xff"]),
                st.sampled_from([b"\r\n\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"]),
            )
        )
        data[at : at + draw(st.integers(0, 3))] = piece
    return bytes(data)


CASES = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@CASES
@given(data=mutated(SEEDS), reply=st.sampled_from(REPLIES), split=st.one_of(st.none(), st.integers(1, 60)))
def test_mutated_requests(bench, data, reply, split):
    bench.reply = reply
    got = bench.send(data, split)
    assert got == b"" or got.startswith(b"HTTP/1.1 ")
    assert bench.escaped == []


@settings(CASES, max_examples=250)
@given(data=st.binary(max_size=200))
def test_random_requests(bench, data):
    assert bench.send(data)[:9] in (b"", b"HTTP/1.1 ")
    assert bench.escaped == []


@settings(CASES, max_examples=400)
@given(reply=st.one_of(mutated(REPLIES), st.binary(max_size=100)), seed=st.sampled_from([SEEDS[0], SEEDS[2], SEEDS[5]]))
def test_mutated_responses(bench, reply, seed):
    bench.reply = reply
    got = bench.send(seed)
    assert got == b"" or got.startswith(b"HTTP/1.1 ")
    assert bench.escaped == []


@pytest.fixture(autouse=True)
def _still_serving(bench):
    yield
    bench.check()
    deadline = time.monotonic() + 10
    while bench.proxy.active and time.monotonic() < deadline:
        time.sleep(0.05)
    assert bench.proxy.active == 0  # nobody is left hanging
    for pool in bench.proxy.pools.values():
        assert all(pool.state.active(server.id) == 0 for server in pool.state.pool.servers)
