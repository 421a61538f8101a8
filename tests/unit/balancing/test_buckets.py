import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.buckets import TokenBucket


def test_a_full_bucket_gives_its_burst_then_its_rate():
    bucket = TokenBucket(10.0, 5.0)
    state, waits = bucket.empty_state, []
    for _ in range(6):
        state, wait = bucket.take(state, 100.0)
        waits.append(wait)
    assert waits[:5] == [0.0] * 5
    assert waits[5] == pytest.approx(0.1)
    state, wait = bucket.take(state, 100.0 + waits[5] + 1e-9)
    assert wait == 0.0


def test_a_refusal_takes_nothing():
    bucket = TokenBucket(1.0, 1.0)
    state, _ = bucket.take(bucket.empty_state, 0.0)
    for _ in range(9):
        same, wait = bucket.take(state, 0.5)
        assert (same, wait) == (state, pytest.approx(0.5))


@given(st.integers(1, 50), st.integers(1, 50), st.lists(st.floats(0, 3), max_size=80))
def test_in_any_time_at_most_burst_and_rate_and_never_less_for_who_waits(rate, burst, pauses):
    bucket, state, now = TokenBucket(float(rate), float(burst)), 0.0, 1_000.0
    taken: list[float] = []
    for pause in pauses:
        now += pause
        state, wait = bucket.take(state, now)
        if wait == 0.0:
            taken.append(now)
        else:
            assert bucket.take(state, now + wait + 1e-9)[1] == 0.0
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - start) + 1e-6


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 30), st.integers(0, 5), st.integers(0, 9)), max_size=40))
def test_slices_are_the_same_tokens(asks):
    """What is given by slices, from when on it may be spent, keeps to burst + rate · t as single tokens do."""
    rate, burst = 20.0, 30.0
    bucket, state, now = TokenBucket(rate, burst), 0.0, 50.0
    spent: list[tuple[float, int]] = []
    for pause, want, least, charge in asks:
        now += pause
        lump = min(least, want)
        state, given_now, delay = bucket.lease(state, want, lump, charge, now)
        assert lump <= given_now <= max(want, lump)
        spent += [(now, charge), (now + delay, given_now)]
    total = sum(count for _, count in spent)
    if spent:
        end = max(at for at, _ in spent)
        assert total <= burst + rate * (end - 50.0) + sum(charge for _, _, _, charge in asks) + 1e-6


def test_what_is_there_and_when_it_is_full():
    bucket = TokenBucket(10.0, 5.0)
    state, _ = bucket.take(0.0, 100.0)
    assert bucket.left(state, 100.0) == (4, pytest.approx(0.1))
    assert bucket.left(state, 200.0) == (5, 0.0)
    assert bucket.quota == (5, 1)
    assert TokenBucket(0.1, 6.0).quota == (6, 60)


def test_a_share():
    assert TokenBucket(10.0, 6.0).share(3) == TokenBucket(10.0 / 3, 2.0)
    assert TokenBucket(10.0, 2.0).share(4) == TokenBucket(2.5, 1.0)
