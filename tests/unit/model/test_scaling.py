"""Rules of scaling as values."""

import pytest

from gslb.balancing.algorithm import ALGORITHMS
from gslb.model import Pool, Server
from gslb.model.scaling import ScalingDriver, ScalingRule, Thresholds


@pytest.mark.parametrize(
    ("up", "down", "algorithm", "wanted"),
    [
        (Thresholds(cpu=0.7), Thresholds(), "round_robin", True),
        (Thresholds(requests=1), Thresholds(cpu=0.1), "round_robin", True),
        (Thresholds(requests=1), Thresholds(), "round_robin", False),
        (Thresholds(requests=1), Thresholds(), "resource", True),
    ],
)
def test_reports_are_looked_for_where_they_decide_something(up, down, algorithm, wanted):
    rule = ScalingRule(1, 2, up, down, ScalingDriver())
    pool = Pool("web", (Server("a", "127.0.0.1", 1),), ALGORITHMS.get(algorithm)(), scaling=rule)
    assert pool.wants_reports is wanted
