"""Checks that are no HTTP, against real servers: Redis by tcp, a resolver by dns, certificates by tls."""

import asyncio
import ssl

import dns.rcode
import pytest

from gslb.health.checks.dns import DnsCheck
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
    assert found == (False, "TLS failed: SSLCertVerificationError")


async def test_a_server_without_tls_fails(redis):
    assert not (await verdict(TlsCheck(), redis.port, timeout_s=0.5))[0]


@pytest.mark.parametrize("options", [{"server_name": "a b"}, {"min_days": -1}, {"min_days": 10_000}])
def test_options_that_can_not_be_meant(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        TlsCheck(**options)
