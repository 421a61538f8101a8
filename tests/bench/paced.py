#!/usr/bin/env python3
"""Requests at an even rate, whatever the answers take: `paced.py PORT HOST RATE SECONDS`, JSON out.

One request at a time on each connection. What is due every millisecond is sent together; a request that finds no
connection free waits, and its wait counts (else a slow server would be asked less, and look quick).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections import deque
from typing import cast

import uvloop

CONNECTIONS = 64
TICK_S = 0.001
WARM_UP = 5  # a fifth of the time is left out


class Connection(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, load: Load) -> None:
        self.load, self.due, self.seen = load, 0.0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.load.free.append(self)

    def ask(self, due: float) -> None:
        self.due = due
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        data = self.seen + data
        end = data.find(b"\r\n\r\n") + 4
        at = data.lower().find(b"content-length:")
        if end < 4 or at < 0 or len(data) < end + int(data[at + 15 : data.index(b"\r", at)]):
            self.seen = data
            return
        self.seen = b""
        self.load.answered(self, data[9:12] == b"200")


class Load:
    """The run."""

    def __init__(self, host: str) -> None:
        self.request = b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode()
        self.free: deque[Connection] = deque()
        self.waiting: deque[float] = deque()
        self.times: list[float] = []
        self.wrong = 0

    def answered(self, connection: Connection, right: bool) -> None:
        now = time.perf_counter()
        self.times.append(now - connection.due)
        self.wrong += not right
        if self.waiting:
            connection.ask(self.waiting.popleft())
        else:
            self.free.append(connection)

    def send(self, due: float) -> None:
        if self.free:
            self.free.popleft().ask(due)
        else:
            self.waiting.append(due)

    async def run(self, port: int, rate: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        begun, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < begun + seconds:
            for _ in range(int((now - begun) * rate) - sent):
                self.send(now)
                sent += 1
            await asyncio.sleep(TICK_S)
        await asyncio.sleep(0.2)
        self.unanswered = sent - len(self.times)


def main() -> None:
    """Runs and prints."""
    port, host, rate, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    load = Load(host)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load.run(port, rate, seconds))
    times = sorted(load.times[len(load.times) // WARM_UP :]) or [0.0]
    sys.stdout.write(
        json.dumps(
            {
                "answered": len(load.times),
                "wrong": load.wrong + load.unanswered,
                "p50_us": statistics.median(times) * 1e6,
                "p99_us": times[len(times) * 99 // 100] * 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
