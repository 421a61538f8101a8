"""What answers of the DNS make of a pool."""

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.discovery import SERVERS_MAX, joined, of_addresses, of_targets
from gslb.dns.lookup import Target
from gslb.model import Pool, Server


def test_an_address_is_a_server_in_an_order_that_stays():
    found = of_addresses(["192.0.2.2", "2001:db8::1", "192.0.2.1", "192.0.2.2"], 80)
    assert [one.id for one in found] == ["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"]
    assert found == of_addresses(["2001:db8::1", "192.0.2.1", "192.0.2.2"], 80)
    assert len(of_addresses([f"10.0.{n // 256}.{n % 256}" for n in range(5000)], 80)) == SERVERS_MAX


def test_priorities_keep_their_order_and_weights_their_shares():
    targets = [Target("b", 81, 200, 30), Target("a", 80, 10, 60), Target("a", 82, 10, 20), Target("gone", 80, 10, 1)]
    found = of_targets(targets, {"a": ("192.0.2.1",), "b": ("192.0.2.2", "192.0.2.3")})
    assert [(one.id, one.weight, one.priority) for one in found] == [
        ("192.0.2.1:80", 60, 0), ("192.0.2.1:82", 20, 0), ("192.0.2.2:81", 30, 1), ("192.0.2.3:81", 30, 1),
    ]  # fmt: skip


def test_weight_0_is_a_little_of_what_others_get():
    addresses = {"a": ("192.0.2.1",), "b": ("192.0.2.2",)}
    mixed = of_targets([Target("a", 80, 0, 0), Target("b", 80, 0, 3)], addresses)
    assert [one.weight for one in mixed] == [1, 30]
    zero = of_targets([Target("a", 80, 0, 0), Target("b", 80, 0, 0)], addresses)
    assert [one.weight for one in zero] == [1, 1]
    assert of_targets([Target("a", 80, 0, 65535)], addresses)[0].weight == 10_000


def test_what_the_files_declare_stands_first_and_wins():
    declared = (Server("web-1", "192.0.2.1", 80, weight=7), Server("192.0.2.3:80", "10.0.0.1", 80))
    pool = Pool("web", declared, ALGORITHMS.get("round_robin")())
    other = Pool("other", (), ALGORITHMS.get("round_robin")())
    pools = joined({"web": pool, "other": other}, {"web": of_addresses(["192.0.2.1", "192.0.2.2", "192.0.2.3"], 80)})
    assert [one.id for one in pools["web"].servers] == ["web-1", "192.0.2.3:80", "192.0.2.2:80"]
    assert pools["other"] is other
    assert joined({"web": pool}, {})["web"] is pool
