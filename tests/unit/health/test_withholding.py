"""What fails everywhere at once is suspect and held, for a bounded time; what is confirmed, or alone, is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.withholding import WINDOW_S, Withholding
from gslb.model import RegionStatus, State

NAMES = ("eu", "us", "ap", "sa")
CAPACITIES = dict.fromkeys(NAMES, 100.0)


def found(*down, names=NAMES, forced=()):
    return {
        name: RegionStatus(State.DOWN if name in down else State.UP, "2 of 2", forced=name in forced) for name in names
    }


def up_before(names=NAMES, **options):
    one = Withholding(**options)
    one.hold(found(names=names), CAPACITIES, {}, 0.0)
    return one


def down_of(statuses):
    return {name for name, status in statuses.items() if status.state is State.DOWN}


def test_one_region_of_several_is_believed_at_once():
    one = up_before()
    assert down_of(one.hold(found("eu"), CAPACITIES, {}, 1.0)) == {"eu"}
    assert not one.held


def test_more_than_half_of_the_capacity_at_once_is_held_with_an_alarm_and_believed_in_the_end():
    one = up_before(hold_s=30.0)
    at_once = one.hold(found("eu", "us", "ap"), CAPACITIES, {}, 1.0)
    assert len(down_of(at_once)) == 2
    (name,) = one.held
    assert at_once[name].state is State.UP
    assert "75% of the capacity" in at_once[name].why
    assert at_once[name].changes_in_s == 30.0
    for second in range(2, 31):
        assert len(down_of(one.hold(found("eu", "us", "ap"), CAPACITIES, {}, float(second)))) == 2
    assert len(down_of(one.hold(found("eu", "us", "ap"), CAPACITIES, {}, 31.0))) == 3
    assert not one.held


def test_regions_that_fall_one_after_another_are_believed():
    one = up_before()
    down = []
    for number, name in enumerate(NAMES):
        down.append(name)
        now = 1.0 + number * (WINDOW_S + 1)
        assert down_of(one.hold(found(*down), CAPACITIES, {}, now)) == set(down)


def test_what_the_region_itself_confirms_is_believed_at_once():
    one = up_before()
    confirmed = dict.fromkeys(("eu", "us", "ap"), True)
    assert down_of(one.hold(found("eu", "us", "ap"), CAPACITIES, confirmed, 1.0)) == {"eu", "us", "ap"}


def test_an_operator_is_obeyed_at_once_and_takes_nothing_from_what_health_may_withdraw():
    one = up_before()
    forced = ("eu", "us", "ap")
    assert down_of(one.hold(found(*forced, forced=forced), CAPACITIES, {}, 1.0)) == set(forced)
    assert down_of(one.hold(found(*NAMES, forced=forced), CAPACITIES, {}, 1.1)) == set(NAMES)


@pytest.mark.parametrize("names", [("eu",), ("eu", "us")])
def test_with_one_or_two_regions_nothing_is_held(names):
    one = up_before(names)
    assert down_of(one.hold(found(*names, names=names), CAPACITIES, {}, 1.0)) == set(names)


def test_capacity_counts_where_it_is_said():
    big = {**CAPACITIES, "eu": 1000.0}
    one = up_before()
    assert down_of(one.hold(found("eu"), big, {}, 1.0)) == set(), "77 % of all"
    one = up_before()
    assert down_of(one.hold(found("eu"), {**big, "us": 0.0}, {}, 1.0)) == {"eu"}, "one isn't said: all count alike"


def test_what_was_down_before_is_not_new():
    one = Withholding()
    assert down_of(one.hold(found(*NAMES), CAPACITIES, {}, 0.0)) == set(NAMES), "a start knows no better"


@given(
    st.lists(st.sets(st.sampled_from(NAMES)), min_size=1, max_size=40),
    st.floats(0.1, 1.0),
    st.floats(1.0, 60.0),
)
def test_nothing_is_held_for_longer_than_it_may_and_nothing_is_taken_down_that_is_up(turns, withdraw_max, hold_s):
    one = Withholding(withdraw_max, hold_s)
    since = {}
    for number, down in enumerate(turns):
        now = number * 2.0
        let = one.hold(found(*down), CAPACITIES, {}, now)
        assert down_of(let) <= down
        assert let.keys() == set(NAMES)
        since = {name: since.get(name, now) for name in down}
        for name in down - down_of(let):
            assert now - since[name] < hold_s
            assert name in one.held
