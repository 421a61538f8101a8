"""What the configuration's word builds; the order itself is tested with `turns`."""

from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.model import Server


def test_the_golden_order_of_nginx():
    pool = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate((5, 1, 1)))
    picker = RoundRobin().build(pool)
    assert [picker.pick(None, 0.0, ()).id for _ in range(7)] == ["s0", "s0", "s1", "s0", "s2", "s0", "s0"]
