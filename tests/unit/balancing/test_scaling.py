"""More servers by any figure, fewer by all of them; bounds, steps, cooldowns; never by turns."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.scaling import SAMPLES_MAX, Load, Scaler
from gslb.model import ScalingDriver, ScalingRule, Thresholds


def rule(up, down=None, **words):
    words = {"min": 1, "max": 10, "window_s": 10.0, "cooldown_up_s": 20.0, "cooldown_down_s": 60.0, **words}
    return ScalingRule(up=up, down=down or Thresholds(), driver=ScalingDriver(webhook="http://x/"), **words)


def run(scaler, load, seconds, start=0.0):
    """The first decision while `load` is measured once a second, and when."""
    for step in range(seconds):
        now = start + step
        scaler.see(load, now)
        decision = scaler.decide(now)
        if decision is not None:
            return decision, now
    return None, start + seconds - 1


CPU = Thresholds(cpu=0.7)


def test_nothing_is_decided_before_the_window_is_full():
    decision, at = run(Scaler(rule(CPU)), Load(2, 2, cpu=0.9), 30)
    assert at == 10.0
    assert (decision.action, decision.servers, decision.wanted) == ("up", 2, 3)
    assert "cpu 0.9, over 0.7" in decision.why


def test_as_many_come_as_the_figure_needs_and_a_step_allows():
    assert run(Scaler(rule(CPU, step_up=9)), Load(4, 4, cpu=1.4), 30)[0].wanted == 8
    assert run(Scaler(rule(CPU, step_up=2)), Load(4, 4, cpu=1.4), 30)[0].wanted == 6
    assert run(Scaler(rule(CPU, step_up=9, max=5)), Load(4, 4, cpu=1.4), 30)[0].wanted == 5
    # two of four are down, and the others are twice as busy as they should be: that many are missing
    assert run(Scaler(rule(CPU, step_up=9)), Load(4, 2, cpu=1.4), 30)[0].wanted == 6


def test_a_peak_shorter_than_the_window_moves_nothing():
    scaler = Scaler(rule(Thresholds(connections=10)))
    for second in range(100):
        scaler.see(Load(2, 2, connections=30 if second % 10 == 0 else 1), float(second))
        assert scaler.decide(float(second)) is None


def test_the_figure_that_is_furthest_over_counts():
    load = Load(2, 2, cpu=0.75, requests=300.0)
    decision, _ = run(Scaler(rule(Thresholds(cpu=0.7, requests=100.0), step_up=9)), load, 30)
    assert decision.wanted == 6
    assert "requests 300" in decision.why
    assert len(decision.trace) == 2


BOTH = rule(Thresholds(cpu=0.7, requests=100.0), Thresholds(cpu=0.3, requests=20.0))


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (Load(4, 4, cpu=0.1, requests=5.0), 3),
        (Load(4, 4, cpu=0.1, requests=50.0), None),  # one figure is not low
        (Load(4, 4, cpu=0.5, requests=5.0), None),
        (Load(4, 4, cpu=None, requests=5.0), None),  # nobody says how busy they are
        (Load(1, 1, cpu=0.0, requests=0.0), None),  # min
    ],
)
def test_fewer_only_if_every_figure_is_low(load, wanted):
    decision, _ = run(Scaler(BOTH), load, 100)
    assert (decision and decision.wanted) == wanted


def test_nobody_leaves_if_the_others_would_be_too_busy_then():
    rules = rule(Thresholds(cpu=0.7), Thresholds(cpu=0.69))
    assert run(Scaler(rules), Load(2, 2, cpu=0.6), 200)[0] is None
    assert run(Scaler(rules), Load(10, 10, cpu=0.6), 200)[0].wanted == 9
    assert run(Scaler(rules), Load(2, 1, cpu=0.1), 200)[0] is None  # the only one that works


def test_without_lower_thresholds_nobody_leaves():
    assert run(Scaler(rule(CPU)), Load(5, 5, cpu=0.0), 1000)[0] is None


def test_the_time_of_answers_that_there_are_none_of_keeps_nobody():
    rules = rule(Thresholds(latency_s=0.5), Thresholds(latency_s=0.1))
    assert run(Scaler(rules), Load(3, 3), 100)[0].wanted == 2


def test_bounds_need_no_figures():
    assert run(Scaler(rule(CPU, min=3)), Load(1, 1), 1)[0].wanted == 3
    assert run(Scaler(rule(CPU, max=3)), Load(6, 6), 1)[0].wanted == 5
    assert run(Scaler(rule(CPU, max=3, step_down=9)), Load(6, 6), 1)[0].wanted == 3


def test_cooldowns():
    scaler = Scaler(rule(CPU, Thresholds(cpu=0.2)))
    _, at = run(scaler, Load(2, 2, cpu=0.9), 100)
    _, again = run(scaler, Load(3, 3, cpu=0.9), 100, at + 1)
    assert again - at == 20.0  # cooldown.up
    decision, later = run(scaler, Load(4, 4, cpu=0.05), 200, again + 1)
    assert decision.action == "down"
    assert later - again == 60.0  # cooldown.down after any change
    decision, soon = run(scaler, Load(3, 3, cpu=0.9), 100, later + 1)
    assert decision.action == "up"  # what is missing does not wait for cooldown.down
    assert soon - later == 11.0  # only for a window of its own


@given(
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=400),
    st.integers(1, 3), st.integers(3, 8),
)
def test_whatever_is_measured_the_bounds_and_steps_hold(measured, least, most):
    rules = rule(CPU, Thresholds(cpu=0.3), min=least, max=most, step_up=2, cooldown_up_s=3.0, cooldown_down_s=5.0)
    scaler, count = Scaler(rules), least
    last = -math.inf
    for second, (cpu, up) in enumerate(measured):
        scaler.see(Load(count, count if up else max(0, count - 1), cpu=cpu), float(second))
        decision = scaler.decide(float(second))
        if decision is not None:
            assert decision.servers == count != decision.wanted
            assert least <= decision.wanted <= most
            assert -1 <= decision.wanted - count <= 2
            assert second - last >= 3.0
            count, last = decision.wanted, second
    assert len(scaler._loads) <= min(SAMPLES_MAX, 12)


def test_it_says_what_it_knows():
    scaler = Scaler(rule(CPU, min=3))
    assert scaler.describe(0.0)["servers"] is None
    run(scaler, Load(1, 1), 1)
    scaler.see(Load(1, 1, cpu=0.4), 1.0)
    told = scaler.describe(1.0)
    assert (told["servers"], told["means"]["cpu"], told["up_after_s"]) == (1, 0.4, 19.0)
