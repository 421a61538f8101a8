"""Sessions over two real workers: what one learns the other knows, Redis has the record, and nothing waits for it."""

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from redis import Redis

from gslb.demo.clients import get
from tests.support.redis_server import RedisServer
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]
HOST = "www.example.com"


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = str(self.server.server_address[1])
        self.send_response(200)
        if self.path == "/login":
            self.server.logins += 1
            self.send_header("Set-Cookie", f"SID=s{name}x{self.server.logins}; Path=/")
        self.send_header("Content-Length", str(len(name)))
        self.end_headers()
        self.wfile.write(name.encode())

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def servers(sandbox):
    started = []
    for port in ("9001", "9002", "9003"):
        server = ThreadingHTTPServer(("127.0.0.1", sandbox.ports[port]), Server)
        server.logins = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
    yield started
    for server in started:
        server.shutdown()
        server.server_close()


def ask(port: int, path: str = "/", cookie: str = "") -> tuple[str, str]:
    """The server that answers, on a connection of its own, and the cookie that is set."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": HOST, **({"Cookie": cookie} if cookie else {})})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    assert response.status == 200
    return body, (response.getheader("Set-Cookie") or "").partition(";")[0]


def region(sandbox, sticky: str) -> int:
    sandbox.edit("eu-west.yaml", "workers: auto", "workers: 2")
    sandbox.edit("eu-west.yaml", "algorithm: least_connections", f"algorithm: round_robin\n      sticky: {{{sticky}}}")
    return sandbox.ports["8101"]


def ready(sandbox, port: int) -> None:
    until(lambda: get(f"http://127.0.0.1:{port}/", host=HOST).status == 200, 20, "eu-west")
    until(lambda: all(one["ready"] for one in sandbox.status("9471")["processes"]), 20, "two workers")


def test_a_cookie_that_one_worker_saw_being_set_is_known_to_the_other(sandbox, servers):
    port = region(sandbox, "by: 'learned:SID'")
    with RedisServer() as redis, running(sandbox.cluster(redis.url), "eu-west"):
        ready(sandbox, port)
        sessions = [ask(port, "/login") for _ in range(6)]

        def known_everywhere() -> bool:
            # 12 connections each: one worker alone gets them all once in two thousand times
            return all(ask(port, cookie=cookie)[0] == home for home, cookie in sessions for _ in range(12))

        until(known_everywhere, 10, "both workers know all sessions")
        client = Redis.from_url(redis.url)
        until(lambda: len(client.keys("gslb:*:session:web:*")) >= 6, 10, "the records")
        record = json.loads(client.get(client.keys("gslb:*:session:web:*")[0]))
        assert (record["region"], record["server"].startswith("web-")) == ("eu-west", True)
        redis.stop()
        assert known_everywhere()  # nothing waits for Redis
        client.close()


def test_our_cookie_outlives_a_restart_of_the_node(sandbox, servers):
    port = region(sandbox, "by: cookie")
    homes = []
    for _ in range(2):
        with running(sandbox.cluster(), "eu-west"):
            ready(sandbox, port)
            if not homes:
                homes = [ask(port) for _ in range(6)]
            for home, cookie in homes:
                assert [ask(port, cookie=cookie)[0] for _ in range(4)] == [home] * 4
    assert len({home for home, _ in homes}) > 1
