"""TCP mode over real sockets: every byte both ways, half-close, back-pressure, resets, picking, PROXY headers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gslb.balancing.algorithm import ALGORITHMS
from gslb.http.links import PoolLinks
from gslb.http.proxy import Proxy
from gslb.model import Listener, Retries, State, Status, World
from gslb.node.listen import open_socket, open_unix
from gslb.tcp import forwarder as forwarder_module
from gslb.tcp.forwarder import Forwarder
from gslb.tcp.relay import BULK_AFTER, READ_BYTES_MAX
from gslb.telemetry import local_counters
from tests.support.proxying import plan_of, pool_of, until

RESET = struct.pack("ii", 1, 0)


class Server:
    """A TCP server whose connections a coroutine serves."""

    def __init__(self, handler):
        self.handler, self.peers, self.tasks = handler, [], set()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader, writer):
        self.peers.append((reader, writer))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.handler(reader, writer)
        writer.close()

    async def stop(self):
        self.server.close()
        for _, writer in self.peers:
            writer.transport.abort()


async def echo(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


@pytest.fixture
async def server():
    started = []

    async def start(handler=echo):
        started.append(await Server(handler).start())
        return started[-1]

    yield start
    for one in started:
        await one.stop()
    await asyncio.sleep(0.02)


class Running:
    def __init__(self, forwarder, plan, counters, port, proxy):
        self.forwarder, self.plan, self.counters, self.port, self.proxy = forwarder, plan, counters, port, proxy

    def count(self, name, **labels):
        return self.counters.read(name, pool="web", **labels)

    @property
    def links(self) -> PoolLinks:
        return self.proxy.pools["web"]


@pytest.fixture
async def start():
    """Starts TCP mode over a pool."""
    made = []

    async def run(pool, listener=None, **timeouts):
        sock = open_socket("127.0.0.1", 0, socket.SOCK_STREAM)
        port = sock.getsockname()[1]
        listener = replace(listener or Listener(""), address=f"127.0.0.1:{port}", pool="web")
        plan = replace(plan_of(pool), listeners=(listener,))
        counters = local_counters(plan)
        proxy = Proxy(plan, counters)
        forwarder = Forwarder(lambda: proxy.pools)
        forwarder.open(sock, listener, 1.0)
        forwarder.swap(plan, counters)
        forwarder.connect_s = timeouts.get("connect_s", 0.5)
        made.append(Running(forwarder, plan, counters, port, proxy))
        return made[-1]

    yield run
    for one in made:
        for front in one.forwarder.fronts.values():
            front.close()
        one.forwarder.close()
        one.proxy.close()
    await asyncio.sleep(0.02)


async def connect(running):
    return await asyncio.open_connection("127.0.0.1", running.port, limit=1 << 20)


async def whole(reader, writer, data):
    """What comes back of `data`, all of it being sent before the end is said."""

    async def send():
        for at in range(0, len(data), 200_000):
            writer.write(data[at : at + 200_000])
            await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    found = b""
    async with asyncio.timeout(30):
        while piece := await reader.read(1 << 20):
            found += piece
        await sending
    return found


@pytest.mark.parametrize("size", [0, 1, 1000, READ_BYTES_MAX, READ_BYTES_MAX * BULK_AFTER * 3 + 17, 20_000_000])
async def test_every_byte_comes_back_and_the_end_is_told(start, server, size):
    running = await start(pool_of([(await server()).port]))
    data = os.urandom(size)
    reader, writer = await connect(running)
    assert hashlib.sha256(await whole(reader, writer, data)).digest() == hashlib.sha256(data).digest()
    writer.close()
    await until(lambda: running.forwarder.active == 0)
    assert running.count("gslb_tcp_received_bytes_total") == running.count("gslb_tcp_sent_bytes_total") == size
    assert running.count("gslb_tcp_connections_total", result="ok") == 1
    assert running.links.state.running == {}
    assert running.links.tallies["web-1"][2] == 1


async def test_a_client_that_has_said_all_still_gets_the_answer(start, server):
    async def late(reader, writer):
        assert await reader.read() == b"question"
        await asyncio.sleep(0.05)
        writer.write(b"answer")

    running = await start(pool_of([(await server(late)).port]))
    reader, writer = await connect(running)
    writer.write(b"question")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 5) == b"answer"
    writer.close()


async def test_a_server_may_speak_first_and_end_first(start, server):
    got = asyncio.Event()

    async def greets(reader, writer):
        writer.write(b"220 hello\r\n")
        writer.write_eof()
        assert await reader.read() == b"still here"
        got.set()

    running = await start(pool_of([(await server(greets)).port]))
    reader, writer = await connect(running)
    assert await asyncio.wait_for(reader.read(), 5) == b"220 hello\r\n"
    writer.write(b"still here")
    writer.write_eof()
    await asyncio.wait_for(got.wait(), 5)
    await until(lambda: running.forwarder.active == 0)
    writer.close()


@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_reset_is_passed_on_and_not_taken_for_an_end(start, server, who):
    seen = asyncio.Queue()

    async def handler(reader, writer):
        if who == "server":
            await reader.readexactly(1)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
            return
        try:
            seen.put_nowait(await reader.read())
        except ConnectionResetError:
            seen.put_nowait("reset")

    running = await start(pool_of([(await server(handler)).port]))
    reader, writer = await connect(running)
    writer.write(b"x" if who == "server" else b"")
    if who == "client":
        await until(lambda: running.count("gslb_tcp_connections_total", result="ok") == 1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
        assert await asyncio.wait_for(seen.get(), 5) == "reset"
    else:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
    await until(lambda: running.forwarder.active == 0)
    writer.close()


async def test_a_side_that_does_not_read_is_not_read_for(start, server):
    go = asyncio.Event()

    async def sleepy(reader, writer):
        await go.wait()
        total = 0
        while data := await reader.read(1 << 20):
            total += len(data)
        writer.write(b"%d" % total)

    running = await start(pool_of([(await server(sleepy)).port]))
    client = socket.create_connection(("127.0.0.1", running.port))
    client.setblocking(False)
    sent, quiet = 0, 0
    while quiet < 20:
        try:
            sent += client.send(b"x" * 1_000_000)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            await asyncio.sleep(0.02)
    assert sent < 100_000_000  # the kernel's buffers and ours, not the process's memory
    (session,) = running.forwarder.sessions
    assert len(session._relay.received._pending) <= READ_BYTES_MAX
    go.set()
    client.setblocking(True)
    await asyncio.to_thread(client.shutdown, socket.SHUT_WR)
    assert await asyncio.to_thread(client.recv, 100) == b"%d" % sent
    client.close()


# ---------------------------------------------------------------- which server
async def test_another_server_is_tried_where_one_cannot_be_reached(start, server, free_port):
    running = await start(pool_of([free_port, (await server()).port], retries=Retries(2)))
    for _ in range(4):
        reader, writer = await connect(running)
        assert await whole(reader, writer, b"hi") == b"hi"
        writer.close()
    assert running.count("gslb_tcp_connections_total", result="ok") == 4
    assert running.links.tallies["web-1"][0] == 4  # each began with its turn
    assert running.counters.read("gslb_http_upstream_errors_total", pool="web", reason="connect") == 4


async def test_without_a_server_the_connection_is_closed(start, server, free_port):
    running = await start(pool_of([free_port]))
    reader, writer = await connect(running)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert running.count("gslb_tcp_connections_total", result="connect_failed") == 1
    writer.close()
    running.links.state.update(running.links.state.pool, {"web/web-1": State.DOWN})
    reader, writer = await connect(running)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert running.count("gslb_tcp_connections_total", result="no_server") == 1
    writer.close()
    await until(lambda: running.forwarder.active == 0)


async def test_least_connections_counts_connections_that_last(start, server):
    servers = [await server(), await server()]
    pool = replace(pool_of([one.port for one in servers]), algorithm=ALGORITHMS.get("least_connections")())
    running = await start(pool)
    writers = [(await connect(running))[1] for _ in range(6)]
    await until(lambda: running.links.state.running == {"web-1": 3, "web-2": 3})
    for writer in writers:
        writer.close()
    await until(lambda: running.links.state.running == {})


async def test_ip_hash_sends_a_client_to_the_same_server(start, server):
    servers = [await server() for _ in range(4)]
    pool = replace(pool_of([one.port for one in servers]), algorithm=ALGORITHMS.get("ip_hash")())
    running = await start(pool)
    for _ in range(8):
        reader, writer = await connect(running)
        assert await whole(reader, writer, b"x") == b"x"
        writer.close()
    assert sorted(len(one.peers) for one in servers) == [0, 0, 0, 8]


async def test_max_connections_refuses_what_is_too_much(start, server):
    running = await start(pool_of([(await server()).port], max_connections=2))
    writers = [(await connect(running))[1] for _ in range(2)]
    await until(lambda: running.links.state.running == {"web-1": 2})
    reader, refused = await connect(running)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert running.count("gslb_tcp_connections_total", result="no_server") == 1
    for writer in (*writers, refused):
        writer.close()


async def test_a_server_that_leaves_keeps_what_it_has(start, server):
    first, second = await server(), await server()
    running = await start(pool_of([first.port]))
    reader, writer = await connect(running)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    plan = replace(plan_of(pool_of([second.port], name="web")), listeners=running.plan.listeners, generation=2)
    pool = plan.balancer.pools["web"]
    moved = replace(pool, servers=(replace(pool.servers[0], id="new"),))
    plan = replace(plan, balancer=replace(plan.balancer, pools={"web": moved}))
    running.proxy.swap(World(plan, Status()))
    running.forwarder.swap(plan, running.counters)
    reader2, writer2 = await connect(running)
    assert await whole(reader2, writer2, b"b") == b"b"
    assert len(second.peers) == 1
    assert await whole(reader, writer, b"c") == b"c"
    writer.close()
    writer2.close()


# ---------------------------------------------------------------- PROXY headers, bounds, the end
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_server_learns_who_the_client_is(start, server, version):
    got = asyncio.Queue()

    async def tell(reader, writer):
        if version == "v1":
            got.put_nowait(await reader.readline())
        else:
            head = await reader.readexactly(16)
            got.put_nowait(head + await reader.readexactly(int.from_bytes(head[14:16], "big")))
        writer.write(await reader.readexactly(2))

    running = await start(replace(pool_of([(await server(tell)).port]), proxy_protocol=version))
    reader, writer = await connect(running)
    port = writer.get_extra_info("sockname")[1]
    writer.write(b"hi")
    assert await asyncio.wait_for(reader.readexactly(2), 5) == b"hi"
    header = await got.get()
    if version == "v1":
        assert header == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (port, running.port)
    else:
        assert header[:12] == b"\r\n\r\n\0\r\nQUIT\n"
        assert header[24:28] == port.to_bytes(2, "big") + running.port.to_bytes(2, "big")
    writer.close()


async def test_a_header_in_front_says_who_the_client_is(start, server):
    servers = [await server() for _ in range(3)]
    pool = replace(pool_of([one.port for one in servers]), algorithm=ALGORITHMS.get("ip_hash")())
    running = await start(pool, Listener("", proxy_networks=("127.0.0.0/8",)))
    for host in range(40):
        reader, writer = await connect(running)
        writer.write(b"PROXY TCP4 198.51.%d.7 192.0.2.1 4000 25\r\n" % host)
        assert await whole(reader, writer, b"x") == b"x"
        writer.close()
    assert all(one.peers for one in servers)  # by the addresses in the headers


async def test_what_is_idle_for_too_long_is_ended(start, server):
    running = await start(pool_of([(await server()).port]))
    reader, writer = await connect(running)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    (session,) = running.forwarder.sessions
    session.sweep(time.monotonic())  # it has moved
    session.sweep(time.monotonic() + 3599)
    assert running.forwarder.active == 1
    session.sweep(time.monotonic() + 3601)
    assert running.forwarder.active == 0
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_no_more_are_taken_than_there_is_room_for(start, server, monkeypatch):
    monkeypatch.setattr(forwarder_module, "CONNECTIONS_MAX", 3)
    running = await start(pool_of([(await server()).port]))
    clients = [await connect(running) for _ in range(5)]
    for _, writer in clients:
        writer.write(b"x")
    await until(lambda: running.count("gslb_tcp_connections_total", result="ok") == 3)
    await asyncio.sleep(0.05)
    assert running.forwarder.active == 3
    clients[0][1].close()
    for reader, _ in clients[1:4]:  # the fourth waited in the kernel's queue
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"x"
    for _, writer in clients:
        writer.close()


async def test_a_unix_socket_takes_them_too(start, server, tmp_path):
    running = await start(pool_of([(await server()).port]))
    path = str(tmp_path / "s")
    running.forwarder.open(open_unix(path, 0o600), Listener(f"unix:{path}", pool="web"), 1.0)
    reader, writer = await asyncio.open_unix_connection(path)
    assert await whole(reader, writer, b"hello") == b"hello"
    writer.close()


async def test_the_end_of_the_worker_ends_what_is_left(start, server):
    running = await start(pool_of([(await server()).port]))
    reader, writer = await connect(running)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    running.forwarder.close()
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert running.forwarder.active == 0
    writer.close()


async def test_pipes_end_with_their_connection(start, server):
    running = await start(pool_of([(await server()).port]))

    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(3):
        reader, writer = await connect(running)
        data = os.urandom(READ_BYTES_MAX * BULK_AFTER * 4)
        writer.write(data)
        await reader.readexactly(len(data))
        writer.transport.abort()
    await until(lambda: descriptors() == before)


@pytest.fixture
def free_port():
    """A port that refuses: bound, not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
