"""Checks that are no HTTP, against real servers: Redis by tcp, a resolver by dns, certificates by tls."""

import asyncio
import contextlib
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.rcode
import pytest

from gslb.health.checks.dns import DnsCheck
from gslb.health.checks.exec import ExecCheck
from gslb.health.checks.grpc import GrpcCheck
from gslb.health.checks.tcp import TcpCheck, unescaped
from gslb.health.checks.tls import TlsCheck
from gslb.health.runner import Target
from gslb.model import ServerTls
from gslb.tls.contexts import client_context
from gslb.tls.material import Keys
from tests.io.test_health_runner import running, until
from tests.support.certificates import Authority
from tests.support.names import Names
from tests.support.redis_server import RedisServer


async def verdict(check, port, scheme="http", timeout_s=1.0, **options):
    """What the first probe says."""
    target = Target(check, f"{scheme}://127.0.0.1:{port}", 5.0, 5.0, timeout_s, **options)
    async with running({"a": target}) as (_, results):
        await until(lambda: bool(results))
        return results[0][1], results[0][2]


# ---------------------------------------------------------------- tcp
@pytest.fixture(scope="module")
def redis():
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize(
    ("check", "ok", "why"),
    [
        (TcpCheck(), True, "connected"),
        (TcpCheck(send=r"PING\r\n", expect="+PONG"), True, "it says '+PONG'"),
        (TcpCheck(send=r"PING\r\n"), True, "connected"),
        (TcpCheck(send=r"NONSENSE\r\n", expect="+PONG"), False, "no answer within"),
        (TcpCheck(send=r"*1\r\n$4\r\nQUIT\r\n", expect="+PONG"), False, "does not say '+PONG' but b'+OK"),
        (TcpCheck(expect="220 "), False, "no answer within"),
    ],
)
async def test_a_redis_is_asked(redis, check, ok, why):
    found = await verdict(check, redis.port, timeout_s=0.4)
    assert found[0] is ok
    assert why in found[1]


async def test_a_server_may_speak_first_and_slowly():
    async def greet(reader, writer):
        for byte in b"220 hello\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await verdict(TcpCheck(expect="220 hello"), port))[0]
        assert not (await verdict(TcpCheck(expect="221"), port, timeout_s=0.3))[0]


@pytest.mark.parametrize(
    ("text", "meant"),
    [("", b""), ("a", b"a"), (r"\r\n\t\0\\", b"\r\n\t\0\\"), (r"\x00\xfFz", b"\x00\xffz"), ("ü", "ü".encode())],
)
def test_escapes(text, meant):
    assert unescaped(text) == meant


@pytest.mark.parametrize("text", [r"\q", r"\x1", "\\", r"\xzz", "x" * 2000])
def test_what_means_nothing_is_told(text):
    for word in ("send", "expect"):
        with pytest.raises(ValueError, match=word):
            TcpCheck(**{word: text})


# ---------------------------------------------------------------- dns
@pytest.fixture
def names():
    with Names() as found:
        found.rows["www.example.com", "A"] = 60, ["192.0.2.1", "192.0.2.2"]
        found.rows["_http._tcp.example.com", "SRV"] = 60, ["1 2 3 A.example.com."]
        yield found


@pytest.mark.parametrize(
    ("check", "ok", "why"),
    [
        (DnsCheck("www.example.com"), True, "192.0.2.1"),
        (DnsCheck("WWW.example.com", expect="192.0.2.2"), True, "192.0.2.2"),
        (DnsCheck("www.example.com", expect="192.0.2.3"), False, "not 192.0.2.3"),
        (DnsCheck("www.example.com", "AAAA"), False, "no AAAA records"),
        (DnsCheck("_http._tcp.example.com", "SRV", "a.example.com."), True, "a.example.com"),
    ],
)
async def test_a_resolver_is_asked(names, check, ok, why):
    found = await verdict(check, names.port)
    assert found[0] is ok
    assert why in found[1]
    assert names.asked[0][2] == "tcp"


async def test_a_resolver_that_fails_or_is_silent(names):
    names.rcode = dns.rcode.SERVFAIL
    assert "SERVFAIL" in (await verdict(DnsCheck("www.example.com"), names.port))[1]
    names.silent = True
    assert not (await verdict(DnsCheck("www.example.com"), names.port, timeout_s=0.3))[0]


@pytest.mark.parametrize("options", [{"query": "a b"}, {"query": ""}, {"record": "MX"}])
def test_questions_that_can_not_be_asked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DnsCheck(**options)


# ---------------------------------------------------------------- tls
@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def secure(authority):
    """Starts a server that does nothing but TLS; gives its port."""
    servers = []

    async def start(*names, days=3650):
        issued = authority.issue(*names, days=days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        servers.append(await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context))
        return servers[-1].sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("names", "days", "check", "ok", "why"),
    [
        (("127.0.0.1",), 100.5, TlsCheck(), True, "holds for 100 days"),
        (("127.0.0.1",), 100.5, TlsCheck(min_days=30), True, "100 days"),
        (("127.0.0.1",), 10.5, TlsCheck(min_days=30), False, "ends in 10.5"),
        (("www.example.com",), 100.5, TlsCheck("www.example.com"), True, "100 days"),
        (("www.example.com",), 100.5, TlsCheck(), False, "TLS failed"),
        (("www.example.com",), 100.5, TlsCheck("other.example.com"), False, "TLS failed"),
        (("127.0.0.1",), -1, TlsCheck(), False, "TLS failed"),
    ],
)
async def test_a_certificate_is_looked_at(secure, authority, names, days, check, ok, why):
    port = await secure(*names, days=days)
    context = client_context(ServerTls(ca="here"), Keys({}, {"here": authority.file.read_bytes()}))
    found = await verdict(check, port, "https", tls=context)
    assert found[0] is ok, found
    assert why in found[1]


async def test_the_system_s_authorities_do_not_know_ours(secure):
    found = await verdict(TlsCheck(), await secure("127.0.0.1"))
    assert found == (False, "TLS failed: unable to get local issuer certificate")


async def test_a_server_without_tls_fails(redis):
    assert not (await verdict(TlsCheck(), redis.port, timeout_s=0.5))[0]


@pytest.mark.parametrize("options", [{"server_name": "a b"}, {"min_days": -1}, {"min_days": 10_000}])
def test_options_that_can_not_be_meant(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        TlsCheck(**options)


# ---------------------------------------------------------------- grpc
@pytest.fixture(scope="module")
def grpc_health(authority):
    """A real gRPC server with the health service, plain and over TLS; and one without that service."""
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    servicer.set("shop.Cart", health_pb2.HealthCheckResponse.NOT_SERVING)
    issued = authority.issue("127.0.0.1", "localhost")
    key, certificate = Path(issued.key).read_bytes(), Path(issued.certificate).read_bytes()
    server, bare = (grpc.server(ThreadPoolExecutor(2)) for _ in range(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    ports = {
        "plain": server.add_insecure_port("127.0.0.1:0"),
        "tls": server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)])),
        "bare": bare.add_insecure_port("127.0.0.1:0"),
    }
    server.start()
    bare.start()
    yield ports
    server.stop(None).wait()
    bare.stop(None).wait()


@pytest.mark.parametrize(
    ("which", "check", "ok", "why"),
    [
        ("plain", GrpcCheck(), True, "it is SERVING"),
        ("plain", GrpcCheck(authority="cart.example.com"), True, "it is SERVING"),
        ("plain", GrpcCheck("shop.Cart"), False, "it is NOT_SERVING"),
        ("plain", GrpcCheck("shop.Unknown"), False, "NOT_FOUND"),
        ("plain", GrpcCheck("shop." + "x" * 200), False, "NOT_FOUND"),
        ("bare", GrpcCheck(), False, "UNIMPLEMENTED"),
    ],
)
async def test_a_grpc_server_says_how_it_is(grpc_health, which, check, ok, why):
    found = await verdict(check, grpc_health[which])
    assert found[0] is ok, found
    assert why in found[1]


async def test_a_grpc_server_over_tls_is_asked_for_http_2(grpc_health, authority):
    keys = Keys({}, {"here": authority.file.read_bytes()})
    context = client_context(ServerTls(ca="here"), keys, "h2")
    assert (await verdict(GrpcCheck(), grpc_health["tls"], "https", tls=context))[0]


async def test_what_is_no_grpc_server_fails(redis):
    assert not (await verdict(GrpcCheck(), redis.port, timeout_s=0.5))[0]


# ---------------------------------------------------------------- exec
def script(tmp_path, text):
    file = tmp_path / "check"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return ExecCheck((str(file), "an argument; with $(words)"))


@pytest.mark.parametrize(
    ("text", "ok", "why"),
    [
        ('echo "$GSLB_HOST:$GSLB_PORT $1"', True, "127.0.0.1:1234 an argument; with $(words)"),
        ("echo no database; exit 3", False, "exit status 3: no database"),
        ("echo not here >&2; exit 1", False, "exit status 1: not here"),
        ("kill -9 $$", False, "exit status 137"),
        ("head -c 300000 /dev/zero", True, "exit status 0: ????"),
        ("echo secret is [$GSLB_SECRET]", True, "secret is []"),
    ],
)
async def test_a_program_says_how_it_is(tmp_path, monkeypatch, text, ok, why):
    monkeypatch.setenv("GSLB_SECRET", "not for checks")
    found = await verdict(script(tmp_path, text), 1234, timeout_s=5.0)
    assert found[0] is ok, found
    assert why in found[1]


async def test_a_program_that_is_not_there_fails():
    found = await verdict(ExecCheck(("/nowhere/check",)), 1234)
    assert found == (False, "can't be run: No such file or directory")


async def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    found = await verdict(script(tmp_path, "sleep 61.25 & sleep 61.25"), 1234, timeout_s=0.3)
    assert found == (False, "no answer within 0.3 s")

    def left():
        for one in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if b"61.25" in (one / "cmdline").read_bytes():
                    return True
        return False

    await until(lambda: not left())
