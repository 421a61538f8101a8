"""Which ready answer is whose: one decision a class (and a hash unit), bounds, what a new Status forgets."""

import dataclasses

import pytest

from gslb.dns import deciding
from gslb.dns.answers import resolve
from gslb.dns.deciding import Decider
from gslb.dns.edns import Subnet
from gslb.dns.zones import Zones
from gslb.model import RegionStatus, Service, State, World
from gslb.steering.policies.weighted import Weighted

NAME = b"\3www\7example\3com\0"
NOW = 100.0


class Case:
    """A Decider over the small world, and the steered name in it."""

    def __init__(self, tools, service=None, **more):
        self.made = tools.make(service, **more)
        self.decider = Decider(self.made.world, self.made.locator, self.made.counters)
        zones = Zones(self.made.plan.zones.values(), self.made.plan.services.values())
        self.reply = resolve(zones, NAME, 1, 1, b"")
        self.steered = self.decider.find(self.reply, NAME)

    def of(self, address: str, length: int = 24):
        bits = int.from_bytes(bytes(map(int, address.split("."))), "big")
        return self.decider.by_client(self.steered, Subnet(4, length, bits, b""), "127.0.0.1", NOW)


@pytest.fixture
def case(tools):
    return Case(tools)


def test_one_decision_a_class_whoever_asks(case, monkeypatch):
    first, _ = case.of("4.0.0.0")  # eighths: bytes that are 0 modulo 4 are in Europe
    monkeypatch.setattr(deciding, "decide", lambda *_: pytest.fail("decided again"))
    assert case.of("8.8.8.0")[0] is first
    assert case.decider.by_source(case.steered, "12.1.1.1", NOW) is first


def test_another_class_is_another_answer(case):
    assert case.of("4.0.0.0")[0].tail != case.of("5.0.0.0")[0].tail


def test_a_new_generation_forgets_answers_and_keeps_places(case):
    before = case.decider.by_source(case.steered, "4.4.4.4", NOW)
    down = dataclasses.replace(
        case.made.world.status, generation=2, regions={"eu-west": RegionStatus(State.DOWN)}
    )
    case.decider.update(World(case.made.plan, down), case.made.counters)
    after = case.decider.by_source(case.steered, "4.4.4.4", NOW)
    assert after.tail != before.tail
    assert "4.4.4.4" in case.steered.keys


def test_the_same_generation_forgets_nothing(case, monkeypatch):
    before = case.decider.by_source(case.steered, "4.4.4.4", NOW)
    same = dataclasses.replace(case.made.world.status, stale=True)
    case.decider.update(World(case.made.plan, same), case.made.counters)
    monkeypatch.setattr(deciding, "decide", lambda *_: pytest.fail("decided again"))
    assert case.decider.by_source(case.steered, "4.4.4.4", NOW) is before


def test_a_client_hash_is_decided_for_each_unit_and_widens_no_scope(tools):
    regions = (tools.EU, tools.US, tools.AP)
    case = Case(tools, Service("www.example.com", regions, (Weighted(),)))
    found = {case.of(f"{n}.0.{n}.0")[0].tail for n in range(1, 60)}
    assert len(found) == 3
    assert all(case.of(f"{n}.0.{n}.0", 16)[1] >= 24 for n in range(1, 5))


def test_a_subnet_of_no_bits_is_the_sources_answer_with_scope_0(case):
    answer, scope = case.decider.by_client(case.steered, Subnet(4, 0, 0, b""), "4.4.4.4", NOW)
    assert scope == 0
    assert answer is case.decider.by_source(case.steered, "4.4.4.4", NOW)


def test_clients_are_bounded(case, monkeypatch):
    monkeypatch.setattr(deciding, "CLIENTS_MAX", 10)
    for n in range(35):
        case.decider.by_source(case.steered, f"4.4.4.{n}", NOW)
    assert case.decider.held <= 10
    assert len(case.steered.keys) <= 10
    assert case.decider.evicted >= 20


def test_an_answer_is_decided_again_when_it_is_over(tools):
    moving = {"eu-west": RegionStatus(State.UP, changes_in_s=7.0)}
    case = Case(tools, status=tools.up("us-east", "ap-south", **moving))
    first = case.decider.by_source(case.steered, "4.4.4.4", NOW)
    assert case.decider.by_source(case.steered, "4.4.4.4", NOW + 6.9) is first
    assert case.decider.by_source(case.steered, "4.4.4.4", NOW + 7.1) is not first


def test_a_name_that_is_not_steered_is_nobodys(case):
    zones = Zones(case.made.plan.zones.values(), case.made.plan.services.values())
    name = b"\4mail\7example\3com\0"
    assert case.decider.find(resolve(zones, name, 1, 1, b""), name) is None
