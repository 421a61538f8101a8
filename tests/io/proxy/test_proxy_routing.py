"""What routes do with requests, over real sockets: conditions, splits, answers of their own, rewrites, mirrors."""

from __future__ import annotations

import asyncio

import pytest

from gslb.model import (
    Condition,
    HeadEdits,
    Mirror,
    Redirect,
    Respond,
    Retries,
    Rewrite,
    Route,
    Split,
    State,
    Status,
    Sticky,
    World,
)
from tests.support.proxying import fields_of, one_response, parsed, plan_of, pool_of, read_head, talk, until


def get(path: str = "/", fields: str = "", method: str = "GET", host: str = "www.example.com") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n".encode()


def lines(backend) -> list[str]:
    return [head.decode("latin-1").split("\r\n")[0] for head in backend.heads]


async def test_conditions_choose_the_route(start, backend):
    beta, posts, web = [await backend() for _ in range(3)]
    routes = (
        Route("beta", path="/app/*", conditions=(Condition("header", "x-beta", "exact", "1"),)),
        Route("posts", pattern="/app/[a-z]+", methods=("POST",)),
        Route("web", ("*.example.com",), "/app/**/x"),
        Route("web", ("*.example.com",)),
    )
    pools = pool_of([beta], "beta"), pool_of([posts], "posts"), pool_of([web], "web")
    running = await start(plan_of(*pools, routes=routes))
    assert parsed(await talk(running.port, get("/app/a", "X-Beta: 1\r\n"))).status == 200
    assert parsed(await talk(running.port, get("/app/a", "Content-Length: 0\r\n", "POST"))).status == 200
    assert parsed(await talk(running.port, get("/app/a", "X-Beta: 2\r\n"))).status == 200
    assert [len(one.heads) for one in (beta, posts, web)] == [1, 1, 1]
    missing = parsed(await talk(running.port, get("/app/a", host="example.org")))
    assert (missing.status, missing.getheader("X-Gslb-Error")) == (404, "no_route")


async def test_a_split_by_turns_passes_over_a_pool_without_servers(start, backend):
    stable, canary = await backend(), await backend()
    plan = plan_of(
        pool_of([stable], "stable"), pool_of([canary], "canary"),
        routes=(Route(action=Split((("stable", 3), ("canary", 1)))),),
    )  # fmt: skip
    running = await start(plan)
    for _ in range(8):
        await talk(running.port, get())
    assert (len(stable.heads), len(canary.heads)) == (6, 2)
    running.proxy.swap(World(plan, Status(servers={"canary/canary-1": State.DOWN})))
    for _ in range(4):
        assert parsed(await talk(running.port, get())).status == 200
    assert (len(stable.heads), len(canary.heads)) == (10, 2)
    assert running.count("gslb_http_requests_total", pool="canary", code="2xx") == 2


async def test_a_split_by_a_key_keeps_a_client_on_its_pool(start, backend):
    one, two = await backend(), await backend()
    split = Split((("one", 1), ("two", 1)), "cookie:user")
    running = await start(plan_of(pool_of([one], "one"), pool_of([two], "two"), routes=(Route(action=split),)))
    for user in range(12):
        before = len(one.heads), len(two.heads)
        for _ in range(3):
            await talk(running.port, get(fields=f"Cookie: a=b; user=u{user}\r\n"))
        assert sorted((len(one.heads) - before[0], len(two.heads) - before[1])) == [0, 3]
    assert one.heads
    assert two.heads


@pytest.mark.parametrize(("method", "status"), [("GET", 308), ("HEAD", 308), ("POST", 308)])
async def test_a_redirect_needs_no_server(method, status, start, backend):
    server = await backend()
    routes = (
        Route(hosts=("www.example.com",), path="/old/*", action=Redirect("https://{host}{path}?{query}", 308, "/new/")),
        Route("web"),
    )
    running = await start(plan_of(pool_of([server]), routes=routes))
    fields = "Content-Length: 0\r\n" if method == "POST" else ""
    answer = parsed(await talk(running.port, get("/old/a?b=c", fields, method)), method)
    assert (answer.status, answer.getheader("Location")) == (status, "https://www.example.com/new/a?b=c")
    assert answer.whole == b""
    assert answer.getheader("X-Request-Id")
    assert server.connections == 0
    assert running.count("gslb_http_refused_total", code=str(status)) == 1 or status == 308


async def test_fixed_answers_keep_the_connection(start, backend):
    routes = (Route(path="/teapot", action=Respond(418, b"short", fields=(("X-A", "1"),))), Route("web"))
    running = await start(plan_of(pool_of([await backend()]), routes=routes))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for _ in range(3):
        writer.write(b"GET /teapot HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        status, fields, body = await one_response(reader)
        assert (status, fields["x-a"], body) == (418, "1", b"short")
        assert (await one_response(reader))[::2] == (200, b"ok")
    writer.close()


async def test_a_body_behind_a_fixed_answer_is_no_request(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server]), routes=(Route(action=Respond(200, b"x")),)))
    smuggled = get("/smuggled")
    reply = await talk(running.port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n" + smuggled)
    assert reply.count(b"HTTP/1.1 ") == 1
    assert parsed(reply).getheader("Connection") == "close"


@pytest.mark.parametrize("plain", [True, False])
async def test_rewrites_and_edits_reach_the_server_and_the_client(plain, start, backend):
    server = await backend(
        reply=b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: secret\r\nContent-Length: 2\r\n\r\nok"
    )
    route = Route(
        "web",
        path="/old/*",
        rewrite=Rewrite("/new/"),
        forward_host="app.internal:8080",
        request_fields=HeadEdits(set=(("X-Team", "blue"),), remove=("X-Secret",)),
        response_fields=HeadEdits(add=(("X-Frame-Options", "DENY"),), remove=("server",)),
    )
    running = await start(plan_of(pool_of([server]), routes=(route,)))
    fields = "X-Secret: 1\r\nX-Team: red\r\n" + ("" if plain else "TE: trailers\r\n")
    answer = parsed(await talk(running.port, get("/old/a?b=c", fields)))
    assert (answer.status, answer.whole) == (200, b"ok")
    assert (answer.getheader("X-Frame-Options"), answer.getheader("Server")) == ("DENY", None)
    assert lines(server) == ["GET /new/a?b=c HTTP/1.1"]
    sent = fields_of(server.heads[0])
    assert (sent["host"], sent["x-team"], "x-secret" in sent) == ("app.internal:8080", "blue", False)
    assert sent["x-forwarded-host"] == "www.example.com"


async def test_edits_hold_for_every_response_of_a_connection_and_for_no_other_route(start, backend):
    server = await backend()
    routes = (Route("web", path="/a", response_fields=HeadEdits(set=(("X-A", "1"),))), Route("web"))
    running = await start(plan_of(pool_of([server]), routes=routes))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for path in ("/a", "/", "/a", "/a", "/"):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        _, fields, _ = await one_response(reader)
        assert ("x-a" in fields) is (path == "/a")
    writer.close()


async def test_edits_go_with_retries_and_sessions(start, backend):
    async def busy(one, reader, writer):
        while True:
            one.heads.append(await read_head(reader))
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    from dataclasses import replace

    pool = pool_of([await backend(busy), await backend()], retries=Retries(2, frozenset({"status"}), frozenset({503})))
    route = Route("web", response_fields=HeadEdits(set=(("X-A", "1"),)), rewrite=Rewrite(path="/x"))
    running = await start(plan_of(replace(pool, sticky=Sticky()), routes=(route,), session_secret=b"x"))
    for _ in range(3):
        answer = parsed(await talk(running.port, get("/y")))
        assert (answer.status, answer.getheader("X-A")) == (200, "1")
        assert answer.getheader("Set-Cookie").startswith("gslb=")


async def test_a_rewrite_that_makes_no_target_is_500(start, backend):
    server = await backend()
    route = Route("web", rewrite=Rewrite(regex="/a(.*)", substitute=r"\1"))
    running = await start(plan_of(pool_of([server]), routes=(route,)))
    answer = parsed(await talk(running.port, get("/ab")))
    assert (answer.status, answer.getheader("X-Gslb-Error")) == (500, "bad_rewrite")
    assert server.connections == 0


# ---------------------------------------------------------------- mirrors
def mirrored(percent: float = 100.0) -> Route:
    return Route("web", mirror=Mirror("shadow", percent))


async def test_a_mirror_gets_copies_and_its_answers_nobody(start, backend):
    web, shadow = await backend(), await backend(reply=b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nevil")
    running = await start(plan_of(pool_of([web], "web"), pool_of([shadow], "shadow"), routes=(mirrored(50.0),)))
    body = b"x" * 5_000
    for number in range(6):
        head = f"POST /{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = parsed(await talk(running.port, head.encode() + body))
        assert (answer.status, answer.whole) == (200, b"ok")
    await until(lambda: running.count("gslb_http_mirrored_requests_total", result="answered") == 3)
    assert len(web.heads) == 6
    assert shadow.bodies == [body] * 3
    assert lines(shadow) == [f"POST /{number} HTTP/1.1" for number in (1, 3, 5)]
    assert {fields_of(head)["connection"] for head in shadow.heads} == {"close"}


async def test_a_mirror_that_hangs_or_is_down_costs_a_client_nothing(start, backend, free_port):
    async def hangs(one, reader, writer):
        one.heads.append(await read_head(reader))
        await reader.read()

    hanging = await backend(hangs)
    running = await start(
        plan_of(pool_of([await backend()], "web"), pool_of([hanging, free_port], "shadow"), routes=(mirrored(),))
    )
    for _ in range(8):
        assert parsed(await talk(running.port, get(), 2.0)).status == 200
    await until(lambda: running.count("gslb_http_mirrored_requests_total", result="failed") == 4)


async def test_copies_are_bounded(start, backend, monkeypatch):
    from gslb.http import mirror

    async def hangs(one, reader, writer):
        await reader.read()

    monkeypatch.setattr(mirror, "IN_FLIGHT_MAX", 2)
    monkeypatch.setattr(mirror, "REQUEST_BYTES_MAX", 4_000)
    running = await start(
        plan_of(pool_of([await backend()], "web"), pool_of([await backend(hangs)], "shadow"), routes=(mirrored(),))
    )
    for _ in range(5):
        await talk(running.port, get())
    assert running.count("gslb_http_mirrored_requests_total", result="busy") == 3
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n"
    assert parsed(await talk(running.port, head + b"x" * 5_000)).status == 200
    assert running.count("gslb_http_mirrored_requests_total", result="too_large") == 1
