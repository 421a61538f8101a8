"""The golden order of nginx, and its equality with a plain transcription of nginx's loop."""

import math
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing import turns
from gslb.balancing.turns import TurnsPicker
from gslb.model import Server


def servers(*weights: int) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))


def picks(picker, count: int, skip=()) -> list[str]:
    return [picker.pick(None, 0.0, skip).id for _ in range(count)]


def nginx(weights: list[int]):
    """ngx_http_upstream_get_peer without failures: the outside judge of the order."""
    current = [0] * len(weights)
    while True:
        best = None
        for i, weight in enumerate(weights):
            current[i] += weight
            if best is None or current[i] > current[best]:
                best = i
        current[best] -= sum(weights)
        yield f"s{best}"


def test_golden_order_of_nginx():
    assert picks(TurnsPicker(servers(5, 1, 1)), 14) == ["s0", "s0", "s1", "s0", "s2", "s0", "s0"] * 2


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 3))
def test_any_weights_in_the_order_of_nginx(weights, factor):
    weights = [weight * factor for weight in weights]
    count = 2 * sum(weights) // math.gcd(*weights) + 3
    assert picks(TurnsPicker(servers(*weights)), count) == list(islice(nginx(weights), count))


def test_weight_100_beside_a_hundred_ones_does_not_run():
    order = picks(TurnsPicker(servers(100, *[1] * 100)), 200)
    runs = "".join("a" if each == "s0" else " " for each in order).split()
    assert max(map(len, runs)) <= 2


def test_a_turn_too_long_to_compute_still_keeps_the_shares(monkeypatch):
    monkeypatch.setattr(turns, "SMOOTH_STEPS_MAX", 10)
    weights = (5, 3, 2, 7)
    picker = TurnsPicker(servers(*weights))
    assert isinstance(picker._turn, turns._Earliest)
    order = picks(picker, 17 * 10)
    assert [order.count(f"s{i}") for i in range(4)] == [10 * weight for weight in weights]


def test_earliest_deadline_keeps_its_deadlines_over_an_update(monkeypatch):
    monkeypatch.setattr(turns, "SMOOTH_STEPS_MAX", 0)
    all_three = servers(3, 2, 1)
    picker = TurnsPicker(all_three)
    order = []
    for turn in range(600):
        picker.update(all_three if turn % 2 else (*all_three, Server("extra", "127.0.0.1", 1)))
        order += picks(picker, 1)
    assert all(order.count(f"s{i}") > 60 for i in range(3))


def test_an_update_goes_on_where_the_turn_was():
    four = servers(1, 1, 1, 1)
    picker = TurnsPicker(four)
    assert picks(picker, 2) == ["s0", "s1"]
    picker.update((*four, Server("s4", "127.0.0.1", 9004)))
    assert picks(picker, 3) == ["s2", "s3", "s4"]


def test_the_same_servers_again_change_nothing():
    picker = TurnsPicker(servers(5, 1, 1))
    assert picks(picker, 3) == ["s0", "s0", "s1"]
    picker.update(servers(5, 1, 1))
    assert picks(picker, 4) == ["s0", "s2", "s0", "s0"]


def test_an_update_storm_starves_nobody():
    weights = (9, 1, 1)
    picker = TurnsPicker(servers(*weights))
    order = []
    for turn in range(660):
        picker.update(servers(*weights) if turn % 2 else (*servers(*weights), Server("extra", "127.0.0.1", 1)))
        order += picks(picker, 1)
    assert all(order.count(each) > 20 for each in ("s1", "s2", "extra"))


def test_none_left_and_back_again():
    picker = TurnsPicker(servers(1, 1))
    picker.update(())
    assert picker.pick(None, 0.0, ()) is None
    picker.update(servers(1, 1))
    assert set(picks(picker, 2)) == {"s0", "s1"}


def test_gives_up_after_a_bounded_number_of_looks():
    assert TurnsPicker(servers(1000, 1)).pick(None, 0.0, {"s0"}) is None
