"""Servers registered, changed, drained and removed while a region runs: over real processes, as an operator does it."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from gslb.demo.clients import get
from tests.support.sandbox import Sandbox, free_port, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MEMBERS = ("eu-west", "eu-west-backends", "us-east-backends")  # the last are servers to register


class Region:
    """One region's node of a sandbox, and what is asked of it."""

    def __init__(self, box):
        self.box = box
        self.url = f"http://127.0.0.1:{box.ports['8101']}/"
        self.admin = f"http://127.0.0.1:{box.ports['9471']}"
        self.spare = int(box.ports["9011"])

    def ask(self, method, path, body=None, token=None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.admin + path, method=method, data=data)  # noqa: S310 - our own node
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - as above
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def register(self, server_id="extra", port=None, **words):
        new = {"pool": "web", "server_id": server_id, "host": "127.0.0.1", "port": port or self.spare, **words}
        return self.ask("POST", "/servers", new)

    def servers_seen(self, requests=24):
        """Requests by the port of the server that answered; all must be answered."""
        seen = Counter()
        for _ in range(requests):
            page = get(self.url, host="www.example.com")
            assert page.status == 200
            seen[int(page.json()["server"].rpartition(":")[2])] += 1
        return seen

    def port(self, server):
        return int(self.box.ports[{"web-1": "9001", "web-2": "9002", "web-3": "9003"}[server]])

    def registry(self):
        return self.box.status("9471")["registry"]

    def file(self):
        return self.box.folder / "run/state/eu-west-demo/registry.db"

    def damage(self, data):
        """Other bytes in place of the database; without its WAL, from which SQLite would mend it."""
        for suffix in ("-wal", "-shm"):
            Path(f"{self.file()}{suffix}").unlink(missing_ok=True)
        self.file().unlink()
        self.file().write_bytes(data)

    def metrics(self):
        text = get(f"{self.admin}/metrics").body.decode()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in text.splitlines() if not line.startswith("#")}  # fmt: skip

    def wait(self):
        until(lambda: get(self.url, host="www.example.com").status == 200, 20, "eu-west")
        until(lambda: get(f"{self.admin}/healthz").status == 200, 20, "its admin API")


def words(text):
    """A table's text as one line, however it was folded."""
    return " ".join(text.split())


def equal_weights(box):
    box.edit("eu-west.yaml", "weight: 2, max_connections: 500", "weight: 1")
    box.edit("eu-west.yaml", "algorithm: least_connections", "algorithm: round_robin")
    return box


@contextlib.contextmanager
def serving(box, *members):
    with running(box.cluster(), *(members or MEMBERS)) as cluster:
        region = Region(box)
        region.wait()
        yield region, cluster


@pytest.fixture
def started(sandbox):
    with serving(equal_weights(sandbox)) as found:
        yield found


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    """One node for the tests that leave it as it was."""
    with serving(equal_weights(Sandbox(tmp_path_factory.mktemp("region")))) as (found, _):
        yield found


def restart(region, cluster):
    process = cluster.members["eu-west"].process
    process.terminate()
    assert process.wait(20) == 0
    cluster.start("eu-west")
    region.wait()


# ---------------------------------------------------------------- the way of an operator
def test_a_server_added_by_command_serves_and_survives_a_restart(started):
    region, cluster = started
    box, here = region.box, ("--region", "eu-west")
    out = box.gslb("servers", "add", "web", "--id", "extra", "--host", "127.0.0.1", "--port", str(region.spare), *here)
    assert out.returncode == 0, out.stderr
    assert box.gslb("servers", "set", "web/web-2", "--weight", "5", *here).returncode == 0
    assert box.gslb("servers", "set", "web/web-3", "--status", "INACTIVE", *here).returncode == 0
    until(lambda: set(region.servers_seen()) >= {region.spare, region.port("web-2")}, 5, "the new server to be used")
    until(lambda: region.port("web-3") not in region.servers_seen(), 5, "the inactive one not to be used")

    restart(region, cluster)
    seen = region.servers_seen(40)
    assert region.spare in seen and region.port("web-3") not in seen
    listed = json.loads(box.gslb("servers", "--json", *here).stdout)["eu-west"]["servers"]
    shown = {one["server_id"]: one for one in listed}
    assert (shown["extra"]["origin"], shown["extra"]["declared"]) == ("registered", None)
    assert (shown["web-2"]["weight"], shown["web-2"]["declared"]["weight"]) == (5, 1)
    assert shown["web-3"]["state"] == "inactive"

    text = words(box.gslb("servers", *here).stdout)
    assert "extra" in text and "weight 5 (files: 1)" in text
    text = words(box.gslb("status", "--node", region.admin).stdout)
    for says in ("weight 5 (files: 1)", "registered at run time", "status INACTIVE (files: ACTIVE)"):
        assert says in text

    for target in ("web/web-2", "web/web-3"):
        assert box.gslb("servers", "reset", target, *here).returncode == 0
    out = box.gslb("servers", "remove", "web/extra", *here)
    assert out.returncode == 0 and "removed" in out.stdout
    until(lambda: set(region.servers_seen()) == {region.port(f"web-{n}") for n in (1, 2, 3)}, 5, "the files' servers")
    assert region.registry()["rows"] == 0


def test_commands_say_what_would_be_right(region):
    gslb = region.box.gslb
    for words, code, says in [
        (("drain", "web/nobody"), 1, "no server 'nobody' in pool 'web'"),
        (("drain", "web-1"), 2, "write POOL/ID"),
        (("remove", "web/web-1"), 1, "declared in the files"),
        (("set", "web/web-1"), 2, "say what to change"),
        (("set", "web/web-1", "--weight", "-1"), 2, "weight"),
        (("add", "wed", "--host", "127.0.0.1", "--port", "9"), 2, "no pool 'wed'; known: web"),
        (("add", "web", "--host", "127.0.0.1", "--port", "9", "--protocol", "udp"), 2, "udp"),
    ]:
        out = gslb("servers", *words, "--region", "eu-west")
        assert out.returncode == code, (words, out)
        assert says in out.stderr
    assert gslb("servers", "drain", "web/web-1", "--region", "nowhere").returncode == 2
    out = gslb("servers", "drain", "web/nobody")  # the only region of the files that runs here
    assert out.returncode == 1 and "nobody" in out.stderr
    out = gslb("servers", "list")
    assert out.returncode == 2


def test_drain_and_undrain(region):
    port = region.port("web-1")
    assert region.ask("POST", "/servers/web/web-1/drain")[1]["status"] == "MAINTENANCE"
    until(lambda: port not in region.servers_seen(), 5, "no new requests")
    assert region.box.status("9471")["servers"]["web/web-1"]["state"] == "draining"
    assert region.ask("GET", "/summary")[1]["active_servers"] == 2
    assert region.ask("POST", "/servers/web/web-1/undrain")[1]["status"] == "ACTIVE"
    until(lambda: port in region.servers_seen(), 5, "requests again")
    assert region.registry()["rows"] == 0


# ---------------------------------------------------------------- leaving is draining
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Held:
    """A server whose answers wait: a long body, or a switched connection that echoes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", free_port()))
        self.port = self.listener.getsockname()[1]
        self.go_on = threading.Event()
        self.paths = []

    def __enter__(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, sock):
        with sock, contextlib.suppress(OSError):
            while data := self.head(sock):
                path = data.split(b" ")[1]
                self.paths.append(path)
                if b"upgrade: websocket" in data.lower():
                    sock.sendall(SWITCH)
                    while data := sock.recv(100):
                        sock.sendall(data.upper())
                elif path == b"/long":
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
                    self.go_on.wait(30)
                    sock.sendall(b"-last")
                else:
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    @staticmethod
    def head(sock):
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            more = sock.recv(4096)
            if not more:
                return b""
            data += more
        return data


@pytest.fixture
def opened():
    """Opens client connections to a region; closed with the test."""
    with contextlib.ExitStack() as stack:

        def connect(region, head):
            address = ("127.0.0.1", int(region.box.ports["8101"]))
            sock = stack.enter_context(socket.create_connection(address, 10))
            sock.sendall(head)
            return sock

        yield connect


def read_until(sock, end):
    data = b""
    while end not in data:
        more = sock.recv(4096)
        assert more, data
        data += more
    return data


def test_a_removed_server_finishes_what_it_has_and_nobody_else_notices(sandbox, opened):
    """A long response, a WebSocket and an idle connection are on it; others are served all the time."""
    sandbox.edit("eu-west.yaml", "workers: auto", "workers: 1")
    with contextlib.ExitStack() as stack:
        region, _ = stack.enter_context(serving(equal_weights(sandbox)))
        held = stack.enter_context(Held())
        for server in ("web-1", "web-2", "web-3"):
            assert region.ask("POST", f"/servers/web/{server}/drain")[0] == 200
        assert region.register("held", held.port, health_check_url="/health")[0] == 201
        until(lambda: all(get(region.url, host="www.example.com").body == b"ok" for _ in range(8)), 10,
              "only the new server to be used")  # fmt: skip
        other = opened(region, b"GET /other HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
        read_until(other, b"ok")
        long = opened(region, b"GET /long HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
        assert b"first" in read_until(long, b"first")
        chat = opened(region, b"GET /ws HTTP/1.1\r\nHost: www.example.com\r\nConnection: Upgrade\r\n"
                              b"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              b"Sec-WebSocket-Version: 13\r\n\r\n")  # fmt: skip
        assert b"101" in read_until(chat, b"\r\n\r\n")
        until(lambda: region.ask("GET", "/servers/web/held")[1]["active_connections"] == 2, 10, "both to be counted")

        for server in ("web-1", "web-2", "web-3"):
            assert region.ask("POST", f"/servers/web/{server}/undrain")[0] == 200
        code, gone = region.ask("DELETE", "/servers/web/held")
        assert (code, gone["removed"]) == (200, True)
        until(lambda: all(b"region" in get(region.url, host="www.example.com").body for _ in range(8)), 5,
              "only the others to serve")  # fmt: skip
        served = len(held.paths)
        assert held.port not in region.servers_seen(40)
        other.sendall(b"GET /other HTTP/1.1\r\nHost: www.example.com\r\n\r\n")  # its client's connection goes on
        assert b"region" in read_until(other, b"body_bytes")
        chat.sendall(b"still here")
        assert read_until(chat, b"HERE") == b"STILL HERE"
        held.go_on.set()
        assert read_until(long, b"-last").endswith(b"-last")
        long.sendall(b"GET /next HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
        assert b"region" in read_until(long, b"body_bytes")
        chat.sendall(b"bye")
        assert read_until(chat, b"BYE") == b"BYE"
        assert [path for path in held.paths[served:] if path != b"/health"] == []
        assert region.ask("GET", "/servers/web/held")[0] == 404


# ---------------------------------------------------------------- what the files and rows say together
def test_a_rows_own_check_takes_its_server_out_and_in(region):
    assert region.register("checked", health_check_url="http://127.0.0.1:1/health", timeout_ms=200)[0] == 201
    until(lambda: region.ask("GET", "/servers/web/checked")[1]["state"] == "down", 15, "the check to fail")
    until(lambda: region.spare not in region.servers_seen(), 5, "it to be left alone")
    region.ask("PATCH", "/servers/web/checked", {"health_check_url": "/health"})
    until(lambda: region.ask("GET", "/servers/web/checked")[1]["state"] == "up", 15, "the check to pass")
    region.ask("PATCH", "/servers/web/checked", {"health_check_url": None, "protocol": "tcp"})
    until(lambda: region.ask("GET", "/servers/web/checked")[1]["why"] == "connected", 15, "a bare connection")
    assert region.ask("DELETE", "/servers/web/checked")[0] == 200


def test_a_reload_keeps_rows_and_shows_what_fits_nothing_any_more(started):
    region, _ = started
    assert region.register()[0] == 201
    region.ask("PATCH", "/servers/web/web-3", {"weight": 4})
    region.box.edit("eu-west.yaml", "{id: web-3,", "{id: web-4,")
    assert region.box.gslb("reload", "--node", region.admin).returncode == 0
    assert region.spare in region.servers_seen(40)
    code, orphan = region.ask("GET", "/servers/web/web-3")
    assert (code, orphan["origin"], orphan["state"]) == (200, "orphan", "unused")
    assert "not in the files any more" in orphan["note"]
    assert "not in the files any more" in words(region.box.gslb("status", "--node", region.admin).stdout)
    assert region.ask("DELETE", "/servers/web/web-3")[0] == 200
    assert region.ask("GET", "/servers/web/extra")[1]["origin"] == "registered"


def test_the_api_answers_bad_words_alike(region):
    for method, path, body, code, field in [
        ("POST", "/servers", {"pool": "web", "host": "127.0.0.1", "port": 9, "weight": -1}, 400, "weight"),
        ("POST", "/servers", {"pool": "web", "host": "127.0.0.1"}, 400, "port"),
        ("POST", "/servers", {"pool": "no", "host": "127.0.0.1", "port": 9}, 400, "pool"),
        ("POST", "/servers", {"pool": "web", "host": "127.0.0.1", "port": int(region.box.ports["8101"])}, 400, "port"),
        ("POST", "/servers", {"pool": "web", "server_id": "web-1", "host": "127.0.0.1", "port": 9}, 409, "host"),
        ("POST", "/servers", b"{", 400, None),
        ("POST", "/servers", b"[" * 4000, 400, None),
        ("POST", "/servers", b"{" + b" " * 5000 + b"}", 413, None),
        ("PATCH", "/servers/web/web-1", {"host": "10.0.0.1"}, 400, "host"),
        ("PATCH", "/servers/web/nobody", {"weight": 1}, 404, None),
        ("DELETE", "/servers/web/web-1", None, 409, None),
        ("DELETE", "/servers/web/nobody", None, 404, None),
        ("GET", "/servers/web/nobody", None, 404, None),
        ("GET", "/servers/nobody", None, 404, None),
        ("GET", "/servers/web/nobody/metrics", None, 404, None),
        ("POST", "/servers/web/nobody/drain", None, 404, None),
        ("PUT", "/servers/web/web-1", {}, 405, None),
    ]:
        got, answer = region.ask(method, path, body)
        assert got == code, (method, path, body, answer)
        assert answer["error"] and answer.get("field") == field
    assert region.registry()["rows"] == 0


def test_registering_is_idempotent_by_id(region):
    code, made = region.register("same", weight=2)
    again, kept = region.register("same", weight=2)
    assert (code, again) == (201, 200)
    assert kept["updated_at"] == made["updated_at"]
    assert region.ask("GET", "/servers/same")[1]["server_id"] == "same"
    other = int(region.box.ports["9012"])
    code, moved = region.register("same", other, max_connections=7)
    assert (code, moved["port"], moved["weight"], moved["max_connections"]) == (200, other, 2, 7)
    assert region.ask("DELETE", "/servers/web/same")[0] == 200
    assert region.ask("DELETE", "/servers/web/same")[0] == 404


def test_a_change_needs_the_token_if_there_is_one(sandbox, monkeypatch):
    (sandbox.config / "token").write_text("sesame")
    sandbox.edit("gslb.yaml", "cluster: example", "secrets: {admin_token: {file: token}}\ncluster: example")
    with running(sandbox.cluster(), "eu-west", "eu-west-backends"):
        region = Region(sandbox)
        region.wait()
        for method, path in (("POST", "/servers"), ("PATCH", "/servers/web/web-1"), ("DELETE", "/servers/web/web-1")):
            assert region.ask(method, path, {"weight": 2})[0] == 401
        assert region.ask("GET", "/servers")[0] == 200
        assert region.ask("PATCH", "/servers/web/web-1", {"weight": 3}, token="sesame")[0] == 200
        assert sandbox.gslb("servers", "drain", "web/web-1").returncode == 2
        monkeypatch.setenv("GSLB_ADMIN_TOKEN", "sesame")
        assert sandbox.gslb("servers", "drain", "web/web-1").returncode == 0


def test_an_edge_says_where_to_ask(sandbox):
    with running(sandbox.cluster(), "edge-1"):
        until(lambda: get(f"{sandbox.admin}/healthz").status == 200, 20, "the edge")
        page = get(f"{sandbox.admin}/servers")
        assert page.status == 404 and "ask a region's node" in page.json()["error"]


# ---------------------------------------------------------------- what servers did
def test_every_server_is_counted_and_its_history_kept(sandbox):
    sandbox.edit("eu-west.yaml", "  routes:", "  registry: {metrics_interval: 1s}\n  routes:")
    with serving(equal_weights(sandbox)) as (region, cluster):
        region.register("refusing", free_port(), protocol="tcp")
        seen = region.servers_seen(40)
        total = sum(seen.values()) + 1  # and the one that `wait` made

        def counted():
            return {one["server_id"]: one for one in region.ask("GET", "/servers")[1]["servers"]}

        until(lambda: sum(one["total_requests"] - one["failed_requests"] for one in counted().values()) >= total, 10,
              "all to be counted")  # fmt: skip
        found = counted()
        for server in ("web-1", "web-2", "web-3"):
            assert found[server]["total_requests"] >= seen[region.port(server)] > 0
            assert found[server]["failed_requests"] == 0
            assert 0 < found[server]["average_response_time"] < 5
        assert found["refusing"]["failed_requests"] == found["refusing"]["total_requests"] > 0

        summary = region.ask("GET", "/summary")[1]
        assert summary["total_requests"] >= total
        assert summary["success_rate"] == 1.0
        assert summary["requests_per_second"] > 0
        assert 0 < summary["p50"] <= summary["p95"] <= summary["p99"]
        assert summary["active_servers"] >= 3
        metrics = region.metrics()
        assert metrics['gslb_server_requests_total{pool="web",server="web-2"}'] >= seen[region.port("web-2")]
        assert metrics['gslb_server_failed_total{pool="web",server="refusing"}'] > 0

        def kept():
            return region.ask("GET", "/servers/web/web-2/metrics")[1]["metrics"]

        until(lambda: bool(kept()) and kept()[0]["total_requests"] >= seen[region.port("web-2")], 10, "the history")
        workers = [p["pid"] for p in region.box.status("9471")["processes"] if p["role"] == "worker"]
        before = counted()["web-1"]["total_requests"]
        for pid in workers:  # what a dead worker did is not forgotten
            os.kill(pid, signal.SIGKILL)
        until(lambda: get(region.url, host="www.example.com").status == 200, 20, "new workers")
        until(lambda: counted()["web-1"]["total_requests"] >= before, 10, "the totals")
        with contextlib.closing(sqlite3.connect(region.file())) as file:
            assert file.execute("SELECT count(*) FROM server_metrics").fetchone()[0] > 0
        restart(region, cluster)
        assert kept()[0]["total_requests"] >= seen[region.port("web-2")]


# ---------------------------------------------------------------- what goes wrong
LOCK = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
held.execute("BEGIN IMMEDIATE" if sys.argv[2] == "writes" else "PRAGMA locking_mode = EXCLUSIVE")
held.execute("CREATE TABLE held (x)" if sys.argv[2] == "writes" else "BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked(path, what="writes"):
    """Another process holds the database: its write lock, or all of it."""
    with subprocess.Popen([sys.executable, "-c", LOCK, str(path), what], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:  # fmt: skip
        assert other.stdout.readline() == "held\n"
        try:
            yield
        finally:
            other.kill()


def test_a_locked_database_refuses_changes_and_stops_no_traffic(started):
    region, cluster = started
    assert region.register()[0] == 201
    with locked(region.file()):
        code, refused = region.ask("PATCH", "/servers/web/web-1", {"weight": 2})
        assert code == 503 and "locked by another process" in refused["error"]
        out = region.box.gslb("servers", "set", "web/web-1", "--weight", "2", "--region", "eu-west")
        assert out.returncode == 1 and "locked by another process" in out.stderr
        assert region.registry()["ok"] is False
        assert "locked" in words(region.box.gslb("status", "--node", region.admin).stdout)
        assert region.metrics()["gslb_registry_ok"] == 0.0
        assert region.metrics()['gslb_registry_changes_total{result="refused"}'] == 2.0
        assert region.spare in region.servers_seen(40)
        assert region.ask("GET", "/servers/web/web-1")[1]["weight"] == 1
    assert region.ask("PATCH", "/servers/web/web-1", {"weight": 2})[0] == 200
    assert region.registry()["ok"] is True and region.metrics()["gslb_registry_ok"] == 1.0

    # locked when the node starts: it serves by the files, and takes the rows when it can
    process = cluster.members["eu-west"].process
    process.terminate()
    assert process.wait(20) == 0
    with locked(region.file(), "all"):
        cluster.start("eu-west")
        region.wait()
        assert set(region.servers_seen()) == {region.port(f"web-{n}") for n in (1, 2, 3)}
        assert "locked by another process" in region.registry()["why"]
        assert region.register("more", region.spare)[0] == 503
    until(lambda: region.spare in region.servers_seen(40), 10, "the rows")
    assert region.registry()["ok"] is True


def test_a_replaced_control_goes_on_with_the_rows_whatever_the_database_does(started):
    region, _ = started
    assert region.register()[0] == 201
    until(lambda: region.spare in region.servers_seen(40), 5, "the new server to be used")
    control = next(p["pid"] for p in region.box.status("9471")["processes"] if p["role"] == "control")
    os.kill(control, signal.SIGSTOP)  # it can't write any more
    region.damage(b"junk" * 5000)
    os.kill(control, signal.SIGKILL)

    def replaced():
        found = [p for p in region.box.status("9471")["processes"] if p["role"] == "control"]
        return found[0]["pid"] != control and found[0]["ready"]

    until(replaced, 20, "a new control")
    assert region.spare in region.servers_seen(40)
    until(lambda: region.registry()["ok"], 10, "a new database")
    assert len(region.registry()["set_aside"]) == 1
    with contextlib.closing(sqlite3.connect(region.file())) as file:  # made anew of what was known
        assert file.execute("SELECT server_id FROM servers").fetchall() == [("extra",)]


def test_a_corrupt_database_is_set_aside_and_told(started):
    region, cluster = started
    assert region.register()[0] == 201
    process = cluster.members["eu-west"].process
    process.terminate()
    assert process.wait(20) == 0
    region.damage(os.urandom(20_000))
    cluster.start("eu-west")
    region.wait()
    assert set(region.servers_seen()) == {region.port(f"web-{n}") for n in (1, 2, 3)}
    registry = region.registry()
    assert registry["ok"] is True
    (aside,) = registry["set_aside"]
    assert re.search(r"registry\.db\.broken-\d{8}T\d{6}Z$", aside) and Path(aside).stat().st_size == 20_000
    assert "a corrupt file is set aside" in words(region.box.gslb("status", "--node", region.admin).stdout)
    assert region.metrics()["gslb_registry_set_aside_total"] == 1.0
    assert region.register()[0] == 201
    restart(region, cluster)
    assert region.spare in region.servers_seen(40)


def test_a_database_that_is_lost_while_it_runs_is_made_anew(started):
    region, cluster = started
    assert region.register()[0] == 201
    region.file().unlink()
    code, refused = region.ask("PATCH", "/servers/web/web-1", {"weight": 2})
    assert code == 503 and "try again" in refused["error"]
    assert region.ask("PATCH", "/servers/web/web-1", {"weight": 2})[0] == 200
    restart(region, cluster)
    assert region.registry()["rows"] == 2
    assert region.spare in region.servers_seen(40)


def test_a_full_disk_refuses_changes_and_stops_no_traffic(sandbox):
    """The state directory is a real, tiny file system."""
    folder = sandbox.folder / "run/state/eu-west-demo"
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True,
                             check=False)  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root; tests/unit/state/test_servers.py bounds the pages instead")
    try:
        with serving(equal_weights(sandbox)) as (region, cluster):
            assert region.register()[0] == 201
            filler = folder / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 512)
            answers = [region.register(f"s{number}", region.spare) for number in range(200)]
            refused = [answer for code, answer in answers if code == 503]
            assert refused and "make room on its disk" in refused[-1]["error"]
            assert region.registry()["ok"] is False
            assert region.servers_seen(40)[region.spare] > 0
            filler.unlink()
            assert region.register("after", region.spare)[0] == 201
            assert region.registry()["ok"] is True
            kept = region.registry()["rows"]
            restart(region, cluster)
            assert region.registry()["rows"] == kept == 2 + sum(code == 201 for code, _ in answers)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
