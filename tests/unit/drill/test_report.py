"""The figures of a drill from what was seen, by hand and by properties; and the bars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.drill.report import (
    KINDS,
    LAST_WRONG_MAX_S,
    Answer,
    Drill,
    Request,
    judge,
    measure,
    percentile,
)


def drill(kind="kill", lasted_s=10.0, moves_s=2.0, back_s=3.0, states=((2.1, "down"),), requests=None):
    """A look each 0.1 s: answers lead to eu until `moves_s`, to us until `back_s` after the end."""
    answers = []
    for step in range(-20, 160):
        at = step / 10
        away = moves_s is not None and moves_s <= at < lasted_s + back_s
        answers += [Answer(at, source, "us" if away else "eu") for source in ("dns", "front door")]
    if requests is None:
        requests = [Request(step / 10, client, True) for step in range(100) for client in ("honest", "stubborn")]
    return Drill("eu", kind, lasted_s, answers, requests, states, "how")


def test_a_failover_is_measured():
    figures = measure(drill())
    assert (figures.detect_s, figures.decide_s) == (2.1, 2.0)
    assert figures.last_wrong_dns_s == figures.last_wrong_front_s == 1.9
    assert figures.recovered_s == pytest.approx(3.0)
    assert figures.changes == 1
    assert figures.success == {"honest": 1.0, "stubborn": 1.0}
    assert judge(drill()).ok


def test_what_comes_too_late_or_never_misses_the_bar():
    late = judge(drill(lasted_s=12.0, moves_s=LAST_WRONG_MAX_S + 0.5))
    assert [one for one in late.missed if "DNS led to eu for 8.40 s" in one]
    never = judge(drill(moves_s=None))
    assert never.missed == ["DNS never left eu for good", "the front door never left eu for good"]
    assert never.figures.recovered_s == pytest.approx(0.0)


def test_an_answer_that_comes_back_too_early_is_the_last_wrong_one():
    seen = drill()
    relapse = [Answer(6.0, "dns", "eu"), *seen.answers]
    figures = measure(Drill("eu", "kill", 10.0, sorted(relapse, key=lambda one: one.at), seen.requests, seen.states))
    assert figures.last_wrong_dns_s == 6.0
    assert figures.changes == 3


def test_where_the_balancer_lives_every_client_is_to_be_served():
    requests = [Request(step / 100, "stubborn", step % 500 != 0) for step in range(1000)]
    assert judge(drill("servers", requests=requests)).missed == [
        "99.80% of stubborn clients' requests were served, the bar is 99.9%"
    ]
    assert judge(drill("kill", requests=requests)).ok, "there is nobody to serve them: they wait for their TTL"


def test_a_lost_redis_may_cost_no_answer():
    seen = drill("redis-loss", moves_s=None)
    assert judge(seen).ok
    failed = Drill("eu", "redis-loss", 10.0, [*seen.answers, Answer(5.0, "dns", "")], seen.requests, ())
    assert judge(failed).missed == ["1 answers failed, none may"]


def test_a_region_that_flaps_goes_once_and_comes_back_once():
    assert judge(drill("flap")).ok
    answers = [Answer(step / 10, "dns", "eu" if step // 20 % 2 else "us") for step in range(100)]
    assert judge(Drill("eu", "flap", 10.0, answers, drill().requests, ())).missed == [
        "the answer changed 4 times, at most 2 are wanted"
    ]


def test_a_drill_in_which_nobody_asked_proves_nothing():
    assert "nothing was asked" in judge(Drill("eu", "redis-loss", 10.0, (), (), ())).missed


ANSWERS = st.lists(
    st.builds(Answer, st.floats(-5, 30), st.sampled_from(["dns", "front door"]), st.sampled_from(["eu", "us", ""])),
    max_size=60,
)
REQUESTS = st.lists(
    st.builds(Request, st.floats(-5, 30), st.sampled_from(["honest", "stubborn", "front door"]), st.booleans()),
    max_size=60,
)


@given(st.sampled_from(KINDS), ANSWERS, REQUESTS, st.floats(3, 25))
def test_whatever_was_seen_the_figures_are_of_the_fault_alone(kind, answers, requests, lasted_s):
    answers = sorted(answers, key=lambda one: one.at)
    report = judge(Drill("eu", kind, lasted_s, answers, requests, ()))
    figures = report.figures
    for value in (figures.decide_s, figures.last_wrong_dns_s, figures.last_wrong_front_s):
        assert value is None or 0 <= value < lasted_s
    assert figures.recovered_s is None or figures.recovered_s >= 0
    assert all(0 <= share <= 1 for share in figures.success.values())
    before = [one for one in answers if 0 <= one.at < lasted_s]
    assert measure(Drill("eu", kind, lasted_s, before, requests, ())).decide_s == figures.decide_s


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_no_percentile_of_nothing():
    assert percentile([], 0.5) is None
