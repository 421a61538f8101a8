"""The front door over real sockets, with curl and raw bytes as the clients."""

import asyncio
import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.balancing.sessions import Session, moved, seal, started
from gslb.geo.locate import Locator
from gslb.http import answering
from gslb.http.frontdoor import FrontDoor
from gslb.model import Location, Plan, Region, RegionStatus, Service, SessionCookie, State, Status, World
from gslb.steering.policy import POLICIES
from gslb.telemetry import local_counters

EU = Region("eu", Location(53.34, -6.26, "IE"), ("192.0.2.10",), (), "http://eu.example.net:8101")
US = Region("us", Location(39.0, -77.5, "US"), ("192.0.2.20",), (), "https://us.example.net/")
LOOP = Region("loop", Location(0.0, 0.0), ("192.0.2.30",), (), "http://loop.example.com")
LONDON, NEW_YORK = Location(51.5, -0.1, "GB", "EU"), Location(40.7, -74.0, "US", "NA")
AUTHORITIES = {"eu.example.net:8101", "us.example.net"}


class Geography:
    """81.0.0.0/8 is London, 12.0.0.0/8 New York, 127.0.0.0/8 London too."""

    def lookup(self, address: int, family: int):
        place = {81: LONDON, 127: LONDON, 12: NEW_YORK}.get(address >> 24) if family == 4 else None
        return place, 8


def plan(trusted=()) -> Plan:
    services = (
        Service("www.example.com", (EU, US), (POLICIES.get("nearest")(),)),
        Service("loop.example.com", (LOOP,), (POLICIES.get("failover")(),)),
        Service("turns.example.com", (EU, US), (POLICIES.get("weighted")(by="answer"),)),
    )
    regions = {region.name: region for region in (EU, US, LOOP)}
    return Plan("test", 1, regions, {one.name: one for one in services}, {}, trusted_proxies=tuple(trusted))


class Running:
    """A front door on a uvloop in a thread of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counters = local_counters(world.plan)
        self.errors: list[dict] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.door = FrontDoor(self.world, self.locator(self.world), self.counters, clock=time.monotonic)
        server = await self.loop.create_server(self.door.protocol, "127.0.0.1", 0)
        self.address = server.sockets[0].getsockname()
        self.url = "http://{}:{}".format(*self.address)
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        server.close()
        self.door.close()
        await asyncio.sleep(0)

    @staticmethod
    def locator(world: World) -> Locator:
        return Locator(Geography(), world.plan.services)

    def call(self, function, *arguments):
        """Runs `function` in the loop."""

        async def run():
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def swap(self, world: World) -> None:
        self.call(self.door.swap, world, self.locator(world), self.counters)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    # ------------------------------------------------------------ a client
    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)

    def exchange(self, data: bytes, *, end: bool = True) -> bytes:
        """Sends `data`, ends our side, returns all that comes until the other side ends."""
        with self.connect() as sock:
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := sock.recv(65536):
                received += chunk
            return received


UP = Status(1, {name: RegionStatus(State.UP) for name in ("eu", "us", "loop")})
PLAIN = World(plan(), UP)
TRUSTING = World(plan(("127.0.0.0/8", "10.0.0.0/8")), UP)


@pytest.fixture(scope="module")
def running():
    one = Running(PLAIN)
    yield one
    one.stop()
    assert one.errors == []


@pytest.fixture(autouse=True)
def plain(running):
    """What one test has served by is nothing to the next, in whatever order they come."""
    running.swap(PLAIN)


@pytest.fixture
def door(running):
    return running


def get(target: str = "/", host: str = "www.example.com", *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def parse(data: bytes) -> list[tuple[int, dict[str, str]]]:
    """Status and fields of every response, by its Content-Length."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        fields = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
        found.append((int(line.split()[1]), fields))
        data = data[int(fields["content-length"]) :]
    return found


# ---------------------------------------------------------------- what it is for
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is the client here")
@pytest.mark.parametrize(("method", "status"), [("GET", 302), ("HEAD", 302), ("POST", 307), ("DELETE", 307)])
def test_curl(door, method, status):
    how = ["-I"] if method == "HEAD" else ["-X", method]
    body = ["-d", "a=1"] if method == "POST" else []
    host, port = door.address
    ran = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-D", "-", *how, *body,
         "--resolve", f"www.example.com:{port}:{host}", f"http://www.example.com:{port}/a%20b/c?x=1&y=//z"],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    assert ran.stderr == ""
    assert ran.stdout.startswith(f"HTTP/1.1 {status} ")
    fields = dict(line.split(": ", 1) for line in ran.stdout.splitlines()[1:] if ": " in line)
    assert fields["Location"] == "http://eu.example.net:8101/a%20b/c?x=1&y=//z"
    assert fields["Cache-Control"] == "no-store"
    assert fields["X-Gslb-Region"] == "eu"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", fields["Date"])


def test_a_redirected_curl_gets_there(door):
    """Followed for real, to a region that is this very listener under another name."""
    host, port = door.address
    here = replace(EU, url=f"http://here.example.net:{port}")
    services = {"www.example.com": Service("www.example.com", (here,), ())}
    door.swap(World(replace(plan(), services=services), UP))
    ran = subprocess.run(
        ["curl", "-sSL", "-o", "/dev/null", "-w", "%{url_effective}",
         "--resolve", f"www.example.com:{port}:{host}", "--resolve", f"here.example.net:{port}:{host}",
         f"http://www.example.com:{port}/.well-known/gslb"],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    assert ran.stdout == f"http://here.example.net:{port}/.well-known/gslb"


def test_keep_alive_and_pipelining_in_order(door):
    targets = [f"/{i}" for i in range(300)]
    found = parse(door.exchange(b"".join(map(get, targets))))
    assert [fields["location"] for _, fields in found] == [f"http://eu.example.net:8101{each}" for each in targets]


def test_the_short_way_answers_as_the_long_way(door):
    """The same requests on one connection (remembered fields) and on one each (validated) get the same answers."""
    requests = [get(f"/{i}?{i}", method=method) for i in range(3) for method in ("GET", "POST", "HEAD", "PURGE")]
    with door.connect() as sock:
        together = []
        for request in requests:
            sock.sendall(request)
            together.append(sock.recv(65536))
    alone = [door.exchange(request) for request in requests]
    undated = re.compile(rb"Date: [^\r]*")
    assert [undated.sub(b"", each) for each in together] == [undated.sub(b"", each) for each in alone]


def test_heads_in_pieces(door):
    request = get("/slow", "www.example.com", "X: y")
    with door.connect() as sock:
        for i in range(len(request)):
            sock.sendall(request[i : i + 1])
        assert b"/slow\r\n" in sock.recv(65536)
        sock.sendall(request[:20])
        sock.sendall(request[20:])
        assert b"/slow\r\n" in sock.recv(65536)


def test_a_new_status_moves_open_connections(door):
    request = get()
    with door.connect() as sock:
        seen = []
        for state in (State.UP, State.DOWN, State.UP):
            door.swap(World(PLAIN.plan, replace(UP, regions={**UP.regions, "eu": RegionStatus(state)})))
            for _ in range(2):
                sock.sendall(request)
                seen.append(re.search(rb"X-Gslb-Region: (\w+)", sock.recv(65536))[1])
    assert seen == [b"eu", b"eu", b"us", b"us", b"eu", b"eu"]


def test_all_down_still_redirects(door):
    door.swap(World(PLAIN.plan, Status(2, {name: RegionStatus(State.DOWN) for name in ("eu", "us")})))
    ((status, fields),) = parse(door.exchange(get()))
    assert (status, fields["x-gslb-region"]) == (302, "eu")


def test_answers_take_turns_on_one_connection(door):
    found = parse(door.exchange(get("/", "turns.example.com") * 10))
    assert [fields["x-gslb-region"] for _, fields in found].count("us") == 5
    with door.connect() as sock:
        seen = []
        for _ in range(10):
            sock.sendall(get("/", "turns.example.com"))
            seen.append(re.search(rb"X-Gslb-Region: (\w+)", sock.recv(65536))[1])
    assert seen.count(b"us") == 5


# ---------------------------------------------------------------- who asks
@pytest.mark.parametrize(
    ("world", "fields", "region"),
    [
        (PLAIN, ["X-Forwarded-For: 12.0.0.1"], "eu"),
        (TRUSTING, [], "eu"),
        (TRUSTING, ["X-Forwarded-For: 12.0.0.1"], "us"),
        (TRUSTING, ["X-Forwarded-For: 81.0.0.1, 12.0.0.1, 10.0.0.1"], "us"),
        (TRUSTING, ["X-Forwarded-For: 12.0.0.1, 81.0.0.1"], "eu"),
        (TRUSTING, ["Forwarded: for=12.0.0.1"], "us"),
        (TRUSTING, ['Forwarded: for="12.0.0.1:4711";proto=http'], "us"),
        (TRUSTING, ["X-Forwarded-For: nonsense"], "eu"),
    ],
)
def test_the_client_behind_proxies(door, world, fields, region):
    door.swap(world)
    found = parse(door.exchange(get("/", "www.example.com", *fields) * 2))
    assert [each["x-gslb-region"] for _, each in found] == [region] * 2


def test_one_connection_many_clients(door):
    """A trusted proxy's connection carries requests of several clients: none gets another's answer."""
    door.swap(TRUSTING)
    with door.connect() as sock:
        for client, region in (("12.0.0.1", b"us"), ("81.0.0.1", b"eu")) * 3:
            sock.sendall(get("/", "www.example.com", f"X-Forwarded-For: {client}"))
            assert b"X-Gslb-Region: " + region in sock.recv(65536)


# ---------------------------------------------------------------- which service
@pytest.mark.parametrize("host", ["www.example.com", "WWW.Example.COM", "www.example.com:8080", "www.example.com."])
def test_hosts_of_a_service(door, host):
    assert parse(door.exchange(get("/", host)))[0][0] == 302


@pytest.mark.parametrize(
    "host", ["evil.com", "eu.example.net:8101", "www.example.com.evil.com", "127.0.0.1", "[::1]:80"]
)
def test_other_hosts_are_421(door, host):
    ((status, fields),) = parse(door.exchange(get("/", host)))
    assert status == 421
    assert "location" not in fields


def test_an_absolute_target_replaces_the_host(door):
    ((status, fields),) = parse(door.exchange(get("http://www.example.com/x", "evil.com")))
    assert (status, fields["location"]) == (302, "http://eu.example.net:8101/x")
    assert parse(door.exchange(get("http://evil.com/x")))[0][0] == 421


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: www.example.com\r\nHost: www.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"GET /\r\nHost: www.example.com\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"GET / HTTP/1.1\nHost: www.example.com\n\n",
        b"POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_400_and_close(door, head):
    ((status, fields),) = parse(door.exchange(head, end=False))
    assert (status, fields["connection"]) == (400, "close")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (get("/" + "x" * 9000), 414),
        (get("/", "www.example.com", "X: " + "x" * 40_000), 431),
        (get("/", "www.example.com", *["X: y"] * 200), 431),
        (get(method="TRACE"), 405),
        (b"CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com\r\n\r\n", 405),
        (b"GET / HTTP/2.0\r\nHost: www.example.com\r\n\r\n", 505),
        (get(method="get"), 501),
        (get("/", "www.example.com", "Expect: the-worst"), 417),
    ],
)
def test_other_refusals(door, head, status):
    assert parse(door.exchange(head, end=False))[0][0] == status


def test_too_long_a_target_is_refused_on_a_known_connection_too(door):
    with door.connect() as sock:
        sock.sendall(get("/ok"))
        assert b" 302 " in sock.recv(65536)
        sock.sendall(get("/" + "x" * 9000))
        assert b" 414 " in sock.recv(65536)


def test_a_loop_is_refused(door):
    for host in ("loop.example.com", "loop.example.com:80"):
        ((status, fields),) = parse(door.exchange(get("/", host)))
        assert status == 508
        assert "location" not in fields
    assert parse(door.exchange(get("/", "loop.example.com:8080")))[0][0] == 302  # another port is another place


def test_the_edges_own_health(door):
    answer = door.exchange(get("/.well-known/gslb", "127.0.0.1"))
    assert parse(answer)[0][0] == 200
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
        "role": "edge",
        "state": "up",
        "stale": False,
        "generation": 1,
    }
    assert parse(door.exchange(get("/.well-known/gslb")))[0][0] == 302  # of a service, it is the region's


# ---------------------------------------------------------------- bodies, time, ends
@pytest.mark.parametrize("fields", [["Content-Length: 3000000"], ["Transfer-Encoding: chunked"]])
def test_a_body_is_not_waited_for_and_does_not_reset_the_answer(door, fields):
    """curl's and browsers' way: the whole body is sent before anything is read."""
    body = b"x" * 3_000_000 if "3000000" in fields[0] else b"2dc6c0\r\n" + b"x" * 3_000_000 + b"\r\n0\r\n\r\n"
    ((status, found),) = parse(door.exchange(get("/", "www.example.com", *fields, method="POST") + body, end=False))
    assert (status, found["connection"]) == (307, "close")


def test_expect_100_continue_is_answered_at_once(door):
    request = get("/", "www.example.com", "Content-Length: 5", "Expect: 100-continue", method="PUT")
    assert parse(door.exchange(request, end=False))[0][0] == 307


@pytest.mark.parametrize(
    "request_head",
    [get("/", "www.example.com", "Connection: close"), b"GET / HTTP/1.0\r\nHost: www.example.com\r\n\r\n"],
)
def test_close_when_asked(door, request_head):
    ((status, fields),) = parse(door.exchange(request_head + get("/never"), end=False))
    assert (status, fields["connection"]) == (302, "close")


def test_slow_heads_get_408_and_idle_connections_end(monkeypatch):
    monkeypatch.setattr(answering, "LINGER_S", 0.2)
    one = Running(PLAIN)  # its own: short deadlines of one that tests share would outlast this test
    try:
        one.door.head_s = one.door.keepalive_s = 0.2
        before = one.call(lambda: one.door.keepalive_by)
        while one.call(lambda: one.door.keepalive_by) >= before:  # until the next sweep
            time.sleep(0.01)
        assert parse(one.exchange(b"GET / HT", end=False))[0][0] == 408
        assert one.exchange(b"", end=False) == b""
        assert parse(one.exchange(get(), end=False))[0][0] == 302
        with one.connect() as sock:
            sock.sendall(get("/", "www.example.com", "Content-Length: 5", method="POST"))
            received = b""
            while chunk := sock.recv(65536):
                received += chunk
            assert parse(received)[0][0] == 307
            deadline = time.monotonic() + 5  # our side stays open: the front door doesn't wait for it for ever
            while one.call(lambda: one.door.active) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert one.call(lambda: one.door.active) == 0
    finally:
        one.stop()
    assert one.errors == []


def test_a_client_that_does_not_read_is_not_read_either(door):
    """Pipelined without end and never read: what is kept for it is bounded; nothing is lost when it reads at last."""
    request = get("/" + "y" * 1000)
    stream = request * 100
    with door.connect() as sock:
        sock.settimeout(0.3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 60_000_000:
                sent += sock.send(stream[sent % len(stream) :])  # a send may take a part: the next goes on from there
        assert sent < 60_000_000
        connection = door.call(lambda: next(one for one in door.door.connections if one.paused))
        assert door.call(lambda: len(connection.buffer)) < 1_000_000
        assert door.call(connection.transport.get_write_buffer_size) < 1_000_000
        sock.settimeout(10)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := sock.recv(1 << 20):
            received += chunk
    assert received.count(b"HTTP/1.1 302") == sent // len(request)


def test_drain_closes_idle_connections_and_finishes_others():
    one = Running(PLAIN)
    try:
        with one.connect() as idle, one.connect() as busy:
            idle.sendall(get())
            assert b" 302 " in idle.recv(65536)
            busy.sendall(get()[:10])
            while one.call(lambda: sum(bool(each.buffer) for each in one.door.connections)) != 1:
                time.sleep(0.005)
            one.call(one.door.drain)
            assert idle.recv(65536) == b""
            busy.sendall(get()[10:])
            assert b"Connection: close" in busy.recv(65536)
        assert json.loads(one.exchange(get("/.well-known/gslb", "x")).partition(b"\r\n\r\n")[2])["state"] == "draining"
    finally:
        one.stop()
    assert one.errors == []


def test_connections_are_bounded(door, monkeypatch):
    monkeypatch.setattr(answering, "CONNECTIONS_MAX", 0)
    with door.connect() as sock:
        received = b""
        with contextlib.suppress(ConnectionError):
            sock.sendall(get())
            received = sock.recv(100)
    assert received == b""


def test_counted(door):
    def read(name: str, **labels) -> int:
        return door.call(lambda: door.counters.read(name, **labels))

    def all_of_it() -> tuple[int, ...]:
        return (
            read("gslb_frontdoor_requests_total", code=302),
            read("gslb_frontdoor_requests_total", code=421),
            read("gslb_frontdoor_redirects_total", service="www.example.com", region="eu"),
        )

    before = all_of_it()
    door.exchange(get() * 3)
    door.exchange(get("/", "evil.com"))
    assert [after - was for after, was in zip(all_of_it(), before, strict=True)] == [3, 1, 3]
    with door.connect() as sock:
        sock.sendall(get())
        sock.recv(100)
        assert read("gslb_frontdoor_active_connections") >= 1


# ---------------------------------------------------------------- bad input
TARGETS = st.one_of(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40),
    st.sampled_from(
        ["//evil.com/x", "/\\evil.com", "///evil.com", "/%0d%0aLocation:%20http://evil.com", "/@evil.com", "/..//evil",
         "http://evil.com/", "https://www.example.com/", "http://www.example.com@evil.com/", "/%2f%2fevil.com",
         "http://www.example.com\\@evil.com/", "/\r\nLocation: http://evil.com", "\\\\evil.com", ".evil.com",
         "@evil.com", ":80/", "*", "http://www.example.com//evil.com", "http:evil.com", "?x", "javascript:alert(1)"]
    ),
)  # fmt: skip
HOSTS = st.sampled_from(
    ["www.example.com", "evil.com", "www.example.com:80", "www.example.com@evil.com", "turns.example.com"]
)


@settings(max_examples=400, deadline=None)
@given(TARGETS, HOSTS, st.sampled_from(["GET", "POST", "HEAD"]), st.booleans())
def test_never_an_open_redirect(running, target, host, method, warm):
    """Whatever is asked for: one Location at most, under a configured region's authority, the target appended whole."""
    request = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
    if warm:
        request = get("/", host) + request
    answers = running.exchange(request)
    locations = re.findall(rb"\r\nlocation: ([^\r]*)\r\n", answers, re.IGNORECASE)
    assert len(locations) <= answers.count(b"HTTP/1.1 30")
    for location in locations:
        parts = urlsplit(location.decode())
        assert parts.netloc in AUTHORITIES
        assert parts.scheme == ("http" if parts.port else "https")
    if len(locations) == 1 + warm and target.startswith("/"):
        assert locations[-1].decode().endswith(target)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [get(), get("/", "evil.com"), b"\r\n\r\n", b"GET ", b"\r\n", b" HTTP/1.1", b"Host: a", b"\x00"]
            ),
        ),
        max_size=6,
    ),
    st.integers(0, 40),
)
def test_random_bytes_never_raise_and_the_next_good_request_is_served(running, pieces, cut):
    data = b"".join(pieces)
    running.exchange(data)
    mutated = get()[:cut] + data + get()[cut:]
    running.exchange(mutated)
    assert running.errors == []
    assert running.exchange(get()).startswith(b"HTTP/1.1 302 Found\r\n")


# ---------------------------------------------------------------- sessions
COOKIE = SessionCookie("gslb-web", "web", 0.0, 3600.0)
SESSIONS = replace(plan(), session_secret=b"shared", session_cookies={"www.example.com": (COOKIE,)})
NOW = int(time.time())
THERE = started(b"i" * 9, "us", b"t" * 6, NOW)
AWAY = moved(THERE, "eu", b"t" * 6, NOW)


def session_of(session: Session, name: str = "gslb-web") -> str:
    return f"Cookie: a=b; {name}={seal(session, b'shared', 'web').decode()}"


def sent_to(door, *fields: str) -> str:
    [(status, answered)] = parse(door.exchange(get("/x", "www.example.com", *fields)))
    assert (status, answered["location"].partition("/x")[1]) == (302, "/x")
    return answered["x-gslb-region"]


@pytest.mark.parametrize(
    ("fields", "us", "expected"),
    [
        ((session_of(THERE),), State.UP, "us"),
        ((session_of(THERE),), State.UNKNOWN, "us"),
        ((session_of(THERE),), State.DRAINING, "us"),
        ((session_of(THERE),), State.DOWN, "eu"),
        ((session_of(AWAY),), State.UP, "us"),  # failback: immediate
        ((session_of(AWAY),), State.DRAINING, "eu"),
        ((session_of(THERE, "other"),), State.UP, "eu"),
        ((session_of(replace(THERE, issued=NOW - 7200)),), State.UP, "eu"),
        (("Cookie: gslb-web=broken",), State.UP, "eu"),
        ((), State.UP, "eu"),
    ],
)
def test_where_a_session_is_sent(door, fields, us, expected):
    door.swap(World(SESSIONS, Status(1, {"eu": RegionStatus(State.UP), "us": RegionStatus(us)})))
    assert sent_to(door, *fields) == expected


def test_sessions_and_others_on_one_connection(door):
    door.swap(World(SESSIONS, UP))
    requests = [get("/", "www.example.com", *fields) for fields in [(), (session_of(THERE),)] * 3]
    found = parse(door.exchange(b"".join(requests)))
    assert [fields["x-gslb-region"] for _, fields in found] == ["eu", "us"] * 3
