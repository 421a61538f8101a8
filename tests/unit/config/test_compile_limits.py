"""Limits from the words of the files, and the mistakes in them."""

import pytest

from gslb.config.compile import compile_plan
from gslb.config.compile_limits import compile_limits
from gslb.model import Adaptive, ConcurrencyLimit, Limits, RateLimit, Shedding
from tests.support.config_files import changed, loaded, problems


def with_limits(words: str, more: str = "") -> dict[str, str]:
    return {"west.yaml": changed("west.yaml", "  listen:", f"  limits: {words}\n{more}  listen:")}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("{a: {rate: 100/s}}", Limits({"a": RateLimit("a", "all", 100, 1.0, 100)})),
        ("{a: {rate: 600/m}}", Limits({"a": RateLimit("a", "all", 600, 60.0, 10)})),
        ("{a: {rate: 10/30s, burst: 3}}", Limits({"a": RateLimit("a", "all", 10, 30.0, 3)})),
        (
            "{a: {rate: 10/h, key: 'header:X-Key', algorithm: sliding_window, scope: shared, status: 503, apply: all}}",
            Limits(
                {"a": RateLimit("a", "header:X-Key", 10, 3600.0, 10, "sliding_window", "shared", status=503)},
                for_all=("a",),
            ),
        ),
        (
            "{a: {rate: 9/s, burst: 8, slice: 2, key: client_ip, prefix: 56}}",
            Limits({"a": RateLimit("a", "client_ip", 9, 1.0, 8, slice=2, prefix=56)}),
        ),
        ("{c: {concurrency: 50}}", Limits(concurrency={"c": ConcurrencyLimit("c", 50)})),
        (
            "{c: {adaptive: {min: 5, max: 50, tolerance: 2.0, window: 30s}}}",
            Limits(concurrency={"c": ConcurrencyLimit("c", adaptive=Adaptive(5, 50, 2.0, 30.0))}),
        ),
    ],
)
def test_limits_are_what_the_file_says(tmp_path, words, expected):
    config = loaded(tmp_path, with_limits(words))
    balancer = config.regions["west"].balancer
    assert compile_limits(balancer.limits, balancer.shedding) == expected
    assert compile_plan(config, generation=1, region="west", geo=None).balancer.limits == expected


def test_shedding_and_who_names_limits(tmp_path):
    files = with_limits("{a: {rate: 1/s}}", "  shedding: {normal: 80%, batch: 50%, lag: 200ms, header: X-Priority}\n")
    text = files["west.yaml"].replace("/api/*}, pool: api}", "/api/*}, pool: api, limits: [a], priority: batch}")
    text = text.replace("      retries:", "      limits: [a]\n      retries:")
    plan = compile_plan(loaded(tmp_path, {"west.yaml": text}), generation=1, region="west", geo=None)
    assert plan.balancer.limits.shedding == Shedding(0.8, 0.5, 0.2, "X-Priority")
    assert (plan.balancer.routes[0].limits, plan.balancer.routes[0].priority) == (("a",), "batch")
    assert plan.balancer.pools["web"].limits == ("a",)


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        ("{a: {rate: 100}}", "100 is not a rate", "100/s"),
        ("{a: {rate: 0/s}}", "is out of bounds", "from 1"),
        ("{a: {rate: 1/fortnight}}", "is not a rate", "6000/m"),
        ("{a: {rate: 1/s, key: colour}}", "is no key of a limit", "client_ip"),
        ("{a: {}}", "one of rate, concurrency and adaptive, not none", "one limit for each"),
        ("{a: {rate: 1/s, concurrency: 2}}", "not rate and concurrency", "one limit for each"),
        ("{a: {concurrency: 2, burst: 3}}", "'burst' goes with rate only", "leave it out"),
        ("{a: {rate: 9/s, algorithm: sliding_window, burst: 3}}", "a sliding window has no burst", "leave it out"),
        ("{a: {rate: 9/s, burst: 3, slice: 4}}", "a slice of 4 is more than the burst", "at most 3"),
        ("{a: {adaptive: {min: 9, max: 3}}}", "min is greater than max", "smaller one"),
        ("{a: {rate: 9/s, scope: global}}", "'global' is not known here", "shared"),
        ("{'a b': {rate: 9/s}}", "'a b'", ""),
    ],
)
def test_mistakes_are_told_with_line_and_remedy(tmp_path, words, message, remedy):
    files = with_limits(words)
    line = files["west.yaml"][: files["west.yaml"].index("limits:")].count("\n") + 1
    [problem] = problems(tmp_path, files)
    assert problem.line == line
    assert message in problem.message, problem
    assert remedy in problem.remedy, problem


def test_a_limit_that_nothing_has(tmp_path):
    files = with_limits("{api: {rate: 1/s}}")
    text = files["west.yaml"].replace("path: /api/*}, pool: api}", "path: /api/*}, pool: api, limits: [apo]}")
    [problem] = problems(tmp_path, {"west.yaml": text})
    assert (problem.message, "did you mean 'api'" in problem.remedy) == ("there is no limit 'apo'", True)


def test_shares_that_are_out_of_order(tmp_path):
    [problem] = problems(tmp_path, with_limits("{}", "  shedding: {normal: 50%, batch: 60%}\n"))
    assert "not in order" in problem.message
