import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gslb.balancing.breaker import LEASE_S, OPEN_GROWTH_MAX, Breaker
from gslb.model import BreakerRule, Gate

RULE = BreakerRule(failures=2, open_for_s=30.0, half_open_probes=2, half_open_successes=3)


def opened(rule=RULE, now=0.0) -> Breaker:
    one = Breaker(rule)
    one.count(0, rule.failures, rule.failures, now)
    assert one.gate is Gate.OPEN
    return one


def half_open(rule=RULE) -> tuple[Breaker, float]:
    one = opened(rule)
    one.tick(rule.open_for_s)
    assert one.gate is Gate.HALF_OPEN
    return one, rule.open_for_s


def test_it_opens_by_its_rule_and_says_why():
    one = opened()
    assert one.why == "2 failures in a row; tried again after 30s"


def test_a_workers_own_count_opens_it_too():
    one = Breaker(RULE)
    one.count(5, 1, 1, 0.0, "7 failures in a row")
    assert (one.gate, one.why.partition(";")[0]) == (Gate.OPEN, "7 failures in a row")


def test_it_rests_then_takes_probes_one_lease_each():
    one = opened()
    one.tick(29.9)
    assert (one.gate, one.free, one.lease(1, 29.9)) == (Gate.OPEN, 0, None)
    one.tick(30.0)
    assert (one.gate, one.free) == (Gate.HALF_OPEN, 2)
    assert [one.lease(1, 30.0), one.lease(2, 30.0), one.lease(1, 30.0)] == [1, 2, None]
    assert one.leased == 2


def test_enough_good_probes_close_it():
    one, now = half_open()
    for _ in range(3):
        number = one.lease(1, now)
        assert one.gate is Gate.HALF_OPEN
        one.result(number, ok=True, now=now)
    assert (one.gate, one.why) == (Gate.CLOSED, "3 probes went well")


def test_a_bad_probe_opens_it_for_twice_as_long_up_to_a_bound():
    one, now = half_open()
    rests = []
    for _ in range(6):
        one.result(one.lease(1, now), ok=False, now=now)
        assert one.gate is Gate.OPEN
        before = now
        while one.gate is Gate.OPEN:
            now += 1.0
            one.tick(now)
        rests.append(now - before)
    assert rests == [60.0, 120.0, 240.0, 240.0, 240.0, 240.0]
    assert max(rests) == RULE.open_for_s * OPEN_GROWTH_MAX


def test_one_that_stayed_closed_as_long_as_it_rested_starts_over():
    one, now = half_open(BreakerRule(failures=1, open_for_s=10.0))
    one.result(one.lease(1, now), ok=True, now=now)
    one.count(0, 1, 1, now + 5.0)
    assert one.why.endswith("after 20s")  # it came back too soon
    one.tick(now + 25.0)
    one.result(one.lease(1, now + 25.0), ok=True, now=now + 25.0)
    one.count(0, 1, 1, now + 45.0)
    assert one.why.endswith("after 10s")


def test_a_lease_that_came_to_nothing_makes_room():
    one, now = half_open()
    one.result(one.lease(1, now), ok=None, now=now)
    assert (one.gate, one.free) == (Gate.HALF_OPEN, 2)


def test_a_lost_worker_or_a_lost_result_keeps_nothing_half_open():
    one, now = half_open()
    for owner in (1, 2):
        one.lease(owner, now)
    one.lost(1)
    assert one.free == 1
    one.tick(now + LEASE_S)
    assert one.free == 2


def test_the_result_of_an_expired_lease_still_counts():
    one, now = half_open()
    number = one.lease(1, now)
    one.tick(now + LEASE_S)
    one.result(number, ok=False, now=now + LEASE_S + 1)
    assert one.gate is Gate.OPEN


def test_what_began_before_a_change_counts_for_nothing():
    one, now = half_open()
    first, second = one.lease(1, now), one.lease(2, now)
    one.result(first, ok=False, now=now)
    one.tick(now + 60.0)
    assert one.gate is Gate.HALF_OPEN
    one.result(second, ok=True, now=now + 60.0)
    one.result(999, ok=False, now=now + 60.0)
    assert (one.gate, one.free) == (Gate.HALF_OPEN, 2)


def test_results_of_requests_do_not_count_unless_closed():
    one, now = half_open()
    one.count(0, 99, 99, now)
    assert one.gate is Gate.HALF_OPEN


class Machine(RuleBasedStateMachine):
    """Whatever happens in whatever order."""

    def __init__(self):
        super().__init__()
        self.one, self.now, self.out = Breaker(RULE), 0.0, []

    @rule(successes=st.integers(0, 3), failures=st.integers(0, 3))
    def count(self, successes, failures):
        self.one.count(successes, failures, failures, self.now)

    @rule(seconds=st.sampled_from([0.1, 5.0, 40.0, 300.0]))
    def wait(self, seconds):
        self.now += seconds
        self.one.tick(self.now)

    @rule(owner=st.integers(1, 3))
    def lease(self, owner):
        number = self.one.lease(owner, self.now)
        if number is not None:
            assert number not in self.out
            self.out.append(number)

    @rule(ok=st.sampled_from([True, False, None]), which=st.integers(0, 50))
    def result(self, ok, which):
        if self.out:
            self.one.result(self.out[which % len(self.out)], ok, self.now)

    @rule(owner=st.integers(1, 3))
    def lost(self, owner):
        self.one.lost(owner)

    @invariant()
    def probes_are_bounded(self):
        assert 0 <= self.one.leased <= RULE.half_open_probes
        assert self.one.leased == 0 or self.one.gate is Gate.HALF_OPEN


TestAnyOrder = Machine.TestCase


@given(st.integers(1, 5))
@pytest.mark.parametrize("probes", [1, 3])
def test_never_more_probes_than_the_rule_allows(probes, tries):
    one, now = half_open(BreakerRule(failures=1, half_open_probes=probes))
    given_out = [one.lease(owner, now) for owner in range(tries)]
    assert sum(number is not None for number in given_out) == min(probes, tries)
