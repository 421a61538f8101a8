"""A route's breaker in one worker: its own count, control's word, leased probes, the way back."""

import pytest

from gslb.balancing.guards import Guards
from gslb.balancing.outcomes import GATEWAY
from gslb.balancing.route_breaker import ALL, NAME_MAX, PROBE_START_S, RouteBreaker, names_of, pools_of
from gslb.model import BreakerRule, BreakerState, Gate, Route

RULE = BreakerRule(failures=3, open_for_s=10.0, ramp_s=0.0)


class World:
    """One worker's breaker, and control's."""

    def __init__(self, rule=RULE):
        self.routes = [Route("web", path="/api/*", breaker=rule)]
        ((self.name, pool),) = pools_of(self.routes).items()
        self.woken = 0
        self.breaker = RouteBreaker(self.name, rule, self.wake)
        self.guards = Guards(pool, 0, 0.0)

    def wake(self):
        self.woken += 1

    def tell(self, now):
        """Outcomes to control, its standing back, and leases."""
        for outcome in self.breaker.tally.take():
            self.guards.take(outcome, {}, now)
        self.guards.tick({}, now)
        self.breaker.update({f"{self.name}/{one}": state for one, state in self.guards.standings.items()}, now)
        for grant in self.guards.lease([1], now):
            self.breaker.lease(grant.server, grant.epoch, grant.lease, now)

    def ask(self, failed, now):
        """One request; False if it is not let through."""
        passage = self.breaker.admit(now)
        if passage is not None:
            passage.ended(failed, now)
        return passage is not None


def test_it_shuts_by_its_own_count_and_opens_by_controls():
    world = World()
    assert [world.ask(GATEWAY, 1.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert world.woken == 3
    world.tell(1.1)
    assert world.guards.standings[ALL].gate is Gate.OPEN
    assert not world.ask("", 5.0)


def test_a_success_between_failures_keeps_it_closed():
    world = World()
    assert all(world.ask(failed, 1.0) for failed in (GATEWAY, GATEWAY, "", GATEWAY, GATEWAY, "", None, GATEWAY))


def test_without_a_word_of_control_it_lets_requests_through_again_after_its_time():
    world = World()
    for _ in range(3):
        world.ask(GATEWAY, 1.0)
    assert not world.ask("", 10.9)
    assert world.ask("", 11.0)


@pytest.mark.parametrize(("result", "gate"), [("", Gate.CLOSED), (GATEWAY, Gate.OPEN), (None, Gate.HALF_OPEN)])
def test_a_leased_probe_decides(result, gate):
    world = World()
    for _ in range(3):
        world.ask(GATEWAY, 1.0)
    world.tell(1.0)
    world.tell(11.5)
    probe = world.breaker.admit(11.6)
    assert probe.server.lease
    assert world.breaker.admit(11.6) is None  # one at a time
    probe.ended(result, 11.7)
    world.tell(11.8)
    assert world.guards.standings[ALL].gate is gate
    assert (world.breaker.admit(11.9) is not None) is (gate is not Gate.OPEN)  # half-open: by a fresh lease


def test_a_lease_that_nobody_uses_goes_back():
    world = World()
    for _ in range(3):
        world.ask(GATEWAY, 1.0)
    world.tell(1.0)
    world.tell(11.5)
    late = 11.5 + PROBE_START_S
    assert world.breaker.admit(late) is None
    world.tell(late)
    assert world.breaker.admit(late) is not None


def test_what_began_before_a_change_counts_for_nothing():
    world = World()
    old = [world.breaker.admit(1.0) for _ in range(3)]
    world.breaker.update({f"{world.name}/{ALL}": BreakerState(Gate.CLOSED, 7)}, 1.0)
    for one in old:
        one.ended(GATEWAY, 2.0)
    assert world.ask("", 2.0)


def test_the_share_grows_when_it_has_closed():
    world = World(BreakerRule(failures=3, ramp_s=100.0))
    world.breaker.update({f"{world.name}/{ALL}": BreakerState(Gate.HALF_OPEN, 1)}, 0.0)
    world.breaker.update({f"{world.name}/{ALL}": BreakerState(Gate.CLOSED, 2)}, 0.0)

    def share(now):
        return sum(world.ask("", now) for _ in range(1000)) / 1000

    assert share(1.0) == pytest.approx(0.1, abs=0.002)
    assert share(50.0) == pytest.approx(0.5, abs=0.002)
    assert share(100.0) == 1.0


def test_names_tell_routes_apart_and_stay():
    routes = [
        Route("a"), Route("a", path="/x/*"), Route("b", path="/x/*"), Route("a", hosts=("h",), methods=("POST", "GET")),
        Route("a", hosts=tuple(f"host-{n}.example" for n in range(50))),
    ]  # fmt: skip
    names = names_of(routes)
    assert names[:4] == ["route:any", "route:|x|*", "route:|x|*~2", "route:GET,POST|h"]
    assert len(names[4]) == len("route:") + NAME_MAX
    assert not any("/" in name for name in names)
    assert names_of([routes[1]]) == [names[1]]


def test_only_routes_with_a_rule_have_one():
    assert list(pools_of([Route("a"), Route("a", path="/x", breaker=RULE)])) == ["route:|x"]
