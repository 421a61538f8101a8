"""How large a share of its clients a region can have: fast down, slow up, never nothing, and no swinging."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.share import BACK_S, LEAST, RETURN_S, STEP_S, Seen, Share

WHOLE = Seen(1.0, 0.5, 100, 0)


def run(share, seen, seconds, start=0.0):
    """A look a second; the shares in order."""
    return [share.look(seen, start + second) for second in range(int(seconds))]


def test_a_region_that_is_whole_has_all_its_clients():
    assert set(run(Share(), WHOLE, 60)) == {1.0}


@pytest.mark.parametrize(
    ("healthy", "share"), [(1.0, 1.0), (0.72, 1.0), (0.667, 1.0), (0.5, 0.75), (0.333, 0.5), (0.1, 0.25), (0.0, 0.25)]
)
def test_what_is_not_healthy_is_not_used_at_once(healthy, share):
    one = Share()
    assert one.look(Seen(healthy, 0.5, 100, 0), 1.0) == share
    assert ("healthy" in one.why) == (share < 1.0)


def test_capacity_that_comes_back_is_used_step_by_step():
    one = Share()
    one.look(Seen(0.1, 0.0, 0, 0), 0.0)
    shares = run(one, WHOLE, 4 * RETURN_S, 1.0)
    assert sorted(set(shares)) == [0.25, 0.5, 0.75, 1.0]
    assert shares == sorted(shares)
    assert shares.index(1.0) >= 3 * RETURN_S - 2


def test_too_much_load_lowers_it_while_it_lasts():
    one = Share()
    shares = run(one, Seen(1.0, 1.2, 100, 0), 30)
    assert shares[0] == 0.75, "the first step at once"
    assert shares[int(STEP_S)] == 0.5
    assert shares[-1] == LEAST
    assert "120% of its capacity" in one.why
    assert set(run(one, Seen(1.0, 0.9, 100, 0), 60, 30)) == {LEAST}, "between the bounds nothing moves"
    assert run(one, WHOLE, 120, 90)[-1] == 1.0


def test_real_failures_lower_it_and_a_quarter_always_stays():
    one = Share()
    assert run(one, Seen(1.0, 0.0, 100, 100), 300)[-1] == LEAST
    assert "fail" in one.why


def test_failures_in_turns_are_seen():
    """Slow drip: every other second everything fails."""
    one = Share()
    shares = [one.look(Seen(1.0, 0.0, 100, 100 * (second % 2)), float(second)) for second in range(60)]
    assert shares[-1] == LEAST


def test_a_few_requests_say_nothing():
    assert set(run(Share(), Seen(1.0, 0.0, 5, 5), 60)) == {1.0}


def test_it_comes_back_without_any_requests():
    one = Share()
    run(one, Seen(1.0, 0.0, 100, 100), 60)
    assert run(one, Seen(1.0, 0.0, 0, 0), 150, 60)[-1] == 1.0


@given(
    st.lists(
        st.builds(
            Seen, st.floats(0, 1), st.floats(0, 5), st.integers(0, 1000), st.integers(0, 1000)
        ),
        max_size=60,
    )
)
def test_whatever_comes_it_is_a_quarter_or_more_in_quarters_and_has_its_reason(looks):
    one = Share()
    for second, seen in enumerate(looks):
        share = one.look(Seen(seen.healthy, seen.load, seen.requests, min(seen.failed, seen.requests)), float(second))
        assert share in {0.25, 0.5, 0.75, 1.0}
        assert bool(one.why) == (share < 1.0)


@given(st.lists(st.sampled_from([WHOLE, Seen(1.0, 1.5, 100, 0), Seen(1.0, 0.5, 100, 100)]), min_size=60, max_size=60))
def test_nothing_swings(looks):
    """In a minute at most one step down each STEP_S and one up each BACK_S, of either kind."""
    one = Share()
    shares = [one.look(seen, float(second)) for second, seen in enumerate(looks)]
    ups = sum(later > before for before, later in itertools.pairwise(shares))
    assert ups <= 60 / BACK_S * 2


def test_servers_that_come_back_after_none_was_left_are_not_held_to_what_failed_before():
    one = Share()
    run(one, Seen(1.0, 0.0, 100, 100), 3)
    run(one, Seen(0.0, 0.0, 100, 100), 10, 3)
    assert run(one, WHOLE, 4 * RETURN_S, 13)[-1] == 1.0
