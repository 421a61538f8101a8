import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.windows import SlidingWindow


def taken(window: SlidingWindow, times) -> list[bool]:
    state, found = window.empty_state, []
    for now in times:
        state, wait = window.take(state, now)
        found.append(wait == 0.0)
    return found


def test_so_many_in_a_window():
    window = SlidingWindow(3, 10.0)
    assert taken(window, [100.0] * 5) == [True, True, True, False, False]


def test_the_window_before_counts_as_far_as_it_reaches_in():
    window = SlidingWindow(10, 10.0)
    assert sum(taken(window, [100.0] * 10 + [112.0] * 10)) == 12  # 80 % of ten are still in it


def test_after_two_windows_all_is_forgotten():
    assert sum(taken(SlidingWindow(5, 10.0), [100.0] * 5 + [120.0] * 6)) == 10


@given(st.integers(1, 20), st.lists(st.floats(0, 4), max_size=60))
def test_who_waits_as_told_gets_through(limit, pauses):
    window, now = SlidingWindow(float(limit), 10.0), 1_000.0
    state = window.empty_state
    for pause in pauses:
        now += pause
        state, wait = window.take(state, now)
        if wait:
            assert wait <= 20.0
            assert window.take(state, now + wait + 1e-6)[1] == 0.0


@given(st.integers(1, 30), st.lists(st.floats(0, 2), max_size=120))
def test_never_more_than_twice_the_limit_in_a_window(limit, pauses):
    window, now, times = SlidingWindow(float(limit), 10.0), 1_000.0, []
    state = window.empty_state
    for pause in pauses:
        now += pause
        state, wait = window.take(state, now)
        if not wait:
            times.append(now)
    for start in times:
        assert sum(start <= at < start + 10.0 for at in times) <= 2 * limit


def test_slices():
    window = SlidingWindow(10, 10.0)
    state, given_now, delay = window.lease(window.empty_state, 4, 1, 2, 100.0)
    assert (given_now, delay) == (4, 0.0)
    state, given_now, delay = window.lease(state, 8, 2, 0, 100.0)
    assert (given_now, delay) == (4, 0.0)
    state, given_now, delay = window.lease(state, 8, 2, 0, 100.0)
    assert given_now == 2
    assert delay > 0.0


def test_what_is_left():
    window = SlidingWindow(10, 10.0)
    state, _ = window.take(window.empty_state, 105.0)
    assert window.left(state, 105.0) == (9, pytest.approx(15.0))
    assert window.left(state, 130.0) == (10, 0.0)
    assert window.quota == (10, 10)
    assert SlidingWindow(10, 10.0).share(4) == SlidingWindow(2.5, 10.0)
    assert SlidingWindow(2, 10.0).share(4) == SlidingWindow(1.0, 10.0)
