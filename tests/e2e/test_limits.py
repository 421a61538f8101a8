"""Rate limits over real nodes: two workers that share one, Redis that shares it further, and Redis gone."""

import time

import pytest

from gslb.demo.clients import get
from tests.support.redis_server import RedisServer
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]
HOST = "www.example.com"
RATE, BURST, SLICE, WORKERS = 10, 10, 2, 2  # far below what the slowest machine sends


def region(sandbox, scope: str) -> None:
    sandbox.edit("eu-west.yaml", "workers: auto", f"workers: {WORKERS}")
    words = f"rate: {RATE}/s, burst: {BURST}, slice: {SLICE}, scope: {scope}, apply: all"
    sandbox.edit("eu-west.yaml", "balancer:\n", f"balancer:\n  limits: {{all: {{{words}}}}}\n")


def ready(sandbox) -> int:
    port = sandbox.ports["8101"]
    until(lambda: get(f"http://127.0.0.1:{port}/", host=HOST).status == 200, 20, "eu-west")
    until(lambda: all(one["ready"] for one in sandbox.status("9471")["processes"]), 20, "two workers")
    return port


def hammer(port: int, seconds: float) -> tuple[dict[int, int], float]:
    """As many requests as go, each on a connection of its own, so that both workers get some."""
    statuses: dict[int, int] = {}
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        status = get(f"http://127.0.0.1:{port}/", host=HOST).status
        statuses[status] = statuses.get(status, 0) + 1
    return statuses, time.monotonic() - began


def metric(sandbox, line: str) -> float:
    text = str(get(f"http://127.0.0.1:{sandbox.ports['9471']}/metrics").body, "utf-8")
    return next((float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line + " ")), 0.0)


@pytest.mark.parametrize("scope", ["local", "shared"])
def test_two_workers_share_a_limit(sandbox, scope):
    region(sandbox, scope)
    with RedisServer() as redis, running(sandbox.cluster(redis.url), "eu-west", "eu-west-backends"):
        port = ready(sandbox)
        statuses, seconds = hammer(port, 2.0)
        assert set(statuses) == {200, 429}
        assert statuses[200] <= BURST + RATE * seconds + WORKERS * SLICE
        assert statuses[200] >= RATE * seconds * 0.7
        source = {"local": "node", "shared": "redis"}[scope]
        assert metric(sandbox, f'gslb_limit_slices_total{{limit="all",source="{source}"}}') > 0
        assert metric(sandbox, 'gslb_http_limited_total{limit="all",reason="rate_limited"}') == statuses[429]
        assert sandbox.status("9471")["limits"]["all"] == {"scope": scope, "shared": scope == "shared"}


def test_without_redis_a_shared_limit_holds_for_the_node(sandbox):
    region(sandbox, "shared")
    with RedisServer() as redis, running(sandbox.cluster(redis.url), "eu-west", "eu-west-backends"):
        port = ready(sandbox)
        hammer(port, 0.5)
        assert metric(sandbox, 'gslb_limit_shared_ok{limit="all"}') == 1
        redis.stop()
        statuses, seconds = hammer(port, 3.0)
        assert set(statuses) == {200, 429}
        # its own bucket begins full, and each worker may open a slice anew
        assert RATE * seconds * 0.5 <= statuses[200] <= 2 * BURST + RATE * seconds + 2 * WORKERS * SLICE
        assert metric(sandbox, 'gslb_limit_shared_ok{limit="all"}') == 0
        assert metric(sandbox, 'gslb_limit_slices_total{limit="all",source="node"}') > 0
        redis.start()
        before = metric(sandbox, 'gslb_limit_slices_total{limit="all",source="redis"}')

        def shared_again() -> bool:
            hammer(port, 0.2)
            return metric(sandbox, 'gslb_limit_slices_total{limit="all",source="redis"}') > before

        until(shared_again, 15, "Redis shares it again")
