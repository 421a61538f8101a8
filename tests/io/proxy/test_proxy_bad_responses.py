"""Servers that break HTTP: a bad head is 502 and never forwarded, a broken body is never passed off as whole."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.malformed.responses import BAD_HEADS, TRUNCATED, reply
from tests.support.malformed.rows import CHUNKED
from tests.support.proxying import fields_of, one_response, parsed, plan_of, pool_of, read_head, talk

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
KEPT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def scripted(*pieces: bytes, hang: bool = False):
    """A server that reads a head and writes `pieces`, then closes (or hangs)."""

    async def handler(backend, reader, writer):
        backend.heads.append(await read_head(reader))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        if hang:
            await reader.read()

    return handler


@pytest.mark.parametrize("name", BAD_HEADS)
@pytest.mark.parametrize("split", [False, True], ids=["at once", "in pieces"])
async def test_a_bad_head_is_502_and_nothing_of_it_is_forwarded(name, split, start, backend):
    head, _source = BAD_HEADS[name]
    pieces = (head[: len(head) // 2], head[len(head) // 2 :]) if split else (head,)
    server = await backend(scripted(*pieces, hang=True))
    running = await start(plan_of(pool_of([server])))
    got = await talk(running.port, REQUEST)
    while got.startswith(b"HTTP/1.1 103"):
        got = got.partition(b"\r\n\r\n")[2]
    response = parsed(got)
    assert (response.status, response.getheader("X-Gslb-Error")) == (502, "bad_response")
    assert server.port not in got.split()
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason="bad_response") == 1
    assert len(server.heads) == 1  # and it is not tried again: the server may have acted


async def test_the_connection_to_the_client_outlives_a_bad_server(start, backend):
    server = await backend(scripted(b"nonsense\r\n\r\n"))
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for _ in range(3):
        writer.write(KEPT)
        status, fields, body = await one_response(reader)
        assert status == 502
        assert fields["x-request-id"].encode() in body
    writer.close()


@pytest.mark.parametrize("name", TRUNCATED)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_truncated_body_breaks_the_client_off(name, version, start, backend):
    """A client with HTTP/1.1 misses the end of the body; with HTTP/1.0 and no length only a reset tells."""
    server = await backend(scripted(TRUNCATED[name][0]))
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(KEPT.replace(b"HTTP/1.1", b"HTTP/" + version))
    reset, got = False, b""
    try:
        while piece := await asyncio.wait_for(reader.read(65_536), 5):
            got += piece
    except ConnectionResetError:
        reset = True
    writer.close()
    if got:
        head, _, body = got.partition(b"\r\n\r\n")
        fields = fields_of(head + b"\r\n\r\n")
        if "content-length" in fields:
            assert len(body) < int(fields["content-length"])
        elif version == b"1.1":
            assert not body.endswith(b"0\r\n\r\n")
        else:
            assert reset
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason="truncated") == 1


async def test_a_reset_in_a_close_delimited_body_is_no_end(start, backend):
    async def handler(backend, reader, writer):
        await read_head(reader)
        writer.write(reply(b"", b"hello"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    import socket
    import struct

    async def resetting(backend, reader, writer):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await handler(backend, reader, writer)

    running = await start(plan_of(pool_of([await backend(resetting)])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(KEPT)
    got = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65_536), 5):
            got += piece
    except ConnectionResetError:
        pass
    writer.close()
    assert not got.endswith(b"0\r\n\r\n")


async def test_bytes_beyond_a_response_never_answer_the_next_request(start, backend):
    evil = reply(b"Content-Length: 2\r\n", b"ok") + reply(b"Content-Length: 4\r\n", b"evil")
    server = await backend(scripted(evil, hang=True))
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for _ in range(3):
        writer.write(KEPT)
        assert (await one_response(reader))[2] == b"ok"
    writer.close()
    assert server.connections == 3


async def test_bytes_on_an_idle_connection_close_it(start, backend):
    async def handler(backend, reader, writer):
        while True:
            await read_head(reader)
            writer.write(reply(b"Content-Length: 2\r\n", b"ok"))
            await asyncio.sleep(0.05)
            writer.write(reply(b"Content-Length: 4\r\n", b"evil"))

    server = await backend(handler)
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for _ in range(2):
        writer.write(KEPT)
        assert (await one_response(reader))[2] == b"ok"
        await asyncio.sleep(0.15)
    writer.close()
    assert server.connections == 2


NO_BODY = {
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", b"GET", {"content-length"}),
    "204 with a coding": (b"HTTP/1.1 204 No Content\r\n" + CHUNKED + b"\r\n", b"GET", {"transfer-encoding"}),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", b"GET", set()),
    "HEAD with a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"HEAD", set()),
    "HEAD with a coding": (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n", b"HEAD", set()),
    "HEAD without": (b"HTTP/1.1 200 OK\r\n\r\n", b"HEAD", {"transfer-encoding", "content-length"}),
}


@pytest.mark.parametrize("name", NO_BODY)
async def test_a_response_without_a_body_ends_with_its_head(name, start, backend):
    answer, method, absent = NO_BODY[name]

    async def handler(backend, reader, writer):
        while True:
            backend.heads.append(await read_head(reader))
            writer.write(answer)

    server = await backend(handler)
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for _ in range(3):
        writer.write(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        status, fields, _ = await one_response(reader, method.decode())
        assert status == int(answer.split()[1])
        assert not absent & fields.keys()
        assert "date" in fields
        if "with a length" in name and not absent:
            assert fields["content-length"] == "2"
    writer.close()
    assert server.connections == 1


async def test_interim_responses_pass_to_http_1_1_and_not_to_1_0(start, backend):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: keep-alive\r\n\r\n"
    server = await backend(scripted(hints, b"HTTP/1.1 102 Processing\r\n\r\n" + reply(b"Content-Length: 2\r\n", b"ok")))
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(KEPT)
    status, fields, _ = await one_response(reader)
    assert (status, fields) == (103, {"link": "</a.css>; rel=preload"})
    assert (await one_response(reader))[0] == 102
    assert (await one_response(reader))[0::2] == (200, b"ok")
    writer.close()
    old = await talk(running.port, b"GET / HTTP/1.0\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 200 OK\r\n")
