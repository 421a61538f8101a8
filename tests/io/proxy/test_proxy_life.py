"""Keep-alive, pipelining, half-close, what is added and left out, new worlds, the region's own word, drain."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
from dataclasses import replace

import pytest

from gslb.metrics import SECONDS
from gslb.model import Server, State, Status, World
from tests.support.proxying import (
    FAST,
    OK,
    fields_of,
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
WORD = b"GET /.well-known/gslb HTTP/1.1\r\nHost: a\r\n\r\n"


# ---------------------------------------------------------------- keep-alive
async def test_both_sides_are_kept_alive(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server])))

    def ask() -> list[bytes]:
        client = http.client.HTTPConnection("127.0.0.1", running.port)
        got = []
        for i in range(20):
            client.request("GET", f"/{i}")
            got.append(client.getresponse().read())
        client.close()
        return got

    assert await asyncio.to_thread(ask) == [b"ok"] * 20
    assert server.connections == 1
    assert running.count("gslb_http_connections_total") == 1
    assert running.count("gslb_http_upstream_connections_total", pool="web") == 1
    assert running.count("gslb_http_requests_total", pool="web", code="2xx") == 20
    first = running.counters.index("gslb_http_request_seconds", pool="web")
    assert sum(running.counters.cells[first : first + len(SECONDS) + 1]) == 20  # every bucket, +Inf too
    await until(lambda: running.count("gslb_http_received_bytes_total") > 20 * 30)
    assert running.count("gslb_http_sent_bytes_total") >= 20 * len(OK)


async def test_clients_share_connections_and_idle_ones_are_closed(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server]), timeouts=FAST))
    for _ in range(10):
        assert parsed(await talk(running.port, CLOSING)).status == 200
    assert server.connections == 1
    await until(lambda: not server.writers)  # after idle_s
    assert running.proxy.pools["web"].links["web-1"].open == 0


async def test_an_idle_client_is_closed_in_time(start, backend):
    running = await start(plan_of(pool_of([await backend()]), timeouts=FAST))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(GET)
    assert (await one_response(reader))[0] == 200
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_server_that_closes_is_connected_to_again(start, backend):
    async def once(backend, reader, writer):
        await read_head(reader)
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    server = await backend(once)
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for _ in range(3):
        writer.write(GET)
        _, fields, body = await one_response(reader)
        assert (body, "connection" in fields) == (b"ok", False)  # the client's own connection goes on
    writer.close()
    assert server.connections == 3


# ---------------------------------------------------------------- pipelining and half-close
async def numbered(backend, reader, writer):
    """Answers with the path, the later ones sooner."""
    while True:
        head = await read_head(reader)
        await read_body(reader, head)
        path = head.split(b" ")[1]
        await asyncio.sleep(0.01 if path.endswith(b"0") else 0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(path) + path)


async def test_pipelined_requests_are_answered_in_order(start, backend):
    running = await start(plan_of(pool_of([await backend(numbered), await backend(numbered)])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for i in range(100):
        if i % 3:
            writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i)
        else:
            body = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
            writer.write(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (i, len(body), body))
    got = [(await one_response(reader))[2] for _ in range(100)]
    writer.close()
    assert got == [b"/%d" % i for i in range(100)]


async def test_a_pipelined_request_waits_for_its_turn_byte_by_byte(start, backend):
    server = await backend(numbered)
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    row = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(10))
    for byte in row:
        writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    assert [(await one_response(reader))[2] for _ in range(10)] == [b"/%d" % i for i in range(10)]
    writer.close()


async def test_a_long_row_that_is_answered_here_does_not_nest(start, backend):
    running = await start(plan_of(pool_of([await backend()])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(WORD * 5_000)
    for _ in range(5_000):
        assert (await one_response(reader))[0] == 200
    writer.close()


async def test_a_client_that_pipelines_and_never_reads_is_bounded(start, backend):
    running = await start(plan_of(pool_of([await backend()])))
    _, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1024)
    writer.transport.pause_reading()
    writer.write(WORD * 200_000)
    await until(lambda: any(client.write_paused for client in running.proxy.clients))
    (client,) = running.proxy.clients
    assert client.transport.get_write_buffer_size() < 1_000_000
    assert len(client.buffer) < 1_000_000
    writer.transport.abort()


@pytest.mark.parametrize("count", [1, 3])
async def test_a_client_that_half_closes_still_gets_its_answers(count, start, backend):
    running = await start(plan_of(pool_of([await backend(numbered)])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(count)))
    writer.write_eof()
    got = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert got.count(b"HTTP/1.1 200 OK") == count
    assert [got.find(b"\r\n\r\n/%d" % i) > 0 for i in range(count)] == [True] * count
    await until(lambda: running.proxy.active == 0)


async def test_half_a_request_and_the_end_is_no_request(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    half_body = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"
    for half in (GET[:-2], half_body, GET + GET[:-1]):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(half)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    await until(lambda: running.proxy.active == 0)
    assert server.bodies == [b""]  # the one whole request


# ---------------------------------------------------------------- what is added, what is left out
async def forwarded(start, backend, request: bytes, **options) -> tuple[dict[str, str], bytes]:
    server = await backend()
    running = await start(plan_of(pool_of([server]), **options))
    reply = await talk(running.port, request)
    assert parsed(reply).status == 200
    return fields_of(server.heads[0]), server.heads[0]


async def test_what_a_server_is_told_of_the_client(start, backend):
    fields, _ = await forwarded(start, backend, b"GET / HTTP/1.1\r\nHost: A.example:81\r\nConnection: close\r\n\r\n")
    assert fields["host"] == "A.example:81"
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "http"
    assert fields["x-forwarded-host"] == "a.example:81"
    assert fields["forwarded"] == 'for=127.0.0.1;host="a.example:81";proto=http'
    assert fields["via"] == "1.1 gslb"
    assert fields["x-request-id"]
    assert "connection" not in fields


CLAIMS = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 192.0.2.2\r\n"
    b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 192.0.2.1\r\n"
    b"Forwarded: for=192.0.2.1\r\nX-Request-Id: theirs\r\nVia: 1.1 them\r\nX_Forwarded_For: 192.0.2.3\r\n"
    b"traceparent: 00-aa-bb-01\r\n\r\n"
)


async def test_an_untrusted_peer_is_not_believed(start, backend):
    fields, head = await forwarded(start, backend, CLAIMS)
    assert b"192.0.2." not in head
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert (fields["x-forwarded-proto"], fields["x-forwarded-host"]) == ("http", "a")
    assert "x-forwarded-port" not in fields
    assert fields["x-request-id"] != "theirs"
    assert fields["via"] == "1.1 them, 1.1 gslb"
    assert fields["traceparent"] == "00-aa-bb-01"


async def test_a_trusted_peer_is_believed_and_extended(start, backend):
    fields, head = await forwarded(start, backend, CLAIMS, trusted_proxies=("127.0.0.0/8",))
    assert fields["x-forwarded-for"] == "192.0.2.1, 192.0.2.2, 127.0.0.1"
    assert head.lower().count(b"x-forwarded-for:") == 1
    assert (fields["x-forwarded-proto"], fields["x-forwarded-host"]) == ("https", "b")
    assert fields["x-forwarded-port"] == "443"
    assert fields["x-real-ip"] == "192.0.2.1"
    assert fields["forwarded"] == "for=192.0.2.1, for=127.0.0.1;host=a;proto=http"
    assert fields["x-request-id"] == "theirs"
    assert b"192.0.2.3" not in head


async def test_hop_by_hop_fields_stay_here(start, backend):
    fields, _ = await forwarded(
        start,
        backend,
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"
        b"Proxy-Authorization: x\r\nTE: gzip, trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nX-Stay: 1\r\n\r\n",
    )
    assert fields["x-stay"] == "1"
    assert (fields["te"], fields["connection"]) == ("trailers", "TE")
    gone = {"x-hop", "keep-alive", "proxy-connection", "proxy-authorization", "trailer", "upgrade"}
    assert not gone & fields.keys()


async def test_hop_by_hop_fields_of_a_server_stay_here_too(start, backend):
    server = await backend(
        reply=b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: x\r\n"
        b"Proxy-Authenticate: x\r\nUpgrade: h2\r\nTrailer: x\r\nX-Stay: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for _ in range(2):
        writer.write(GET)
        _, fields, _ = await one_response(reader)
        assert fields.pop("date").endswith("GMT")  # RFC 9110 §6.6.1: the server sent none
        assert fields == {"x-stay": "1", "content-length": "2"}
    writer.close()
    assert server.connections == 1


async def test_a_host_of_our_own_where_http_1_0_sends_none(start, backend):
    fields, _ = await forwarded(start, backend, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert fields["host"] == "eu.example.test:8101"


async def test_curl_sees_what_it_should(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    got = await asyncio.to_thread(
        subprocess.run,
        ["curl", "-sSi", "--http2", "--max-time", "5", "-H", "Host: www.example.com", f"http://127.0.0.1:{running.port}/a?b"],
        check=True,
        capture_output=True,
    )
    assert got.stdout.startswith(b"HTTP/1.1 200 OK\r\n")  # the offer of h2c is passed over
    assert server.heads[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    assert fields_of(server.heads[0])["host"] == "www.example.com"


# ---------------------------------------------------------------- the region's own word
async def word_of(port: int) -> tuple[http.client.HTTPResponse, dict]:
    response = parsed(await talk(port, WORD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    return response, json.loads(response.whole)


async def test_the_own_word_follows_the_world(start, backend):
    one, two = await backend(), await backend()
    running = await start(plan_of(pool_of([one], "api"), pool_of([one, two])))
    response, word = await word_of(running.port)
    assert (response.status, response.getheader("Cache-Control")) == (200, "no-store")
    assert response.getheader("Date")
    assert word == {
        "region": "eu-west", "state": "up", "servers": {"up": 3, "total": 3}, "healthy_capacity": 1.0,
        "share": 1.0, "generation": 1,
    }  # fmt: skip
    for servers, state, up in (
        ({"web/web-1": State.DOWN}, "up", 2),
        ({"web/web-1": State.DOWN, "web/web-2": State.DRAINING}, "no_servers", 1),
        ({"api/api-1": State.DOWN}, "up", 2),  # one path is lost, not the region
        ({"web/web-1": State.UNKNOWN}, "up", 3),
    ):
        running.proxy.swap(World(running.plan, Status(generation=2, servers=servers)))
        _, word = await word_of(running.port)
        assert (word["state"], word["servers"]["up"]) == (state, up)
    running.proxy.swap(World(running.plan, Status(draining=True)))
    assert (await word_of(running.port))[1]["state"] == "draining"
    assert one.connections == two.connections == 0
    head = await talk(running.port, b"HEAD /.well-known/gslb HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")


# ---------------------------------------------------------------- new worlds
async def test_a_new_world_keeps_connections_of_servers_that_stay(start, backend):
    stays, goes, comes = await backend(), await backend(), await backend()
    running = await start(plan_of(pool_of([stays, goes])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)

    async def ask(count: int) -> None:
        for _ in range(count):
            writer.write(GET)
            assert (await one_response(reader))[0] == 200

    await ask(4)
    assert (len(stays.heads), len(goes.heads)) == (2, 2)
    old = running.plan.balancer.pools["web"]
    servers = (old.servers[0], Server("web-3", "127.0.0.1", comes.port))
    plan = plan_of(replace(old, servers=servers), generation=2)
    running.proxy.swap(World(plan, Status()))
    await until(lambda: not goes.writers)
    await ask(4)
    writer.close()
    assert (len(stays.heads), len(goes.heads), len(comes.heads)) == (4, 2, 2)
    assert (stays.connections, comes.connections) == (1, 1)


async def test_a_request_in_flight_survives_the_removal_of_its_server(start, backend):
    go = asyncio.Event()

    async def slow(backend, reader, writer):
        backend.heads.append(await read_head(reader))
        await go.wait()
        writer.write(OK)
        await reader.read()

    old, new = await backend(slow), await backend()
    running = await start(plan_of(pool_of([old])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(GET)
    await until(lambda: old.heads != [])
    running.proxy.swap(World(plan_of(pool_of([new], "other"), generation=2), Status()))
    go.set()
    assert (await one_response(reader))[2] == b"ok"
    await until(lambda: not old.writers)
    writer.write(GET)
    assert (await one_response(reader))[2] == b"ok"
    writer.close()
    assert len(new.heads) == 1


async def test_a_status_takes_a_server_out_and_back(start, backend):
    one, two = await backend(), await backend()
    running = await start(plan_of(pool_of([one, two])))
    for servers, expected in (({"web/web-1": State.DOWN}, 0), ({}, 2)):
        running.proxy.swap(World(running.plan, Status(servers=servers)))
        for _ in range(4):
            assert parsed(await talk(running.port, CLOSING)).status == 200
        assert len(one.heads) == expected


# ---------------------------------------------------------------- drain
async def test_drain_finishes_what_is_there_and_closes(start, backend):
    go = asyncio.Event()

    async def slow(backend, reader, writer):
        while True:
            head = await read_head(reader)
            backend.heads.append(head)
            if b"/slow" in head:
                await go.wait()
            writer.write(OK)

    server = await backend(slow)
    running = await start(plan_of(pool_of([server])))
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", running.port)
    idle_writer.write(GET)
    assert (await one_response(idle_reader))[0] == 200
    busy_reader, busy_writer = await asyncio.open_connection("127.0.0.1", running.port)
    busy_writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    new_reader, new_writer = await asyncio.open_connection("127.0.0.1", running.port)
    await until(lambda: len(server.heads) == 2 and running.proxy.active == 3)
    running.listener.close()
    running.proxy.drain()
    assert await asyncio.wait_for(idle_reader.read(), 5) == b""
    new_writer.write(WORD)  # a connection that was just opened may still ask once
    status, fields, body = await one_response(new_reader)
    assert (status, fields["connection"], json.loads(body)["state"]) == (200, "close", "draining")
    assert await asyncio.wait_for(new_reader.read(), 5) == b""
    go.set()
    status, fields, body = await one_response(busy_reader)
    assert (status, fields["connection"], body) == (200, "close", b"ok")
    assert await asyncio.wait_for(busy_reader.read(), 5) == b""
    for writer in (idle_writer, busy_writer, new_writer):
        writer.close()
    await until(lambda: running.proxy.active == 0)
