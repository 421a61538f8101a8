from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.exchange import ATTEMPTS_MAX, Exchange
from gslb.balancing.pool import PoolState
from gslb.errors import HttpError
from gslb.model import Pool, Server, State

CONNECT = HttpError("refused", blame="server", status=502, may_retry=True)
BROKEN = HttpError("the reply broke off", blame="server", status=502)


def pool(count: int, **states: State) -> PoolState:
    servers = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i) for i in range(count))
    return PoolState(Pool("web", servers, RoundRobin()), {f"web/{name}": state for name, state in states.items()})


@given(st.integers(1, 6), st.integers(1, 12))
def test_never_the_same_server_twice_while_another_is_left(servers, attempts):
    exchange, state, seen = Exchange(attempts, 10.0), pool(servers), []
    while (server := exchange.next(state, None, 0.0)) is not None:
        seen.append(server.id)
        exchange.failed(CONNECT, 0.0)
    assert len(seen) == min(attempts, ATTEMPTS_MAX)
    assert len(set(seen)) == min(servers, len(seen))
    assert servers == 1 or all(one != two for one, two in pairwise(seen))


def test_a_pool_of_one_gets_its_second_try():
    exchange, state = Exchange(2, 10.0), pool(1)
    assert [exchange.next(state, None, 0.0).id for _ in range(2)] == ["s0", "s0"]


def test_nothing_usable_is_none():
    assert Exchange(2, 10.0).next(pool(1, s0=State.DOWN), None, 0.0) is None


@pytest.mark.parametrize(
    ("error", "attempts", "now", "again"),
    [(CONNECT, 2, 0.0, True), (CONNECT, 1, 0.0, False), (CONNECT, 2, 10.0, False), (BROKEN, 2, 0.0, False)],
)
def test_may_another_try_be_made(error, attempts, now, again):
    exchange = Exchange(attempts, 10.0)
    exchange.next(pool(2), None, 0.0)
    assert exchange.failed(error, now) is again


def test_no_try_starts_after_the_deadline():
    exchange = Exchange(5, 10.0)
    assert exchange.next(pool(2), None, 9.9) is not None
    assert exchange.next(pool(2), None, 10.0) is None
