from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.lots import Lots
from gslb.model import Server

POOL = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i) for i in range(4))


def lots(weights, now=1.0, servers=POOL) -> Lots:
    made = Lots()
    made.weigh(weights)
    made.begin(servers, now)
    return made


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=60))
def test_the_table_holds_the_weights_exactly(weights):
    made = lots(weights)
    parts = Counter()
    for position, keep in enumerate(made._keep):
        assert 0 <= keep <= made._total
        parts[position] += keep
        parts[made._alias[position]] += made._total - keep
    assert [parts[i] for i in range(len(weights))] == [weight * len(weights) for weight in weights]


def test_draws_follow_the_weights():
    weights = (5, 1, 3, 1)
    made = lots(weights)
    drawn = Counter(made.draw() for _ in range(10_000))
    off = sum((drawn[i] - weight * 1000) ** 2 / (weight * 1000) for i, weight in enumerate(weights))
    assert off < 16.3  # chi-square, 3 degrees of freedom, one in a thousand


def test_pairs_of_draws_are_as_even_as_single_ones():
    made = lots((1, 1, 1, 1))
    drawn = Counter((made.draw(), made.draw()) for _ in range(16_000))
    assert sum((drawn[i, j] - 1000) ** 2 / 1000 for i in range(4) for j in range(4)) < 37.7  # 15 degrees


def test_the_start_is_the_ids_and_the_time_of_the_first_draw():
    def row(now, servers=POOL):
        made = lots((1, 1, 1, 1), now, servers)
        return [made.draw() for _ in range(40)]

    assert row(1.0) == row(1.0)
    assert row(1.0) != row(1.0 + 1e-9)  # two workers
    assert row(1.0) != row(1.0, POOL[:3])


def test_other_weights_go_on_with_the_same_row():
    made = lots((1,) * 4)
    made.draw()
    made.weigh((1, 9))
    assert Counter(made.draw() for _ in range(1000))[1] > 800
