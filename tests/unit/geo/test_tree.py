from __future__ import annotations

import pytest

from gslb.geo import tree
from gslb.geo.tree import DamagedTree, Tree


def packed(*nodes: tuple[int, int]) -> bytes:
    return b"".join(left.to_bytes(3) + right.to_bytes(3) for left, right in nodes)


def test_walks_in_order_with_gaps() -> None:
    # node 0: a leaf (record value 20) and node 1; node 1: a gap (2, the node count) and another leaf
    walked = Tree(packed((20, 1), (2, 30)), 2, 24, 4).walk(4)
    assert list(walked) == [(0, 1, 20), (1 << 31, 2, 2), (3 << 30, 2, 30)]


def test_a_root_may_stand_for_everything() -> None:
    everything = Tree(packed((30, 20)), 1, 24, 6)  # of IPv6: ::/96 is all in the left record
    assert list(everything.walk(4)) == [(0, 0, 30)]
    assert everything.find(5, 4) == (30, 0)


def test_an_alias_is_a_gap_where_it_is_told_to_be_one() -> None:
    # 95 nodes down to ::/96, whose node 96 the right of node 0 leads to as well
    nodes = [(1, 96), *((node + 1, 200) for node in range(1, 96)), (300, 400)]
    aliased = Tree(packed(*nodes), 97, 24, 6)
    assert list(aliased.walk(4)) == [(0, 1, 300), (1 << 31, 1, 400)]
    assert [value for first, _, value in aliased.walk(6) if first >> 127] == [300, 400]
    assert [value for first, _, value in aliased.walk(6, {(1 << 127, 1)}) if first >> 127] == [97]


def test_a_loop_ends_at_the_depth_of_an_address() -> None:
    looped = Tree(packed((0, 20)), 1, 24, 4)
    with pytest.raises(DamagedTree, match="deeper than an address"):
        list(looped.walk(4))
    with pytest.raises(DamagedTree, match="deeper than an address"):
        looped.find(0, 4)


def test_a_tree_that_explodes_ends_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each node leads to the next one twice: 2 to the power of 32 networks from 33 nodes."""
    monkeypatch.setattr(tree, "NETWORKS_MAX", 1000)
    nodes = [(node + 1, node + 1) for node in range(31)]
    with pytest.raises(DamagedTree, match="more than 1,000 networks"):
        list(Tree(packed(*nodes, (40, 40)), 32, 24, 4).walk(4))


@pytest.mark.parametrize(("count", "bits"), [(0, 24), (3, 24), (2, 32), (2, 20)])
def test_a_tree_that_does_not_fit(count: int, bits: int) -> None:
    with pytest.raises(DamagedTree, match="does not fit"):
        Tree(packed((20, 1), (2, 30)), count, bits, 4)
