"""DNS over real sockets, asked by dnspython and dig: UDP, TCP with pipelining, bounds, and what clients do wrong."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import socket
import struct
import subprocess
import time
from typing import Self

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest
import uvloop

from gslb.dns import server as server_module
from gslb.dns.responder import Responder
from gslb.dns.server import TcpServer, UdpServer
from gslb.geo.locate import Locator
from gslb.model import Location, Plan, Record, Region, Service, Status, World, Zone
from gslb.steering.policies.failover import Failover
from gslb.telemetry import local_counters

EU = Region("eu-west", Location(53.3, -6.3), ("192.0.2.10",), ("2001:db8::10",), "http://eu.test")
SERVICE = Service("www.example.com", (EU,), (Failover(),))
BIG = " ".join(f'"{number:03}{"x" * 200}"' for number in range(12))
ZONE = Zone(
    "example.com",
    {"ns1.example.com": ("127.0.0.1",)},
    (Record("big.example.com", "TXT", 60, BIG), Record("huge.example.com", "TXT", 60, " ".join([BIG] * 20))),
    serial=1,
)
DEADLINE_S = 10.0


class Edge:
    """A UDP and a TCP server on one kernel-chosen port."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.tcp_sock = socket.create_server((host, 0), family=family)
        self.host, self.port = self.tcp_sock.getsockname()[:2]
        self.udp_sock = socket.socket(family, socket.SOCK_DGRAM)
        self.udp_sock.bind((host, self.port))
        for sock in (self.tcp_sock, self.udp_sock):
            sock.setblocking(False)
        plan = Plan("test", 1, {"eu-west": EU}, {SERVICE.name: SERVICE}, {ZONE.origin: ZONE})
        self.counters = local_counters(plan)
        self.responder = Responder(World(plan, Status()), Locator(None, plan.services), self.counters)
        self.udp = UdpServer(self.udp_sock, self.responder, time.monotonic)
        self.tcp = TcpServer(self.tcp_sock, self.responder, time.monotonic)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.udp.start(loop)
        self.tcp.start(loop)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.udp.close()
        self.tcp.close()
        self.udp_sock.close()
        await until(lambda: not self.tcp.connections)
        self.tcp_sock.close()

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)


async def until(true) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not true():
            await asyncio.sleep(0.01)


def framed(name: str, kind: str = "A", ident: int = 1) -> bytes:
    query = dns.message.make_query(name, kind, id=ident)
    wire = query.to_wire()
    return struct.pack("!H", len(wire)) + wire


async def read_answer(reader: asyncio.StreamReader) -> dns.message.Message:
    async with asyncio.timeout(DEADLINE_S):
        length = struct.unpack("!H", await reader.readexactly(2))[0]
        return dns.message.from_wire(await reader.readexactly(length))


def on_both_loops(test):
    """Runs a coroutine test on plain asyncio and on uvloop."""

    @functools.wraps(test)
    def run(loop_factory, **fixtures):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(test(**fixtures))

    del run.__wrapped__  # or pytest would see the coroutine
    own = inspect.signature(test).parameters.values()
    first = inspect.Parameter("loop_factory", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([first, *own])
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("loop_factory", loops, ids=["asyncio", "uvloop"])(run)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@on_both_loops
async def test_udp_and_tcp_answer(host):
    async with Edge(host) as edge:
        for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
            answer = await ask(dns.message.make_query("www.example.com", "A"), host, DEADLINE_S, edge.port)
            assert answer.answer[0][0].address == "192.0.2.10"
        assert edge.counters.read("gslb_dns_queries_total", transport="udp") == 1
        assert edge.counters.read("gslb_dns_queries_total", transport="tcp") == 1


@on_both_loops
async def test_what_is_cut_over_udp_is_whole_over_tcp():
    async with Edge() as edge:
        query = dns.message.make_query("big.example.com", "TXT")
        answer, over_tcp = await dns.asyncquery.udp_with_fallback(query, "127.0.0.1", DEADLINE_S, edge.port)
        assert over_tcp
        assert len(answer.answer[0][0].strings) == 12


async def dig(edge: Edge, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "dig", "+tries=1", "+time=5", f"@{edge.host}", "-p", str(edge.port), *words, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode()


@on_both_loops
async def test_dig_is_content():
    async with Edge() as edge:
        out = await dig(edge, "WWW.example.com", "A", "+subnet=203.0.113.0/24", "+qr")
        assert "192.0.2.10" in out
        assert "CLIENT-SUBNET: 203.0.113.0/24/0" in out
        assert "(good)" in out  # the cookie
        assert "Warning" not in out
        assert "BADVERS" in await dig(edge, "www.example.com", "+edns=1", "+noednsnegotiation")
        assert "NOTIMP" in await dig(edge, "www.example.com", "+opcode=2")
        assert "2001:db8::10" in await dig(edge, "www.example.com", "AAAA", "+tcp", "+short")
        assert "192.0.2.10" in await dig(edge, "www.example.com", "+subnet=0")
        several = await dig(
            edge, "+tcp", "+keepopen", "www.example.com", "A", "example.com", "SOA", "x.example.com", "A"
        )
        assert several.count("ANSWER SECTION") == 2
        assert "NXDOMAIN" in several
        assert "ns1.example.com." in await dig(edge, "example.com", "NS", "+short")


@on_both_loops
async def test_a_burst_longer_than_a_batch_is_answered():
    async with Edge() as edge:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((edge.host, edge.port))
            client.setblocking(False)
            for ident in range(200):
                client.send(dns.message.make_query("www.example.com", "A", id=ident).to_wire())
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(DEADLINE_S):
                idents = {(await loop.sock_recv(client, 4096))[:2] for _ in range(200)}
            assert len(idents) == 200


@on_both_loops
async def test_rubbish_and_clients_that_are_gone_stop_nothing():
    async with Edge() as edge:
        for number in range(100):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect((edge.host, edge.port))
                client.send(bytes((number,)) * number)
                client.send(framed("www.example.com")[2:])
                client.send(b"\0" * 5000)
        # closed at once: the answers meet ICMP errors, which the next calls on our socket may be told
        answer = await dns.asyncquery.udp(
            dns.message.make_query("www.example.com", "A"), edge.host, DEADLINE_S, edge.port
        )
        assert answer.rcode() == dns.rcode.NOERROR


@on_both_loops
async def test_an_answer_that_cannot_be_sent_is_counted_and_the_next_is_sent(monkeypatch):
    async with Edge() as edge:
        real = edge.udp_sock

        class Failing:
            """A socket whose first sends meet full buffers and no route."""

            def __init__(self) -> None:
                self.errors = [OSError(105, "no buffers"), BlockingIOError(11, "again"), OSError(113, "no route")]
                self.recvfrom = real.recvfrom

            def sendto(self, wire, peer):
                if self.errors:
                    raise self.errors.pop()
                return real.sendto(wire, peer)

        monkeypatch.setattr(edge.udp, "_sock", Failing())
        query = framed("www.example.com")[2:]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((edge.host, edge.port))
            client.setblocking(False)
            for _ in range(4):
                client.send(query)
            async with asyncio.timeout(DEADLINE_S):
                assert await asyncio.get_running_loop().sock_recv(client, 4096)
        assert edge.counters.read("gslb_dns_dropped_total", reason="send_failed") == 3
        monkeypatch.undo()


@on_both_loops
async def test_pipelined_queries_are_answered_in_order_however_they_are_cut():
    async with Edge() as edge:
        reader, writer = await edge.open()
        names = ["www.example.com", "nx.example.com", "example.org", "big.example.com"] * 200  # several turns
        stream = b"".join(framed(name, ident=ident) for ident, name in enumerate(names))
        for at in range(0, len(stream), 997):
            writer.write(stream[at : at + 997])
            await asyncio.sleep(0)
        for ident, name in enumerate(names):
            answer = await read_answer(reader)
            assert (answer.id, answer.question[0].name.to_text()) == (ident, name + ".")
        writer.close()
        await until(lambda: not edge.tcp.connections)
        assert edge.counters.read("gslb_dns_tcp_connections") == 0


@on_both_loops
async def test_a_half_closed_client_gets_its_answers_and_then_the_end():
    async with Edge() as edge:
        reader, writer = await edge.open()
        writer.write(b"".join(framed("www.example.com", ident=ident) for ident in range(600)))
        writer.write_eof()
        for ident in range(600):
            assert (await read_answer(reader)).id == ident
        assert await reader.read() == b""
        writer.close()


@on_both_loops
async def test_a_client_that_does_not_read_is_not_read_from_and_loses_nothing(monkeypatch):
    monkeypatch.setattr(server_module, "WRITE_BYTES_MAX", 1 << 16)
    async with Edge() as edge:
        reader, writer = await edge.open()
        count = 400  # of 50 KiB each: more than any socket buffer
        writer.write(b"".join(framed("huge.example.com", "TXT", ident) for ident in range(count)))
        await until(lambda: edge.counters.read("gslb_dns_queries_total", transport="tcp"))
        await asyncio.sleep(0.3)
        assert edge.counters.read("gslb_dns_queries_total", transport="tcp") < count
        for ident in range(count):
            assert (await read_answer(reader)).id == ident
        writer.close()


@on_both_loops
async def test_idle_connections_end_and_busy_ones_stay(monkeypatch):
    monkeypatch.setattr(server_module, "IDLE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(server_module, "SWEEP_INTERVAL_S", 0.05)
    async with Edge() as edge:
        (idle, idle_writer), (busy, busy_writer) = await edge.open(), await edge.open()
        ended = asyncio.ensure_future(idle.read())
        while not ended.done():
            busy_writer.write(framed("www.example.com"))
            await read_answer(busy)
            await asyncio.sleep(0.05)
        busy_writer.write(framed("www.example.com"))
        assert await read_answer(busy)
        for writer in (idle_writer, busy_writer):
            writer.close()


@on_both_loops
async def test_beyond_the_bound_the_longest_idle_connection_makes_room(monkeypatch):
    monkeypatch.setattr(server_module, "CONNECTIONS_MAX", 3)
    async with Edge() as edge:
        clients = []
        for _ in range(5):
            clients.append(await edge.open())
            clients[-1][1].write(framed("www.example.com"))
            await read_answer(clients[-1][0])
        assert len(edge.tcp.connections) == 3
        for reader, _ in clients[:2]:
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        clients[-1][1].write(framed("www.example.com"))
        assert await read_answer(clients[-1][0])
        for _, writer in clients:
            writer.close()


@pytest.mark.parametrize("rubbish", [b"\xff\xff" + b"x" * 70_000, struct.pack("!H", 4097) + bytes(4097)])
@on_both_loops
async def test_a_message_over_the_bound_ends_its_connection(rubbish):
    async with Edge() as edge:
        reader, writer = await edge.open()
        writer.write(framed("www.example.com") + rubbish)
        assert await read_answer(reader)
        with contextlib.suppress(ConnectionResetError):  # it was closed with bytes of ours unread
            assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
        writer.close()


@on_both_loops
async def test_a_malformed_message_is_answered_and_the_connection_goes_on():
    async with Edge() as edge:
        reader, writer = await edge.open()
        writer.write(b"\0\0" + b"\0\x05abcde" + b"\0\x0c" + bytes(12) + framed("www.example.com", ident=9))
        assert (await read_answer(reader)).rcode() == dns.rcode.FORMERR
        assert (await read_answer(reader)).id == 9
        writer.close()


@on_both_loops
async def test_a_closed_server_takes_no_more_but_sends_what_it_has():
    async with Edge() as edge:
        reader, writer = await edge.open()
        writer.write(framed("www.example.com"))
        assert await read_answer(reader)
        edge.tcp.close()
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await edge.open()
