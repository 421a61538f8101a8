from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.eligible import eligible, is_in_use, of_pool
from gslb.model import BreakerState, Gate, Pool, Server, State

SERVERS = tuple(Server(name, "127.0.0.1", 9001 + i) for i, name in enumerate("abcd"))
POOL = Pool("web", SERVERS, RoundRobin())


def ids(found) -> str:
    return "".join(server.id for server in found.servers)


@pytest.mark.parametrize("gate", list(Gate))
def test_only_a_closed_breaker_lets_requests_through(gate):
    assert is_in_use(SERVERS[0], {}, {"a": BreakerState(gate, 1)}) is (gate is Gate.CLOSED)


@pytest.mark.parametrize(
    ("state", "used"), [(State.UP, True), (State.UNKNOWN, True), (State.DRAINING, False), (State.DOWN, False)]
)
def test_health_comes_first(state, used):
    assert is_in_use(SERVERS[0], {"a": state}, {}) is used
    assert is_in_use(replace(SERVERS[0], weight=0), {"a": state}, {}) is False


def test_what_a_worker_took_out_itself_is_out():
    found = eligible(POOL, {"b": State.DOWN}, {"c": BreakerState(Gate.OPEN, 1)}, {"d"})
    assert (ids(found), found.available, found.total, found.panic) == ("a", 1, 4, False)


def test_panic_takes_all_in_but_who_drains():
    pool = replace(POOL, panic_threshold=0.5)
    found = eligible(pool, {"a": State.DOWN, "b": State.DRAINING}, {"c": BreakerState(Gate.EJECTED, 1)})
    assert (ids(found), found.panic) == ("acd", True)


def test_panic_may_mean_that_nobody_is_asked():
    pool = replace(POOL, panic_threshold=0.5, panic="fail")
    assert ids(eligible(pool, dict.fromkeys("abc", State.DOWN), {})) == ""


def test_at_the_threshold_there_is_no_panic():
    pool = replace(POOL, panic_threshold=0.5)
    found = eligible(pool, dict.fromkeys("ab", State.DOWN), {})
    assert (ids(found), found.panic) == ("cd", False)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(list(State))),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(list(Gate))),
    st.floats(0, 1),
)
def test_without_panic_exactly_those_in_use_are_eligible(states, gates, threshold):
    breakers = {server: BreakerState(gate, 1) for server, gate in gates.items()}
    found = eligible(replace(POOL, panic_threshold=threshold), states, breakers)
    in_use = [server for server in SERVERS if is_in_use(server, states, breakers)]
    assert found.available == len(in_use)
    assert found.panic == (len(in_use) < threshold * 4)
    if not found.panic:
        assert list(found.servers) == in_use


def test_a_pool_without_servers_never_panics():
    assert not eligible(replace(POOL, servers=(), panic_threshold=1.0), {}, {}).panic


def test_of_a_status_only_this_pools_part():
    assert of_pool("web", {"web/a": 1, "web/a/b": 2, "web2/a": 3, "api/web/a": 4}) == {"a": 1, "a/b": 2}


def test_the_least_priority_with_an_available_server_is_used_alone():
    one, two, backup, last = (replace(s, priority=p) for s, p in zip(SERVERS, (0, 0, 1, 2), strict=True))
    pool = replace(POOL, servers=(one, two, backup, last))
    assert ids(eligible(pool, {}, {})) == "ab"
    assert ids(eligible(pool, {"a": State.DOWN}, {})) == "b"
    assert ids(eligible(pool, dict.fromkeys("ab", State.DOWN), {})) == "c"
    assert ids(eligible(pool, dict.fromkeys("abc", State.DOWN), {})) == "d"
    assert eligible(pool, dict.fromkeys("ab", State.DOWN), {}).available == 2


@pytest.mark.parametrize(
    ("share", "down", "used"),
    [(1.0, "", "ab"), (1.0, "a", "bcd"), (0.5, "a", "b"), (0.5, "ab", "cd"), (0.0, "ab", "cd")],
)
def test_the_own_zone_is_used_alone_while_enough_of_it_is_left(share, down, used):
    servers = tuple(replace(s, zone=zone) for s, zone in zip(SERVERS, ("z", "z", "y", ""), strict=True))
    pool = replace(POOL, servers=servers, zone="z", zone_share=share)
    assert ids(eligible(pool, dict.fromkeys(down, State.DOWN), {})) == used
    assert len(eligible(replace(pool, zone=""), dict.fromkeys(down, State.DOWN), {}).servers) == 4 - len(down)


def test_a_zone_without_servers_changes_nothing():
    assert ids(eligible(replace(POOL, zone="nowhere"), {}, {})) == "abcd"


def test_a_backup_in_the_own_zone_is_not_missed_there():
    servers = (replace(SERVERS[0], zone="z"), replace(SERVERS[1], zone="z", priority=1), replace(SERVERS[2], zone="y"))
    pool = replace(POOL, servers=servers, zone="z")
    assert ids(eligible(pool, {}, {})) == "a"
    assert ids(eligible(pool, {"a": State.DOWN}, {})) == "c"
    assert ids(eligible(pool, {"a": State.DOWN, "c": State.DOWN}, {})) == "b"
