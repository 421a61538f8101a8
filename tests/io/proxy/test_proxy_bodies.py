"""Bodies of any length, both ways, in every framing, checked by digest; back-pressure; 100-continue; trailers."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import subprocess

import pytest

from tests.support.proxying import OK, fields_of, one_response, plan_of, pool_of, read_body, read_head, talk, until

MIB = 1024 * 1024
SIZES = [0, 1, 17, 65_535, 65_536, 262_145, 3 * MIB + 7]
BLOCK = bytes(range(256)) * 256


def content(size: int) -> bytes:
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def pieces_of(size: int, step: int = 50_000):
    whole = content(size)
    return [whole[i : i + step] for i in range(0, size, step)]


async def echo(backend, reader, writer):
    """Answers with the size and digest of the request's body."""
    while True:
        head = await read_head(reader)
        backend.heads.append(head)
        body = await read_body(reader, head)
        said = f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)


async def source(backend, reader, writer):
    """`GET /<length|chunked|close>/<size>`."""
    while True:
        head = await read_head(reader)
        _, how, size = head.split(b" ")[1].decode().split("/")
        framing = {"length": f"Content-Length: {size}", "chunked": "Transfer-Encoding: chunked", "close": "X: y"}[how]
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        for piece in pieces_of(int(size)):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if how == "chunked" else piece)
            await writer.drain()
        if how == "chunked":
            writer.write(b"0\r\n\r\n")
        if how == "close":
            return


def expected(size: int) -> bytes:
    return f"{size} {hashlib.sha256(content(size)).hexdigest()}".encode()


@pytest.mark.parametrize("size", [*SIZES, 50 * MIB])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_request_body_arrives_whole(size, framing, start, backend):
    running = await start(plan_of(pool_of([await backend(echo)])))

    def upload() -> list[tuple[int, bytes]]:
        client = http.client.HTTPConnection("127.0.0.1", running.port)
        got = []
        for _ in range(2):  # the second on the same connections
            if framing == "length":
                client.request("POST", "/", body=content(size))
            else:
                client.request("POST", "/", body=iter(pieces_of(size)), encode_chunked=True)
            response = client.getresponse()
            got.append((response.status, response.read()))
        client.close()
        return got

    assert await asyncio.to_thread(upload) == [(200, expected(size))] * 2


@pytest.mark.parametrize("size", [*SIZES, 50 * MIB])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_response_body_arrives_whole(size, framing, start, backend):
    running = await start(plan_of(pool_of([await backend(source)])))

    def download() -> list[bytes]:
        client = http.client.HTTPConnection("127.0.0.1", running.port)
        got = []
        for _ in range(2):
            client.request("GET", f"/{framing}/{size}")
            got.append(client.getresponse().read())
        client.close()
        return got

    for got in await asyncio.to_thread(download):
        assert len(got) == size
        assert hashlib.sha256(got).digest() == hashlib.sha256(content(size)).digest()


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("size", [0, 17, MIB])
async def test_an_http_1_0_client_gets_the_plain_body(framing, size, start, backend):
    running = await start(plan_of(pool_of([await backend(source)])))
    reply = await talk(running.port, f"GET /{framing}/{size} HTTP/1.0\r\n\r\n".encode())
    head, _, body = reply.partition(b"\r\n\r\n")
    assert "transfer-encoding" not in fields_of(head + b"\r\n\r\n")
    assert fields_of(head + b"\r\n\r\n")["connection"] == "close"
    assert body == content(size)


async def test_curl_up_and_down(start, backend, tmp_path):
    running = await start(plan_of(pool_of([await backend(echo)], "up"), pool_of([await backend(source)])))
    file = tmp_path / "body"
    file.write_bytes(content(5 * MIB))

    def curl(*args: str) -> bytes:
        return subprocess.run(["curl", "-sS", "--max-time", "30", *args], check=True, capture_output=True).stdout

    url = f"http://127.0.0.1:{running.port}"
    got = await asyncio.to_thread(curl, "-T", str(file), f"{url}/up/x")  # with Expect: 100-continue
    assert got == expected(5 * MIB)
    got = await asyncio.to_thread(curl, "-T", str(file), "-H", "Transfer-Encoding: chunked", f"{url}/up/x")
    assert got == expected(5 * MIB)
    both = await asyncio.to_thread(curl, f"{url}/chunked/100000", f"{url}/length/5")
    assert both == content(100_000) + content(5)


async def test_a_slow_reader_holds_the_server_back(start, backend):
    written = 0

    async def flood(backend, reader, writer):
        nonlocal written
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for piece in pieces_of(64 * MIB):
            writer.write(piece)
            await writer.drain()
            written += len(piece)

    running = await start(plan_of(pool_of([await backend(flood)])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=65_536)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: written > 0)
    last = -1
    while last != written:
        last = written
        await asyncio.sleep(0.2)
    assert written < 24 * MIB  # what four socket buffers hold, not what the proxy does
    (client,) = running.proxy.clients
    assert client.transport.get_write_buffer_size() <= 1 * MIB
    head = await read_head(reader)
    digest, left = hashlib.sha256(), int(fields_of(head)["content-length"])
    while left:
        piece = await reader.read(MIB)
        assert piece
        digest.update(piece)
        left -= len(piece)
    writer.close()
    assert digest.digest() == hashlib.sha256(content(64 * MIB)).digest()


async def test_a_slow_server_holds_the_client_back(start, backend):
    go = asyncio.Event()

    async def lazy(backend, reader, writer):
        head = await read_head(reader)
        await go.wait()
        body = await read_body(reader, head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + hashlib.sha256(body).hexdigest().encode())

    running = await start(plan_of(pool_of([await backend(lazy)])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
    sent = 0

    async def upload() -> None:
        nonlocal sent
        for piece in pieces_of(64 * MIB):
            writer.write(piece)
            await writer.drain()
            sent += len(piece)

    uploading = asyncio.create_task(upload())
    await until(lambda: sent > 0)
    last = -1
    while last != sent:
        last = sent
        await asyncio.sleep(0.2)
    assert sent < 24 * MIB
    (client,) = running.proxy.clients
    assert client.upstream.transport.get_write_buffer_size() <= 1 * MIB
    go.set()
    await uploading
    status, _, body = await one_response(reader)
    writer.close()
    assert (status, body) == (200, hashlib.sha256(content(64 * MIB)).hexdigest().encode())


async def test_100_continue_is_forwarded_and_the_body_follows(start, backend):
    async def careful(backend, reader, writer):
        head = await read_head(reader)
        backend.heads.append(head)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        backend.bodies.append(await read_body(reader, head))
        writer.write(OK)

    server = await backend(careful)
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert (await one_response(reader))[0] == 100
    writer.write(b"hello")
    assert (await one_response(reader))[0] == 200
    writer.close()
    assert fields_of(server.heads[0])["expect"] == "100-continue"
    assert server.bodies == [b"hello"]


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_an_answer_before_the_body_is_whole_ends_the_connection(framing, start, backend):
    """RFC 9112 §9.3: the rest of the body is not read as another request, and the answer survives."""

    async def refusing(backend, reader, writer):
        await read_head(reader)
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    server = await backend(refusing)
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n")
    status, fields, body = await one_response(reader)
    assert (status, fields["connection"], body) == (413, "close", b"no")
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 10)  # body bytes, for all that the proxy knows
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await until(lambda: not server.writers)
    assert server.connections == 1


async def test_trailers_pass_but_for_those_that_must_not(start, backend):
    seen = []

    async def keep(backend, reader, writer):
        await read_head(reader)
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nContent-Length: 7\r\n\r\n"
        )
        await reader.read()

    running = await start(plan_of(pool_of([await backend(keep)])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"5;ext=1\r\nhello\r\n0\r\nX-Sum: 2\r\nHost: evil\r\nTransfer_Encoding: x\r\nAuthorization: y\r\n\r\n"
    )
    assert fields_of(await read_head(reader))["trailer"] == "X-Sum"
    assert await reader.readuntil(b"\r\n\r\n") == b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
    writer.close()
    assert seen == [b"5\r\nhello\r\n0\r\nX-Sum: 2\r\n\r\n"]
