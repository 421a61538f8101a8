"""WebSockets and other upgrades, judged by aiohttp's client and server and by raw sockets."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web

from gslb.model import Status, Timeouts, World
from tests.support.proxying import FAST, one_response, plan_of, pool_of, read_head, until

UPGRADE = b"Host: eu.example.test\r\nConnection: Upgrade\r\nUpgrade: "
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
CHAT = {"upgrades": ("websocket", "chat")}


async def chat(backend, reader, writer):
    """Switches, then answers every line with itself in capitals."""
    backend.heads.append(await read_head(reader))
    writer.write(SWITCH + b"hello\n")
    while line := await reader.readline():
        writer.write(line.upper())
    if not writer.is_closing():
        writer.write(b"bye\n")


async def opened(port: int, protocol: bytes = b"chat", more: bytes = b"") -> tuple:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /talk HTTP/1.1\r\n" + UPGRADE + protocol + b"\r\n\r\n" + more)
    return reader, writer


@pytest.fixture
async def websocket_server():
    """An aiohttp server that echoes; gives its port."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("soap",))
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/ws", echo)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_a_websocket_passes_text_and_large_binary_both_ways(start, websocket_server):
    running = await start(plan_of(pool_of([websocket_server])))
    big = bytes(range(256)) * 8000
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{running.port}/ws", protocols=("soap",), max_msg_size=0) as socket,
    ):
        assert socket.protocol == "soap"
        for number in range(50):
            await socket.send_str(f"message {number}")
            assert (await socket.receive(5)).data == f"message {number}"
        await socket.send_bytes(big)
        assert (await socket.receive(10)).data == big
        await until(lambda: running.count("gslb_http_tunnels") == 1)
        assert running.count("gslb_http_requests_total", pool="web", code="1xx") == 1
        assert running.proxy.pools["web"].state.active("web-1") == 1
    await until(lambda: running.proxy.pools["web"].state.active("web-1") == 0)
    await until(lambda: running.count("gslb_http_tunnels") == 0 and running.proxy.active == 0)


async def test_what_the_server_is_told_and_what_comes_at_once(start, backend):
    server = await backend(chat)
    running = await start(plan_of(pool_of([server]), **CHAT))
    reader, writer = await opened(running.port, b"h2c, Chat", b"early\n")
    status, fields, _ = await one_response(reader)
    assert (status, fields["connection"], fields["upgrade"]) == (101, "Upgrade", "chat")
    assert await reader.readline() == b"hello\n"
    assert await reader.readline() == b"EARLY\n"
    assert b"\r\nConnection: Upgrade\r\nUpgrade: chat\r\n" in server.heads[0]
    assert b"h2c" not in server.heads[0]
    writer.write_eof()  # half-closed: the server still says its last word
    assert await reader.read() == b"bye\n"
    writer.close()
    await until(lambda: running.proxy.active == 0)
    assert running.proxy.pools["web"].links["web-1"].open == 0


async def test_a_server_that_declines_is_an_ordinary_answer(start, backend):
    running = await start(plan_of(pool_of([await backend()]), **CHAT))
    reader, writer = await opened(running.port)
    assert (await one_response(reader))[::2] == (200, b"ok")
    writer.write(b"GET /again HTTP/1.1\r\nHost: eu.example.test\r\n\r\n")  # the connection goes on
    assert (await one_response(reader))[::2] == (200, b"ok")
    writer.close()


@pytest.mark.parametrize("protocol", [b"h2c", b"irc"])
async def test_protocols_that_are_not_allowed_are_not_offered(protocol, start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reader, writer = await opened(running.port, protocol)
    assert (await one_response(reader))[0] == 200
    assert b"pgrade" not in server.heads[0]
    writer.close()


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        (b"chat", SWITCH.replace(b"chat", b"irc")),  # another than was offered
        (b"chat", SWITCH.replace(b"Connection: Upgrade\r\n", b"")),
        (b"irc", SWITCH),  # nothing was offered
    ],
)
async def test_a_switch_to_what_was_not_offered_is_502(asked, reply, start, backend):
    async def switch(backend, reader, writer):
        await read_head(reader)
        writer.write(reply)
        await reader.read()

    running = await start(plan_of(pool_of([await backend(switch)]), **CHAT))
    reader, writer = await opened(running.port, asked)
    status, fields, _ = await one_response(reader)
    assert (status, fields["x-gslb-error"]) == (502, "bad_response")
    writer.close()


async def test_an_offer_counts_for_its_own_request_only(start, backend):
    """A server that declines, then switches on the next request, which asked for nothing."""

    async def late(backend, reader, writer):
        await read_head(reader)
        writer.write(backend.reply)
        await read_head(reader)
        writer.write(SWITCH)
        await reader.read()

    running = await start(plan_of(pool_of([await backend(late)]), **CHAT))
    reader, writer = await opened(running.port)
    assert (await one_response(reader))[0] == 200
    writer.write(b"GET / HTTP/1.1\r\nHost: eu.example.test\r\n\r\n")
    assert (await one_response(reader))[0] == 502
    writer.close()


async def test_an_upgrade_with_a_body_is_served_without_upgrade(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server]), **CHAT))
    reader, writer = await opened(running.port, b"chat\r\nContent-Length: 3", b"abc")
    assert (await one_response(reader))[0] == 200
    assert server.bodies == [b"abc"]
    assert b"Upgrade" not in server.heads[0]
    writer.close()


async def test_back_pressure_goes_through_a_tunnel(start, backend):
    """A server that writes without end to a client that does not read is not read either."""
    written = 0

    async def flood(backend, reader, writer):
        nonlocal written
        await read_head(reader)
        writer.write(SWITCH)
        with contextlib.suppress(ConnectionError):
            while written < 200_000_000:
                writer.write(b"x" * 65_536)
                await writer.drain()
                written += 65_536

    running = await start(plan_of(pool_of([await backend(flood)]), **CHAT))
    reader, writer = await opened(running.port)
    assert (await one_response(reader))[0] == 101
    writer.transport.pause_reading()
    seen = -1
    while seen != written:  # until nothing moves any more
        seen = written
        await asyncio.sleep(0.2)
    assert written < 100_000_000
    writer.transport.resume_reading()
    read = 0
    while read < seen:
        read += len(await asyncio.wait_for(reader.read(1 << 20), 5))
    writer.transport.abort()
    await until(lambda: running.proxy.active == 0)


async def test_a_tunnel_in_which_nothing_moves_ends_and_one_that_moves_does_not(start, backend):
    timeouts = Timeouts(idle_s=0.2, first_byte_s=5, keepalive_s=0.2, tunnel_s=1.0)
    running = await start(plan_of(pool_of([await backend(chat)]), timeouts=timeouts, **CHAT))
    reader, writer = await opened(running.port)
    assert (await one_response(reader))[0] == 101
    await reader.readline()
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 1.5
    while loop.time() < until_s:  # longer than any timeout, a word now and then
        writer.write(b"more\n")
        assert await reader.readline() == b"MORE\n"
        await asyncio.sleep(0.05)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await until(lambda: running.proxy.pools["web"].state.active("web-1") == 0)


async def test_a_reload_and_a_drain_leave_a_tunnel_alone(start, backend):
    running = await start(plan_of(pool_of([await backend(chat)]), timeouts=FAST, **CHAT))
    reader, writer = await opened(running.port)
    assert (await one_response(reader))[0] == 101
    await reader.readline()
    other = pool_of([await backend()], name="other")
    running.proxy.swap(World(plan_of(other, generation=2, **CHAT), Status()))  # its server is gone from the files
    running.proxy.drain()
    writer.write(b"still here\n")
    assert await asyncio.wait_for(reader.readline(), 5) == b"STILL HERE\n"
    writer.close()


async def test_either_side_that_breaks_off_ends_the_other(start, backend):
    server = await backend(chat)
    running = await start(plan_of(pool_of([server]), **CHAT))
    reader, writer = await opened(running.port)
    assert (await one_response(reader))[0] == 101
    for one in tuple(server.writers):
        one.transport.abort()
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    _, writer = await opened(running.port)
    await until(lambda: len(server.heads) == 2)
    writer.transport.abort()
    await until(lambda: running.proxy.active == 0 and not server.writers)
