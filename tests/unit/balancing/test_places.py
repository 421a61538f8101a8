from array import array

from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.consistent_hash import ConsistentHash
from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.places import ALL, Places
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


# ---------------------------------------------------------------- bounded loads
FACTOR = 1.25
EQUALS = tuple(Server(name, "127.0.0.1", port) for port, name in enumerate("abcd", 1))


def bounded():
    """Pools of a node's workers whose algorithm bounds loads, over one board."""
    rows = [array("q", bytes(8 * 8)) for _ in range(WORKERS)]
    pools = []
    for row in rows:
        pool = PoolState(Pool("web", EQUALS, ConsistentHash(balance_factor=FACTOR)), {})
        places = Places(row, [one for one in rows if one is not row])
        places.update({"a": 0, "b": 1, "c": 2, "d": 3, ALL: 4})
        pool.count_in(places)
        pools.append(pool)
    return pools, rows


MOVES = st.tuples(st.integers(0, WORKERS - 1), st.booleans(), st.sampled_from([b"hot", b"x", b"y"]))


@given(st.lists(MOVES, max_size=150))
def test_loads_are_bounded_over_all_workers(moves):
    pools, rows = bounded()
    running: list = [[] for _ in pools]
    for worker, ends, key in moves:
        pool = pools[worker]
        if ends and running[worker]:
            pool.ended(running[worker].pop())
            continue
        before = {name: sum(row[cell] for row in rows) for cell, name in enumerate("abcd")}
        total = sum(before.values())
        server = pool.pick(key, 0.0)
        assert before[server.id] < FACTOR * (total + 1) / len(EQUALS)  # it had room, by everybody's count
        pool.started(server)
        running[worker].append(server)
    for cell, name in enumerate("abcd"):
        assert sum(row[cell] for row in rows) == sum(one.id == name for each in running for one in each)
    assert sum(row[4] for row in rows) == sum(map(len, running))


def test_a_hot_key_does_not_get_its_share_once_a_worker():
    pools, _ = bounded()
    first = pools[0].pick(b"hot", 0.0)
    pools[0].started(first)
    assert pools[1].pick(b"hot", 0.0).id != first.id  # alone it would have room for one of its own


def test_with_another_algorithm_counting_goes_on():
    pools, rows = bounded()
    pool = pools[0]
    server = pool.pick(b"x", 0.0)
    pool.started(server)
    pool.update(Pool("web", EQUALS, ConsistentHash(balance_factor=2.0)), {})
    assert sum(rows[0][:5]) == 2  # the server's and all of them
    pool.ended(server)
    assert sum(rows[0][:5]) == 0
