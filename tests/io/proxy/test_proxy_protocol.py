"""The PROXY protocol in and out over real sockets; HAProxy is the other side, curl the client."""

import asyncio
import contextlib
import shutil
import socket
import ssl
from dataclasses import replace

import pytest

from gslb.http.accepting import Acceptor
from gslb.http.proxy_protocol import Ends, encode, parse_v1, parse_v2
from gslb.model import KeyPair, ListenTls, ServerTls
from gslb.tls.contexts import ServerSide
from gslb.tls.material import Keys
from gslb.tls.reading import read_authorities, read_pair
from tests.support.certificates import Authority
from tests.support.proxying import OK, fields_of, one_response, plan_of, pool_of, read_head, talk, until
from tests.support.sandbox import free_port

GET = b"GET /x HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n"
EVERYBODY = ("0.0.0.0/0", "::/0")
CLIENT = Ends("203.0.113.7", 1234, "192.0.2.10", 443)
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not here")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def issued(authority):
    return authority.issue("www.example.com", "127.0.0.1")


@pytest.fixture
async def accept():
    """Opens a listener that expects PROXY headers; gives its port."""
    acceptors = []

    def listen(proxy, networks=EVERYBODY, context=None, head_s=5.0):
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        scheme = b"http" if context is None else b"https"
        acceptor = Acceptor(sock, proxy.protocol, scheme=scheme, context=context, head_s=head_s)
        acceptor.allow(networks)
        acceptors.append(acceptor)
        return sock.getsockname()[1]

    yield listen
    for acceptor in acceptors:
        acceptor.close()


def server_side(issued):
    side = ServerSide()
    pair = KeyPair(str(issued.certificate), str(issued.key))
    side.update(ListenTls((pair,)), Keys({pair: read_pair(pair)}))
    return side.context


@contextlib.asynccontextmanager
async def haproxy(tmp_path, port, text):
    file = tmp_path / "haproxy.cfg"
    file.write_text(f"defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n{text}\n")
    process = await asyncio.create_subprocess_exec(HAPROXY, "-db", "-f", str(file), stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.02)
        yield
    finally:
        process.terminate()
        await process.wait()


async def curl(*words):
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-i", "--max-time", "10", *words, stdout=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0].decode()


# ---------------------------------------------------------------- in
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_the_address_in_the_header_is_the_clients(start, backend, accept, version):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    assert (await talk(accept(running.proxy), encode(version, CLIENT) + GET)).startswith(b"HTTP/1.1 200")
    assert fields_of(server.heads[0])["x-forwarded-for"] == "203.0.113.7"


async def test_a_header_in_pieces_and_a_request_behind_it(start, backend, accept):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    port = accept(running.proxy)
    for version in ("v1", "v2"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in encode(version, CLIENT):
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.001)
        writer.write(GET)
        assert (await one_response(reader))[0] == 200
        writer.close()
    assert [fields_of(head)["x-forwarded-for"] for head in server.heads] == ["203.0.113.7"] * 2


async def test_a_proxy_that_speaks_for_itself_is_its_own_client(start, backend, accept):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    port = accept(running.proxy)
    for version in ("v1", "v2"):
        assert (await talk(port, encode(version, Ends()) + GET)).startswith(b"HTTP/1.1 200")
    assert {fields_of(head)["x-forwarded-for"] for head in server.heads} == {"127.0.0.1"}


async def test_trust_goes_by_the_address_in_the_header(start, backend, accept):
    server = await backend()
    running = await start(plan_of(pool_of([server]), trusted_proxies=("203.0.113.7/32",)))
    port = accept(running.proxy)
    request = GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n")
    for source in ("203.0.113.7", "203.0.113.8"):
        await talk(port, encode("v1", replace(CLIENT, source=source)) + request)
    assert [fields_of(head)["x-forwarded-for"] for head in server.heads] == ["198.51.100.1, 203.0.113.7", "203.0.113.8"]


@pytest.mark.parametrize(
    "data",
    [
        GET,
        b"PROXY TCP4 1.2.3.4\r\n" + GET,
        b"PROXY UNKNOWN" + b"x" * 200,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"",
    ],
)
async def test_without_a_good_header_the_connection_is_closed(start, backend, accept, data):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    with contextlib.suppress(ConnectionResetError):
        reader, writer = await asyncio.open_connection("127.0.0.1", accept(running.proxy))
        writer.write(data)
        if not data:
            writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    assert server.heads == [] and not running.proxy.clients


async def test_a_header_that_does_not_come_ends_the_connection(start, backend, accept):
    running = await start(plan_of(pool_of([await backend()])))
    assert await talk(accept(running.proxy, head_s=0.2), b"PROXY TCP4") == b""


async def test_only_the_networks_named_may_connect(start, backend, accept):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    with contextlib.suppress(ConnectionResetError):
        assert await talk(accept(running.proxy, ("10.0.0.0/8",)), encode("v1", CLIENT) + GET) == b""
    assert server.heads == []
    allowed = accept(running.proxy, ("127.0.0.1/32",))
    assert (await talk(allowed, encode("v1", CLIENT) + GET)).startswith(b"HTTP/1.1 200")


async def test_the_header_comes_before_the_handshake(start, backend, accept, authority, issued):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    port = accept(running.proxy, context=server_side(issued))
    context = ssl.create_default_context(cafile=str(authority.file))

    def ask():
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(encode("v2", CLIENT))
            with context.wrap_socket(raw, server_hostname="www.example.com") as sock:
                sock.sendall(GET)
                return sock.recv(65_536)

    assert (await asyncio.to_thread(ask)).startswith(b"HTTP/1.1 200")
    head = fields_of(server.heads[0])
    assert (head["x-forwarded-for"], head["x-forwarded-proto"]) == ("203.0.113.7", "https")
    # who speaks no TLS after it is closed, and the next is served
    with contextlib.suppress(ConnectionResetError):
        await talk(port, encode("v1", CLIENT) + GET)
    assert (await asyncio.to_thread(ask)).startswith(b"HTTP/1.1 200")


@needs_haproxy
@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2 ssl verify none"])
async def test_haproxy_names_its_clients(start, backend, accept, tmp_path, issued, how):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    port = accept(running.proxy, ("127.0.0.1/32",), server_side(issued) if "ssl" in how else None)
    front = free_port()
    async with haproxy(tmp_path, front, f"listen a\n bind 127.0.0.1:{front}\n server s 127.0.0.1:{port} {how}"):
        shown = await curl("--interface", "127.0.0.9", f"http://127.0.0.1:{front}/")
    assert shown.startswith("HTTP/1.1 200")
    assert fields_of(server.heads[-1])["x-forwarded-for"] == "127.0.0.9"


# ---------------------------------------------------------------- out
@pytest.mark.parametrize(("version", "parse"), [("v1", parse_v1), ("v2", parse_v2)])
async def test_each_connection_to_a_server_names_its_client(start, backend, version, parse):
    headers = []

    async def headed(backend, reader, writer):
        header = await (reader.readuntil(b"\r\n") if version == "v1" else reader.readexactly(28))
        headers.append(parse(header))
        while True:
            backend.heads.append(await read_head(reader))
            writer.write(OK)

    server = await backend(headed)
    running = await start(plan_of(replace(pool_of([server]), proxy_protocol=version)))
    for port in (running.port, running.port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(GET.replace(b"Connection: close\r\n", b""))
            assert (await one_response(reader))[0] == 200
        writer.close()
    # never kept for another client: one connection, one request
    assert server.connections == 4 == len(headers)
    assert {(ends.source, ends.destination, ends.destination_port) for ends in headers} == {
        ("127.0.0.1", "127.0.0.1", running.port)
    }
    await until(lambda: not any(link.open for link in running.proxy._links.values()))


@needs_haproxy
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("tls", [False, True])
async def test_haproxy_takes_our_headers(start, backend, tmp_path, authority, issued, version, tls):
    server = await backend()
    front = free_port()
    whole = tmp_path / "whole.pem"
    whole.write_bytes(issued.certificate.read_bytes() + issued.key.read_bytes())
    bind = f"bind 127.0.0.1:{front} accept-proxy" + (f" ssl crt {whole}" if tls else "")
    pool = replace(pool_of([front]), proxy_protocol=version)
    if tls:
        pool = replace(pool, tls=ServerTls(ca=str(authority.file)))
    running = await start(plan_of(pool))
    running.proxy.certify(Keys({}, {str(authority.file): read_authorities(str(authority.file))}))
    text = f"listen a\n {bind}\n http-request set-header X-Src %[src]\n server s 127.0.0.1:{server.port}"
    async with haproxy(tmp_path, front, text):
        for last in (3, 4):
            shown = await curl("--interface", f"127.0.0.{last}", f"http://127.0.0.1:{running.port}/")
            assert shown.startswith("HTTP/1.1 200"), shown
            assert fields_of(server.heads[-1])["x-src"] == f"127.0.0.{last}"
