from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.guards import Guards
from gslb.balancing.outcomes import CONNECT, SERVER_ERROR, Outcome
from gslb.model import BreakerRule, Gate, OutlierRule, Pool, Server, State

SERVERS = tuple(Server(name, "127.0.0.1", 9001 + i) for i, name in enumerate("abc"))
RULE = BreakerRule(failures=3, open_for_s=10.0, half_open_probes=2)
POOL = Pool("web", SERVERS, RoundRobin(), breaker=RULE)
OUTLIERS = OutlierRule(consecutive_5xx=3, base_ejection_s=20.0)


def guards(pool=POOL, first_epoch=100) -> Guards:
    return Guards(pool, first_epoch, 0.0)


def failures(one: Guards, server="a", count=3, now=0.0, states=None) -> None:
    epoch = one.standings[server].epoch if server in one.standings else 0
    one.take(Outcome("web", server, epoch, 0, {SERVER_ERROR: count}, (count, 0)), states or {}, now)


def gates(one: Guards) -> dict[str, Gate]:
    return {server: standing.gate for server, standing in one.standings.items()}


def test_two_workers_failures_add_up():
    one = guards()
    failures(one, count=2)
    assert gates(one) == {}
    failures(one, count=1)
    assert gates(one) == {"a": Gate.OPEN}
    assert one.standings["a"].epoch == 101
    assert [server for server, _ in one.news] == ["a"]
    assert one.opened == {"a": 1}


def test_what_is_of_another_epoch_or_server_is_no_evidence():
    one = guards()
    one.take(Outcome("web", "a", 5, 0, {CONNECT: 9}, (9, 9)), {}, 0.0)
    one.take(Outcome("web", "zz", 0, 0, {CONNECT: 9}, (9, 9)), {}, 0.0)
    assert gates(one) == {}


def test_the_whole_way_round():
    one = guards()
    failures(one)
    one.tick({}, 9.9)
    assert one.lease([1, 2], 9.9) == []
    one.tick({}, 10.0)
    assert gates(one) == {"a": Gate.HALF_OPEN}
    first, second = one.lease([1, 2], 10.0)
    assert {first.owner, second.owner} == {1, 2}  # workers take turns
    assert one.lease([1, 2], 10.0) == []
    one.take(Outcome("web", "a", first.epoch, probe=(first.lease, True)), {}, 10.1)
    assert gates(one) == {"a": Gate.CLOSED}
    assert one.standings["a"].epoch == 103  # each move begins a new epoch
    one.take(Outcome("web", "a", second.epoch, probe=(second.lease, False)), {}, 10.2)
    assert gates(one) == {"a": Gate.CLOSED}


def test_a_lease_that_could_not_be_told_makes_room():
    one = guards()
    failures(one)
    one.tick({}, 10.0)
    grants = one.lease([1], 10.0)
    for grant in grants:
        one.void(grant)
    assert len(one.lease([1], 10.0)) == 2


def test_a_lost_workers_leases_go_to_another():
    one = guards()
    failures(one)
    one.tick({}, 10.0)
    assert {grant.owner for grant in one.lease([1], 10.0)} == {1}
    one.lost(1)
    assert {grant.owner for grant in one.lease([2], 10.0)} == {2}


def test_nobody_to_lease_to():
    one = guards()
    failures(one)
    one.tick({}, 10.0)
    assert one.lease([], 10.0) == []


def test_an_outlier_is_ejected_and_comes_back():
    one = guards(replace(POOL, breaker=None, outliers=OUTLIERS))
    failures(one)
    assert gates(one) == {"a": Gate.EJECTED}
    assert (one.standings["a"].why, one.ejected) == ("3 failures in a row", 1)
    failures(one, "b")
    assert gates(one) == {"a": Gate.EJECTED}  # one of three at a time
    one.tick({}, 20.0)
    assert gates(one) == {"a": Gate.CLOSED}
    assert one.standings["a"].why == "its ejection is over"


def test_the_last_that_health_left_is_not_ejected():
    one = guards(replace(POOL, breaker=None, outliers=OUTLIERS))
    failures(one, states={"b": State.DOWN, "c": State.DRAINING})
    assert gates(one) == {}


def test_a_server_that_left_the_plan_is_forgotten_and_another_rule_starts_anew():
    one = guards()
    failures(one)
    one.configure(replace(POOL, servers=SERVERS[1:]), 1.0)
    assert (gates(one), one.opened) == ({}, {})
    failures(one, "b")
    one.configure(replace(POOL, breaker=replace(RULE, failures=9)), 2.0)
    assert gates(one) == {"b": Gate.CLOSED}
    assert one.standings["b"].epoch > 101


def test_the_same_plan_again_changes_nothing():
    one = guards()
    failures(one)
    before = dict(one.standings)
    one.configure(replace(POOL), 1.0)
    assert one.standings == before


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 3), st.floats(0, 6)), max_size=60))
def test_epochs_only_rise_and_begin_with_every_move(events):
    one = guards(replace(POOL, outliers=OUTLIERS))
    now, known = 0.0, {}
    for server, good, bad, pause in events:
        now += pause
        epoch = one.standings[server].epoch if server in one.standings else 0
        one.take(Outcome("web", server, epoch, good, {SERVER_ERROR: bad} if bad else {}, (bad, 0)), {}, now)
        one.tick({}, now)
        for name, standing in one.standings.items():
            before = known.get(name)
            assert before is None or standing == before or standing.epoch > before.epoch
        known = dict(one.standings)
