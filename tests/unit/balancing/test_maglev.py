from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.maglev import Maglev, fill, turns_of
from gslb.model import Server


def test_the_table_of_the_paper():
    """Eisenbud et al., table 1: offsets and skips of three backends in a table of seven rows."""
    assert list(fill([(3, 4), (0, 2), (3, 1)], turns_of([1, 1, 1], 7), 7)) == [1, 0, 1, 0, 2, 2, 0]


def slow(orders: list[tuple[int, int]], owners: list[int], size: int) -> list[int]:
    """The paper's loop as it stands there."""
    table, following = [-1] * size, [0] * len(orders)
    for owner in owners:
        first, step = orders[owner]
        while table[row := (first + step * following[owner]) % size] >= 0:
            following[owner] += 1
        table[row] = owner
    return table


@given(st.lists(st.tuples(st.integers(0, 250), st.integers(1, 250)), min_size=1, max_size=12), st.data())
def test_the_quick_end_of_filling_is_the_loop_of_the_paper(orders, data):
    size = data.draw(st.sampled_from([251, 7, 509]))
    orders = [(first % size, step % (size - 1) + 1) for first, step in orders]
    weights = data.draw(st.lists(st.integers(1, 5), min_size=len(orders), max_size=len(orders)))
    owners = list(islice(turns_of(weights, size), size))
    assert list(fill(orders, iter(owners), size)) == slow(orders, owners, size)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_turns_follow_the_weights(weights):
    size = 2_039
    counts = Counter(islice(turns_of(weights, size), size))
    for owner, weight in enumerate(weights):
        assert counts[owner] == pytest.approx(size * weight / sum(weights), abs=len(weights))


def test_rows_are_as_even_as_can_be():
    servers = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i) for i in range(100))
    assert set(Counter(Maglev().build(servers)._table).values()) == {655, 656}


def test_every_node_fills_the_same_table_whatever_the_order_of_its_files():
    servers = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, 1 + i % 3) for i in range(9))
    one, other = Maglev(table_size=2039).build(servers), Maglev(table_size=2039).build(servers[::-1])
    keys = [b"%d" % i for i in range(500)]
    assert [one.pick(key, 0.0, ()) for key in keys] == [other.pick(key, 0.0, ()) for key in keys]


@pytest.mark.parametrize("size", [4, 65_536, 2_049])
def test_a_size_that_is_no_prime_is_refused(size):
    with pytest.raises(ValueError, match=f"table_size {size} is no prime: write 65537"):
        Maglev(table_size=size)
