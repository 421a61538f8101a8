from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.exchange import ATTEMPTS_MAX, BUDGET_MIN, Budget, Exchange
from gslb.balancing.pool import PoolState
from gslb.model import Pool, Retries, Server, State

ALL = frozenset({"connect", "reset", "timeout", "status"})


def pool(count: int, **states: State) -> PoolState:
    servers = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i) for i in range(count))
    return PoolState(Pool("web", servers, RoundRobin()), {f"web/{name}": state for name, state in states.items()})


def exchange(**options) -> Exchange:
    return Exchange(Retries(**options), 10.0, Server("s0", "127.0.0.1", 9000))


@given(st.integers(1, 6), st.integers(1, 12))
def test_never_the_same_server_twice_while_another_is_left(servers, attempts):
    one, state, budget = exchange(attempts=attempts), pool(servers), Budget(1.0)
    while one.may("connect", False, budget, 0, 0.0):
        assert one.next(state, None, 0.0) is not None
    assert len(one.tried) == min(attempts, ATTEMPTS_MAX)
    assert len(set(one.tried)) == min(servers, len(one.tried))
    assert servers == 1 or all(one != two for one, two in pairwise(one.tried))


def test_a_pool_of_one_gets_its_second_try():
    assert exchange().next(pool(1), None, 0.0).id == "s0"


def test_nothing_usable_is_none():
    assert exchange().next(pool(1, s0=State.DOWN), None, 0.0) is None


@pytest.mark.parametrize(
    ("kind", "on", "repeatable", "again"),
    [
        ("connect", {"connect"}, False, True),  # nothing was sent: anything may be tried again
        ("connect", set(), True, False),
        ("reset", {"connect"}, True, False),
        ("reset", {"reset"}, True, True),
        ("reset", {"reset"}, False, False),
        ("timeout", {"timeout"}, True, True),
        ("status", {"status"}, False, False),
    ],
)
def test_after_what_another_try_may_be_made(kind, on, repeatable, again):
    assert exchange(on=frozenset(on)).may(kind, repeatable, Budget(1.0), 0, 0.0) is again


def test_no_try_starts_after_the_deadline():
    one = exchange(attempts=5)
    assert one.may("connect", False, Budget(1.0), 0, 9.9)
    assert one.next(pool(2), None, 9.9) is not None
    assert not one.may("connect", False, Budget(1.0), 0, 10.0)
    assert one.next(pool(2), None, 10.0) is None


@given(st.floats(0, 1), st.integers(0, 1000), st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=200))
def test_retries_under_way_never_exceed_the_budget_and_none_is_lost(share, active, moves):
    budget, under_way = Budget(share), []
    for start, which in moves:
        if start:
            one = exchange(attempts=3, on=ALL)
            if one.may("connect", True, budget, active, 0.0):
                assert one.may("reset", True, budget, active, 0.0)  # a second retry needs no second place
                under_way.append(one)
        elif under_way:
            one = under_way.pop(which % len(under_way))
            one.over()
            one.over()  # once is enough
        assert budget.taken == len(under_way) <= max(BUDGET_MIN, int(share * active))


def test_the_pause_doubles_up_to_its_most_and_chance_takes_a_part_of_it():
    one = exchange(attempts=9, backoff_s=0.1, backoff_max_s=0.5)
    pauses = []
    for _ in range(5):
        pauses.append((one.delay_s(1.0), one.delay_s(0.5), one.delay_s(0.0)))
        one.next(pool(9), None, 0.0)
    assert [most for most, _, _ in pauses] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])
    assert all((half, least) == pytest.approx((most / 2, 0)) for most, half, least in pauses)
