"""Least (active + 1) / weight, ties in turn, and no scan: against the obvious scan as the judge."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing import least_loaded
from gslb.balancing.least_loaded import LeastLoadedPicker
from gslb.model import Server


def servers(*weights: int) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))


def test_equals_take_turns_with_nothing_running():
    picker = LeastLoadedPicker(servers(1, 1, 1))
    order = []
    for _ in range(6):
        server = picker.pick(None, 0.0, ())
        picker.started(server)
        picker.ended(server)
        order.append(server.id)
    assert order == ["s0", "s1", "s2"] * 2


def test_weight_two_holds_twice_as_many():
    picker = LeastLoadedPicker(servers(2, 1))
    running = []
    for _ in range(9):
        server = picker.pick(None, 0.0, ())
        picker.started(server)
        running.append(server.id)
    assert running.count("s0") == 6


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.lists(st.integers(0, 99), max_size=150))
def test_always_a_least_loaded_one(weights, moves):
    """Random starts and ends; the pick is least by exact fractions, over updates that remove and return servers."""
    pool = servers(*weights)
    active = dict.fromkeys((server.id for server in pool), 0)
    picker = LeastLoadedPicker(pool)
    usable = pool
    for move in moves:
        if move % 10 == 9:
            usable = tuple(server for i, server in enumerate(pool) if i != move % len(pool)) or pool
            picker.update(usable)
        elif move % 3 and any(active.values()):
            server = next(s for s in pool if active[s.id])
            active[server.id] -= 1
            picker.ended(server)
        server = picker.pick(None, 0.0, ())
        load = {s.id: Fraction(active[s.id] + 1, s.weight) for s in usable}
        assert load[server.id] == min(load.values())
        picker.started(server)
        active[server.id] += 1


def test_skips_down_the_loads():
    picker = LeastLoadedPicker(servers(4, 3, 2, 1))
    assert picker.pick(None, 0.0, {"s0", "s1"}).id == "s2"
    assert picker.pick(None, 0.0, {"s0", "s1", "s2", "s3"}) is None
    assert picker.pick(None, 0.0, ()).id == "s0"


def test_looks_no_further_than_its_bound():
    picker = LeastLoadedPicker(servers(*[1] * 100))
    assert picker.pick(None, 0.0, {f"s{i}" for i in range(99)}) is None


def test_ended_once_too_often_is_ignored():
    picker = LeastLoadedPicker(servers(1, 1))
    picker.ended(servers(1, 1)[0])
    picker.started(servers(1, 1)[0])
    assert picker.pick(None, 0.0, ()).id == "s1"


def test_empty_queues_are_bounded(monkeypatch):
    monkeypatch.setattr(least_loaded, "EMPTY_QUEUES_MAX", 4)
    pool = servers(*range(1, 9))
    picker = LeastLoadedPicker(pool)
    for _ in range(300):
        picker.started(pool[3])
    assert len(picker._queues) <= 2 * len(pool) + 4 + 1
    assert sorted(picker._queues) == sorted(picker._heap)
    for _ in range(300):
        picker.ended(pool[3])
    assert picker.pick(None, 0.0, ()).id == "s7"
