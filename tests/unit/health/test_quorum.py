"""The precedence over every combination, against a straightforward oracle; the "nevers" of DESIGN.md by number."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health import quorum
from gslb.health.quorum import Freshness, OwnWord, judge
from gslb.model import State

UP, DOWN, DRAINING, UNKNOWN = State.UP, State.DOWN, State.DRAINING, State.UNKNOWN
OVERRIDES = (None, (UP, "maintenance over"), (DOWN, "maintenance"), (DRAINING, "moving"))
WORDS = (None, *OwnWord)
VIEWS = [
    {name: view for name, view in zip(("me", "edge-2", "edge-3"), row, strict=True) if view}
    for row in product((None, UP, DOWN, DRAINING, UNKNOWN), repeat=3)
]
LAST = (None, UP, DOWN)


def oracle(override, own_word, views, isolated, last_good) -> State:
    if override:
        return override[0]
    if own_word == "no_servers":
        return DOWN
    if own_word == "draining" or DRAINING in views.values():
        return DRAINING
    ups = list(views.values()).count(UP) + (own_word == "up")
    downs = list(views.values()).count(DOWN)
    if ups + downs >= 2:
        return DOWN if downs > ups else UP
    if ups == 1:
        return UP
    if downs == 1 and not isolated:
        return DOWN
    return last_good or UNKNOWN


def every_combination():
    for override, own_word, views, isolated, last_good in product(OVERRIDES, WORDS, VIEWS, (False, True), LAST):
        yield {
            "override": override,
            "own_word": own_word,
            "views": views,
            "isolated": isolated,
            "last_good": last_good,
        }


def test_every_combination_against_the_oracle():
    for case in every_combination():
        status = judge(**case)
        assert status.state is oracle(**case), case
        assert status.why
        assert status.forced is (case["override"] is not None)


def test_2_a_blind_node_keeps_the_last_good():
    """All my probes fail, nobody else is there: whatever was last known stays, for every region."""
    for last_good in LAST:
        status = judge(override=None, own_word=None, views={"me": DOWN}, isolated=True, last_good=last_good)
        assert status.state is (last_good or UNKNOWN)
        assert "isolated" in status.why


def test_3_silence_is_not_down():
    """Without any fresh view nothing that was up goes down."""
    for views in ({}, {"me": UNKNOWN}):
        for isolated in (False, True):
            assert judge(override=None, own_word=None, views=views, isolated=isolated, last_good=UP).state is UP
            assert judge(override=None, own_word=None, views=views, isolated=isolated, last_good=None).state is UNKNOWN


def test_5_one_vantage_point_never_takes_a_region_down():
    for case in every_combination():
        seen = [view for view in case["views"].values() if view is not UNKNOWN]
        if case["override"] is None and case["own_word"] is not OwnWord.NO_SERVERS and seen.count(DOWN) == 1:
            others_up = len(seen) > 1 or case["own_word"] is OwnWord.UP
            if others_up:
                assert judge(**case).state is not DOWN, case


def test_5_its_own_word_counts_at_once():
    views = {"me": UP, "edge-2": UP, "edge-3": UP}
    for word, state in ((OwnWord.NO_SERVERS, DOWN), (OwnWord.DRAINING, DRAINING)):
        assert judge(override=None, own_word=word, views=views, isolated=False, last_good=UP).state is state


def test_6_two_witnesses_that_see_all_down_are_believed():
    """So that `when_all_down` is reached: isolation is for a node without another witness."""
    status = judge(override=None, own_word=None, views={"me": DOWN, "b": DOWN}, isolated=True, last_good=UP)
    assert status.state is DOWN


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"views": {"a": DOWN, "b": DOWN, "c": UP}}, "2 of 3 see it down"),
        ({"views": {"a": DOWN, "b": UP, "c": UP}}, "2 of 3 see it up; a sees it down, no majority"),
        ({"views": {"a": DOWN}}, "a sees it down, the only fresh view"),
        ({"own_word": OwnWord.NO_SERVERS}, "its own word: no servers left"),
        ({"views": {"b": DRAINING}}, "its own word: draining, heard by b"),
        ({"override": (DOWN, "disk swap")}, "an operator forced it: disk swap"),
        ({"own_word": OwnWord.UP, "views": {"a": DOWN}}, "1 of 2 see it up; a sees it down, no majority"),
        ({}, "no evidence yet"),
    ],
)
def test_the_reason_names_the_evidence(case, why):
    plain = {"override": None, "own_word": None, "views": {}, "isolated": False, "last_good": None}
    assert judge(**{**plain, **case}).why == why


def test_the_soonest_change_is_told_unless_forced():
    plain = {"own_word": None, "views": {"a": UP}, "isolated": False, "last_good": None, "changes_in_s": 0.6}
    assert judge(override=None, **plain).changes_in_s == 0.6
    assert judge(override=(UP, "x"), **plain).changes_in_s is None


# ---------------------------------------------------------------- freshness
def test_fresh_for_its_time_to_live():
    freshness = Freshness(3.0)
    assert not freshness.is_fresh("a", 0.0)
    assert freshness.seen("a", 1, 1, 100.0)
    assert freshness.is_fresh("a", 103.0)
    assert not freshness.is_fresh("a", 103.1)
    assert freshness.age_s("a", 102.0) == 2.0
    assert freshness.age_s("b", 102.0) is None


def test_a_repeated_report_refreshes_nothing():
    freshness = Freshness(3.0)
    freshness.seen("a", 1, 7, 0.0)
    assert not freshness.seen("a", 1, 7, 2.0)
    assert not freshness.is_fresh("a", 3.5)


def test_a_restarted_node_is_newer_and_its_older_self_never():
    freshness = Freshness(3.0)
    freshness.seen("a", 1, 900, 0.0)
    assert freshness.seen("a", 2, 1, 10.0)
    assert not freshness.seen("a", 1, 901, 20.0)
    assert not freshness.is_fresh("a", 20.0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.floats(0, 5)), max_size=40))
def test_4_order_never_goes_back(reports):
    freshness, best, now, at = Freshness(3.0), (-1, -1), 0.0, None
    for incarnation, sequence, wait in reports:
        now += wait
        newer = (incarnation, sequence) > best
        assert freshness.seen("a", incarnation, sequence, now) is newer
        if newer:
            best, at = (incarnation, sequence), now
        assert freshness.is_fresh("a", now) is (at is not None and now - at <= 3.0)


def test_sources_are_bounded_and_the_stalest_goes(monkeypatch):
    monkeypatch.setattr(quorum, "SOURCES_MAX", 3)
    freshness = Freshness(100.0)
    for now, key in enumerate("abcd"):
        freshness.seen(key, 1, 1, float(now))
    assert [freshness.is_fresh(key, 4.0) for key in "abcd"] == [False, True, True, True]
