"""The explanation is the engine's own decision: same answer, every region with its part."""

import pytest

from gslb.geo.locate import Locator
from gslb.model import Location, Plan, Region, RegionStatus, Service, State, Status, World
from gslb.ops.explain import AskError, Knowledge, explain
from gslb.steering.policy import POLICIES

EU = Region("eu", Location(53.3, -6.3), ("192.0.2.1",), ("2001:db8::1",), "http://eu.example:80")
US = Region("us", Location(39.0, -77.5), ("192.0.2.2",), (), "http://us.example:80")


def knowledge(chain=("failover",), **states):
    service = Service("www.example.com", (EU, US), tuple(POLICIES.get(name)() for name in chain))
    plan = Plan("c", 3, {"eu": EU, "us": US}, {service.name: service}, {})
    known = {name: RegionStatus(State(state), f"says {name}", changes_in_s=None) for name, state in states.items()}
    world = World(plan, Status(7, known))
    return Knowledge(world, Locator(None, plan.services), {"eu": {"probe": {"says": "up: 200", "age_s": 0.5}}})


def test_every_region_has_its_state_evidence_and_notes():
    told = explain(knowledge(eu="down", us="up"), "WWW.Example.com.", "203.0.113.9", 0.0)
    assert told["name"] == "www.example.com"
    assert told["client"] == "203.0.113.9"
    assert told["location"] is None
    eu, us = told["regions"]
    assert (eu["name"], eu["state"], eu["why"], eu["in"]) == ("eu", "down", "says eu", False)
    assert eu["evidence"]["probe"]["age_s"] == 0.5
    assert (us["name"], us["state"], us["in"]) == ("us", "up", True)
    assert eu["notes"]
    assert us["notes"]
    assert told["status"] == {"generation": 7, "stale": False, "plan": 3}


def test_the_answers_are_the_engines():
    answers = explain(knowledge(eu="up", us="up"), "www.example.com", "203.0.113.0/24", 0.0)["answers"]
    assert answers["A"]["addresses"] == ["192.0.2.1"]
    assert answers["AAAA"]["addresses"] == ["2001:db8::1"]
    assert answers["front door"]["url"] == "http://eu.example:80"
    assert answers["A"]["scope"] == 0  # nothing of this chain depends on the client


def test_a_client_hash_makes_the_scope_its_unit():
    answers = explain(knowledge(("weighted",), eu="up", us="up"), "www.example.com", "203.0.113.9", 0.0)["answers"]
    assert answers["A"]["hashed"]
    assert answers["A"]["scope"] == 24
    wide = explain(knowledge(("weighted",), eu="up", us="up"), "www.example.com", "2001:db8::9", 0.0)["answers"]
    assert wide["A"]["scope"] == 48


def test_a_region_without_an_address_of_the_family_is_no_candidate_for_it():
    answers = explain(knowledge(eu="down", us="up"), "www.example.com", "203.0.113.9", 0.0)["answers"]
    assert answers["A"]["regions"] == ["us"]
    assert answers["AAAA"]["regions"] == ["eu"]  # fail open: no other region has one
    assert answers["AAAA"]["outcome"] == "all_down"


@pytest.mark.parametrize(
    ("name", "client", "word"),
    [("nope.example.com", "203.0.113.9", "known: www.example.com"), ("www.example.com", "banana", "banana"),
     ("www.example.com", "203.0.113.9/99", "not an IP address")],
)
def test_a_wrong_question_says_what_is_right(name, client, word):
    with pytest.raises(AskError, match=word):
        explain(knowledge(), name, client, 0.0)
