"""Servers that can't be reached, hang or break off; clients that go away; timeouts: what is answered and counted."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import replace

import pytest

from gslb.http.endpoint import SLOW_SERVER
from gslb.model import Route, State, Status, World
from tests.support.proxying import (
    FAST,
    OK,
    one_response,
    parsed,
    plan_of,
    pool_of,
    read_body,
    read_head,
    talk,
    until,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def dead_ports():
    """Ports that refuse: bound, not listening."""
    sockets = []

    def make(count: int) -> list[int]:
        for _ in range(count):
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            sockets.append(sock)
        return [sock.getsockname()[1] for sock in sockets[-count:]]

    yield make
    for sock in sockets:
        sock.close()


async def test_a_failed_connect_is_tried_on_another_server(start, backend, dead_ports):
    server = await backend()
    running = await start(plan_of(pool_of([*dead_ports(1), server])))
    for _ in range(6):
        assert parsed(await talk(running.port, CLOSING)).status == 200
    assert len(server.heads) == 6
    retries = running.count("gslb_http_retries_total", pool="web")
    assert 3 <= retries <= 6
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason="connect") == retries
    assert running.count("gslb_http_requests_total", pool="web", code="2xx") == 6


async def test_a_body_is_kept_for_the_second_server(start, backend, dead_ports):
    server = await backend()
    running = await start(plan_of(pool_of([*dead_ports(3), server], attempts=4)))
    body = bytes(range(256)) * 4_000
    for head in (b"Content-Length: %d\r\n" % len(body), b"Transfer-Encoding: chunked\r\n"):
        framed = body if b"Length" in head else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        request = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + head + b"\r\n" + framed
        assert parsed(await talk(running.port, request)).status == 200
    assert server.bodies == [body, body]


async def test_never_the_same_server_twice_while_another_is_left(start, dead_ports, monkeypatch):
    ports = dead_ports(3)
    running = await start(plan_of(pool_of(ports, attempts=3)))
    tried = []
    connect = running.proxy.connect
    monkeypatch.setattr(running.proxy, "connect", lambda link, client: (tried.append(link.port), connect(link, client)))
    response = parsed(await talk(running.port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    assert (response.status, response.getheader("X-Gslb-Error")) == (502, "connect_failed")
    assert sorted(tried) == sorted(ports)


async def test_attempts_bound_the_tries(start, dead_ports):
    running = await start(plan_of(pool_of(dead_ports(5), attempts=2)))
    assert parsed(await talk(running.port, CLOSING)).status == 502
    assert running.count("gslb_http_retries_total", pool="web") == 1
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason="connect") == 2
    assert running.count("gslb_http_requests_total", pool="web", code="5xx") == 1


async def test_the_connection_goes_on_after_a_502(start, dead_ports):
    running = await start(plan_of(pool_of(dead_ports(1))))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    ids = set()
    for _ in range(3):
        writer.write(GET)
        status, fields, body = await one_response(reader)
        said = json.loads(body)
        assert (status, said["status"], said["error"]) == (502, 502, "connect_failed")
        assert said["request_id"] == fields["x-request-id"]
        assert b"127.0.0.1" not in body
        ids.add(said["request_id"])
    writer.close()
    assert len(ids) == 3


async def test_a_server_that_does_not_accept_is_504_after_the_next_one_too(start):
    """A listener whose queue is full neither accepts nor refuses."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        fillers.append(filler)
    running = await start(plan_of(pool_of([full.getsockname()[1]]), timeouts=FAST))
    response = parsed(await talk(running.port, CLOSING))
    assert (response.status, response.getheader("X-Gslb-Error")) == (504, "connect_timeout")
    for sock in (full, *fillers):
        sock.close()


async def test_a_server_that_hangs_is_504(start, backend):
    async def hang(backend, reader, writer):
        await read_head(reader)
        await reader.read()

    server = await backend(hang)
    running = await start(plan_of(pool_of([server]), timeouts=FAST))
    response = parsed(await talk(running.port, CLOSING))
    assert (response.status, response.getheader("X-Gslb-Error")) == (504, "first_byte_timeout")
    await until(lambda: not server.writers)
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason="first_byte_timeout") == 1
    assert running.proxy.pools["web"].state.active("web-1") == 0


async def test_a_body_that_stalls_breaks_the_client_off(start, backend):
    async def stall(backend, reader, writer):
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await reader.read()

    running = await start(plan_of(pool_of([await backend(stall)]), timeouts=FAST))
    reply = await talk(running.port, GET)
    assert reply.endswith(b"hello")
    assert running.proxy.pools["web"].state.active("web-1") == 0


async def test_no_healthy_server_is_503(start, backend):
    server = await backend()
    status = Status(servers={"web/web-1": State.DOWN})
    running = await start(plan_of(pool_of([server])), status)
    response = parsed(await talk(running.port, CLOSING))
    assert (response.status, response.getheader("X-Gslb-Error")) == (503, "no_healthy_server")
    assert response.getheader("Retry-After") == "1"
    assert server.connections == 0


async def test_no_route_is_404(start, backend):

    server = await backend()
    running = await start(plan_of(pool_of([server]), routes=(Route("web", ("a.example",), "/x/*"),)))
    assert parsed(await talk(running.port, CLOSING)).getheader("X-Gslb-Error") == "no_route"
    for host in (b"a.example", b"A.EXAMPLE:80"):
        request = b"GET /x/1?y HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        assert parsed(await talk(running.port, request)).status == 200


def closing_after(count: int):
    """A server that answers `count` requests on a connection, then closes it when the next one comes."""

    async def handler(backend, reader, writer):
        for _ in range(count):
            head = await read_head(reader)
            backend.bodies.append(await read_body(reader, head))
            writer.write(OK.removesuffix(b"ok") if head.startswith(b"HEAD") else OK)
        await read_head(reader)
        backend.heads.append(b"closed on")

    return handler


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_a_kept_connection_that_closes_is_replaced_once(method, start, backend):
    server = await backend(closing_after(1))
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    body = b"hello" if method == "PUT" else b""
    request = f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    for _ in range(3):
        writer.write(request)
        assert (await one_response(reader, method))[0] == 200
    writer.close()
    assert server.bodies == [body] * 3
    assert server.heads == [b"closed on"] * 2
    assert server.connections == 3


async def test_a_request_with_effects_is_not_sent_twice(start, backend):
    server = await backend(closing_after(1))
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    writer.write(request)
    assert (await one_response(reader))[0] == 200
    writer.write(request)
    status, fields, _ = await one_response(reader)
    assert (status, fields["x-gslb-error"]) == (502, "upstream_closed")
    writer.close()
    assert server.bodies == [b"hello"]
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason="reset") == 1


async def test_a_fresh_connection_that_closes_is_no_stale_one(start, backend):
    server = await backend(closing_after(0))
    running = await start(plan_of(pool_of([server])))
    response = parsed(await talk(running.port, CLOSING))
    assert (response.status, response.getheader("X-Gslb-Error")) == (502, "upstream_closed")
    assert server.connections == 1


async def test_half_a_head_is_502(start, backend):
    async def handler(backend, reader, writer):
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")

    running = await start(plan_of(pool_of([await backend(handler)])))
    assert parsed(await talk(running.port, CLOSING)).status == 502


@pytest.mark.parametrize("when", ["before the answer", "within the answer", "within the request"])
async def test_a_client_that_goes_away_frees_the_server(when, start, backend):
    async def handler(backend, reader, writer):
        await read_head(reader)
        backend.heads.append(b"")
        if when == "within the answer":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            await writer.drain()
        await reader.read()

    server = await backend(handler)
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    length = 10 if when == "within the request" else 0
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length)
    await until(lambda: server.heads != [])
    assert running.proxy.pools["web"].state.active("web-1") == 1
    if when == "within the answer":
        await reader.readuntil(b"hello")
    reset = struct.pack("ii", 1, 0)  # a plain close would be a half-close until something is written
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    writer.transport.abort()
    await until(lambda: not server.writers)
    await until(lambda: running.proxy.active == 0)
    assert running.proxy.pools["web"].state.active("web-1") == 0


async def test_a_connect_that_outlives_its_client_is_kept_for_the_next(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    link = running.proxy.pools["web"].links["web-1"]
    writer.write(GET)
    await until(lambda: link.open == 1)
    (client,) = running.proxy.clients
    client.transport.abort()
    writer.close()
    await until(lambda: running.proxy.active == 0)
    await until(lambda: len(link.idle) == link.open)
    assert running.proxy.pools["web"].state.active("web-1") == 0
    assert parsed(await talk(running.port, CLOSING)).status == 200
    assert server.connections <= 2


async def test_connections_to_a_server_are_bounded(start, backend, monkeypatch):
    monkeypatch.setattr("gslb.http.connecting.CONNECTIONS_PER_SERVER_MAX", 0)
    running = await start(plan_of(pool_of([await backend()])))
    response = parsed(await talk(running.port, CLOSING))
    assert (response.status, response.getheader("X-Gslb-Error")) == (503, "server_busy")


async def test_client_connections_are_bounded(start, backend, monkeypatch):
    running = await start(plan_of(pool_of([await backend()])))
    monkeypatch.setattr("gslb.http.proxy.CLIENTS_MAX", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(GET)
    assert (await one_response(reader))[0] == 200
    try:
        refused = await talk(running.port, GET)
    except ConnectionError:
        refused = b""
    assert refused == b""
    writer.close()


async def test_a_server_that_never_takes_the_body_is_504_not_the_clients_fault(start, backend):
    async def deaf(backend, reader, writer):
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    running = await start(plan_of(pool_of([await backend(deaf)]), timeouts=FAST))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    await until(lambda: running.proxy.active == 1)
    (client,) = running.proxy.clients
    while not client.holds & SLOW_SERVER:
        writer.write(bytes(100_000))
        await asyncio.sleep(0.001)
    status, fields, _ = await one_response(reader)
    assert (status, fields["x-gslb-error"], fields["connection"]) == (504, "first_byte_timeout", "close")
    writer.transport.abort()


async def test_an_error_carries_the_id_that_a_trusted_proxy_gave(start, dead_ports):
    running = await start(plan_of(pool_of(dead_ports(1)), trusted_proxies=("127.0.0.1",)))
    response = parsed(await talk(running.port, CLOSING[:-2] + b"X-Request-Id: theirs-1\r\n\r\n"))
    assert (response.status, response.getheader("X-Request-Id")) == (502, "theirs-1")


async def test_a_stale_connection_to_a_server_that_left_the_plan(start, backend):
    """The world changes between sending and noticing: the request still ends, one way or the other."""
    gone = asyncio.Event()

    async def handler(backend, reader, writer):
        backend.heads.append(await read_head(reader))
        writer.write(OK)
        backend.heads.append(await read_head(reader))
        await gone.wait()

    old, new = await backend(handler), await backend()
    running = await start(plan_of(pool_of([old])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(GET)
    assert (await one_response(reader))[0] == 200
    writer.write(GET)
    await until(lambda: len(old.heads) == 2)
    server = replace(pool_of([new]).servers[0], id="web-2")
    running.proxy.swap(World(plan_of(replace(pool_of([new]), servers=(server,)), generation=2), Status()))
    gone.set()
    await one_response(reader)
    writer.write(GET)
    assert (await one_response(reader))[0] == 200
    writer.close()
    assert len(new.heads) == 1
