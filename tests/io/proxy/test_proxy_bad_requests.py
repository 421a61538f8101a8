"""Requests that break HTTP: each with the rule it breaks and the verdict; nothing of them reaches the backend."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.support.malformed.allowed import ALLOWED, BODIES
from tests.support.malformed.chunks import CHUNKS
from tests.support.malformed.framing import FRAMING
from tests.support.malformed.heads import HOSTS, LIMITS, LINES, REQUEST_LINES
from tests.support.malformed.responses import BAD_HEADS, TRUNCATED
from tests.support.malformed.rows import CHUNKED, get, post
from tests.support.proxying import FAST, one_response, parsed, plan_of, pool_of, talk, until

REFUSED = {**FRAMING, **LINES, **HOSTS, **REQUEST_LINES, **LIMITS, **CHUNKS}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_request_is_answered_closed_and_never_forwarded(name, start, backend):
    request, status, reason, _source = REFUSED[name]
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reply = await talk(running.port, request + get(b"X-Smuggled: 1\r\n"))
    response = parsed(reply, "GET")
    assert (response.status, response.getheader("X-Gslb-Error")) == (status, reason)
    assert response.getheader("Connection") == "close"
    assert response.getheader("Content-Type") == "application/json"
    assert reply.count(b"\r\nDate: ") == 1  # what stood behind it is not taken for a request
    assert server.connections == 0
    assert server.heads == []
    assert running.count("gslb_http_refused_total", code=str(status)) == 1


@pytest.mark.parametrize("name", [name for name, row in REFUSED.items() if len(row[0]) < 2_000])
async def test_the_verdict_does_not_hang_on_how_the_bytes_arrive(name, start, backend):
    """Byte by byte the same status; a body that turns out wrong later must not have been passed off as whole."""
    request, status, _reason, _source = REFUSED[name]
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        for byte in request:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    reply = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert parsed(reply).status == status
    assert server.bodies == []


async def test_a_bad_chunk_behind_good_ones_breaks_the_request_off(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(post(CHUNKED, b"5\r\nhello\r\n"))
    await until(lambda: server.heads != [])
    writer.write(b"zz\r\nhello\r\n0\r\n\r\n" + get())
    status, fields, _ = await one_response(reader)
    assert (status, fields["x-gslb-error"]) == (400, "bad_chunk")
    assert await reader.read() == b""
    writer.close()
    await until(lambda: not server.writers)
    assert (len(server.heads), server.bodies) == (1, [])


async def test_a_slow_head_is_408_and_an_idle_connection_just_closes(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server]), timeouts=FAST))
    slow, idle = await asyncio.gather(talk(running.port, b"GET / HTTP/1.1\r\nHost: a"), talk(running.port, b""))
    assert parsed(slow).status == 408
    assert parsed(slow).getheader("X-Gslb-Error") == "request_timeout"
    assert idle == b""


async def test_a_slow_body_is_408(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server]), timeouts=FAST))
    reply = await talk(running.port, post(b"Content-Length: 10\r\n", b"hello"))
    assert parsed(reply).status == 408
    assert server.bodies == []


async def test_dripping_a_head_does_not_extend_its_time(start, backend):
    running = await start(plan_of(pool_of([await backend()]), timeouts=FAST))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET / HTTP/1.1\r\n")

    async def drip() -> None:
        while True:
            writer.write(b"X: a\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        status, _, _ = await one_response(reader)
        assert status == 408
    finally:
        dripping.cancel()
        writer.close()


@pytest.mark.parametrize("name", ALLOWED)
async def test_a_request_at_the_edge_is_served(name, start, backend):
    request, line = ALLOWED[name]
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(request)
    status, _, body = await one_response(reader)
    if status == 100:
        status, _, body = await one_response(reader)
    writer.close()
    assert (status, body) == (200, b"ok")
    assert server.heads[0].decode("latin-1").split("\r\n")[0] == line
    assert server.bodies == [BODIES.get(name, b"")]
    assert b"h2c" not in server.heads[0]
    assert b"HTTP2" not in server.heads[0]
    if b"other.example" in request:
        expected = b"Host: other.example:81\r\n" if b":81" in request else b"Host: other.example\r\n"
        assert expected in server.heads[0]
        assert server.heads[0].count(b"\nHost:") == 1


def test_the_suite_is_as_large_as_it_says():
    """Rows differ in rule or position, and no two tables use one name; each names its source."""
    refused = (FRAMING, LINES, HOSTS, REQUEST_LINES, LIMITS, CHUNKS)
    assert len(REFUSED) == sum(map(len, refused))
    assert len(REFUSED) + len(BAD_HEADS) + len(TRUNCATED) >= 350
    sources = [row[-1] for row in (*REFUSED.values(), *BAD_HEADS.values(), *TRUNCATED.values())]
    assert [source for source in sources if not re.search(r"\d{4} §\d|smuggling", source)] == []
