from array import array

from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.places import Places
from gslb.balancing.pool import PoolState
from gslb.model import Pool, Server

WORKERS, MOST = 4, 3
SERVERS = (Server("a", "127.0.0.1", 1, max_connections=MOST), Server("b", "127.0.0.1", 2, max_connections=MOST))
INDEX = {"a": 2, "b": 5}


def workers(index=INDEX, servers=SERVERS):
    """The pools of a node's workers, over one board."""
    rows = [array("q", bytes(8 * 8)) for _ in range(WORKERS)]
    pools = []
    for row in rows:
        pool = PoolState(Pool("web", servers, RoundRobin()), {})
        places = Places(row, [one for one in rows if one is not row])
        places.update(index)
        pool.count_in(places)
        pools.append(pool)
    return pools


def test_a_place_taken_in_one_worker_is_taken_in_all():
    first, second, *_ = pools = workers(servers=SERVERS[:1])
    for pool in (first, second, first):
        server = pool.pick(None, 0.0)
        pool.started(server)
    assert [pool.pick(None, 0.0) for pool in pools] == [None] * WORKERS
    assert all(pool.full("a") for pool in pools)
    first.ended(server)
    assert [pool.pick(None, 0.0).id for pool in pools] == ["a"] * WORKERS


def test_without_a_cell_each_worker_counts_alone():
    pools = workers(index={}, servers=SERVERS[:1])
    for pool in pools:
        for _ in range(MOST):
            pool.started(pool.pick(None, 0.0))
        assert pool.pick(None, 0.0) is None


def test_what_a_dead_worker_left_in_its_cells_is_gone_with_the_next_plan():
    row = array("q", [9] * 8)
    pool = PoolState(Pool("web", SERVERS, RoundRobin()), {})
    places = Places(row, [])
    places.update(INDEX)
    pool.count_in(places)
    assert (row[2], row[5]) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, WORKERS - 1), st.booleans()), max_size=120))
def test_never_more_than_max_connections_run_while_workers_take_turns(moves):
    pools = workers()
    running: list = [[] for _ in pools]
    for worker, start in moves:
        if start:
            server = pools[worker].pick(None, 0.0)
            taken = {one: sum(s.id == one for mine in running for s in mine) for one in INDEX}
            assert (server is None) == all(count >= MOST for count in taken.values())
            if server is not None:
                assert taken[server.id] < MOST
                pools[worker].started(server)
                running[worker].append(server)
        elif running[worker]:
            pools[worker].ended(running[worker].pop())


@given(st.integers(0, MOST - 1))
def test_those_that_look_at_one_moment_overshoot_by_the_other_workers_at_most(before):
    pools = workers(servers=SERVERS[:1])
    for _ in range(before):
        pools[0].started(pools[0].pick(None, 0.0))
    rounds = MOST - before + 1
    for _ in range(rounds):  # all look, then all that saw a place take it
        for pool, server in [(pool, pool.pick(None, 0.0)) for pool in pools]:
            if server is not None:
                pool.started(server)
    assert MOST <= sum(pool.active("a") for pool in pools) <= MOST + WORKERS - 1
