"""What the configuration's word builds; the rule itself is tested with `least_loaded`."""

from gslb.balancing.algorithms.least_connections import LeastConnections
from gslb.model import Server


def test_the_least_by_weight():
    picker = LeastConnections().build((Server("s0", "127.0.0.1", 9000, 2), Server("s1", "127.0.0.1", 9001, 1)))
    order = []
    for _ in range(6):
        server = picker.pick(None, 0.0, ())
        picker.started(server)
        order.append(server.id)
    assert sorted(order) == ["s0"] * 4 + ["s1"] * 2
    for _ in range(4):
        picker.ended(Server("s0", "127.0.0.1", 9000, 2))
    assert picker.pick(None, 0.0, ()).id == "s0"
