import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.tracker import Tracker
from gslb.model import State

UP, DOWN, UNKNOWN = State.UP, State.DOWN, State.UNKNOWN


def feed(tracker: Tracker, results: str) -> list[State | None]:
    """`+` is a success, `-` a failure."""
    return [tracker.observe(result == "+", float(now)) for now, result in enumerate(results)]


@pytest.mark.parametrize(
    ("initial", "results", "state"),
    [
        (UNKNOWN, "+", UP),
        (UNKNOWN, "--", UNKNOWN),
        (UNKNOWN, "---", DOWN),
        (UNKNOWN, "--+", UP),
        (UP, "--", UP),
        (UP, "---", DOWN),
        (UP, "-+-+-", DOWN),  # failures add up although successes come between them
        (UP, "--++++-", DOWN),  # four successes don't clear them …
        (UP, "--+++++-", UP),  # … five in a row do (ok=5)
        (DOWN, "+", DOWN),
        (DOWN, "++", UP),
        (DOWN, "+-+", DOWN),
        (DOWN, "+-++", UP),
    ],
)
def test_table(initial, results, state):
    tracker = Tracker(rise=2, fall=3, ok=5, initial=initial)
    feed(tracker, results)
    assert tracker.state is state


def test_how_many_successes_it_takes_to_be_believed_at_first():
    for results, state in (("++", UNKNOWN), ("++-++", UNKNOWN), ("++-+++", UP), ("++---", DOWN)):
        tracker = Tracker(rise=10, fall=3, first=3)
        feed(tracker, results)
        assert tracker.state is state


def test_says_the_new_state_once_and_since_when():
    tracker = Tracker(rise=2, fall=2)
    assert feed(tracker, "+--++") == [UP, None, DOWN, None, UP]
    assert tracker.since == 4.0


@pytest.mark.parametrize(
    ("initial", "results", "seconds"),
    [(UNKNOWN, "", 1), (UP, "", None), (UP, "-", 2), (UP, "-+", 2), (UP, "--", 1), (DOWN, "", None), (DOWN, "+", 9)],
)
def test_the_soonest_change(initial, results, seconds):
    tracker = Tracker(rise=10, fall=3, initial=initial)
    feed(tracker, results)
    assert tracker.changes_in(0.5) == (seconds and seconds * 0.5)
    assert tracker.changing is (seconds is not None)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 12), st.text("+-", max_size=200))
def test_against_gdnsd(rise, fall, ok, results):
    """gdnsd's mon_state_updater, transcribed, from its first result on."""
    tracker = Tracker(rise, fall, ok, initial=UP, rise_max=rise)
    up, failures, successes = True, 0, 0
    for result in results:
        if not up:
            successes = successes + 1 if result == "+" else 0
            if successes == rise:
                up, failures, successes = True, 0, 0
        elif result == "+":
            if failures:
                successes += 1
                if successes == ok:
                    failures = successes = 0
        else:
            successes, failures = 0, failures + 1
            if failures == fall:
                up, failures, successes = False, 0, 0
        tracker.observe(result == "+", 0.0)
        assert (tracker.state is UP) == up


@given(st.text("+-", max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_no_change_comes_sooner_than_said(results, rise, fall):
    tracker = Tracker(rise, fall)
    for i in range(len(results)):
        soonest, ahead = tracker.changes_in(1.0), Tracker(rise, fall)
        feed(ahead, results[:i])
        for step, result in enumerate(results[i:], start=1):
            if ahead.observe(result == "+", float(i)) is not None:
                assert soonest is None or soonest <= step
                break
        tracker.observe(results[i] == "+", float(i))


@pytest.mark.parametrize("seed", range(5))
def test_a_probe_that_fails_half_the_time_hardly_flips(seed):
    """REFERENCE's figures: 10 minutes at 1 s; rise 10 a transition or so, rise 2 dozens."""
    rng = random.Random(seed)
    results = ["+-"[rng.random() < 0.5] for _ in range(600)]

    def flips(rise: int, rise_max: int | None = None) -> int:
        tracker = Tracker(rise, fall=3, initial=UP, rise_max=rise_max)
        return sum(state is not None for state in feed(tracker, "".join(results)))

    assert flips(10, 10) <= 5
    assert flips(2, 2) >= 20
    assert flips(10) <= 3
    assert flips(2) <= flips(2, 2) / 2, "the score keeps it out"


def clean(tracker: Tracker, now: float) -> int:
    """Successes in a row until it is up."""
    for count in range(1, 1000):
        if tracker.observe(True, now) is UP:
            return count
    raise AssertionError("it never came back")


def test_a_target_that_was_only_dead_comes_back_as_soon_as_ever():
    tracker = Tracker(rise=10, fall=3, initial=UP)
    feed(tracker, "-" * 500)
    assert clean(tracker, 500.0) == 10


def test_one_that_goes_down_again_and_again_needs_longer_and_is_forgiven_in_time():
    tracker, needed = Tracker(rise=2, fall=3, initial=UP), []
    for cycle in range(40):
        for _ in range(3):
            tracker.observe(False, float(cycle))
        needed.append(clean(tracker, float(cycle)))
    assert needed[:5] == [2, 2, 3, 4, 5]
    assert needed == sorted(needed)
    assert needed[-1] == 16, "eight times, and never more"
    for _ in range(3):
        tracker.observe(False, 3000.0)
    assert clean(tracker, 3000.0) == 2


@pytest.mark.parametrize(
    ("results", "needed"),
    [
        ("---", 10),  # it was only dead
        ("-" * 20, 10),
        ("---+-", 14),  # one row of successes that broke; the score has faded a little since
        ("---++++-", 14),
        ("---+-+-", 19),
        ("-+-+-", 15),  # it went down by failures with successes between them
        ("-++++++++++---", 10),  # they were forgotten
        ("-+-+-+-", 19),
    ],
)
def test_what_is_in_doubt_needs_more_successes(results, needed):
    tracker = Tracker(rise=10, fall=3, initial=UP)
    feed(tracker, results)
    assert clean(tracker, float(len(results))) == needed
