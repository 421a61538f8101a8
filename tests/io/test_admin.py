"""The admin API over real sockets: what it says, to whom, and what bad input gets."""

import asyncio
import json
import socket
import subprocess

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gslb.errors import ConfigError, GslbError, Problem
from gslb.ops import admin
from gslb.ops.admin import make_app, run_admin

TOKEN = {"Authorization": "Bearer sesame"}


class Node:
    """A node as the admin API sees it."""

    def __init__(self):
        self.ok, self.reloads, self.gate, self.problem = True, 0, None, None

    def metrics(self):
        return b"# HELP gslb_isolated x\n# TYPE gslb_isolated gauge\ngslb_isolated 0.0\n"

    def status(self):
        return {"node": "edge-1", "regions": {"eu": {"state": "up", "why": "ünï"}}}

    def health(self):
        return {"ok": self.ok, "workers": 1}

    def explain(self, name, client):
        if name != "www.example.com":
            raise GslbError(f"{name!r} is not a service")
        return {"name": name, "client": client}

    async def reload(self):
        self.reloads += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.problem is not None:
            raise self.problem
        return {"plan_generation": self.reloads}

    def restart(self):
        if self.problem is not None:
            raise self.problem
        return {"incarnation": 7}


class Served:
    def __init__(self, node, port, client):
        self.node, self.port, self.client = node, port, client

    async def ask(self, path, method="GET", **words):
        headers = words.pop("headers", {})
        async with self.client.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, **words) as got:
            return got.status, await got.json(), got.headers


@pytest.fixture
async def serve():
    closing = []

    async def start(token=None):
        node = Node()
        sock = socket.create_server(("127.0.0.1", 0))
        runner = await run_admin(make_app(node, token), sock)
        client = aiohttp.ClientSession()
        closing.extend((client.close, runner.cleanup))
        return Served(node, sock.getsockname()[1], client)

    yield start
    for close in closing:
        await close()


@pytest.fixture
async def api(serve):
    return await serve()


# ---------------------------------------------------------------- what it says
async def test_the_answers_are_json(api):
    assert await said(api, "/status") == (200, api.node.status())
    assert await said(api, "/explain?name=www.example.com&client=81.2.69.142") == (
        200, {"name": "www.example.com", "client": "81.2.69.142"},
    )  # fmt: skip
    assert (await said(api, "/version"))[1].keys() == {"version"}
    assert "POST /reload" in (await said(api, "/"))[1]["routes"]
    assert await said(api, "/reload", method="POST") == (200, {"plan_generation": 1})
    assert await said(api, "/restart", method="POST") == (202, {"incarnation": 7})
    api.node.problem = GslbError("workers: 0")
    assert await said(api, "/restart", method="POST") == (400, {"error": "workers: 0"})


async def said(api, path, **words):
    status, body, _ = await api.ask(path, **words)
    return status, body


async def test_curl_gets_the_metrics_and_health():
    node = Node()
    sock = socket.create_server(("127.0.0.1", 0))
    runner = await run_admin(make_app(node, "sesame"), sock)

    async def curl(path, *words):
        url = f"http://127.0.0.1:{sock.getsockname()[1]}{path}"
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--noproxy", "*", "-D-", *words, url, stdout=subprocess.PIPE
        )
        head, _, body = (await process.communicate())[0].decode().partition("\r\n\r\n")
        return head, body

    head, body = await curl("/metrics")
    assert "content-type: text/plain; version=0.0.4" in head.lower()
    assert [family.name for family in text_string_to_metric_families(body)] == ["gslb_isolated"]
    assert (await curl("/healthz"))[0].startswith("HTTP/1.1 200")
    assert "aiohttp" not in head
    node.ok = False
    head, body = await curl("/healthz")
    assert head.startswith("HTTP/1.1 503")
    assert json.loads(body) == {"ok": False, "workers": 1}
    assert (await curl("/healthz", "-I"))[0].startswith("HTTP/1.1 503")
    await runner.cleanup()


# ---------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nothing", 404, "there is no /nothing"),
        ("GET", "/nothing/../../etc/passwd", 404, "there is no"),
        ("POST", "/status", 405, "use GET or HEAD"),
        ("GET", "/reload", 405, "use POST"),
        ("DELETE", "/metrics", 405, "use GET"),
        ("GET", "/explain", 400, "name= is missing"),
        ("GET", "/explain?name=www.example.com", 400, "client= is missing"),
        ("GET", "/explain?name=nobody&client=1.2.3.4", 400, "'nobody' is not a service"),
        ("GET", f"/explain?name={'x' * 300}&client=1.2.3.4", 400, "longer than"),
        ("GET", "/%ff%00", 404, "there is no"),
    ],
)
async def test_a_wrong_question_is_told_what_is_right(api, method, path, status, says):
    got, body, headers = await api.ask(path, method=method)
    assert got == status
    assert says in body["error"]
    assert ("Allow" in headers) == (status == 405)


async def test_a_refused_configuration_lists_every_problem_and_changes_nothing(api):
    api.node.problem = ConfigError([Problem("gslb.yaml", 7, "zones.x", "is wrong", "write y")])
    status, body = await said(api, "/reload", method="POST")
    assert status == 422
    assert body["problems"] == [
        {"file": "gslb.yaml", "line": 7, "path": "zones.x", "message": "is wrong", "remedy": "write y",
         "kind": "invalid", "text": "gslb.yaml:7: zones.x: is wrong (write y)"}
    ]  # fmt: skip
    api.node.problem = None
    assert (await said(api, "/reload", method="POST"))[0] == 200


async def test_one_reload_at_a_time(api):
    api.node.gate = asyncio.Event()
    first = asyncio.create_task(said(api, "/reload", method="POST"))
    while not api.node.reloads:
        await asyncio.sleep(0.005)
    assert (await said(api, "/reload", method="POST"))[0] == 409
    api.node.gate.set()
    assert (await first)[0] == 200
    assert api.node.reloads == 1


async def test_requests_at_one_time_are_bounded(api, monkeypatch):
    monkeypatch.setattr(admin, "REQUESTS_MAX", 1)
    api.node.gate = asyncio.Event()
    first = asyncio.create_task(said(api, "/reload", method="POST"))
    while not api.node.reloads:
        await asyncio.sleep(0.005)
    status, _, headers = await api.ask("/status")
    assert (status, headers["Retry-After"]) == (503, "1")
    api.node.gate.set()
    await first
    assert (await said(api, "/status"))[0] == 200


@pytest.mark.parametrize(
    "junk",
    [b"\0\1\2\3\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
     b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 100_000, b"POST /reload HTTP/1.1\r\nHost"],
    ids=lambda data: repr(data)[:30],
)  # fmt: skip
async def test_junk_is_survived(api, junk):
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(junk)
    if writer.can_write_eof():
        writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer[:9] in {b"HTTP/1.1 ", b"HTTP/1.0 ", b"", b"HTTP/9.9 "}
    assert b"200" not in answer[:12]
    assert b"Traceback" not in answer
    assert (await said(api, "/status"))[0] == 200


# ---------------------------------------------------------------- who may
REMOTE = "203.0.113.9"


def from_afar(monkeypatch):
    monkeypatch.setattr(admin, "_is_here", lambda remote: False)


async def test_without_a_token_only_this_host_is_served(api, monkeypatch):
    from_afar(monkeypatch)
    for path in ("/healthz", "/version"):
        assert (await said(api, path))[0] == 200
    for path, method in (("/status", "GET"), ("/", "GET"), ("/explain", "GET"), ("/reload", "POST"), ("/x", "GET")):
        status, body = await said(api, path, method=method)
        assert status == 403
        assert "only this host" in body["error"]
    assert api.node.reloads == 0


async def test_with_a_token_a_change_needs_it_even_here(serve):
    api = await serve("sesame")
    for headers in ({}, *({"Authorization": word} for word in ("Bearer sesam", "sesame", "Bearer é", "Bearer "))):
        status, _, answer = await api.ask("/reload", method="POST", headers=headers)
        assert (status, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert api.node.reloads == 0
    assert (await said(api, "/reload", method="POST", headers=TOKEN))[0] == 200
    assert (await said(api, "/status"))[0] == 200


async def test_with_a_token_reading_from_afar_needs_it(serve, monkeypatch):
    api = await serve("sesame")
    from_afar(monkeypatch)
    assert (await said(api, "/status"))[0] == 401
    assert (await said(api, "/healthz"))[0] == 200
    assert (await said(api, "/status", headers=TOKEN))[0] == 200
    assert (await said(api, "/status", headers={**TOKEN, "Host": "edge-1.example.com"}))[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil", "127.0.0.1@evil", "0x7f000001", ""],
)
async def test_a_name_that_was_bound_to_this_host_is_refused(api, host):
    assert (await said(api, "/status", headers={"Host": host}))[0] in {400, 403}
    assert (await said(api, "/reload", method="POST", headers={"Host": host}))[0] in {400, 403}
    assert api.node.reloads == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9470", "localhost", "LocalHost:1", "[::1]:9470", "10.0.0.1"])
async def test_an_address_or_localhost_is_served(api, host):
    assert (await said(api, "/status", headers={"Host": host}))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
async def test_another_sites_page_is_refused(api, headers):
    assert (await said(api, "/reload", method="POST", headers=headers))[0] == 403
    assert api.node.reloads == 0


@pytest.mark.parametrize(
    ("remote", "here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False),
     ("::ffff:10.0.0.1", False), ("fe80::1%eth0", False), ("", False), (None, False), ("x", False)],
)  # fmt: skip
def test_who_is_on_this_host(remote, here):
    assert admin._is_here(remote) is here
