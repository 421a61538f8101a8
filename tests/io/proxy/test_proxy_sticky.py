"""Sessions over real sockets: who stays where, what the server sees and what the client is told."""

from __future__ import annotations

import http.cookies
import math
from dataclasses import replace

import pytest

from gslb.model import State, Status, Sticky, World
from tests.support.proxying import parsed, plan_of, pool_of, talk

SECRET = b"one secret for every node"
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%b\r\n"


def plan(servers, region="eu-west", **sticky):
    made = plan_of(replace(pool_of(servers), sticky=Sticky(**sticky)), session_secret=SECRET)
    return replace(made, balancer=replace(made.balancer, region=region))


async def ask(port: int, fields: bytes = b""):
    """A response and the cookie it sets."""
    reply = parsed(await talk(port, GET % fields))
    assert reply.status == 200
    cookies = http.cookies.SimpleCookie(reply.getheader("Set-Cookie", ""))
    return {name: morsel.value for name, morsel in cookies.items()}


def sending(cookies: dict[str, str]) -> bytes:
    return b"Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items()).encode() + b"\r\n"


def heard(backends) -> list[int]:
    return [len(backend.heads) for backend in backends]


async def test_a_cookie_keeps_a_client_on_its_server(start, backend):
    backends = [await backend() for _ in range(3)]
    running = await start(plan(backends))
    cookies = await ask(running.port)
    first = heard(backends)
    for _ in range(5):
        assert await ask(running.port, sending(cookies | {"a": "b"})) == {}
    assert heard(backends) == [6 * count for count in first]
    head = next(one for one in backends if one.heads).heads[-1]
    assert b"\r\nCookie: a=b\r\n" in head
    assert b"gslb=" not in head


async def test_others_are_spread(start, backend):
    backends = [await backend() for _ in range(3)]
    running = await start(plan(backends))
    for _ in range(6):
        await ask(running.port)
    assert heard(backends) == [2, 2, 2]


async def test_a_response_keeps_the_servers_own_cookies(start, backend):
    reply = b"HTTP/1.1 200 OK\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok"
    running = await start(plan([await backend(reply=reply)]))
    answer = parsed(await talk(running.port, GET % b""))
    assert answer.whole == b"ok"
    mine, ours = answer.msg.get_all("Set-Cookie")
    assert mine == "mine=1"
    assert ours.startswith("gslb=")
    assert ours.endswith("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax")


async def test_a_session_begins_at_the_server_that_answers(start, backend, free_port):
    good = await backend()
    running = await start(plan([free_port, good]))
    cookies = [await ask(running.port) for _ in range(2)]
    failed = running.count("gslb_http_retries_total", pool="web")
    for one in cookies:
        await ask(running.port, sending(one))
    assert running.count("gslb_http_retries_total", pool="web") == failed >= 1


async def test_a_draining_server_keeps_its_sessions_and_a_lost_one_moves_them_once(start, backend):
    backends = [await backend() for _ in range(4)]
    served = plan(backends)
    running = await start(served)
    cookies = await ask(running.port)
    home = heard(backends).index(1)
    running.proxy.swap(World(served, Status(servers={f"web/web-{home + 1}": State.DRAINING})))
    assert await ask(running.port, sending(cookies)) == {}
    assert heard(backends)[home] == 2
    running.proxy.swap(World(served, Status(servers={f"web/web-{home + 1}": State.DOWN})))
    moved = await ask(running.port, sending(cookies))
    assert moved
    before = heard(backends)
    assert before[home] == 2
    again = await start(served, Status(servers={f"web/web-{home + 1}": State.DOWN}))  # another node
    assert await ask(again.port, sending(cookies)) != {}
    assert await ask(again.port, sending(moved)) == {}
    after = heard(backends)
    assert [now - then for now, then in zip(after, before, strict=True)].count(2) == 1


@pytest.mark.parametrize("failback_s", [0.0, math.inf])
async def test_failback(failback_s, start, backend):
    backends = [await backend() for _ in range(2)]
    served = plan(backends, failback_s=failback_s)
    running = await start(served)
    cookies = await ask(running.port)
    home = heard(backends).index(1)
    running.proxy.swap(World(served, Status(servers={f"web/web-{home + 1}": State.DOWN})))
    cookies = await ask(running.port, sending(cookies))
    running.proxy.swap(World(served, Status()))
    told = await ask(running.port, sending(cookies))
    assert (heard(backends)[home] == 2) is (failback_s == 0.0) is bool(told)


async def test_another_regions_cookie_moves_the_session_here(start, backend):
    one, other = await start(plan([await backend()])), await start(plan([await backend()], region="us-east"))
    cookies = await ask(one.port)
    moved = await ask(other.port, sending(cookies))
    assert moved
    assert await ask(other.port, sending(moved)) == {}


@pytest.mark.parametrize(
    ("by", "fields"), [("header:X-User", b"X-User: ann\r\n"), ("cookie:sid", b"Cookie: sid=7\r\n"), ("client_ip", b"")]
)
async def test_a_key_keeps_to_its_server_and_sets_no_cookie(by, fields, start, backend):
    backends = [await backend() for _ in range(3)]
    running = await start(plan(backends, by=by))
    for _ in range(6):
        assert await ask(running.port, fields) == {}
    assert sorted(heard(backends)) == [0, 0, 6]


async def test_a_servers_own_cookie_is_learned(start, backend):
    replies = [b"HTTP/1.1 200 OK\r\nSet-Cookie: SID=s%d; Path=/\r\nContent-Length: 0\r\n\r\n" % i for i in range(3)]
    backends = [await backend(reply=reply) for reply in replies]
    running = await start(plan(backends, by="learned:SID"))
    cookies = await ask(running.port)
    home = heard(backends).index(1)
    assert cookies == {"SID": f"s{home}"}
    for _ in range(4):
        await ask(running.port, sending(cookies))
    assert heard(backends)[home] == 5
    assert b"Cookie: SID=" in backends[home].heads[-1]


async def test_a_reload_keeps_what_is_known(start, backend):
    backends = [await backend() for _ in range(3)]
    running = await start(plan(backends, by="client_ip"))
    await ask(running.port)
    more = replace(plan(backends, by="client_ip"), generation=2)
    web = more.balancer.pools["web"]
    heavy = tuple(replace(server, weight=1 if heard(backends)[i] else 200) for i, server in enumerate(web.servers))
    pools = {"web": replace(web, servers=heavy)}
    running.proxy.swap(World(replace(more, balancer=replace(more.balancer, pools=pools)), Status()))
    await ask(running.port)
    assert sorted(heard(backends)) == [0, 0, 2]
