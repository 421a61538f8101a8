from collections import Counter

import pytest

from gslb.balancing.algorithms.resource import RATIO_MAX, RATIO_MIN, Resource
from gslb.balancing.loads import LoadReport
from gslb.model import Server


def servers(*weights: int) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))


def shares(picker, now: float, count: int = 1200, skip=()) -> dict[str, float]:
    seen = Counter(picker.pick(None, now, skip).id for _ in range(count))
    return {server_id: seen[server_id] / count for server_id in sorted(seen)}


def near(**expected: float):
    return pytest.approx(expected, abs=0.02)


def tell(picker, now: float, **loads: LoadReport) -> None:
    for server_id, load in loads.items():
        picker.report(server_id, load, now)


AT_ONCE = Resource(blackout=0.0)
BIG, SMALL = LoadReport(cpu=0.25, rate=100.0), LoadReport(cpu=0.75, rate=100.0)  # 400 and 133 requests a second


# ---------------------------------------------------------------- weights from reports
def test_a_server_gets_what_it_could_do():
    picker = AT_ONCE.build(servers(1, 1))
    tell(picker, 1.0, s0=BIG, s1=SMALL)
    assert shares(picker, 1.0) == near(s0=0.75, s1=0.25)


def test_the_configured_weight_multiplies():
    picker = AT_ONCE.build(servers(1, 3))
    tell(picker, 1.0, s0=BIG, s1=SMALL)
    assert shares(picker, 1.0) == near(s0=0.5, s1=0.5)


@pytest.mark.parametrize(
    ("load", "share"),
    [
        (LoadReport(cpu=0.1, application=0.75, rate=100.0), 0.25),  # its own figure counts alone
        (LoadReport(cpu=0.1, memory=0.9, rate=60.0), 0.25),  # 60 / 0.45
        (LoadReport(cpu=0.5, rate=100.0, errors=25.0), 0.25),  # 100 / (0.5 + 0.25)
    ],
)
def test_what_makes_a_weight(load, share):
    picker = AT_ONCE.build(servers(1, 1))
    tell(picker, 1.0, s0=BIG, s1=load)
    assert shares(picker, 1.0)["s1"] == pytest.approx(share, abs=0.02)


def test_options_weigh_memory_and_errors():
    load = LoadReport(cpu=0.5, memory=0.8, rate=100.0, errors=50.0)

    def share(**options):
        picker = Resource(blackout=0.0, **options).build(servers(1, 1))
        tell(picker, 1.0, s0=LoadReport(cpu=0.5, rate=100.0), s1=load)
        return shares(picker, 1.0)["s1"]

    assert share(memory_factor=0.0, error_penalty=0.0) == pytest.approx(0.5, abs=0.02)
    assert share(memory_factor=1.0, error_penalty=0.0) == pytest.approx(125 / 325, abs=0.02)
    assert share(memory_factor=0.0, error_penalty=1.0) == pytest.approx(100 / 300, abs=0.02)


def test_one_that_says_nothing_counts_as_the_mean():
    picker = AT_ONCE.build(servers(1, 1, 1))
    tell(picker, 1.0, s0=BIG, s1=SMALL)
    assert shares(picker, 1.0) == near(s0=0.5, s1=1 / 6, s2=1 / 3)


def test_fewer_than_two_is_round_robin_by_weight():
    picker = AT_ONCE.build(servers(2, 1))
    assert shares(picker, 1.0) == near(s0=2 / 3, s1=1 / 3)
    tell(picker, 1.0, s0=SMALL)
    assert shares(picker, 1.0) == near(s0=2 / 3, s1=1 / 3)


@pytest.mark.parametrize(
    "load", [LoadReport(), LoadReport(rate=9.0), LoadReport(cpu=0.0, rate=9.0), LoadReport(cpu=0.5)]
)
def test_a_report_that_does_not_tell_is_no_report(load):
    picker = AT_ONCE.build(servers(1, 1))
    tell(picker, 1.0, s0=BIG, s1=load)
    assert shares(picker, 1.0) == near(s0=0.5, s1=0.5)


def test_no_figure_starves_or_floods():
    picker = AT_ONCE.build(servers(*[1] * 40))
    tell(picker, 1.0, **{f"s{i}": LoadReport(cpu=0.5, rate=50.0) for i in range(2, 40)})
    tell(picker, 1.0, s0=LoadReport(cpu=0.0001, rate=1e9), s1=LoadReport(cpu=100.0, rate=0.001))
    seen = Counter(picker.pick(None, 1.0, ()).id for _ in range(20_000))
    assert seen["s1"] > 0
    assert seen["s0"] == pytest.approx(seen["s1"] * RATIO_MAX / RATIO_MIN, rel=0.1)


# ---------------------------------------------------------------- time
def test_blackout_and_expiry():
    picker = Resource(blackout=10.0, expiry=180.0).build(servers(1, 1))
    even, by_load = near(s0=0.5, s1=0.5), near(s0=0.75, s1=0.25)
    for now in (0.0, 5.0, 9.9):
        tell(picker, now, s0=BIG, s1=SMALL)
        assert shares(picker, now) == even
    tell(picker, 11.0, s0=BIG, s1=SMALL)
    assert shares(picker, 11.0) == by_load
    assert shares(picker, 190.9) == by_load
    assert shares(picker, 191.1) == even  # nothing was heard for three minutes
    tell(picker, 192.0, s0=BIG, s1=SMALL)
    assert shares(picker, 192.0) == even  # a new row begins with its blackout
    tell(picker, 202.5, s0=BIG, s1=SMALL)
    assert shares(picker, 202.5) == by_load


def test_a_gap_that_nobody_picked_in_is_a_gap():
    picker = Resource(blackout=10.0, expiry=180.0).build(servers(1, 1))
    for now in (0.0, 10.0, 500.0):
        tell(picker, now, s0=BIG, s1=SMALL)
    assert shares(picker, 500.0) == near(s0=0.5, s1=0.5)
    assert (picker._sum, picker._count) == (0, 0)


def test_a_weight_is_taken_once_a_second():
    picker = AT_ONCE.build(servers(1, 1))
    tell(picker, 1.0, s0=BIG, s1=SMALL)
    tell(picker, 1.9, s0=SMALL, s1=BIG)
    assert shares(picker, 1.9) == near(s0=0.75, s1=0.25)
    tell(picker, 2.0, s0=SMALL, s1=BIG)
    assert shares(picker, 2.0) == near(s0=0.25, s1=0.75)


def test_a_server_that_left_returns_without_its_figures():
    picker = AT_ONCE.build(servers(1, 1, 1))
    tell(picker, 1.0, s0=BIG, s1=SMALL, s2=SMALL)
    picker.update(servers(1, 1))
    tell(picker, 3.0, s2=BIG)  # of one that isn't there: nothing
    assert shares(picker, 3.0) == near(s0=0.75, s1=0.25)
    picker.update(servers(1, 1, 1))
    assert shares(picker, 3.0) == near(s0=0.5, s1=1 / 6, s2=1 / 3)


# ---------------------------------------------------------------- closed loops
@pytest.mark.parametrize("says_its_rate", [True, False])
def test_servers_of_unequal_size_come_to_be_equally_busy(says_its_rate):
    """s0 can do 900 requests a second, s1 300: by their CPU alone, or with their rate."""
    can = {"s0": 900.0, "s1": 300.0}
    picker = Resource().build(servers(1, 1))
    last = Counter()
    for second in range(60):
        last = Counter()
        for tenth in range(10):
            now = 100.0 + second + tenth / 10
            for _ in range(30):
                server = picker.pick(None, now, ())
                picker.started(server)
                picker.ended(server)
                last[server.id] += 1
        for server_id, count in last.items():
            rate = float(count) if says_its_rate else None
            picker.report(server_id, LoadReport(cpu=count / can[server_id], rate=rate), now)
    assert last["s0"] / can["s0"] == pytest.approx(last["s1"] / can["s1"], rel=0.1)


def test_a_skipped_turn_is_spent_and_looks_are_bounded():
    picker = AT_ONCE.build(servers(1, 1, 1))
    assert shares(picker, 1.0, skip={"s0"}) == near(s1=0.5, s2=0.5)
    assert AT_ONCE.build(servers(*[1] * 40)).pick(None, 1.0, {f"s{i}" for i in range(40)}) is None


def test_deadlines_survive_an_update_storm():
    picker = Resource().build(servers(3, 2, 1))
    seen = Counter()
    for turn in range(600):
        picker.update(servers(3, 2, 1) if turn % 2 else servers(3, 2, 1, 1))
        seen[picker.pick(None, 1.0, ()).id] += 1
    assert all(seen[f"s{i}"] > 60 for i in range(3))
