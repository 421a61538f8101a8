"""How the proxy behaves where there is much at once: idle connections, latency at half load, more than one worker."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from load import wrk
from machine import LOAD_CORE, NotMeasuredError, unshared_mib

IDLE_CONNECTIONS = 10_000
IDLE_MAX = {"haproxy": 9_800}  # it wants two descriptors a connection, and 20,000 are a common bound
PACED_MAX = 8_000  # a second
DESCRIPTORS = IDLE_CONNECTIONS + 500
REQUEST = b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n"


def allow_descriptors() -> None:
    """Raises this process's bound, which all that it starts inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS <= hard or hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS if hard == resource.RLIM_INFINITY else hard, hard))


def idle_kib(name: str, pids: Sequence[int], port: int, host: str) -> float:
    """Unshared memory of the server's processes per kept-alive connection that was used once, in KiB."""
    count = IDLE_MAX.get(name, IDLE_CONNECTIONS)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 100:
        raise NotMeasuredError(f"only {soft} descriptors are allowed here")
    request, connections = REQUEST % host.encode(), []
    wrk(pids, f"http://127.0.0.1:{port}/", host, 1)  # what is kept once, for whatever comes
    before = sum(unshared_mib(pid)[0] for pid in pids)
    try:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), timeout=10)
            connections.append(sock)
            sock.sendall(request)
            if not sock.recv(4096).startswith(b"HTTP/1.1 200"):
                raise NotMeasuredError("a connection got no 200")
        after = sum(unshared_mib(pid)[0] for pid in pids)
    finally:
        for sock in connections:
            sock.close()
    return (after - before) * 1024 / count


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the requests of one run, in µs."""

    p50: float
    p99: float


def latency(port: int, host: str, rate: int, seconds: int) -> Latency:
    """Of requests at an even rate (paced.py); every answer must be 200."""
    script = str(Path(__file__).with_name("paced.py"))
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, script, str(port), host, str(rate), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise NotMeasuredError(f"paced.py: {done.stderr.strip()[-200:]}")
    told = json.loads(done.stdout)
    if told["wrong"] or told["answered"] < rate * seconds * 0.9:
        raise NotMeasuredError(f"{told['answered']} of {rate * seconds} were answered, {told['wrong']} not by 200")
    return Latency(told["p50_us"], told["p99_us"])
