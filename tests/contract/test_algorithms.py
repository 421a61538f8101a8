"""What every algorithm promises, whatever its file says: run for all that are registered."""

import re
from dataclasses import fields
from ipaddress import IPv4Address
from math import sqrt
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.loads import LoadReport
from gslb.balancing.pool import PoolState
from gslb.model import Pool, Server, State
from gslb.units import Duration, format_duration

PAGE = Path(__file__).resolve().parents[2] / "docs" / "algorithms.md"
pytestmark = pytest.mark.parametrize("name", sorted(ALGORITHMS.known()))
# These draw lots, or hash keys: they promise shares over many, so few may be off by chance (six standard deviations).
HASHING = {"ip_hash", "consistent_hash", "maglev", "rendezvous"}
DRAWING = {"random", "power_of_two", "peak_ewma"} | HASHING
DRAWING_ROUNDS = 20  # a server of equal weight is missed that often in a row once in a billion tests
WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=9)


SMALLER = {"maglev": {"table_size": 2039}}  # the paper's table takes 50 ms to fill, for each of thousands of examples


def chosen(name):
    """An algorithm with its default options, but for the size of what it builds."""
    return ALGORITHMS.get(name)(**SMALLER.get(name, {}))


def servers(weights) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))


def address(number: int) -> bytes:
    """Clients' addresses, spread over all there are."""
    return str(IPv4Address(number * 2_654_435_761 % 2**32)).encode()


def drive(picker, count: int, concurrent: int) -> list[str]:
    """Requests that end in the order in which they began, `concurrent` at a time."""
    running, order = [], []
    for number in range(count):
        server = picker.pick(address(number), float(number), ())
        picker.started(server)
        running.append(server)
        order.append(server.id)
        if len(running) > concurrent:
            picker.ended(running.pop(0))
    for server in running:
        picker.ended(server)
    return order


def test_registered_options_are_a_frozen_dataclass_with_defaults(name):
    options = ALGORITHMS.get(name)()
    assert options.name == name
    with pytest.raises((AttributeError, TypeError)):  # frozen; with slots Python 3.11 says it as a TypeError
        options.anything = 1
    assert options == ALGORITHMS.get(name)()


def test_no_servers_is_none(name):
    picker = chosen(name).build(())
    assert picker.pick(1, 0.0, ()) is None
    picker.update(servers([1]))
    assert picker.pick(1, 0.0, ()).id == "s0"
    picker.update(())
    assert picker.pick(1, 0.0, ()) is None


@given(WEIGHTS, st.integers(0, 30))
def test_deterministic(name, weights, concurrent):
    algorithm = chosen(name)
    one, two = (drive(algorithm.build(servers(weights)), 50, concurrent) for _ in range(2))
    assert one == two


@given(WEIGHTS)
def test_shares_follow_the_weights_under_load(name, weights):
    total = sum(weights)
    order = drive(chosen(name).build(servers(weights)), 20 * total, 2 * total)
    for i, weight in enumerate(weights):
        chance = 6 * sqrt(20 * weight) if name in DRAWING else 0.0
        assert order.count(f"s{i}") == pytest.approx(20 * weight, rel=0.25, abs=3 + chance)


@given(WEIGHTS, st.sets(st.integers(0, 8)))
def test_skip_is_honoured(name, weights, skipped):
    picker = chosen(name).build(servers(weights))
    skip = {f"s{i}" for i in skipped}
    for number in range(30):
        server = picker.pick(number, 0.0, skip)
        assert server is None or server.id not in skip
    if not skip:
        assert server is not None


@given(WEIGHTS, st.lists(st.sets(st.integers(0, 8)), min_size=1, max_size=8))
def test_only_usable_servers_and_nobody_starves_through_changes(name, weights, downs):
    all_servers = servers(weights)
    pool = Pool("web", all_servers, chosen(name))
    state = PoolState(pool)
    for down in downs:
        state.update(pool, {f"web/s{i}": State.DOWN for i in down})
        usable = {server.id for i, server in enumerate(all_servers) if i not in down}
        seen = set()
        for number in range((DRAWING_ROUNDS if name in DRAWING else 2) * sum(weights)):
            server = state.pick(address(number), 0.0)
            if server is None:
                assert not usable
                break
            state.started(server)
            state.ended(server)
            seen.add(server.id)
            if name in DRAWING and seen == usable:
                break
        assert seen <= usable
        if len({weights[int(each[1:])] for each in usable}) <= 1:
            assert seen == usable


@given(WEIGHTS, st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=60))
def test_started_and_ended_in_any_order_break_nothing(name, weights, moves):
    all_servers = servers(weights)
    picker = chosen(name).build(all_servers)
    for which, start in moves:
        server = all_servers[which % len(all_servers)]
        (picker.started if start else picker.ended)(server)
        if which == 8:
            picker.update(all_servers[1:] or all_servers)
        assert picker.pick(which, 0.0, ()) is not None


def test_the_memory_of_a_server_survives_its_absence(name):
    """Requests that began before a server left still count when it is back: ended balances started."""
    all_servers = servers([1, 1])
    state = PoolState(Pool("web", all_servers, chosen(name)))
    for _ in range(4):
        state.started(all_servers[0])
    state.update(state.pool, {"web/s0": State.DOWN})
    state.ended(all_servers[0])
    state.update(state.pool, {})
    assert state.active("s0") == 3
    for _ in range(3):
        state.ended(all_servers[0])
    assert state.active("s0") == 0


def test_documented_with_its_options(name):
    section = PAGE.read_text().split(f"## {name}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| .+ \|$", section, re.MULTILINE)
    found = {option: default.strip("`") for option, default in rows}
    algorithm = ALGORITHMS.get(name)
    hints = get_type_hints(algorithm, include_extras=True)
    assert found == {field.name: as_written(field.default, hints[field.name]) for field in fields(algorithm)}


def as_written(default, hint) -> str:
    """A default as a person would write it."""
    duration = set(getattr(Duration, "__metadata__", ())) & set(getattr(hint, "__metadata__", ()))
    return format_duration(default) if duration else str(default) or "none"


def test_learns_by_what_it_says_it_learns_by(name):
    """The pool has an `observe` or a `report` if, and only if, the algorithm says so, also after a change."""
    algorithm, other = chosen(name), ALGORITHMS.get("round_robin")()
    state = PoolState(Pool("web", servers([1, 1]), other))
    assert (state.observe, state.report) == (None, None)
    state.update(Pool("web", servers([1, 1]), algorithm), {})
    assert (state.observe is not None) == getattr(algorithm, "observes", False)
    assert (state.report is not None) == getattr(algorithm, "reports", False)
    if state.observe is not None:
        state.observe("s0", 0.1, True, 1.0)
        state.observe("unknown", 0.1, False, 1.0)
    if state.report is not None:
        state.report("s0", LoadReport(cpu=0.5, rate=10.0), 1.0)
        state.report("unknown", LoadReport(cpu=0.5), 1.0)
    assert state.pick(1, 2.0) is not None
