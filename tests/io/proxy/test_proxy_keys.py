"""Algorithms that go by a key over real sockets, beside the nginx whose arithmetic they share."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gslb.balancing.algorithm import ALGORITHMS
from gslb.model import Pool, Server
from tests.support.judges import nginx_with, program
from tests.support.proxying import answer_ok, one_response, plan_of

ASKED = 60


def pool_by(name, backends, **options) -> Pool:
    servers = tuple(Server(f"s{i}", "127.0.0.1", one.port, 1 + i % 2) for i, one in enumerate(backends))
    return Pool("web", servers, ALGORITHMS.get(name)(**options))


async def asked(port: int, fields: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n".encode())
    assert (await one_response(reader))[0] == 200
    writer.close()


async def order(port: int, backends, fields) -> list[int]:
    """Which backend each request came to."""
    came = []
    for one in fields:
        before = [len(each.heads) for each in backends]
        await asked(port, one)
        came.append(next(i for i, each in enumerate(backends) if len(each.heads) > before[i]))
    return came


@pytest.mark.skipif(program("nginx") is None, reason="nginx is not here: make test installs it")
@pytest.mark.parametrize(
    ("name", "options", "line", "fields"),
    [
        ("consistent_hash", {"key": "header:X-User", "balance_factor": 0.0}, "hash $http_x_user consistent;",
         [f"X-User: user-{i}\r\n" for i in range(ASKED)]),
        ("ip_hash", {}, "ip_hash;", [f"X-Forwarded-For: 10.{i}.{i * 7 % 251}.9\r\n" for i in range(ASKED)]),
        ("round_robin", {}, "", [""] * ASKED),
    ],
)  # fmt: skip
async def test_the_same_servers_as_nginx(name, options, line, fields, start, backend, tmp_path):
    backends = [await backend(answer_ok) for _ in range(5)]
    pool = pool_by(name, backends, **options)
    running = await start(plan_of(pool, trusted_proxies=("127.0.0.1",)))
    ours = await order(running.port, backends, fields)
    servers = " ".join(f"server 127.0.0.1:{one.port} weight={one.weight};" for one in pool.servers)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(nginx_with(tmp_path / "nginx", f"upstream u {{ {line} {servers} }}"))
        theirs = await order(port, backends, fields)
    assert ours == theirs
    assert len(set(ours)) == 5


@pytest.mark.parametrize("name", ["consistent_hash", "maglev", "rendezvous"])
@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("client_ip", ["X-Forwarded-For: 10.0.{}.1\r\n"]),
        ("header:X-User", ["X-User: u{}\r\n"]),
        ("cookie:sid", ["Cookie: a=b; sid=s{}\r\n"]),
    ],
)
async def test_a_key_keeps_to_its_server(name, key, fields, start, backend):
    backends = [await backend() for _ in range(4)]
    running = await start(plan_of(pool_by(name, backends, key=key), trusted_proxies=("127.0.0.1",)))
    lines = [fields[0].format(i) for i in range(16)]
    first = await order(running.port, backends, lines)
    assert await order(running.port, backends, lines) == first
    assert len(set(first)) > 1
