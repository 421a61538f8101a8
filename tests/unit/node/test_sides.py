"""What a region's node makes of its checks: what servers are before, between and after them."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from gslb.health.checks.http import HttpCheck
from gslb.model import HealthCheck, Server, State
from gslb.node.board import Board
from gslb.node.sides import RegionSide
from tests.support.proxying import plan_of, pool_of

PROBE = SimpleNamespace(
    interval=1.0, fast_interval=0.3, timeout=0.8, rise=10, fall=3, rise_max=None, withdraw_max=0.5, hold=30.0,
    spill=0.75,
)
CONFIG = SimpleNamespace(probe=PROBE)


def side_of(health, *servers):
    pool = replace(pool_of([]), servers=servers or (Server("web-1", "127.0.0.1", 1),), health=health)
    side = RegionSide(SimpleNamespace(node="eu-west/a", name="eu-west", board=Board(2)))
    side.configure(plan_of(pool), CONFIG)
    return side


def result(side, ok, now, key="web/web-1"):
    side.result(key, ok, "said", 0.0, None, now)


@pytest.mark.parametrize(
    ("initial", "state"), [("unknown", State.UNKNOWN), ("up", State.UP), ("down", State.DOWN)]
)
def test_until_its_checks_decide_a_server_is_what_the_pool_says(initial, state):
    side = side_of(HealthCheck(HttpCheck(), rise=2, fall=2, initial=initial))
    assert side.servers({}).get("web/web-1", State.UP) is state


def test_a_server_that_begins_down_has_to_prove_itself():
    side = side_of(HealthCheck(HttpCheck(), rise=2, fall=2, initial="down"))
    result(side, True, 1.0)
    assert side.servers({}) == {"web/web-1": State.DOWN}
    result(side, True, 2.0)
    assert side.servers({}) == {}


def test_pools_that_ask_the_same_have_equal_targets_so_that_one_check_serves_both():
    health = HealthCheck(HttpCheck(path="/health"))
    pools = [replace(pool_of([], name), servers=(Server("x", "127.0.0.1", 1),), health=health) for name in "ab"]
    side = RegionSide(SimpleNamespace(node="eu-west/a", name="eu-west", board=Board(2)))
    side.configure(plan_of(*pools), CONFIG)
    assert side.targets()["a/x"] == side.targets()["b/x"]
