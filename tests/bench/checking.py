"""5,000 health checks at 5 s: the share of one core that control spends on them.

The runner is the product's own, in this process; the servers are one process that answers on 5,000 loopback addresses,
so that no check is shared. Every result must be good.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import socket
import time
from multiprocessing.connection import Connection

import uvloop
from machine import NotMeasuredError

from gslb.health.checks.http import HttpCheck
from gslb.health.runner import Runner, Target

CHECKS = 5_000
INTERVAL_S = 5.0
SETTLE_S = INTERVAL_S + 1.5  # the first round is spread over its first seconds
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        self.transport.write(OK)  # type: ignore[attr-defined]  # a Transport
        self.transport.close()


def _serve(pipe: Connection) -> None:
    async def main() -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", 0))
        server = await asyncio.get_running_loop().create_server(_Server, sock=sock, backlog=4096)
        pipe.send(sock.getsockname()[1])
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def _check(port: int, seconds: float) -> tuple[float, int, int]:
    """CPU seconds, results, bad results within `seconds` after the first round."""
    counts = [0, 0]

    def result(key: object, ok: bool, why: str, rtt_s: float, body: bytes | None, now: float) -> None:
        counts[0] += 1
        counts[1] += not ok

    runner = Runner(result, clock=time.monotonic, rng=random.Random(1), changing=lambda key: False)
    check = HttpCheck(path="/health")
    runner.set_targets(
        {
            number: Target(check, f"http://127.{1 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}:{port}",
                           INTERVAL_S, INTERVAL_S, 2.0)
            for number in range(CHECKS)
        }
    )  # fmt: skip
    await runner.start()
    await asyncio.sleep(SETTLE_S)
    counts[0] = 0
    before = time.process_time()
    await asyncio.sleep(seconds)
    spent, done = time.process_time() - before, counts[0]
    await runner.stop()
    return spent, done, counts[1]


def measure(seconds: float) -> tuple[float, float]:
    """CPU time of a check, in µs, and the share of a core that all take. Raises NotMeasuredError if one is bad."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        port = here.recv()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            spent, done, bad = runner.run(_check(port, seconds))
    finally:
        process.kill()
        process.join()
    if bad or done < 0.8 * CHECKS * seconds / INTERVAL_S:
        raise NotMeasuredError(f"{done} checks in {seconds} s, {bad} of them bad")
    return spent / done * 1e6, spent / done * CHECKS / INTERVAL_S
