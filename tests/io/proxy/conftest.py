"""A running proxy and backends, on uvloop as in production."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import uvloop

from gslb.http.proxy import Proxy
from gslb.model import Plan, Status, World
from gslb.telemetry import local_counters
from tests.support.proxying import OK, Backend, Handler, Running, answer_ok


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """Starts a proxy over a plan; ended with the test."""
    started: list[Running] = []

    async def run(plan: Plan, status: Status | None = None) -> Running:
        counters = local_counters(plan)
        proxy = Proxy(plan, counters, clock=time.monotonic)
        proxy.swap(World(plan, status or Status()))
        listener = await asyncio.get_running_loop().create_server(proxy.protocol, "127.0.0.1", 0)
        started.append(Running(proxy, plan, counters, listener.sockets[0].getsockname()[1], listener))
        return started[-1]

    yield run
    for running in started:
        running.listener.close()
        running.proxy.close()
    while any(running.proxy.active for running in started):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)  # uvloop closes handles one turn later


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that refuses: bound, not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
async def backend() -> AsyncIterator[Callable[..., Awaitable[Backend]]]:
    """Starts backends; ended with the test."""
    started: list[Backend] = []

    async def run(handler: Handler = answer_ok, reply: bytes = OK, tls: ssl.SSLContext | None = None) -> Backend:
        started.append(await Backend(handler, reply, tls=tls).start())
        return started[-1]

    yield run
    for one in started:
        await one.stop()
    await asyncio.sleep(0.01)
