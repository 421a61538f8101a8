"""The figures of a window: rates, shares, percentiles."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.metrics import SECONDS
from gslb.model import Balancer, Plan, Pool
from gslb.ops.summary import PoolSample, Sample, percentile, summary
from gslb.telemetry import local_counters

PLAN = Plan("test", 1, {}, {}, {}, balancer=Balancer("here", (), {"web": Pool("web", (), None)}))


def sample(at, times=(), errors=0):
    """A sample after answers that took `times`, `errors` of them 5xx."""
    counters = local_counters(PLAN)
    first = counters.index("gslb_http_request_seconds", pool="web")
    for seconds in times:
        counters.observe(first, seconds)
    cells = tuple(counters.cells[first : first + len(SECONDS) + 2])
    return Sample(at, {"web": PoolSample((0, len(times) - errors, 0, 0, errors), cells)})


def test_the_figures_are_those_of_the_window():
    old, new = sample(10.0, [0.2] * 10), sample(20.0, [0.2] * 10 + [0.02] * 20, errors=5)
    found = summary(old, new, {"web": 3, "api": 1})
    assert found["window_s"] == 10.0
    assert (found["total_requests"], found["requests_per_second"]) == (30, 2.0)
    assert found["success_rate"] == 0.75
    assert found["average_response_time"] == pytest.approx(0.02)
    assert 0.01 < found["p50"] <= found["p95"] <= found["p99"] <= 0.025
    assert (found["active_servers"], found["pools"]["web"]["active_servers"]) == (4, 3)
    assert found["pools"]["web"]["total_requests"] == 30


def test_without_answers_there_is_no_rate_of_success():
    found = summary(sample(1.0), sample(1.0), {})
    assert (found["total_requests"], found["requests_per_second"]) == (0, 0.0)
    assert [found[key] for key in ("success_rate", "average_response_time", "p50", "p95", "p99")] == [None] * 5


def test_a_pool_that_came_or_went_within_the_window():
    one = PoolSample((0, 1, 0, 0, 0), (1,) + (0,) * (len(SECONDS) + 1))
    found = summary(Sample(0, {"old": one}), Sample(1, {"new": one}), {})
    assert (found["total_requests"], found["requests_per_second"]) == (1, 1.0)
    assert list(found["pools"]) == ["new"]


@given(st.lists(st.floats(0.0001, 29), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_true_one(times, share):
    found = percentile(sample(0, times).pools["web"].histogram[:-1], share)
    true = sorted(times)[max(0, -(-len(times) * share // 1).__int__() - 1)]
    bucket = next(i for i, bound in enumerate(SECONDS) if true <= bound)
    low = SECONDS[bucket - 1] if bucket else 0.0
    assert low - 1e-6 <= found <= SECONDS[bucket] + 1e-6


def test_percentiles_rise_and_stop_at_the_last_bound():
    rng = random.Random(1)
    counts = [rng.randrange(9) for _ in range(len(SECONDS) + 1)]
    found = [percentile(counts, share / 100) for share in range(1, 101)]
    assert found == sorted(found)
    assert percentile([0] * len(SECONDS) + [4], 0.5) == SECONDS[-1]
    assert percentile([0] * (len(SECONDS) + 1), 0.5) is None
