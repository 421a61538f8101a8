"""Requests that wait while all servers are full: who is next, who is sent away, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import struct
from array import array
from dataclasses import replace

from gslb.model import Limits, Queue, State, Status, World
from gslb.model.limits import ConcurrencyLimit
from tests.support.proxying import (
    one_response,
    parsed,
    plan_of,
    pool_of,
    read_body,
    read_head,
    talk,
    until,
)

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Held:
    """A server whose answers wait for a word."""

    def __init__(self) -> None:
        self.word = asyncio.Semaphore(0)
        self.running = self.most = 0

    async def __call__(self, backend, reader, writer):
        while True:
            head = await read_head(reader)
            backend.heads.append(head)
            backend.bodies.append(await read_body(reader, head))
            self.running += 1
            self.most = max(self.most, self.running)
            await self.word.acquire()
            self.running -= 1
            writer.write(b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok")


async def queued_at(start, backend, size=10, timeout_s=5.0, **options):
    held = Held()
    server = await backend(held)
    pool = replace(pool_of([server], max_connections=1), queue=Queue(size, timeout_s))
    return held, server, await start(plan_of(pool, **options))


def waiting(running) -> int:
    queue = running.proxy.pools["web"].queue
    return len(queue) if queue is not None else 0


def counted(running) -> dict[str, int]:
    name = "gslb_http_queued_total"
    return {one: running.count(name, pool="web", result=one) for one in ("served", "timeout", "full")}


async def ask(running, held, server, count):
    """So many requests, each sent when the one before it is at the server or in the queue."""
    tasks = []
    for number in range(count):
        tasks.append(asyncio.create_task(talk(running.port, GET % number)))
        await until(lambda number=number: len(server.heads) + waiting(running) == number + 1)
    return tasks


async def test_the_first_that_came_is_the_first_served(start, backend):
    held, server, running = await queued_at(start, backend)
    tasks = await ask(running, held, server, 6)
    for _ in tasks:
        held.word.release()
    assert [parsed(one).status for one in await asyncio.gather(*tasks)] == [200] * 6
    assert [head.split()[1] for head in server.heads] == [b"/%d" % number for number in range(6)]
    assert held.most == 1
    assert counted(running) == {"served": 5, "timeout": 0, "full": 0}
    assert running.proxy.pools["web"].state.active("web-1") == 0


async def test_nobody_overtakes_those_that_wait(start, backend):
    held, server, running = await queued_at(start, backend)
    first, second = await ask(running, held, server, 2)
    held.word.release()
    late = asyncio.create_task(talk(running.port, GET % 9))
    await first
    await until(lambda: len(server.heads) == 2)
    held.word.release()
    held.word.release()
    await asyncio.gather(second, late)
    assert [head.split()[1] for head in server.heads] == [b"/0", b"/1", b"/9"]


async def test_a_full_queue_is_said_at_once(start, backend):
    held, server, running = await queued_at(start, backend, size=1)
    tasks = await ask(running, held, server, 2)
    refused = parsed(await talk(running.port, GET % 3, 1.0))
    assert (refused.status, refused.getheader("X-Gslb-Error")) == (503, "queue_full")
    assert refused.getheader("Retry-After") == "1"
    held.word.release()
    held.word.release()
    await asyncio.gather(*tasks)
    assert counted(running) == {"served": 1, "timeout": 0, "full": 1}
    assert running.count("gslb_http_upstream_errors_total", pool="web", reason="queue_full") == 1


async def test_who_waits_too_long_is_told_and_the_connection_goes_on(start, backend):
    held, server, running = await queued_at(start, backend, timeout_s=0.3)
    (first,) = await ask(running, held, server, 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    status, fields, _ = await one_response(reader)
    assert (status, fields["x-gslb-error"]) == (503, "queue_timeout")
    held.word.release()
    await first
    held.word.release()
    writer.write(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await one_response(reader))[0] == 200
    writer.close()
    assert [head.split()[1] for head in server.heads] == [b"/0", b"/2"]
    assert counted(running) == {"served": 0, "timeout": 1, "full": 0}


async def test_a_client_that_leaves_gives_its_turn_away(start, backend):
    held, server, running = await queued_at(start, backend, size=2)
    (first,) = await ask(running, held, server, 1)
    _, gone = await asyncio.open_connection("127.0.0.1", running.port)
    gone.write(GET % 1)
    await until(lambda: waiting(running) == 1)
    # a reset: closing alone would only end what it sends, and it could still be answered
    gone.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.transport.abort()
    await until(lambda: running.proxy.active == 1)
    rest = [asyncio.create_task(talk(running.port, GET % number)) for number in (2, 3)]
    await until(lambda: running.proxy.active == 3)
    for _ in range(3):
        held.word.release()
    assert [parsed(one).status for one in await asyncio.gather(first, *rest)] == [200] * 3
    assert sorted(head.split()[1] for head in server.heads) == [b"/0", b"/2", b"/3"]


async def test_a_body_waits_with_its_request(start, backend):
    held, server, running = await queued_at(start, backend)
    (first,) = await ask(running, held, server, 1)
    body = b"x" * 300_000
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    second = asyncio.create_task(talk(running.port, head + body))
    await until(lambda: waiting(running) == 1)
    held.word.release()
    held.word.release()
    await first
    assert parsed(await second).status == 200
    assert server.bodies[1] == body


async def test_places_of_limits_come_back_when_the_wait_is_over(start, backend):
    limits = Limits({}, {"c": ConcurrencyLimit("c", 2)}, for_all=("c",))
    held, server, running = await queued_at(start, backend, timeout_s=0.3, limits=limits)
    (first,) = await ask(running, held, server, 1)
    assert parsed(await talk(running.port, GET % 1)).getheader("X-Gslb-Error") == "queue_timeout"
    assert parsed(await talk(running.port, GET % 2)).getheader("X-Gslb-Error") == "queue_timeout"
    held.word.release()
    await first
    assert running.proxy.limiter.gates["c"].running == 0


async def test_a_place_that_another_worker_frees_is_seen(start, backend):
    held, server, running = await queued_at(start, backend)
    pool = running.proxy.pools["web"]
    other = array("q", bytes(8 * len(running.counters.cells)))
    pool.places._others = (other,)
    cell = running.counters.index("gslb_server_places_taken", pool="web", server="web-1")
    other[cell] = 1
    asked = asyncio.create_task(talk(running.port, GET % 0))
    await until(lambda: waiting(running) == 1)
    assert server.heads == []
    other[cell] = 0
    held.word.release()
    assert parsed(await asked).status == 200


async def test_who_waits_at_another_worker_counts(start, backend):
    held, server, running = await queued_at(start, backend)
    pool = running.proxy.pools["web"]
    other = array("q", bytes(8 * len(running.counters.cells)))
    pool.places._others = (other,)
    cell = running.counters.index("gslb_http_queue_waiting", pool="web")
    (first,) = await ask(running, held, server, 1)
    other[cell] = pool.state.pool.queue.size
    refused = parsed(await talk(running.port, GET % 1))
    assert (refused.status, refused.getheader("X-Gslb-Error")) == (503, "queue_full")
    other[cell] = pool.state.pool.queue.size - 1
    second = asyncio.create_task(talk(running.port, GET % 2))
    await until(lambda: running.counters.cells[cell] == 1)
    held.word.release()
    held.word.release()
    assert [parsed(one).status for one in await asyncio.gather(first, second)] == [200, 200]
    await until(lambda: running.counters.cells[cell] == 0)


async def test_with_no_server_up_nobody_waits(start, backend):
    held, server, running = await queued_at(start, backend)
    running.proxy.swap(World(running.plan, Status(servers={"web/web-1": State.DOWN})))
    refused = parsed(await talk(running.port, GET % 0))
    assert (refused.status, refused.getheader("X-Gslb-Error")) == (503, "no_healthy_server")
    assert server.heads == []
    assert held.most == 0


async def test_a_new_plan_without_a_queue_serves_who_waits(start, backend):
    held, server, running = await queued_at(start, backend, timeout_s=1.0)
    tasks = await ask(running, held, server, 2)
    pool = replace(running.plan.balancer.pools["web"], queue=None)
    running.proxy.swap(World(plan_of(pool, generation=2), Status()))
    held.word.release()
    held.word.release()
    assert [parsed(one).status for one in await asyncio.gather(*tasks)] == [200, 200]
    running.proxy.swap(World(plan_of(pool, generation=3), Status()))
    assert running.proxy.pools["web"].queue is None
