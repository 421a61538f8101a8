import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.trigger import BUCKETS, ERROR_RATE_WINDOW_S, Trigger
from gslb.model import BreakerRule


def trigger(**options) -> Trigger:
    return Trigger(BreakerRule(**options))


def test_failures_in_a_row():
    one = trigger(failures=3)
    assert [one.add(0, 1, 1, 0.0) for _ in range(3)] == ["", "", "3 failures in a row"]


def test_a_success_ends_the_row():
    one = trigger(failures=3)
    assert one.add(0, 2, 2, 0.0) == ""
    assert one.add(1, 0, 0, 0.0) == ""
    assert one.add(0, 2, 2, 0.0) == ""
    assert one.run == 2


def test_a_batch_says_how_many_failures_end_it():
    assert trigger(failures=3).add(5, 3, 2, 0.0) == ""
    assert trigger(failures=3).add(5, 3, 3, 0.0) == "3 failures in a row"


def test_within_a_window_successes_do_not_matter():
    one = trigger(failures=3, window_s=10.0)
    assert [one.add(9, 1, 0, float(second)) for second in range(3)] == ["", "", "3 failures within 10s"]


def test_what_left_the_window_counts_no_more():
    one = trigger(failures=3, window_s=10.0)
    one.add(0, 2, 2, 0.0)
    assert one.add(0, 1, 1, 10.0) == ""
    assert one.add(0, 2, 2, 10.5) == "3 failures within 10s"


def test_a_share_of_errors_needs_enough_requests():
    one = trigger(failures=0, error_rate=0.5, min_requests=20)
    assert one.add(4, 5, 0, 0.0) == ""
    assert one.add(5, 5, 0, 1.0) == ""  # 19
    assert one.add(0, 1, 1, 2.0) == f"11 of 20 requests failed within {ERROR_RATE_WINDOW_S:.0f}s"


def test_a_share_below_the_rate_is_none():
    assert trigger(failures=0, error_rate=0.5).add(60, 40, 40, 0.0) == ""


def test_successes_never_trip_it():
    one = trigger(failures=0, error_rate=0.1, min_requests=1)
    one.add(0, 0, 0, 0.0)
    assert one.add(1, 0, 0, 0.0) == ""


def test_cleared_it_knows_nothing():
    one = trigger(failures=2, window_s=10.0)
    one.add(0, 1, 1, 0.0)
    one.clear()
    assert (one.add(0, 1, 1, 0.1), one.run) == ("", 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0, 3)), max_size=60))
def test_the_window_counts_what_a_slow_count_does(batches):
    """Against all results with their times; a window begins with the bucket that its oldest part is in."""
    one, window = trigger(failures=6, window_s=5.0), 5.0
    now, seen = 0.0, []
    for successes, failures, pause in batches:
        now += pause
        seen.append((int(now / (window / BUCKETS)), failures))
        expected = sum(count for bucket, count in seen if bucket > seen[-1][0] - BUCKETS)
        assert bool(one.add(successes, failures, failures, now)) == (failures > 0 and expected >= 6)


@pytest.mark.parametrize("rule", [{}, {"window_s": 60.0}, {"error_rate": 0.5}])
def test_memory_is_bounded(rule):
    one = trigger(failures=0, **rule) if rule else trigger()
    for number in range(2_000):
        one.add(1, 1, 0, number * 0.1)
    assert len(one._buckets) <= BUCKETS
