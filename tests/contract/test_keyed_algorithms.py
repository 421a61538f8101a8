"""What every algorithm that goes by a key promises: its server, who moves when servers come and go, bounded loads."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.pool import PoolState
from gslb.model import Pool, Server, State

NAMES = ("ip_hash", "consistent_hash", "maglev", "rendezvous")
BOUNDED = NAMES[1:]
KEYS = [b"10.%d.%d.%d" % (i % 251, i % 241, i % 239) for i in range(2_000)]
pytestmark = pytest.mark.parametrize("name", NAMES)


def pool_of(name: str, count: int, weights=lambda i: 1, **options) -> Pool:
    servers = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weights(i)) for i in range(count))
    unbounded = {"balance_factor": 0.0} if name != "ip_hash" else {}
    return Pool("web", servers, ALGORITHMS.get(name)(**{**unbounded, **options}))


def where(state: PoolState) -> dict[bytes, str]:
    found = {}
    for key in KEYS:
        server = state.pick(key, 0.0)
        assert server is not None
        found[key] = server.id
    return found


def test_a_key_has_one_server_whatever_was_asked_before(name):
    pool = pool_of(name, 7)
    one, two = PoolState(pool), PoolState(pool)
    for _ in range(100):
        two.pick(None, 0.0)
    assert where(one) == where(one) == where(two)


@given(count=st.integers(2, 12), lost=st.sets(st.integers(0, 11), min_size=1, max_size=3))
def test_a_server_that_goes_down_moves_its_own_keys_and_gets_them_back(name, count, lost):
    pool = pool_of(name, count, lambda i: 1 + i % 3)
    down = {f"s{i}" for i in lost if i < count}
    if len(down) in (0, count):
        return
    state = PoolState(pool)
    before = where(state)
    state.update(pool, {f"web/{one}": State.DOWN for one in down})
    after = where(state)
    assert {key for key in KEYS if before[key] != after[key]} == {key for key in KEYS if before[key] in down}
    state.update(pool, {})
    assert where(state) == before


@pytest.mark.parametrize(("count", "most"), [(10, 0.16), (100, 0.05)])
def test_a_server_more_moves_little(name, count, most):
    if name == "ip_hash":
        pytest.skip("nginx's arithmetic moves nearly all: the docs say so")
    state = PoolState(pool_of(name, count))
    before = where(state)
    state.update(pool_of(name, count + 1), {})
    after = where(state)
    moved = [key for key in KEYS if before[key] != after[key]]
    assert 0 < len(moved) <= most * len(KEYS)
    if name == "consistent_hash" or (name == "rendezvous" and count < 64):
        assert {after[key] for key in moved} == {f"s{count}"}


def test_shares_follow_the_weights_over_many_keys(name):
    state = PoolState(pool_of(name, 6, lambda i: 1 + i % 3))
    counts = Counter(where(state).values())
    for i in range(6):
        expected = len(KEYS) * (1 + i % 3) / 12
        assert counts[f"s{i}"] == pytest.approx(expected, rel=0.3)


def test_a_request_without_a_key_goes_around_by_weight(name):
    state = PoolState(pool_of(name, 4, lambda i: 1 + i))
    counts = Counter(state.pick(None, 0.0).id for _ in range(1_000))
    assert [counts[f"s{i}"] for i in range(4)] == [pytest.approx(100 * (1 + i), abs=5) for i in range(4)]


def test_a_tried_or_full_server_passes_the_key_on_to_the_same_one(name):
    pool = pool_of(name, 5)
    state = PoolState(pool)
    first = state.pick(KEYS[0], 0.0)
    second = state.pick(KEYS[0], 0.0, (first.id,))
    assert second.id != first.id
    assert state.pick(KEYS[0], 0.0, (first.id,)) == second
    limited = replace(pool, servers=tuple(replace(one, max_connections=1) for one in pool.servers))
    state.update(limited, {})
    state.started(next(one for one in limited.servers if one.id == first.id))
    assert state.pick(KEYS[0], 0.0).id == second.id


@given(load=st.integers(1, 200), count=st.integers(2, 8))
def test_bounded_loads_hold_for_one_hot_key(name, load, count):
    """No server gets more than c times its share of what runs, rounded up (Mirrokni et al.)."""
    if name not in BOUNDED:
        return
    state = PoolState(pool_of(name, count, balance_factor=1.25))
    running = Counter()
    for number in range(1, load + 1):
        server = state.pick(b"hot", 0.0)
        state.started(server)
        running[server.id] += 1
        assert running[server.id] <= 1.25 * number / count + 1


def test_wrong_options_are_told(name):
    with pytest.raises((TypeError, ValueError)):
        ALGORITHMS.get(name)(key="colour", balance_factor=0.0)
    if name in BOUNDED:
        with pytest.raises(ValueError, match="leaves no room"):
            ALGORITHMS.get(name)(balance_factor=0.5)
