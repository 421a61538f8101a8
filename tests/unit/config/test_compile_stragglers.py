"""The services of a region as its stragglers see them: without it, and where nobody else can serve them not at all."""

import pytest

from gslb.config.compile_stragglers import POOL, compile_stragglers
from gslb.model import Location, Region, Service


def region(name, url="http://127.0.0.1:8101"):
    return Region(name, Location(0, 0), ("192.0.2.1",), (), url)


EU, US, AP = (
    region("eu", "https://eu.example.test"), region("us", "http://[2001:db8::1]:8080"), region("ap"),
)  # fmt: skip


def service(name, *regions):
    return Service(name, regions, ())


def compiled(*services, mode="proxy"):
    return compile_stragglers(mode, EU, {one.name: one for one in services})


def test_each_service_is_there_without_this_region():
    found = compiled(service("www", US, EU, AP))
    assert found.services["www"].regions == (US, AP), "in the declared order"
    assert found.own == "www"


def test_a_service_that_only_this_region_serves_and_one_that_it_does_not_are_left_out():
    found = compiled(service("alone", EU), service("others", US, AP), service("no-url", EU, region("x", "")))
    assert not found.services
    assert not found.pools
    assert found.own == ""


def test_the_other_regions_are_the_servers_of_a_pool_that_services_share():
    found = compiled(service("a", EU, US, AP), service("b", AP, US, EU), service("c", EU, US))
    assert found.pool_of == {"a": POOL, "b": POOL, "c": f"{POOL}-2"}
    servers = {one.id: (one.host, one.port, one.protocol) for one in found.pools[POOL].servers}
    assert servers == {"us": ("2001:db8::1", 8080, "http"), "ap": ("127.0.0.1", 8101, "http")}


def test_a_region_with_https_is_spoken_to_by_it_on_its_port():
    found = compile_stragglers("proxy", US, {"a": service("a", EU, US)})
    pool = found.pools[POOL]
    assert (pool.servers[0].port, pool.tls_to(pool.servers[0]) is not None) == (443, True)


@pytest.mark.parametrize("mode", ["proxy", "redirect"])
def test_the_mode_is_kept(mode):
    assert compiled(service("a", EU, US), mode=mode).mode == mode


def test_who_refuses_needs_nothing():
    assert compiled(service("a", EU, US), mode="refuse").pools == {}
