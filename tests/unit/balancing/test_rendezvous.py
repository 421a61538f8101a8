import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.rendezvous import EXACT_MAX, Rendezvous, find, id64, tree_of, winner
from gslb.model import Server


def servers(count: int, weight=lambda i: 1) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight(i)) for i in range(count))


def mixed(salt: int, bucket: int) -> float:
    """splitmix64's finalizer, as published, to a number between 0 and 1."""
    value = (salt + bucket * 0x9E3779B97F4A7C15) % 2**64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
    return ((value >> 12) + 0.5) / 2**52


@given(st.integers(0, 16_383), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_the_winner_has_the_greatest_weighted_score(bucket, weights):
    salts = [(id64(f"s{i}"), 1 / weight) for i, weight in enumerate(weights)]
    scores = [-weight / math.log(mixed(id64(f"s{i}"), bucket)) for i, weight in enumerate(weights)]
    assert winner(bucket, salts) == scores.index(max(scores))


@pytest.mark.parametrize("count", [3, EXACT_MAX, EXACT_MAX + 1, 300])
def test_shares_follow_the_weights(count):
    picker = Rendezvous().build(servers(count, lambda i: 1 + 3 * (i % 2)))
    counts = Counter(int(picker.pick(b"%d" % i, 0.0, ()).id[1:]) % 2 for i in range(20_000))
    heavy = count // 2
    assert counts[1] / 20_000 == pytest.approx(4 * heavy / (4 * heavy + count - heavy), rel=0.05)


def test_the_tree_reaches_every_server():
    picker = Rendezvous().build(servers(200))
    assert len({picker.pick(b"%d" % i, 0.0, ()).id for i in range(10_000)}) == 200


def test_beyond_the_exact_ones_a_change_moves_little():
    before, after = Rendezvous().build(servers(1_000)), Rendezvous().build(servers(1_001))
    keys = [b"%d" % i for i in range(5_000)]
    moved = sum(before.pick(key, 0.0, ()) != after.pick(key, 0.0, ()) for key in keys)
    assert 0 < moved <= 0.02 * len(keys)


def test_ids_with_the_same_bits_share_a_fork():
    leaves = [(5, 0, 1), (5, 1, 1), (5, 2, 2)]
    root, weight = tree_of(leaves)
    assert weight == 4
    assert {find(root, number * 2_654_435_761 % 2**32) for number in range(200)} == {0, 1, 2}


def test_one_leaf_is_a_tree():
    assert tree_of([(1, 7, 3)]) == (7, 3)
    assert find(7, 123) == 7
