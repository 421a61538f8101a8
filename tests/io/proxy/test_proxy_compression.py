"""Compressed responses over real sockets: every framing, every client, curl as the judge."""

from __future__ import annotations

import asyncio
import gzip
import random
import subprocess

import pytest
import zstandard

from gslb.model import CompressionRule, Route
from tests.support.proxying import parsed, plan_of, pool_of, read_head, talk, until

RULE = CompressionRule(types=frozenset({"text/*"}))
TEXT = "".join(random.Random(1).choices("abcdefgh \n", k=20_000)).encode()
DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n" + DATE + b'Content-Type: text/plain\r\nETag: "tag"\r\n'
LENGTH = HEAD + b"Content-Length: %d\r\n\r\n" % len(TEXT) + TEXT
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(
    b"%x;ext=1\r\n%b\r\n" % (len(TEXT[at : at + 3000]), TEXT[at : at + 3000]) for at in range(0, len(TEXT), 3000)
) + b"0\r\nX-Trailer: 1\r\n\r\n"  # fmt: skip
CLOSED = HEAD + b"Connection: close\r\n\r\n" + TEXT


def asking(coding: bytes = b"", method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    wish = b"Accept-Encoding: " + coding + b"\r\n" if coding else b""
    return method + b" / HTTP/" + version + b"\r\nHost: a\r\nConnection: close\r\n" + wish + b"\r\n"


def plan(server):
    return plan_of(pool_of([server]), routes=(Route("web", compression=RULE),))


def decoded(coding: str, body: bytes) -> bytes:
    return gzip.decompress(body) if coding == "gzip" else zstandard.ZstdDecompressor().decompressobj().decompress(body)


async def replying(backend, reply: bytes, pieces: int = 1, *, close: bool = False):
    async def handler(backend, reader, writer):
        while True:
            backend.heads.append(await read_head(reader))
            size = -(-len(reply) // pieces)
            for at in range(0, len(reply), size):
                writer.write(reply[at : at + size])
                await writer.drain()
                await asyncio.sleep(0.001 if pieces > 1 else 0)
            if close:
                return

    return await backend(handler)


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("reply", [LENGTH, CHUNKED, CLOSED], ids=["length", "chunked", "closed"])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_every_framing_comes_out_whole(start, backend, coding, reply, pieces):
    server = await replying(backend, reply, pieces, close=reply is CLOSED)
    running = await start(plan(server))
    for _ in range(2):
        answer = parsed(await talk(running.port, asking(coding.encode())))
        assert answer.getheader("Content-Encoding") == coding
        assert answer.getheader("Transfer-Encoding") == "chunked"
        assert answer.getheader("Content-Length") is None
        assert answer.getheader("Vary") == "Accept-Encoding"
        assert answer.getheader("ETag") == 'W/"tag"'
        assert len(answer.whole) < len(TEXT)
        assert decoded(coding, answer.whole) == TEXT
    assert server.connections == (2 if reply is CLOSED else 1)  # the server's connection goes on being used


@pytest.mark.parametrize(
    "request_",
    [asking(), asking(b"br"), asking(b"gzip;q=0"), asking(b"gzip", version=b"1.0"), asking(b"gzip", b"HEAD")],
    ids=["nothing", "br", "refused", "http10", "head"],
)
async def test_who_does_not_want_it_gets_it_as_it_is(start, backend, request_):
    method = "HEAD" if request_.startswith(b"HEAD") else "GET"
    reply = LENGTH[: -len(TEXT)] if method == "HEAD" else LENGTH
    running = await start(plan(await replying(backend, reply)))
    answer = parsed(await talk(running.port, request_), method)
    assert answer.getheader("Content-Encoding") is None
    assert answer.getheader("Content-Length") == str(len(TEXT))
    assert answer.getheader("ETag") == '"tag"'
    assert answer.whole == (b"" if method == "HEAD" else TEXT)
    if method == "GET":
        assert answer.getheader("Vary") == "Accept-Encoding"


async def test_what_does_not_shrink_is_left_alone(start, backend):
    reply = LENGTH.replace(b"text/plain", b"image/png")
    running = await start(plan(await replying(backend, reply)))
    answer = parsed(await talk(running.port, asking(b"gzip")))
    assert (answer.getheader("Content-Encoding"), answer.getheader("Vary"), answer.whole) == (None, None, TEXT)


async def test_an_event_stream_comes_as_it_is_made(start, backend):
    go = asyncio.Event()

    async def events(backend, reader, writer):
        await read_head(reader)
        writer.write(HEAD.replace(b"text/plain", b"text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await go.wait()
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    running = await start(plan(await backend(events)))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(asking(b"zstd"))
    assert b"Content-Encoding: zstd" in await read_head(reader)
    decode, seen = zstandard.ZstdDecompressor().decompressobj(), b""
    async with asyncio.timeout(5):
        while seen != b"data: 1\n\n":  # before the second is made
            size = int(await reader.readline(), 16)
            seen += decode.decompress(await reader.readexactly(size))
            await reader.readexactly(2)
        go.set()
        assert b"0\r\n\r\n" in await reader.read()
    writer.close()


async def test_a_response_that_breaks_off_does_not_look_whole(start, backend):
    server = await replying(backend, LENGTH[:-100], close=True)
    running = await start(plan(server))
    raw = await talk(running.port, asking(b"gzip"))
    assert b"Content-Encoding: gzip" in raw
    assert not raw.endswith(b"0\r\n\r\n")
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason="truncated") == 1


async def test_a_bad_chunk_ends_it(start, backend):
    running = await start(plan(await replying(backend, CHUNKED.replace(b"\r\n0\r\n", b"\r\nzz\r\n"))))
    raw = await talk(running.port, asking(b"gzip"))
    assert not raw.endswith(b"0\r\n\r\n")


async def test_the_next_request_on_the_connection_is_served(start, backend):
    running = await start(plan(await replying(backend, LENGTH)))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for coding in (b"gzip", b"", b"zstd"):
        writer.write(asking(coding).replace(b"Connection: close\r\n", b""))
        head = await asyncio.wait_for(read_head(reader), 5)
        assert (b"Content-Encoding: " + coding in head) is bool(coding)
        if coding:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        else:
            assert await reader.readexactly(len(TEXT)) == TEXT
    writer.close()
    await until(lambda: running.proxy.active == 0)


async def test_curl_reads_it(start, backend):
    running = await start(plan(await replying(backend, CHUNKED)))
    words = ["curl", "-s", "--compressed", "-D", "-", f"http://127.0.0.1:{running.port}/"]
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, timeout=20, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b"Content-Encoding: " in head
    assert body == TEXT
