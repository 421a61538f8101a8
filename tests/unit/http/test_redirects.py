from ipaddress import ip_address

import pytest

from gslb.geo.locate import Locator
from gslb.http import redirects
from gslb.http.redirects import Redirects, place
from gslb.model import Location, Plan, Region, RegionStatus, Service, State, Status, WhenAllDown, World
from gslb.steering.policy import POLICIES
from gslb.telemetry import local_counters

CLIENT = ip_address("192.0.2.1")
REGIONS = tuple(
    Region(name, Location(0.0, 0.0), ("192.0.2.10",), (), f"http://{name}.example.net:81/") for name in ("eu", "us")
)


def make(*chain, status=None, regions=REGIONS, **options) -> Redirects:
    service = Service("www.example.com", regions, chain, **options)
    plan = Plan("test", 1, {region.name: region for region in regions}, {service.name: service}, {})
    return Redirects(World(plan, status or Status()), Locator(None, plan.services), local_counters(plan))


def failover():
    return POLICIES.get("failover")()


def test_the_whole_response_but_its_target():
    answer = make(failover()).find("www.example.com", CLIENT, 0.0)
    assert answer.found == (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nCache-Control: no-store\r\nX-Gslb-Region: eu\r\n"
        b"Location: http://eu.example.net:81"
    )
    assert answer.kept.startswith(b"HTTP/1.1 307 Temporary Redirect\r\n")


def test_one_decision_a_class():
    found = make(failover())
    assert found.find("www.example.com", CLIENT, 0.0) is found.find("www.example.com", ip_address("2001:db8::1"), 5.0)


def test_all_down_still_redirects():
    down = Status(1, {name: RegionStatus(State.DOWN) for name in ("eu", "us")})
    assert make(failover(), status=down).find("www.example.com", CLIENT, 0.0) is not None


def test_last_good_when_all_are_down():
    regions = {name: RegionStatus(State.DOWN) for name in ("eu", "us")}
    down = Status(1, regions, last_good={"www.example.com": ("us",)})
    found = make(failover(), status=down, when_all_down=WhenAllDown.LAST_GOOD)
    assert b"us.example.net" in found.find("www.example.com", CLIENT, 0.0).found


def test_a_status_that_steers_nothing_keeps_the_answers():
    services = {"www.example.com": Service("www.example.com", REGIONS, (failover(),))}
    plan = Plan("test", 1, {}, services, {})
    locator = Locator(None, plan.services)

    def world(generation: int = 1, **eu) -> World:
        return World(plan, Status(generation, {"eu": RegionStatus(**{"state": State.UP, **eu})}))

    found = Redirects(world(), locator, local_counters(plan))
    assert found.holds(world(why="3 of 3 see it up"), locator)
    assert not found.holds(world(generation=2), locator)
    assert not found.holds(world(), Locator(None, plan.services))
    assert not found.holds(World(Plan("test", 2, {}, services, {}), world().status), locator)


def test_no_url_anywhere_is_none():
    bare = (Region("eu", Location(0.0, 0.0), ("192.0.2.10",), (), ""),)
    assert make(failover(), regions=bare).find("www.example.com", CLIENT, 0.0) is None


def test_a_moving_state_is_decided_again():
    moving = Status(1, {"eu": RegionStatus(State.UP, changes_in_s=1.0), "us": RegionStatus(State.UP)})
    found = make(failover(), status=moving)
    first = found.find("www.example.com", CLIENT, 0.0)
    assert found.find("www.example.com", CLIENT, first.until - 0.1) is first
    assert found.find("www.example.com", CLIENT, first.until) is not first


def test_a_hash_is_decided_once_a_unit_and_shared_by_it():
    found = make(POLICIES.get("weighted")())
    places = {str(i): found.find("www.example.com", ip_address(f"192.0.{i}.1"), 0.0) for i in range(60)}
    assert len({answer.place for answer in places.values()}) == 2
    for i in range(60):
        assert found.find("www.example.com", ip_address(f"192.0.{i}.77"), 0.0) is places[str(i)]


def test_answers_take_turns():
    answer = make(POLICIES.get("weighted")(by="answer")).find("www.example.com", CLIENT, 0.0)
    seen = [answer.next().place for _ in range(20)]
    assert seen.count(seen[0]) == 10


def test_answers_are_bounded(monkeypatch):
    monkeypatch.setattr(redirects, "ANSWERS_MAX", 10)
    found = make(POLICIES.get("weighted")())
    for i in range(100):
        assert found.find("www.example.com", ip_address(f"192.0.{i}.1"), 0.0) is not None
    assert len(found._answers) <= 11


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (b"http://a", b"http://A:80/", True),
        (b"https://a", b"https://a:443", True),
        (b"http://a.", b"http://a/x", True),
        (b"http://a:", b"http://a", True),
        (b"http://a", b"https://a", False),
        (b"http://a:81", b"http://a", False),
        (b"http://[::1]", b"http://[::1]:80", True),
    ],
)
def test_places(one, two, same):
    assert (place(one) == place(two)) is same
