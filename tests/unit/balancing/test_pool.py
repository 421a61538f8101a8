from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.least_connections import LeastConnections
from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.pool import PoolState
from gslb.model import Pool, Server, State


def make(*servers: Server, algorithm=None) -> Pool:
    return Pool("web", servers, algorithm or RoundRobin())


A, B, C = (Server(name, "127.0.0.1", 9001 + i) for i, name in enumerate("abc"))


@pytest.mark.parametrize(("state", "usable"), [(State.UP, 2), (State.UNKNOWN, 2), (State.DRAINING, 1), (State.DOWN, 1)])
def test_which_states_are_usable(state, usable):
    pool = PoolState(make(A, B), {"web/a": state})
    assert (pool.usable, pool.total) == (usable, 2)
    assert ("a" in {pool.pick(None, 0.0).id for _ in range(4)}) == (usable == 2)


def test_unknown_servers_take_their_equal_share_at_once():
    pool = PoolState(make(A, B), {"web/a": State.UNKNOWN, "web/b": State.UNKNOWN})
    assert [pool.pick(None, 0.0).id for _ in range(4)] == ["a", "b", "a", "b"]


def test_none_usable_is_none():
    assert PoolState(make(A), {"web/a": State.DOWN}).pick(None, 0.0) is None
    assert PoolState(make()).pick(None, 0.0) is None


def test_another_pools_states_are_not_ours():
    assert PoolState(make(A), {"web2/a": State.DOWN, "we/b/a": State.DOWN}).usable == 1


def test_weight_zero_takes_no_new_requests():
    assert PoolState(make(replace(A, weight=0), B)).usable == 1


def test_full_servers_are_passed_over_and_come_back():
    one = replace(A, max_connections=1)
    pool = PoolState(make(one, B))
    pool.started(one)
    assert [pool.pick(None, 0.0).id for _ in range(3)] == ["b"] * 3
    assert pool.usable == 2
    pool.ended(one)
    assert {pool.pick(None, 0.0).id for _ in range(2)} == {"a", "b"}


def test_all_full_is_none():
    one = replace(A, max_connections=1)
    pool = PoolState(make(one))
    pool.started(one)
    assert pool.pick(None, 0.0) is None


@pytest.mark.parametrize("algorithm", [RoundRobin(), LeastConnections()])
def test_the_last_free_one_of_many_is_found(algorithm):
    servers = tuple(Server(f"s{i}", "127.0.0.1", 1, max_connections=1) for i in range(200))
    pool = PoolState(make(*servers, algorithm=algorithm))
    for server in servers[:-1]:
        pool.started(server)
    assert {pool.pick(None, 0.0).id for _ in range(20)} == {"s199"}
    assert pool.pick(None, 0.0, ("s199",)) is None


def test_a_tried_heavy_server_does_not_hide_the_light_one():
    pool = PoolState(make(replace(A, weight=10_000), B))
    assert pool.pick(None, 0.0, ("a",)).id == "b"


def test_running_requests_survive_plans_and_states():
    one = replace(A, max_connections=1)
    pool = PoolState(make(one, B))
    pool.started(one)
    pool.update(pool.pool, {"web/a": State.DOWN})
    assert pool.active("a") == 1
    pool.update(make(one, B, C), {})
    assert "a" not in {pool.pick(None, 0.0).id for _ in range(6)}
    pool.ended(one)
    assert "a" in {pool.pick(None, 0.0).id for _ in range(6)}
    assert pool.active("a") == 0


def test_a_limit_raised_by_a_new_plan_counts_at_once():
    old = replace(A, max_connections=1)
    pool = PoolState(make(old))
    pool.started(old)
    pool.update(make(replace(A, max_connections=2)), {})
    assert pool.pick(None, 0.0) == replace(A, max_connections=2)
    pool.started(old)  # whoever still holds the old Server counts against the new limit
    assert pool.pick(None, 0.0) is None
    pool.ended(old)
    assert pool.pick(None, 0.0) == replace(A, max_connections=2)


def test_a_new_algorithm_knows_what_is_running():
    pool = PoolState(make(A, B))
    pool.started(A)
    pool.update(make(A, B, algorithm=LeastConnections()), {})
    assert pool.pick(None, 0.0).id == "b"


def test_a_status_about_others_rebuilds_nothing():
    pool = PoolState(make(A, B))
    free = pool._free
    pool.update(pool.pool, {"api/x": State.DOWN})
    assert pool._free is free


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=80), st.integers(0, 3))
def test_never_over_the_limit_and_never_none_while_there_is_room(moves, limit):
    servers = tuple(Server(f"s{i}", "127.0.0.1", 1, 1, limit) for i in range(4))
    pool = PoolState(make(*servers, algorithm=LeastConnections()))
    active = [0] * 4
    for which, start in moves:
        if not start:
            pool.ended(servers[which])
            active[which] = max(0, active[which] - 1)
            continue
        server = pool.pick(None, 0.0)
        assert (server is None) == (limit > 0 and all(count >= limit for count in active))
        if server is not None:
            pool.started(server)
            active[int(server.id[1:])] += 1
    assert [pool.active(f"s{i}") for i in range(4)] == active
    assert not limit or max(active) <= limit
