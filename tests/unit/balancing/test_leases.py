import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.balancing.leases import ASKS_MAX, LUMP_S, Spender, slice_of
from gslb.balancing.limits import Counted, meter_of
from gslb.model import RateLimit

LIMIT = RateLimit("api", "client_ip", 100, 1.0, 40)


def limit(**options) -> RateLimit:
    return RateLimit("api", "client_ip", options.pop("count", 100), 1.0, options.pop("burst", 40), **options)


@pytest.mark.parametrize(
    ("options", "workers", "expected"),
    [({}, 2, 10), ({}, 8, 5), ({"slice": 7}, 2, 7), ({"burst": 1}, 4, 1), ({"count": 1000, "burst": 10}, 4, 10)],
)
def test_how_large_a_slice_is(options, workers, expected):
    assert slice_of(limit(**options), workers) == expected


def exchange(spender: Spender, counted: Counted, now: float) -> None:
    """Control answers at once."""
    for ask in spender.asks():
        spender.granted(ask.key, *counted.lease(ask.key, ask.want, ask.lump, ask.charge, now), now)


def test_a_worker_opens_with_a_slice_and_asks_when_half_is_left():
    spender = Spender(limit(slice=10), 2)
    for _ in range(4):
        assert spender.admit(b"a", 0.0) == 0.0
    assert spender.asks() == []
    spender.admit(b"a", 0.0)
    [ask] = spender.asks()
    assert (ask.key, ask.want, ask.lump, ask.charge) == (b"a", 5, 5, 10)
    assert spender.asks() == []  # nobody asks twice
    for _ in range(5):
        assert spender.admit(b"a", 0.0) == 0.0
    assert spender.admit(b"a", 0.0) == LUMP_S
    spender.granted(b"a", 5, 0.04, 0.0)
    assert spender.admit(b"a", 0.0) == pytest.approx(0.05)
    assert spender.admit(b"a", 0.04) == 0.0


@settings(max_examples=50)
@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.05), st.booleans()), max_size=300),
    st.sampled_from(["token_bucket", "sliding_window"]),
)
def test_never_more_than_the_bound_in_the_module(workers, moves, algorithm):
    said = limit(algorithm=algorithm, burst=40 if algorithm == "token_bucket" else 100)
    spenders = [Spender(said, workers) for _ in range(workers)]
    counted, now, admitted = Counted(meter_of(said)), 1_000.0, 0
    for which, pause, answered in moves:
        now += pause
        for _ in range(3):
            admitted += spenders[which % workers].admit(b"a", now) == 0.0
        if answered:
            for spender in spenders:
                exchange(spender, counted, now)
    time_s = now - 1_000.0
    bound = 40 + 100 * time_s if algorithm == "token_bucket" else 100 * (2 + int(time_s))
    assert admitted <= bound + workers * spenders[0].slice


def test_who_uses_it_all_gets_all_of_it():
    spenders, counted = [Spender(LIMIT, 2) for _ in range(2)], Counted(meter_of(LIMIT))
    admitted, now = 0, 0.0
    for step in range(4_000):
        now = step * 0.001
        admitted += spenders[step % 2].admit(b"a", now) == 0.0
        for spender in spenders:
            exchange(spender, counted, now)
    assert admitted == pytest.approx(40 + 100 * 4, rel=0.05)


def test_control_is_away_and_comes_back():
    spender = Spender(LIMIT, 4)
    spender.leave()
    spender.leave()
    admitted = sum(spender.admit(b"a", 0.0) == 0.0 for _ in range(100))
    assert admitted == 10  # a fourth of the burst
    assert spender.left(b"a", 0.0)[0] == 0
    spender.rejoin()
    assert spender.admit(b"b", 0.0) == 0.0


def test_a_grant_of_another_era_is_lost():
    spender = Spender(limit(slice=2), 1)
    spender.admit(b"a", 0.0)
    spender.asks()
    spender.leave()
    spender.rejoin()
    spender.granted(b"a", 100, 0.0, 0.0)
    spender.granted(b"unknown", 100, 0.0, 0.0)
    assert sum(spender.admit(b"a", 0.0) == 0.0 for _ in range(10)) == 1


def test_the_table_and_a_message_are_bounded():
    spender = Spender(limit(slice=1), 1, keys_max=2_000)
    for number in range(3_000):
        spender.admit(b"%d" % number, 0.0)
    assert len(spender) == 2_000
    assert len(spender.asks()) == ASKS_MAX
    assert len(spender.asks()) == 2_000 - ASKS_MAX


def test_what_a_worker_holds():
    spender = Spender(limit(slice=4), 1)
    assert spender.left(b"a", 0.0) == (4, 0.0)
    spender.admit(b"a", 0.0)
    assert spender.left(b"a", 0.0) == (3, 0.0)
