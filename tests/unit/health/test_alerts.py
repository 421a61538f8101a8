"""Pending, firing, resolved: each told once, nothing told too early, nothing forgotten over a restart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.alerts import ALERTS_MAX, TEXT_MAX, Alerts, Event, Fact, Rule, headline

LOST = Fact("region_lost", "eu", "region eu is down")
RULES = {"region_lost": Rule(for_s=5.0, keep_s=10.0, severity="critical", repeat_s=100.0), "other": Rule()}


def run(alerts, holds, start=0.0):
    """A look a second; (second, status, again) of all that is told."""
    told = []
    for second, on in enumerate(holds):
        events = alerts.look([LOST] if on else [], RULES, start + second)
        told += [(second, event.status, event.again) for event in events]
    return told


def test_it_fires_after_its_time_and_is_resolved_after_its_time():
    assert run(Alerts("c"), [1] * 10 + [0] * 20) == [(5, "firing", False), (20, "resolved", False)]


def test_what_is_gone_before_its_time_tells_nobody():
    assert run(Alerts("c"), [1, 1, 1, 1, 0] * 10) == []


def test_what_comes_and_goes_fires_once():
    assert run(Alerts("c"), [1] * 6 + [0, 1, 1, 0, 0] * 10) == [(5, "firing", False)]


def test_what_still_fires_is_told_again():
    assert run(Alerts("c"), [1] * 250) == [(5, "firing", False), (105, "firing", True), (205, "firing", True)]


def test_an_event_says_all_there_is():
    alerts = Alerts("cluster")
    alerts.look([LOST], RULES, 0.0)
    (event,) = alerts.look([LOST], RULES, 6.0)
    assert event == Event("firing", "region_lost", "eu", "region eu is down", "critical", event.fingerprint, 6.0)
    assert event.fingerprint == Alerts("cluster").fingerprint("region_lost", "eu")
    assert event.fingerprint != Alerts("another").fingerprint("region_lost", "eu")
    assert headline([event]) == "firing: region_lost eu"


def test_a_rule_that_is_gone_takes_its_alerts_with_it():
    alerts = Alerts("c")
    run(alerts, [1] * 10)
    assert alerts.look([LOST], {}, 11.0) == []
    assert alerts.describe(RULES, 11.0) == []


def test_subjects_are_apart_and_the_list_shows_what_fires_first():
    alerts = Alerts("c")
    facts = [LOST, Fact("other", "x", "y" * 1000)]
    assert [one.subject for one in alerts.look(facts, RULES, 0.0)] == ["x"]
    rows = alerts.describe(RULES, 1.0)
    assert [(row["subject"], row["state"]) for row in rows] == [("x", "firing"), ("eu", "pending")]
    assert len(rows[0]["text"]) == TEXT_MAX


def test_there_are_never_too_many():
    alerts = Alerts("c")
    alerts.look([Fact("other", str(number), "") for number in range(ALERTS_MAX + 50)], RULES, 0.0)
    assert len(alerts.describe(RULES, 0.0)) == ALERTS_MAX


# ---------------------------------------------------------------- over a restart
def test_a_restart_neither_tells_twice_nor_forgets():
    alerts = Alerts("c")
    run(alerts, [1] * 10)
    kept = alerts.keep(10.0)
    again = Alerts("c")
    again.remember(kept, 5000.0)  # another boot, another clock
    assert run(again, [1] * 50, 5000.0) == []
    assert run(again, [0] * 15, 5050.0) == [(10, "resolved", False)]


@pytest.mark.parametrize("rows", [None, {}, [None], [{"rule": "x"}], [{"rule": "x", "subject": "y", "text": "z",
                                  "age_s": "old", "told_s": 1}], [[]]])  # fmt: skip
def test_what_can_not_be_read_is_left_out(rows):
    alerts = Alerts("c")
    alerts.remember(rows, 0.0)
    assert alerts.describe(RULES, 0.0) == []


@given(
    st.lists(st.booleans(), max_size=120),
    st.floats(0, 20), st.floats(0, 20), st.floats(5, 50), st.sets(st.integers(0, 119), max_size=5),
)  # fmt: skip
def test_firing_and_resolved_take_turns_in_time_whatever_comes(holds, for_s, keep_s, repeat_s, restarts):
    rules = {"region_lost": Rule(for_s, keep_s, repeat_s=repeat_s)}
    alerts, told, held_since = Alerts("c"), [], None
    for second, on in enumerate(holds):
        if second in restarts:
            kept, alerts = alerts.keep(second), Alerts("c")
            alerts.remember(kept, second)
            held_since = second if on and not kept else held_since  # what was pending begins anew
        held_since = None if not on else second if held_since is None else held_since
        for event in alerts.look([LOST] if on else [], rules, float(second)):
            told.append(event)
            if event.status == "firing":
                assert on
                assert event.again or second - held_since >= for_s
            else:
                assert not on
    firsts = [event.status for event in told if not event.again]
    assert firsts == ["firing", "resolved"] * (len(firsts) // 2) + ["firing"] * (len(firsts) % 2)
