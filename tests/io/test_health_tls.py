"""Checks of servers that speak TLS, or want a PROXY header first."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from gslb.health.check import DAY_S
from gslb.health.checks.http import HttpCheck
from gslb.health.checks.tcp import TcpCheck
from gslb.health.checks.tls import TlsCheck
from gslb.health.runner import Target, name_of
from gslb.http.accepting import Acceptor
from gslb.model import ServerTls
from gslb.tls.contexts import client_context
from gslb.tls.material import Keys
from tests.io.test_health_runner import running
from tests.support.certificates import Authority
from tests.support.proxying import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def serve():
    """Starts a server: with TLS, with a header before it all, or neither; gives its port."""
    servers = []

    async def start(reply=OK, issued=None, header=False):
        context = None
        if issued is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(issued.certificate, issued.key)

        async def one(reader, writer):
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply)
                await writer.drain()
            writer.close()

        if header:
            sock = socket.create_server(("127.0.0.1", 0))
            sock.setblocking(False)

            def protocol(scheme, source):
                assert source == "127.0.0.1"  # no client's: the checker speaks for itself
                return asyncio.StreamReaderProtocol(asyncio.StreamReader(), one)

            server = Acceptor(sock, protocol, scheme=b"", context=context, head_s=5.0)
            server.allow(["127.0.0.1/32"])
            servers.append(server)
            return sock.getsockname()[1]
        servers.append(await asyncio.start_server(one, "127.0.0.1", 0, ssl=context))
        return servers[-1].sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()


def context_of(authority, **options):
    keys = Keys({}, {"here": authority.file.read_bytes()})
    return client_context(ServerTls(ca="here", **options), keys)


async def verdict(port, check=None, **options):
    """What the first probe says: whether it is up, and why not."""
    scheme = "https" if options.get("tls") else "http"
    target = Target(check or HttpCheck(body="ready"), f"{scheme}://127.0.0.1:{port}", 5.0, 5.0, 2.0, **options)
    async with running({"a": target}) as (_, results):
        await until(lambda: bool(results))
        return results[0][1], results[0][2]


@pytest.mark.parametrize(
    ("names", "options", "server_name", "up"),
    [
        (("127.0.0.1",), {}, "", True),
        (("www.example.com",), {}, "", False),
        (("www.example.com",), {}, "www.example.com", True),
        (("www.example.com",), {}, "other.example.com", False),
        (("www.example.com",), {"verify": False}, "", True),
    ],
)
@pytest.mark.parametrize("header", ["", "v2"])
async def test_certificates_are_verified(serve, authority, names, options, server_name, up, header):
    port = await serve(issued=authority.issue(*names), header=bool(header))
    context = context_of(authority, **options)
    ok, why = await verdict(port, tls=context, server_name=server_name, proxy_protocol=header)
    assert ok is up
    assert up or "TLS failed" in why


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("reply", "up"),
    [
        (OK, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\nready", True),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"ready" * 40_000, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nready", False),
        (b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nready", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nready", False),
        (b"nonsense\r\n\r\n", False),
        (b"", False),
    ],
)
async def test_a_check_behind_a_header_is_a_check(serve, version, reply, up):
    assert (await verdict(await serve(reply, header=True), proxy_protocol=version))[0] is up


async def test_head_has_no_body(serve):
    port = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", header=True)
    assert (await verdict(port, HttpCheck(method="HEAD"), proxy_protocol="v1"))[0]


async def test_a_bare_connection_is_enough_for_tcp(serve, authority):
    port = await serve(issued=authority.issue("127.0.0.1"))
    assert (await verdict(port, TcpCheck(), tls=context_of(authority)))[0]


@pytest.mark.parametrize("check", [HttpCheck(), TlsCheck()], ids=["http", "tls"])
async def test_what_a_certificate_has_left_is_known_for_each_target(serve, authority, check):
    ports = await serve(issued=authority.issue("127.0.0.1", days=5)), await serve()
    context = context_of(authority)
    soon = Target(check, f"https://127.0.0.1:{ports[0]}", 5.0, 5.0, 2.0, tls=context)
    plain = Target(HttpCheck(), f"http://127.0.0.1:{ports[1]}", 5.0, 5.0, 2.0)
    async with running({"soon": soon, ("agent", "alike"): soon, "plain": plain}) as (runner, results):
        await until(lambda: len(results) == 3)
        left = dict(runner.certificates())
    assert left.keys() == {"soon", ("agent", "alike")}
    assert all(4.9 * DAY_S < left_s < 5 * DAY_S for left_s in left.values())
    assert [name_of(key) for key in left] == ["soon", "agent/alike"]
