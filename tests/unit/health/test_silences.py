"""Silences: said to one node, they hold on all, end on all, and no stranger's row is one."""

import pytest

from gslb.health.silences import SILENCES_MAX, TOMBSTONE_MS, Silences

NOW, HOUR = 1_800_000_000_000, 3_600_000
ROW = {"rule": "region_lost", "until_ms": NOW + HOUR, "why": "a drill", "author": "ada", "stamp": [NOW, 0, "b"]}


def said(node, rule="region_*", until_ms=NOW + HOUR, now_ms=NOW):
    one = Silences(node)
    one.say(rule, until_ms, why="a drill", author="ada", now_ms=now_ms)
    return one


def test_a_silence_holds_until_its_end():
    one = said("a")
    assert one.covers("region_lost", NOW)
    assert one.covers("region_held", NOW + HOUR - 1)
    assert not one.covers("latency", NOW)
    assert not one.covers("region_lost", NOW + HOUR)


def test_it_holds_on_a_node_that_hears_of_it_and_ends_there():
    here, there = said("a"), Silences("b")
    assert there.merge(here.rows(), NOW)
    assert there.covers("region_lost", NOW)
    there.say("region_*", 0, why="", author="bob", now_ms=NOW)  # by a clock that is no later
    assert here.merge(there.rows(), NOW)
    assert not here.covers("region_lost", NOW)
    assert not there.merge(said("a").rows(), NOW), "an older word changes nothing"


def test_there_is_room_again_a_day_after_an_end():
    one = Silences("a")
    for number in range(SILENCES_MAX):
        one.say(f"rule{number}", NOW + HOUR, why="", author="", now_ms=NOW)
    with pytest.raises(ValueError, match="32 silences already"):
        one.say("another", NOW + HOUR, why="", author="", now_ms=NOW)
    one.say("rule1", 0, why="", author="", now_ms=NOW)  # to end one there is always room
    assert len(one.holding(NOW)) == SILENCES_MAX - 1
    one.say("another", NOW + HOUR + TOMBSTONE_MS, why="", author="", now_ms=NOW + HOUR + TOMBSTONE_MS + 1)
    assert len(one.rows()) == 1


@pytest.mark.parametrize("change", [
    {"rule": ""}, {"rule": "x" * 65}, {"rule": 1}, {"until_ms": -1}, {"until_ms": True}, {"until_ms": 1e9},
    {"why": "x" * 301}, {"author": None}, {"stamp": [NOW, 0]}, {"stamp": None},
])  # fmt: skip
def test_what_is_no_silence_is_none(change):
    assert Silences("a").merge([ROW], NOW)
    assert not Silences("a").merge([ROW | change], NOW)
