"""What the proxy's tests share: backends that record what reaches them, plans, and a raw client. Real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from gslb.balancing.algorithm import ALGORITHMS
from gslb.http.proxy import Proxy
from gslb.model import Balancer, Location, Plan, Pool, Region, Retries, Route, Server, Timeouts
from gslb.telemetry import Counters

Handler = Callable[["Backend", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def fields_of(head: bytes) -> dict[str, str]:
    """The fields of a head by lower-case name; several of a name are joined."""
    found: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.lower()
            found[key] = f"{found[key]}, {value.strip()}" if key in found else value.strip()
    return found


async def read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The request's body as an independent, simple parser reads it."""
    fields = fields_of(head)
    if "chunked" in fields.get("transfer-encoding", ""):
        pieces = []
        while True:
            line = await reader.readline()
            if not line.endswith(b"\r\n"):
                raise asyncio.IncompleteReadError(line, None)
            size = int(line, 16)
            if size == 0:
                while (line := await reader.readline()) != b"\r\n":
                    if not line:
                        raise asyncio.IncompleteReadError(line, None)
                return b"".join(pieces)
            pieces.append(await reader.readexactly(size))
            assert await reader.readexactly(2) == b"\r\n"
    return await reader.readexactly(int(fields.get("content-length", "0")))


async def answer_ok(backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request on the connection with `backend.reply`."""
    while True:
        head = await read_head(reader)
        backend.heads.append(head)
        backend.bodies.append(await read_body(reader, head))
        writer.write(backend.reply)
        await writer.drain()


@dataclass
class Backend:
    """A server: what it was sent, and how often it was connected to."""

    handler: Handler = answer_ok
    reply: bytes = OK
    port: int = 0
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tls: ssl.SSLContext | None = None

    async def start(self, port: int = 0) -> Backend:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.handler(self, reader, writer)
        writer.close()
        self.writers.discard(writer)

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            for writer in tuple(self.writers):
                writer.transport.abort()
            self.server = None


@dataclass
class Running:
    """A proxy that serves on `port`."""

    proxy: Proxy
    plan: Plan
    counters: Counters
    port: int
    listener: asyncio.Server

    def count(self, name: str, **labels: str) -> int:
        return self.counters.read(name, **labels)


def pool_of(
    backends: Iterable[Backend | int], name: str = "web", attempts: int = 2, retries: Retries | None = None, **options
) -> Pool:
    """A pool over backends (or bare ports), in round robin."""
    ports = [backend if isinstance(backend, int) else backend.port for backend in backends]
    servers = tuple(Server(f"{name}-{i}", "127.0.0.1", port, **options) for i, port in enumerate(ports, 1))
    return Pool(name, servers, ALGORITHMS.get("round_robin")(), retries=retries or Retries(attempts))


def plan_of(*pools: Pool, generation: int = 1, session_secret: bytes = b"", **balancer) -> Plan:
    """A plan whose last pool takes every path and whose others take `/<name>/*`."""
    routes = [Route(pool.name, path=f"/{pool.name}/*") for pool in pools[:-1]] + [Route(pools[-1].name)]
    region = Region("eu-west", Location(53.3, -6.3), ("192.0.2.10",), (), "http://eu.example.test:8101")
    balancer.setdefault("routes", tuple(routes))
    built = Balancer("eu-west", pools={pool.name: pool for pool in pools}, **balancer)
    regions = {"eu-west": region}
    return Plan("test", generation, regions, {}, {}, balancer=built, session_secret=session_secret)


FAST = Timeouts(connect_s=0.3, first_byte_s=0.6, idle_s=0.6, head_s=0.4, keepalive_s=0.5)


async def talk(port: int, data: bytes, timeout_s: float = 5.0) -> bytes:
    """Sends `data` and reads until the proxy closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), timeout_s)
    finally:
        writer.close()


async def one_response(reader: asyncio.StreamReader, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """One response by a simple independent reading: status, fields, body."""
    head = await asyncio.wait_for(read_head(reader), 5)
    status = int(head.split(b" ", 2)[1])
    fields = fields_of(head)
    if method == "HEAD" or status < 200 or status in (204, 304):
        return status, fields, b""
    return status, fields, await asyncio.wait_for(read_body(reader, head), 30)


def parsed(reply: bytes, method: str = "GET") -> http.client.HTTPResponse:
    """A whole reply as the standard library's client reads it; its body is in `.whole`."""

    class Socket:
        def makefile(self, *_args: object) -> io.BytesIO:
            return io.BytesIO(reply)

    response = http.client.HTTPResponse(Socket(), method=method)  # type: ignore[arg-type]  # only makefile is used
    response.begin()
    response.whole = response.read()
    return response


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Waits for `condition`, by polling, within a deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
