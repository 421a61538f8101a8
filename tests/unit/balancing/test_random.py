from collections import Counter

from gslb.balancing.algorithms.random import Random
from gslb.model import Server


def servers(*weights: int) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))


def picks(picker, count: int, now=1.0, skip=()) -> list[str]:
    return [picker.pick(None, now, skip).id for _ in range(count)]


def test_shares_by_weight_over_many_requests():
    seen = Counter(picks(Random().build(servers(3, 2, 1)), 12_000))
    for server_id, share in (("s0", 6000), ("s1", 4000), ("s2", 2000)):
        assert abs(seen[server_id] - share) < 5 * (share * 0.8) ** 0.5


def test_workers_do_not_walk_in_step():
    one, two = Random().build(servers(1, 1, 1)), Random().build(servers(1, 1, 1))
    same = sum(a == b for a, b in zip(picks(one, 900, 1.0), picks(two, 900, 1.000001), strict=True))
    assert 200 < same < 400  # a third by chance


def test_a_skipped_server_is_drawn_past_within_a_bound():
    picker = Random().build(servers(1, 1, 1))
    assert set(picks(picker, 50, skip={"s0", "s1"})) == {"s2"}
    assert picker.pick(None, 1.0, {"s0", "s1", "s2"}) is None


def test_an_update_changes_the_shares_at_once():
    picker = Random().build(servers(1, 1))
    picker.update((*servers(1, 1)[:1], Server("s9", "127.0.0.1", 1, 9)))
    seen = Counter(picks(picker, 1000))
    assert seen["s1"] == 0
    assert seen["s9"] > 800
