"""Operators' words: the newest on each target wins on every node, whatever the clocks and the order say."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.newest import AHEAD_MAX_MS
from gslb.health.overrides import (
    OVERRIDES_MAX,
    STATES,
    TOMBSTONE_MS,
    Overrides,
    SafetyRule,
    broken,
    newest,
    parse_target,
)
from gslb.model import State

NOW = 1_800_000_000_000


def said(target="eu", action="drain", now=NOW, node="a", **words):
    """A node that was told this."""
    known = Overrides(node)
    known.say(target, action, why="x", author="me", now_ms=now, **words)
    return known


# ---------------------------------------------------------------- targets
TARGETS = ["eu-west", "eu-*", "*/web", "eu/web/10.0.0.1:80", "eu/web/[::1]:80", "www.a.example@eu?"]


@pytest.mark.parametrize("text", TARGETS)
def test_targets(text):
    assert parse_target(text) == text


@pytest.mark.parametrize("text", ["", "a/b/c/d", "a@b@c", "a/b@c", "a b", "a/", "@a", "é"])
def test_what_is_no_target(text):
    with pytest.raises(ValueError, match="no target"):
        parse_target(text)


def test_a_star_is_not_a_slash():
    known = said("eu*")
    assert known.of_region("eu-west", NOW)
    assert known.of_server("eu-west", "web", "a", NOW) is None
    assert known.of_service("www", "eu-west", NOW) is None
    assert said("*/web/*").of_server("eu", "web", "a", NOW)
    assert said("eu/web/[::1]:80").of_server("eu", "web", "[::1]:80", NOW)
    assert said("eu/web/a.c").of_server("eu", "web", "abc", NOW) is None
    assert said("www.*@*").of_service("www.example.com", "eu", NOW)


def test_a_server_s_own_word_goes_before_its_pool_s():
    known = said("eu/web")
    known.say("eu/web/a", "up", why="", author="", now_ms=NOW - 50)  # said later, though its clock says earlier
    assert known.of_server("eu", "web", "a", NOW).action == "up"
    assert known.of_server("eu", "web", "b", NOW).action == "drain"


def test_the_newest_of_several_that_match_counts():
    known = said("eu-*")
    known.say("eu-west", "up", why="", author="", now_ms=NOW)
    assert known.of_region("eu-west", NOW).action == "up"
    known.say("*", "down", why="", author="", now_ms=NOW)
    assert known.of_region("eu-west", NOW).action == "down"
    known.say("*", "auto", why="", author="", now_ms=NOW)
    assert known.of_region("eu-west", NOW).action == "up"


def test_an_end_is_an_end():
    known = said(expires_ms=NOW + 1000)
    assert known.of_region("eu", NOW + 999)
    assert known.of_region("eu", NOW + 1000) is None
    assert STATES["drain"] is State.DRAINING


# ---------------------------------------------------------------- several nodes
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(["eu", "us", "eu/web"]), st.sampled_from([*STATES, "auto"]),
            st.integers(-200_000, 200_000), st.booleans(),
        ),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_all_nodes_come_to_the_same_in_any_order(words, chance: random.Random):
    nodes = [Overrides(name) for name in "abc"]
    for who, target, action, skew, heard in words:
        nodes[who].say(target, action, why="", author="", now_ms=NOW + skew)
        if heard:
            nodes[(who + 1) % 3].merge(nodes[who].rows(), NOW)
    for _ in range(2):
        order = [(one, other) for one in nodes for other in nodes if one is not other]
        chance.shuffle(order)
        for one, other in order:
            one.merge(other.rows(), NOW)
    texts = [sorted(map(repr, node.rows())) for node in nodes]
    assert texts[0] == texts[1] == texts[2]


@given(st.integers(-280_000, 280_000), st.integers(-280_000, 280_000))
def test_who_has_heard_a_word_speaks_after_it_whatever_the_clocks_say(first, second):
    one, two = Overrides("a"), Overrides("b")
    one.say("eu", "drain", why="", author="", now_ms=NOW + first)
    assert two.merge(one.rows(), NOW)
    two.say("eu", "auto", why="", author="", now_ms=NOW + second)
    assert one.merge(two.rows(), NOW)
    assert one.of_region("eu", NOW) is None


def test_hearing_the_same_again_is_no_news():
    one, two = said(), Overrides("b")
    assert two.merge(one.rows(), NOW)
    assert not two.merge(one.rows(), NOW)
    assert two.of_region("eu", NOW).author == "me"


def test_what_was_taken_back_is_not_brought_back_by_who_has_not_heard():
    one, two = said(), Overrides("b")
    two.merge(one.rows(), NOW)
    one.say("eu", "auto", why="", author="", now_ms=NOW)
    one.merge(two.rows(), NOW)
    assert one.of_region("eu", NOW) is None


def test_words_of_the_future_are_refused_and_counted():
    late = said(now=NOW + AHEAD_MAX_MS + 1)
    known = Overrides("b")
    assert not known.merge(late.rows(), NOW)
    assert known.refused == 1
    assert known.merge(said(now=NOW + AHEAD_MAX_MS).rows(), NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"target": "a b"}, {"target": 1}, {"action": "explode"}, {"why": 3}, {"why": "x" * 1000}, {"author": None},
        {"stamp": [1, 2]}, {"stamp": [-1, 0, "a"]}, {"stamp": ["1", 0, "a"]}, {"stamp": [1.5, 0, "a"]},
        {"stamp": [2**60, 0, "a"]}, {"expires_ms": -1}, {"expires_ms": True}, {"broke_glass": 1}, {"action": ["up"]},
    ],
)  # fmt: skip
def test_what_is_no_override_is_refused_and_counted(change):
    (row,) = said().rows()
    known = Overrides("b")
    assert not known.merge([{**row, **change}, "x", None, 3, []], NOW)
    assert known.refused == 5
    assert known.rows() == []


def test_there_is_a_bound_and_tombstones_are_forgotten_in_time():
    known = Overrides("a")
    for number in range(OVERRIDES_MAX):
        known.say(f"r{number}", "drain", why="", author="", now_ms=NOW)
    with pytest.raises(ValueError, match="take some back"):
        known.say("one-more", "drain", why="", author="", now_ms=NOW)
    assert not known.merge(said("other").rows(), NOW)
    known.say("r0", "auto", why="", author="", now_ms=NOW)
    assert not known.forget(NOW + TOMBSTONE_MS - 1)
    assert known.forget(NOW + TOMBSTONE_MS + 10)
    assert len(known.rows()) == OVERRIDES_MAX - 1


# ---------------------------------------------------------------- rules
CAPACITIES = {"eu": 100, "us": 100, "ap": 50}


@pytest.mark.parametrize(
    ("rule", "out", "minds"),
    [
        (SafetyRule(keep_up=1, of=("eu", "us")), {"eu": "drain"}, ""),
        (SafetyRule(keep_up=1, of=("eu", "us")), {"eu": "drain", "us": "down by health"}, "us (down by health)"),
        (SafetyRule(keep_up=2, of=("eu", "us", "ap")), {"ap": "drain"}, ""),
        (SafetyRule(capacity=0.5), {"eu": "drain"}, ""),
        (SafetyRule(capacity=0.5), {"eu": "drain", "ap": "down"}, "40% of the capacity would be left"),
        (SafetyRule(), {"eu": "drain", "us": "down", "ap": "down"}, ""),
    ],
)
def test_rules(rule, out, minds):
    said = broken([rule], CAPACITIES, out)
    assert (minds in said) if minds else said == ""


def test_a_word_can_be_replaced():
    row = said().holding(NOW)[0]
    assert replace(row, action="auto").holds(NOW) is False


# ---------------------------------------------------------------- weights
def test_a_weight_holds_beside_a_state_and_each_is_taken_back_by_itself():
    one = Overrides("a")
    said = {"why": "", "author": "ada"}
    one.say("eu", "drain", now_ms=1, **said)
    one.say("eu", "weight:25", now_ms=2, **said)
    assert [word.weight for word in one.weights(3)] == [0.25]
    assert one.of_region("eu", 3).action == "drain"
    one.say("eu", "weight:auto", now_ms=4, **said)
    assert one.weights(5) == []
    assert one.of_region("eu", 5).action == "drain"
    one.say("eu", "weight:50", now_ms=6, **said)
    one.say("eu", "auto", now_ms=7, **said)
    assert one.of_region("eu", 8) is None
    assert [word.weight for word in one.weights(8)] == [0.5]


def test_weights_are_told_on_and_the_newest_counts():
    one, two = Overrides("a"), Overrides("b")
    one.say("eu/web/*", "weight:50", why="", author="ada", now_ms=1)
    assert two.merge(one.rows(), 2)
    two.say("eu/web/*", "weight:0", why="", author="bob", now_ms=1)
    assert one.merge(two.rows(), 3)
    assert newest(one.weights(4), "eu/web/web-1").weight == 0.0


@pytest.mark.parametrize(
    "action", ["weight:", "weight:-1", "weight:1001", "weight:x", "weight:1e3", "weight:50%", "weight"]
)
def test_what_is_no_weight_is_refused(action):
    one = Overrides("a")
    row = {"target": "eu", "action": action, "why": "", "author": "x", "stamp": [1, 0, "b"], "expires_ms": 0,
           "broke_glass": False}  # fmt: skip
    assert not one.merge([row], 2)
    assert one.refused == 1
