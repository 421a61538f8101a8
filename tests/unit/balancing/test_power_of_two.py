from collections import Counter

from gslb.balancing.algorithms.power_of_two import PowerOfTwo
from gslb.balancing.algorithms.random import Random
from gslb.model import Server


def servers(*weights: int) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))


def fill(algorithm, pool, count: int) -> Counter:
    """Requests under way by server, after so many that don't end."""
    picker, running = algorithm.build(pool), Counter()
    for _ in range(count):
        server = picker.pick(None, 1.0, ())
        picker.started(server)
        running[server.id] += 1
    return running


def test_far_evener_than_chance():
    pool = servers(*[1] * 100)
    assert max(fill(PowerOfTwo(), pool, 1000).values()) <= 14
    assert max(fill(Random(), pool, 1000).values()) > 16
    assert max(fill(PowerOfTwo(choices=8), pool, 1000).values()) <= 12


def test_a_heavy_server_among_many_gets_its_share():
    running = fill(PowerOfTwo(), servers(100, *[1] * 100), 2000)
    assert 900 < running["s0"] < 1100


def test_the_less_loaded_of_two():
    pool = servers(2, 1)
    picker = PowerOfTwo().build(pool)
    for _ in range(3):
        picker.started(pool[0])  # (3 + 1) / 2 against 1
    assert Counter(picker.pick(None, 1.0, ()).id for _ in range(200))["s1"] > 180
    for _ in range(3):
        picker.ended(pool[0])
    assert Counter(picker.pick(None, 1.0, ()).id for _ in range(200))["s0"] > 180


def test_what_is_running_survives_an_absence():
    pool = servers(1, 1)
    picker = PowerOfTwo().build(pool)
    for _ in range(5):
        picker.started(pool[0])
    picker.update(pool[1:])
    picker.update(pool)
    assert Counter(picker.pick(None, 1.0, ()).id for _ in range(200))["s1"] > 180
    for _ in range(9):
        picker.ended(pool[0])  # more than there were
    assert picker._active == {}


def test_looks_are_bounded_and_skip_is_passed_over():
    picker = PowerOfTwo().build(servers(*[1] * 50))
    assert picker.pick(None, 1.0, {f"s{i}" for i in range(50)}) is None
    skip = {f"s{i}" for i in range(25)}
    found = [picker.pick(None, 1.0, skip) for _ in range(100)]
    assert sum(server is not None for server in found) > 90
    assert not skip & {server.id for server in found if server is not None}


def test_one_server_is_found_at_the_first_look():
    picker = PowerOfTwo(choices=8).build(servers(1))
    assert picker.pick(None, 1.0, ()).id == "s0"
    assert picker._wanted == 1
