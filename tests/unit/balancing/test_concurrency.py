import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.concurrency import Gate, Gradient
from gslb.model import Adaptive


def gates(workers: int, most: int) -> list[Gate]:
    rows = [[0] * 4 for _ in range(workers)]
    return [Gate("g", most, None, row, 2, [one for one in rows if one is not row]) for row in rows]


def test_a_fixed_limit_holds_for_all_workers():
    one, other = gates(2, 3)
    assert [one.enter(1.0), other.enter(1.0), one.enter(1.0), other.enter(1.0)] == [0, 0, 0, 2]
    one.leave(0.1)
    assert other.enter(1.0) == 0
    assert (one.running, other.running) == (1, 2)


def test_less_important_requests_fill_a_part():
    [gate] = gates(1, 10)
    assert [gate.enter(0.7) for _ in range(8)] == [0] * 7 + [1]
    assert [gate.enter(0.9) for _ in range(3)] == [0, 0, 1]
    assert [gate.enter(1.0) for _ in range(2)] == [0, 2]


@given(st.integers(1, 4), st.integers(1, 8), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=80))
def test_never_more_than_said_and_nothing_is_lost(workers, most, moves):
    all_gates = gates(workers, most)
    inside = [0] * workers
    for number, enters in moves:
        which = number % workers
        if enters:
            if all_gates[which].enter(1.0) == 0:
                inside[which] += 1
        elif inside[which]:
            all_gates[which].leave(None)
            inside[which] -= 1
        assert sum(inside) <= most + workers - 1
        assert [gate.running for gate in all_gates] == inside


def test_who_leaves_once_too_often_counts_nothing_below_zero():
    [gate] = gates(1, 1)
    gate.leave(None)
    assert gate.running == 0


def run(gradient: Gradient, seconds: float, running: int, ticks: int, start: float = 0.0) -> float:
    for tick in range(ticks):
        for _ in range(10):
            gradient.ended(seconds, running)
        gradient.tick(start + tick * 0.25)
    return gradient.limit


def test_an_adaptive_limit_grows_while_latency_stays():
    gradient = Gradient(Adaptive(10, 200), 1, 0.0)
    assert run(gradient, 0.01, 200, 400) == 200.0


def test_it_shrinks_when_latency_rises_and_stays_within_its_bounds():
    gradient = Gradient(Adaptive(10, 200, window_s=1e6), 1, 0.0)
    run(gradient, 0.01, 200, 100)
    before = gradient.limit
    assert run(gradient, 0.2, 200, 60) < before / 3
    assert gradient.limit >= 10


def test_it_does_not_grow_unused():
    gradient = Gradient(Adaptive(10, 200), 1, 0.0)
    assert run(gradient, 0.01, 2, 50) == 10.0


def test_few_samples_say_nothing():
    gradient = Gradient(Adaptive(10, 200), 1, 0.0)
    for tick in range(50):
        gradient.ended(0.01, 200)
        if tick % 4 == 3:
            gradient.tick(tick * 0.25)
    assert gradient.limit > 10.0  # they were kept for a later tick, not lost


def test_what_was_fast_long_ago_is_forgotten():
    gradient = Gradient(Adaptive(10, 200, window_s=10.0), 1, 0.0)
    run(gradient, 0.01, 200, 20)
    run(gradient, 0.05, 200, 200, start=100.0)
    assert gradient.limit > 100


def test_bounds_are_divided_among_workers():
    gradient = Gradient(Adaptive(10, 100), 4, 0.0)
    assert (gradient.least, gradient.most) == (2, 25)


def test_a_gate_goes_by_what_its_gradient_found():
    cells = [0] * 3
    gate = Gate("g", 0, Gradient(Adaptive(2, 2), 1, 0.0), cells, 0)
    assert [gate.enter(1.0) for _ in range(3)] == [0, 0, 2]
    gate.leave(0.5)
    assert gate.gradient._sum_s == pytest.approx(0.5)
