"""The proxy over TLS: from clients, and to servers. Python's ssl is the client and the server."""

import asyncio
import os
import socket
import ssl
from dataclasses import replace

import pytest

from gslb.http.proxy import Proxy
from gslb.model import KeyPair, ListenTls, ServerTls
from gslb.tls.contexts import ServerSide
from gslb.tls.material import Keys
from gslb.tls.reading import read_authorities, read_pair
from tests.support.certificates import Authority
from tests.support.proxying import FAST, OK, fields_of, one_response, plan_of, pool_of, read_head, until

GET = b"GET /x HTTP/1.1\r\nHost: www.example.com\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def issued(authority):
    return authority.issue("www.example.com", "127.0.0.1")


def pair_of(issued):
    return KeyPair(str(issued.certificate), str(issued.key))


def server_context(issued, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


# ---------------------------------------------------------------- from clients
@pytest.fixture
async def dial(authority, issued):
    """Opens a TLS listener of a proxy, and connects to it."""
    listeners = []
    side = ServerSide()
    pair = pair_of(issued)
    side.update(ListenTls((pair,)), Keys({pair: read_pair(pair)}))
    client = ssl.create_default_context(cafile=str(authority.file))

    async def connect(proxy: Proxy):
        listener = await asyncio.get_running_loop().create_server(
            lambda: proxy.protocol(b"https"), "127.0.0.1", 0, ssl=side.context, ssl_shutdown_timeout=2.0
        )
        listeners.append(listener)
        port = listener.sockets[0].getsockname()[1]
        return await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="www.example.com")

    yield connect
    for listener in listeners:
        listener.close()


async def test_the_server_is_told_that_the_client_came_over_tls(start, backend, dial):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reader, writer = await dial(running.proxy)
    for head in (GET, GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-Proto: http\r\n\r\n")):  # plain, and the long way
        writer.write(head)
        assert (await one_response(reader))[0] == 200
    writer.close()
    for head in server.heads:
        assert fields_of(head)["x-forwarded-proto"] == "https"
        assert fields_of(head)["forwarded"] == "for=127.0.0.1;host=www.example.com;proto=https"


async def test_targets_must_say_https_if_they_say_anything(start, backend, dial):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    for scheme, status in ((b"https", 200), (b"http", 421), (b"HTTPS", 200)):
        reader, writer = await dial(running.proxy)
        writer.write(GET.replace(b"/x", scheme + b"://www.example.com/x"))
        assert (await one_response(reader))[0] == status
        writer.close()
    assert len(server.heads) == 2


async def test_large_bodies_both_ways_and_a_slow_reader(start, backend, dial):
    body = bytes(range(256)) * 32_768

    async def echo(backend, reader, writer):
        head = await read_head(reader)
        data = await reader.readexactly(int(fields_of(head)["content-length"]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        await writer.drain()

    running = await start(plan_of(pool_of([await backend(echo)])))
    reader, writer = await dial(running.proxy)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    reader._transport.pause_reading()
    await until(lambda: any(client.write_paused for client in running.proxy.clients))
    reader._transport.resume_reading()
    status, _, got = await one_response(reader)
    assert status == 200 and got == body
    writer.close()


async def test_a_refusal_arrives_though_the_client_goes_on_sending(start, backend, dial):
    running = await start(plan_of(pool_of([await backend()])))
    reader, writer = await dial(running.proxy)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n" + bytes(1_000_000))
    status, fields, _ = await one_response(reader)
    assert (status, fields["connection"]) == (400, "close")
    writer.close()
    await until(lambda: not running.proxy.clients)


async def test_a_close_notify_in_the_middle_ends_it_and_is_no_news(start, backend, dial, caplog):
    release = asyncio.Event()

    async def slow(backend, reader, writer):
        await read_head(reader)
        await release.wait()
        writer.write(OK)

    running = await start(plan_of(pool_of([await backend(slow)])))
    _, writer = await dial(running.proxy)
    writer.write(GET)
    await until(lambda: any(client.upstream for client in running.proxy.clients))
    writer.close()
    await until(lambda: not running.proxy.clients)
    release.set()
    assert not caplog.records


async def test_slow_and_idle_clients_are_ended(start, backend, dial):
    running = await start(plan_of(pool_of([await backend()]), timeouts=FAST))
    reader, writer = await dial(running.proxy)
    writer.write(b"GET / HT")
    assert (await one_response(reader))[0] == 408
    writer.close()
    reader, writer = await dial(running.proxy)
    writer.write(GET)
    assert (await one_response(reader))[0] == 200
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


# ---------------------------------------------------------------- to servers
def secured(pool, **tls):
    return replace(pool, tls=ServerTls(**tls))


async def ask(running, head=GET):
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(head)
    answer = await one_response(reader)
    writer.close()
    return answer


def keys_of(authority, pair=None):
    return Keys({pair: read_pair(pair)} if pair else {}, {str(authority.file): read_authorities(str(authority.file))})


async def test_a_server_is_verified_and_its_connection_kept(start, backend, authority, issued):
    server = await backend(tls=server_context(issued))
    running = await start(plan_of(secured(pool_of([server]), ca=str(authority.file))))
    running.proxy.certify(keys_of(authority))
    for _ in range(3):
        assert (await ask(running))[0] == 200
    assert server.connections == 1
    assert fields_of(server.heads[0])["x-forwarded-proto"] == "http"


@pytest.mark.parametrize(
    ("names", "tls", "status"),
    [
        (("www.example.com",), {"server_name": "www.example.com"}, 200),
        (("www.example.com",), {}, 502),  # not for 127.0.0.1
        (("www.example.com",), {"server_name": "other.example.com"}, 502),
        (("www.example.com",), {"verify": False}, 200),
        (("127.0.0.1",), {}, 200),
    ],
)
async def test_who_is_believed(start, backend, authority, names, tls, status):
    server = await backend(tls=server_context(authority.issue(*names)))
    running = await start(plan_of(secured(pool_of([server], attempts=1), ca=str(authority.file), **tls)))
    running.proxy.certify(keys_of(authority))
    answer = await ask(running)
    assert answer[0] == status
    if status == 502:
        assert answer[1]["x-gslb-error"] == "tls_failed"
        assert running.count("gslb_http_upstream_errors_total", pool="web", reason="tls") == 1
        assert server.heads == []


async def test_strangers_and_the_expired_are_not_believed(start, backend, tmp_path, authority):
    stranger = Authority(tmp_path, "somebody else").issue("127.0.0.1")
    for shown in (stranger, authority.issue("127.0.0.1", days=-1)):
        server = await backend(tls=server_context(shown))
        running = await start(plan_of(secured(pool_of([server]), ca=str(authority.file))))
        running.proxy.certify(keys_of(authority))
        assert (await ask(running))[1]["x-gslb-error"] == "tls_failed"
        assert not any(link.open for link in running.proxy._links.values())


async def test_a_plain_server_is_no_tls_server_and_another_is_tried(start, backend, authority, issued):
    plain, good = await backend(), await backend(tls=server_context(issued))
    running = await start(plan_of(secured(pool_of([plain, good]), ca=str(authority.file))))
    running.proxy.certify(keys_of(authority))
    answers = [(await ask(running))[0] for _ in range(4)]
    assert answers == [200] * 4
    assert plain.heads == []


async def test_we_show_a_certificate_where_a_server_asks_for_it(start, backend, authority, issued):
    server = await backend(tls=server_context(issued, client_ca=authority))
    ours = pair_of(authority.issue("gslb"))
    for pair, status in ((None, 502), (ours, 200)):
        running = await start(plan_of(secured(pool_of([server]), ca=str(authority.file), pair=pair)))
        running.proxy.certify(keys_of(authority, pair))
        assert (await ask(running))[0] == status


async def test_new_authorities_are_for_the_next_connection(start, backend, authority, issued, tmp_path):
    server = await backend(tls=server_context(issued))
    other = Authority(tmp_path, "another")
    running = await start(plan_of(secured(pool_of([server]), ca="here")))
    running.proxy.certify(Keys({}, {"here": other.file.read_bytes()}))
    assert (await ask(running))[0] == 502
    running.proxy.certify(Keys({}, {"here": authority.file.read_bytes()}))
    assert (await ask(running))[0] == 200


async def test_a_body_that_ends_without_close_notify_is_not_passed_off_as_whole(start, backend, authority, issued):
    async def cut(backend, reader, writer):
        head = await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\npart")
        await writer.drain()
        if b"/whole" in head:
            writer.close()
            return
        end_of_tcp(writer)
        await reader.read()

    server = await backend(cut, tls=server_context(issued))
    running = await start(plan_of(secured(pool_of([server]), ca=str(authority.file))))
    running.proxy.certify(keys_of(authority))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(GET.replace(b"/x", b"/whole"))
    assert (await one_response(reader))[2] == b"part"
    writer.write(GET)
    rest = await asyncio.wait_for(reader.read(), 5)
    assert b"part" in rest and not rest.endswith(b"0\r\n\r\n")
    writer.close()


def end_of_tcp(writer):
    """Ends our side as servers do that wait for no close_notify."""
    duplicate = socket.socket(fileno=os.dup(writer.transport.get_extra_info("socket").fileno()))
    duplicate.shutdown(socket.SHUT_WR)
    duplicate.close()


async def test_what_a_paused_connection_holds_when_its_server_ends_is_not_lost(start, backend, authority, issued):
    ended = asyncio.Event()
    sent = 0

    async def until_full(backend, reader, writer):
        nonlocal sent
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not any(client.write_paused for client in running.proxy.clients):
            writer.write(b"8000\r\n" + bytes(0x8000) + b"\r\n")
            sent += 0x8000
            await writer.drain()
            await asyncio.sleep(0.001)  # what is on its way when the proxy stops reading must fit into its buffer
        writer.write(b"8000\r\n" + bytes(0x8000) + b"\r\n0\r\n\r\n")
        sent += 0x8000
        await until(lambda: writer.transport.get_write_buffer_size() == 0)
        end_of_tcp(writer)
        ended.set()
        await reader.read()

    server = await backend(until_full, tls=server_context(issued))
    running = await start(plan_of(secured(pool_of([server]), ca=str(authority.file))))
    running.proxy.certify(keys_of(authority))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    reader._transport.pause_reading()
    writer.write(GET)
    await asyncio.wait_for(ended.wait(), 10)
    await asyncio.sleep(0.2)  # for an end that is taken too early to be seen
    reader._transport.resume_reading()
    status, _, body = await one_response(reader)
    assert (status, len(body)) == (200, sent)
    writer.close()
