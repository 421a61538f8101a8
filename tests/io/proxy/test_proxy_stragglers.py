"""Requests that a region can't serve: proxied to the next region or redirected there, one hop, never a second."""

import asyncio
from dataclasses import replace

import pytest

from gslb.config.compile_stragglers import compile_stragglers
from gslb.http.hops import Hop, mark
from gslb.model import Location, Region, RegionStatus, Retries, Service, State, Status, World
from gslb.steering.policy import POLICIES
from tests.support.proxying import FAST, answer_ok, fields_of, one_response, parsed, plan_of, pool_of, talk, until

SECRET = b"shared by the cluster"
GET = b"GET /a?b=c HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n"
POST = (
    b"POST /a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
)  # fmt: skip
BOTH_UP = {"us-east": RegionStatus(State.UP), "ap-south": RegionStatus(State.UP)}
DRAINING = Status(draining=True, regions=BOTH_UP)


def down(*servers, **more):
    return Status(servers=dict.fromkeys(servers, State.DOWN), **{"regions": BOTH_UP, **more})


def region(name, latitude, port, scheme="http"):
    return Region(name, Location(latitude, 0), ("192.0.2.1",), (), f"{scheme}://127.0.0.1:{port}")


def region_plan(name, backends, ports, mode="proxy", pool=None, scheme="http", **balancer):
    """The plan of one region of three; `ports`: where the others are, in the order of preference."""
    here = region(name, 50, ports.get(name, 1))
    others = [region(other, 40, port, scheme) for other, port in ports.items() if other != name]
    chain = (POLICIES.get("failover")(),)
    service = Service("www.example.com", (here, *others), chain)
    plan = plan_of(pool or pool_of(backends), session_secret=SECRET, timeouts=FAST, **balancer)
    built = replace(
        plan.balancer, region=name, stragglers=compile_stragglers(mode, here, {service.name: service})
    )
    regions = {one.name: one for one in (here, *others)}
    return replace(plan, regions=regions, services={service.name: service}, balancer=built)


@pytest.fixture
async def two(start, backend):
    """Makes a region whose stragglers go to a second, real one; both share the cluster's secret."""

    async def run(status, other_status=None, mode="proxy", backends=None, **options):
        there = await backend(reply=b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nus-east!")
        other = await start(region_plan("us-east", [there], {"eu-west": 1}), other_status)
        own = [await backend()] if backends is None else backends
        here = await start(
            region_plan("eu-west", own, {"us-east": other.port, "ap-south": 1}, mode, **options), status
        )
        return here, other, own[0], there

    return run


# ---------------------------------------------------------------- proxied
async def test_while_it_drains_its_requests_go_to_the_next_region_and_are_answered_by_it(two):
    here, other, own, there = await two(DRAINING)
    reply = parsed(await talk(here.port, GET))
    assert (reply.status, reply.whole) == (200, b"us-east!")
    assert own.connections == 0
    fields = fields_of(there.heads[0])
    assert fields["host"] == "www.example.com"
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert "x-gslb-hop" not in fields, "servers never see the mark"
    assert here.count("gslb_stragglers_total", result="proxied") == 1
    assert other.count("gslb_http_requests_total", pool="web", code="2xx") == 1


async def test_a_body_and_the_method_go_along(two):
    here, _, _, there = await two(DRAINING)
    assert parsed(await talk(here.port, POST)).status == 200
    assert there.heads[0].startswith(b"POST /a HTTP/1.1")
    assert there.bodies == [b"hello"]


async def test_a_body_that_comes_later_goes_along(two):
    here, _, _, there = await two(DRAINING)
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(POST.replace(b"Content-Length: 5", b"Content-Length: 200000")[:-5])
    await writer.drain()
    for _ in range(20):
        writer.write(b"x" * 10_000)
        await writer.drain()
    assert (await one_response(reader))[0] == 200
    assert there.bodies == [b"x" * 200_000]
    writer.close()


async def test_a_region_without_servers_sends_its_requests_on(two):
    here, _, own, there = await two(down("web/web-1"))
    reply = parsed(await talk(here.port, GET))
    assert reply.whole == b"us-east!"
    assert (own.connections, len(there.heads)) == (0, 1)


async def test_servers_that_died_unnoticed_cost_no_client_an_error(two, free_port):
    """Before the checks have seen it: what could not be sent is sent elsewhere, whatever its method."""
    here, _, _, there = await two(Status(regions=BOTH_UP), backends=[free_port])
    assert parsed(await talk(here.port, POST)).whole == b"us-east!"
    assert there.bodies == [b"hello"]
    assert here.count("gslb_http_upstream_errors_total", pool="web", reason="connect") >= 1


async def test_a_request_that_may_have_been_served_is_sent_on_only_if_it_may_be_repeated(two, backend):
    async def hang_up(one, reader, writer):
        del one, writer
        await reader.readuntil(b"\r\n\r\n")

    dead = await backend(hang_up)
    here, _, _, _ = await two(Status(regions=BOTH_UP), backends=[dead])
    assert parsed(await talk(here.port, GET)).whole == b"us-east!"
    assert parsed(await talk(here.port, POST)).status == 502


async def test_what_a_rule_had_changed_goes_on_as_it_came(two, free_port):
    """The other region has the same rules: applied twice they would make another request of it."""
    from gslb.model import HeadEdits, Rewrite, Route

    pool = pool_of([free_port])
    route = Route(pool.name, path="/a*", rewrite=Rewrite(prefix="/changed"),
                  request_fields=HeadEdits(add=(("X-Rule", "once"),)))  # fmt: skip
    here, _, _, there = await two(Status(regions=BOTH_UP), backends=[free_port], routes=(route,))
    assert parsed(await talk(here.port, GET)).whole == b"us-east!"
    assert there.heads[0].startswith(b"GET /a?b=c ")
    assert "x-rule" not in fields_of(there.heads[0])


async def test_a_client_that_was_sent_here_by_name_of_the_region_reaches_the_service(two):
    """The front door leads to the region's URL: another region doesn't know that name."""
    here, _, _, there = await two(DRAINING)
    own_name = GET.replace(b"www.example.com", b"eu.example.test:8101")
    assert parsed(await talk(here.port, own_name)).whole == b"us-east!"
    assert fields_of(there.heads[0])["host"] == "www.example.com"


async def test_the_next_is_tried_if_the_nearest_is_gone_too(start, backend, free_port):
    there = await backend()
    alive = await start(region_plan("ap-south", [there], {}))
    here = await start(
        region_plan("eu-west", [await backend()], {"us-east": free_port, "ap-south": alive.port}), DRAINING
    )
    assert parsed(await talk(here.port, GET)).status == 200
    assert len(there.heads) == 1


async def test_a_region_that_is_known_to_be_down_gets_nothing(start, backend):
    there = await backend()
    alive = await start(region_plan("ap-south", [there], {}))
    trap = await backend()
    status = Status(draining=True, regions={**BOTH_UP, "us-east": RegionStatus(State.DOWN)})
    here = await start(region_plan("eu-west", [trap], {"us-east": trap.port, "ap-south": alive.port}), status)
    assert parsed(await talk(here.port, GET)).status == 200
    assert (trap.connections, len(there.heads)) == (0, 1)


async def test_who_has_nowhere_to_send_them_serves_them_while_it_can(start, backend):
    own = await backend()
    nobody = {name: RegionStatus(State.DOWN) for name in BOTH_UP}
    here = await start(
        region_plan("eu-west", [own], {"us-east": 1, "ap-south": 1}), Status(draining=True, regions=nobody)
    )
    assert parsed(await talk(here.port, GET)).status == 200
    assert len(own.heads) == 1
    here.proxy.swap(World(here.plan, Status(servers={"web/web-1": State.DOWN}, regions=nobody)))
    assert parsed(await talk(here.port, GET)).status == 503
    assert here.count("gslb_stragglers_total", result="nowhere") == 2


# ---------------------------------------------------------------- one hop
async def test_never_a_second_hop(start, backend):
    """Both regions have lost their servers and believe that the other is up: the client gets an answer, not a loop."""
    eu, us = await backend(), await backend()
    other = await start(region_plan("us-east", [us], {"eu-west": 1}))
    here = await start(region_plan("eu-west", [eu], {"us-east": other.port}), down("web/web-1"))
    plan = region_plan("us-east", [us], {"eu-west": here.port})
    other.proxy.swap(World(plan, down("web/web-1", regions={"eu-west": RegionStatus(State.UP)})))
    reply = parsed(await talk(here.port, GET))
    assert (reply.status, reply.headers["X-Gslb-Error"]) == (503, "no_healthy_server")
    assert here.count("gslb_stragglers_total", result="proxied") == 1
    assert other.count("gslb_stragglers_total", result="second_hop") == 1


async def test_a_draining_region_serves_what_another_one_sends_it(start, backend):
    eu, us = await backend(), await backend()
    other = await start(region_plan("us-east", [us], {"eu-west": 1}))
    here = await start(region_plan("eu-west", [eu], {"us-east": other.port}), DRAINING)
    plan = region_plan("us-east", [us], {"eu-west": here.port})
    other.proxy.swap(World(plan, Status(draining=True, regions={"eu-west": RegionStatus(State.UP)})))
    assert parsed(await talk(here.port, GET)).status == 200
    assert (len(eu.heads), len(us.heads)) == (0, 1)


async def test_a_region_of_the_cluster_is_believed_who_the_client_is_and_a_forger_is_not(start, backend):
    there = await backend()
    other = await start(region_plan("us-east", [there], {"eu-west": 1}))
    client = Hop(b"203.0.113.9", b"https")
    whole = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\nX-Request-Id: mine\r\n\r\n"
    now = other.proxy.wall_s
    assert parsed(await talk(other.port, mark(whole, "eu-west", client, SECRET, now))).status == 200
    assert parsed(await talk(other.port, mark(whole, "eu-west", client, b"another", now))).status == 200
    believed, forged = map(fields_of, there.heads)
    assert (believed["x-forwarded-for"], believed["x-forwarded-proto"]) == ("203.0.113.9", "https")
    assert (forged["x-forwarded-for"], forged["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert not {"x-gslb-hop"} & (believed.keys() | forged.keys())


# ---------------------------------------------------------------- redirected, or neither
@pytest.mark.parametrize(("request_", "status"), [(GET, 302), (POST, 307)])
async def test_it_can_redirect_them(two, request_, status):
    here, other, _, _ = await two(DRAINING, mode="redirect")
    reply = parsed(await talk(here.port, request_))
    assert reply.status == status
    target = request_.split(b" ")[1].decode()
    assert reply.headers["Location"] == f"http://127.0.0.1:{other.port}{target}"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Gslb-Region"] == "us-east"
    assert here.count("gslb_stragglers_total", result="redirected") == 1


async def test_who_was_redirected_once_is_proxied_then(two):
    """It names the region: a redirect from there could lead on for ever."""
    here, _, _, _ = await two(DRAINING, mode="redirect")
    own_name = GET.replace(b"www.example.com", b"eu.example.test:8101")
    assert parsed(await talk(here.port, own_name)).whole == b"us-east!"


async def test_it_can_refuse_to(two):
    here, _, own, _ = await two(DRAINING, mode="refuse")
    assert parsed(await talk(here.port, GET)).status == 200
    assert len(own.heads) == 1
    here.proxy.swap(World(here.plan, down("web/web-1")))
    assert parsed(await talk(here.port, GET)).status == 503


# ---------------------------------------------------------------- the drain itself
async def test_a_drain_tells_clients_to_close_and_ends_idle_connections(two):
    here, _, own, _ = await two(Status(regions=BOTH_UP))
    keep = GET.replace(b"Connection: close\r\n", b"")
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", here.port)
    for one in (writer, idle_writer):
        one.write(keep)
    assert "connection" not in (await one_response(reader))[1]
    await one_response(idle_reader)
    here.proxy.swap(World(here.plan, DRAINING))
    writer.write(keep)
    status, fields, body = await one_response(reader)
    assert (status, fields["connection"], body) == (200, "close", b"us-east!")
    assert await asyncio.wait_for(idle_reader.read(), 5) == b""
    await until(lambda: not here.proxy.clients)
    assert len(own.heads) == 2
    for one in (writer, idle_writer):
        one.close()


async def test_what_is_under_way_is_finished_where_it_began(two, backend):
    release = asyncio.Event()

    async def slow(one, reader, writer):
        one.heads.append(await reader.readuntil(b"\r\n\r\n"))
        await release.wait()
        writer.write(one.reply)
        await writer.drain()

    own = await backend(slow)
    here, _, _, there = await two(Status(regions=BOTH_UP), backends=[own])
    asked = asyncio.create_task(talk(here.port, GET))
    await until(lambda: len(own.heads) == 1)
    here.proxy.swap(World(here.plan, DRAINING))
    release.set()
    assert parsed(await asked).whole == b"ok"
    assert there.heads == []


async def test_after_the_drain_it_serves_again(two):
    here, _, own, _ = await two(DRAINING)
    assert parsed(await talk(here.port, GET)).whole == b"us-east!"
    here.proxy.swap(World(here.plan, Status(regions=BOTH_UP)))
    assert parsed(await talk(here.port, GET)).whole == b"ok"
    keep = GET.replace(b"Connection: close\r\n", b"")
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(keep)
    assert "connection" not in (await one_response(reader))[1]
    writer.close()
    assert len(own.heads) == 2


async def test_a_websocket_goes_along(two, backend, start):
    async def switch(one, reader, writer):
        one.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        writer.write(await reader.readexactly(4))
        await writer.drain()

    there = await backend(switch)
    other = await start(region_plan("us-east", [there], {"eu-west": 1}))
    here = await start(region_plan("eu-west", [await backend()], {"us-east": other.port}), DRAINING)
    asked = GET.replace(b"Connection: close", b"Connection: Upgrade\r\nUpgrade: websocket")
    assert (await talk(here.port, asked + b"ping")).endswith(b"\r\n\r\nping")


async def test_retries_of_its_own_come_first(two, backend, free_port):
    own = await backend(answer_ok)
    pool = pool_of([free_port, own.port], retries=Retries(attempts=2))
    here, _, _, there = await two(Status(regions=BOTH_UP), backends=[own], pool=pool)
    for _ in range(4):
        assert parsed(await talk(here.port, GET)).whole == b"ok"
    assert there.heads == []
