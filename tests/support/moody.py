"""Servers of the test process itself whose mood a test changes: they answer, fail, keep silent, noting each request.

Threads, so that a test can block; real sockets, so that processes can reach them.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Seen:
    """A request as a server saw it."""

    at: float  # monotonic
    worker: str  # which data worker sent it: the prefix of its request ids


class Moody:
    """One server. `status` is what it answers; while `silent` is set it answers nothing. `/health` is always fine."""

    def __init__(self, port: int) -> None:
        self.status, self.seen, self.waiting, self.most_waiting = 200, [], 0, 0
        self.silent = threading.Event()
        self._lock = threading.Lock()
        moody = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path != "/health":
                    moody._take(self.headers.get("X-Request-Id", ""))
                status = 200 if self.path == "/health" else moody.status
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.send_header("X-Server", str(port))
                    self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _take(self, request_id: str) -> None:
        with self._lock:
            self.seen.append(Seen(time.monotonic(), request_id.rpartition("-")[0]))
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
        while self.silent.is_set():
            time.sleep(0.005)
        with self._lock:
            self.waiting -= 1

    def close(self) -> None:
        self.silent.clear()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def moody(*ports: int) -> Iterator[list[Moody]]:
    """A server a port."""
    servers = [Moody(port) for port in ports]
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


class Visitor:
    """A client on one kept-alive connection, so on one data worker; which one, the servers see."""

    def __init__(self, port: int, host: str) -> None:
        self._host = host
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._connection.connect()
        self._connection.auto_open = 0  # one that was closed must be seen: the next may be of another worker
        self.worker = ""

    def get(self, path: str = "/") -> http.client.HTTPResponse:
        self._connection.request("GET", path, headers={"Host": self._host})
        response = self._connection.getresponse()
        response.read()
        return response

    def close(self) -> None:
        self._connection.close()


def two_visitors(port: int, host: str, servers: list[Moody]) -> list[Visitor]:
    """One visitor for each of two workers: the kernel gives connections to either."""
    found: dict[str, Visitor] = {}
    deadline = time.monotonic() + 20
    while len(found) < 2:
        assert time.monotonic() < deadline, "no connection came to the second worker"
        visitor = Visitor(port, host)
        assert visitor.get().status == 200
        visitor.worker = max((one for server in servers for one in server.seen), key=lambda one: one.at).worker
        if visitor.worker in found:
            visitor.close()
        else:
            found[visitor.worker] = visitor
    return list(found.values())
