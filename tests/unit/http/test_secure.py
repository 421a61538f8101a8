"""Where redirects to HTTPS lead: to configured hosts, and nowhere else."""

import pytest

from gslb.http.secure import SAME_HOST, hosts_of, location
from gslb.model import Balancer, Location, Plan, Region, Route, Service
from gslb.steering.policy import POLICIES

EU = Region("eu", Location(0, 0), ("192.0.2.1",), (), "http://EU.example.net:8101".lower())
US = Region("us", Location(0, 0), ("192.0.2.2",), (), "http://us.example.net")
CHAIN = (POLICIES.get("failover")(),)
BOTH = (("www.example.com", (EU, US)), ("us.only", (US,)))
SERVICES = {name: Service(name, regions, CHAIN) for name, regions in BOTH}
REGIONS = {"eu": EU, "us": US}


def test_a_front_door_serves_its_services():
    assert hosts_of(Plan("test", 1, REGIONS, SERVICES, {})) == {"www.example.com", "us.only"}


def test_a_region_serves_its_routes_its_services_and_its_url():
    balancer = Balancer("eu", (Route("web", ("shop.example.org", "[2001:db8::1]:8080")), Route("web")), {})
    plan = Plan("test", 1, REGIONS, SERVICES, {}, balancer=balancer)
    assert hosts_of(plan) == {"shop.example.org", "[2001:db8::1]", "www.example.com", "eu.example.net"}


HOSTS = frozenset({"www.example.com", "*.apps.example.com", "[2001:db8::1]", "192.0.2.1"})


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("www.example.com", b"https://www.example.com"),
        ("www.example.com:8080", b"https://www.example.com"),
        ("www.example.com.", b"https://www.example.com"),
        ("www.example.com:", b"https://www.example.com"),
        ("a.apps.example.com", b"https://a.apps.example.com"),
        ("a.b.apps.example.com:80", b"https://a.b.apps.example.com"),
        ("[2001:db8::1]:80", b"https://[2001:db8::1]"),
        ("[2001:db8::1]", b"https://[2001:db8::1]"),
        ("192.0.2.1:80", b"https://192.0.2.1"),
        ("apps.example.com", None),
        ("evil.org", None),
        ("www.example.com.evil.org", None),
        ("wwww.example.com", None),
        ("", None),
    ],
)
def test_only_configured_hosts_are_redirected(host, base):
    assert location(SAME_HOST, host, HOSTS) == base
    there = location("https://www.example.com:8443", host, HOSTS)
    assert there == (None if base is None else b"https://www.example.com:8443")
