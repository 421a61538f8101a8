"""A region's file to its Balancer: routes, pools, servers."""

import pytest

from gslb.balancing.algorithms.least_connections import LeastConnections
from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.routes import Router
from gslb.config.compile import compile_plan
from gslb.config.compile_balancer import compile_balancer
from gslb.health.checks.http import HttpCheck
from gslb.model import HealthCheck, Queue, Retries, Route, Server, SessionCookie, Sticky
from tests.support.config_files import changed, loaded


def balancer(folder, changes=None, region="west"):
    config = loaded(folder, changes)
    edge = compile_plan(config, generation=1, region=None, geo=None)  # regions and services, compiled
    return compile_balancer(config.regions[region], edge.regions[region], edge.services)


def test_a_plan_of_a_region_balances(tmp_path):
    compiled = balancer(tmp_path)
    assert compiled.region == "west"
    assert compiled.routes == (
        Route("api", ("www.example.com", "127.0.0.1:8101"), "/api/*"),
        Route("web"),
    )
    web = compiled.pools["web"]
    assert web.servers == (Server("web-1", "127.0.0.1", 9001, 2, 500), Server("web-2", "::1", 9002))
    assert web.health == HealthCheck(HttpCheck(path="/health"), 2.0, 1.0, 2, 3)
    assert (web.retries, web.algorithm) == (Retries(3), LeastConnections())
    assert (compiled.pools["api"].health, compiled.pools["api"].algorithm) == (None, RoundRobin())
    assert (compiled.timeouts.connect_s, compiled.timeouts.keepalive_s) == (1.0, 75.0)


def test_a_region_without_routes_has_one_pool_for_all(tmp_path):
    compiled = balancer(tmp_path, region="east")
    assert compiled.routes == (Route("web"),)
    assert compiled.pools["web"].servers == (Server("backend.example.net:80", "backend.example.net", 80),)


def test_a_services_host_matches_by_name_and_by_url(tmp_path):
    routes = balancer(tmp_path).routes
    router = Router(routes, routes)
    for host in ("www.example.com", "WWW.example.com:80", "127.0.0.1:8101"):
        assert router.find(host, "/api/v1").pool == "api"
    assert router.find("other.example.com", "/api/v1").pool == "web"


def test_a_host_that_is_no_service_of_this_region_matches_by_name_alone(tmp_path):
    text = changed("west.yaml", "host: www.example.com", "host: api.example.com")  # api is steered to east only
    assert balancer(tmp_path, {"west.yaml": text}).routes[0].hosts == ("api.example.com",)


def test_a_default_port_is_not_in_the_authority(tmp_path):
    text = changed("west.yaml", '"http://127.0.0.1:8101"', "HTTP://West.Example.net:80/")
    assert balancer(tmp_path, {"west.yaml": text}).routes[0].hosts[1] == "west.example.net"


def test_retries_are_what_the_file_says(tmp_path):
    words = "attempts: 4, on: [connect, reset, 503, 502], budget: 50%, per_try: 2s, backoff: {base: 0s, max: 1s}"
    web = balancer(tmp_path, {"west.yaml": changed("west.yaml", "attempts: 3", words)}).pools["web"]
    on, statuses = frozenset({"connect", "reset", "status"}), frozenset({502, 503})
    assert web.retries == Retries(4, on, statuses, 0.5, 2.0, 0.0, 1.0)
    plain = balancer(tmp_path, {"west.yaml": changed("west.yaml", "attempts: 3", "on: []")}).pools["web"]
    assert (plain.retries.on, plain.retries.statuses) == (frozenset(), frozenset())


@pytest.mark.parametrize(
    ("words", "sticky"),
    [
        ("", Sticky(name="gslb-web")),
        ("by: cookie, name: sid, ttl: 1h, failback: after 10m", Sticky(name="sid", failback_s=600.0)),
        ("by: client_ip, failback: immediate", Sticky(by="client_ip", name="gslb-web", failback_s=0.0)),
        ('by: "learned:SID", ttl: 30m, failback: never', Sticky(by="learned:SID", name="gslb-web", ttl_s=1800.0)),
        ("same_site: None", Sticky(name="gslb-web", same_site="None")),
    ],
)
def test_sticky_is_what_the_file_says(tmp_path, words, sticky):
    text = changed("west.yaml", "      retries:", f"      sticky: {{{words}}}\n      retries:")
    pools = balancer(tmp_path, {"west.yaml": text}).pools
    assert [pool.sticky for pool in pools.values()].count(sticky) == 1
    assert all(pool.sticky in (None, sticky) for pool in pools.values())


SECRET = {"gslb.yaml": changed("gslb.yaml", "cluster: test", "cluster: test\nsecrets: {cookie: {env: COOKIE}}")}


@pytest.mark.parametrize(("domain", "seen"), [("example.com", True), (".Example.COM", True), ("example.net", False)])
def test_the_front_door_sees_cookies_of_its_domain(tmp_path, domain, seen):
    words = f"      sticky: {{domain: {domain}, ttl: 30m, failback: after 5m}}\n      retries:"
    config = loaded(tmp_path, SECRET | {"west.yaml": changed("west.yaml", "      retries:", words)}, COOKIE="x")
    edge = compile_plan(config, generation=1, region=None, geo=None)
    expected = {"www.example.com": (SessionCookie("gslb-web", "web", 300.0, 1800.0),)} if seen else {}
    assert edge.session_cookies == expected
    assert compile_plan(config, generation=1, region="west", geo=None).session_cookies == {}


def test_without_a_domain_it_sees_none(tmp_path):
    text = changed("west.yaml", "      retries:", "      sticky: {}\n      retries:")
    config = loaded(tmp_path, {"west.yaml": text})
    assert compile_plan(config, generation=1, region=None, geo=None).session_cookies == {}


def test_priority_zones_and_the_queue_are_what_the_file_says(tmp_path):
    text = changed("west.yaml", "max_connections: 500", "max_connections: 500, priority: 1, zone: a")
    text = text.replace("attempts: 3}", "attempts: 3}\n      queue: {size: 7, timeout: 2s}\n      zone_preference: 40%")
    text = text.replace("balancer:\n", "balancer:\n  zone: a\n")
    web = balancer(tmp_path, {"west.yaml": text}).pools["web"]
    assert [(one.priority, one.zone) for one in web.servers] == [(1, "a"), (0, "")]
    assert (web.queue, web.zone, web.zone_share) == (Queue(7, 2.0), "a", 0.4)
