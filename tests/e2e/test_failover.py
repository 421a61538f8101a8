"""A region that dies, freezes or loses its servers gets no new answer or redirect after 8 s; over a real Redis."""

import re
import signal

import pytest

from gslb.demo.clients import ask
from tests.support.redis_server import RedisServer
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]
LOST_S = 8.0
BACK_S = 30.0


def away(box):
    return box.region_of() != "eu-west" and box.front_region() != "eu-west"


def back(box):
    return box.region_of() == "eu-west" and box.front_region() == "eu-west"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    from tests.support.sandbox import Sandbox

    box = Sandbox(tmp_path_factory.mktemp("failover"))
    with RedisServer() as redis, running(box.cluster(redis.url)) as cluster:
        box.wait_ready()
        yield box, cluster, redis


@pytest.mark.parametrize("loss", ["killed", "frozen", "parent frozen", "servers gone"])
def test_a_lost_region_gets_no_answer_after_8_s(whole, loss):
    box, cluster, _ = whole
    until(lambda: back(box), BACK_S, "eu-west in service")
    if loss == "killed":
        cluster.kill("eu-west")
    elif loss == "frozen":
        cluster.signal("eu-west", signal.SIGSTOP)
    elif loss == "parent frozen":  # its workers still serve, but nobody watches them: it drains
        cluster.members["eu-west"].process.send_signal(signal.SIGSTOP)
    else:
        cluster.kill("eu-west-backends")
    try:
        until(lambda: away(box), LOST_S, f"away from eu-west ({loss})")
        # from Berlin Mumbai is nearer than Virginia; a client nobody can place gets the next in declared order
        assert (box.region_of(), box.front_region()) == ("ap-south", "us-east")
    finally:
        cluster.signal("eu-west", signal.SIGCONT)
        cluster.start("eu-west", "eu-west-backends")
    until(lambda: back(box), BACK_S, "eu-west back")


def test_answers_go_on_without_redis_and_pick_it_up_again(whole):
    box, cluster, redis = whole
    until(lambda: back(box), BACK_S, "eu-west in service")
    redis.stop()
    until(lambda: not any(one["up"] for one in box.status()["store"]), 10, "the edge to notice")
    for _ in range(50):
        assert back(box)
    cluster.kill("eu-west-backends")  # and it still fails over without Redis
    until(lambda: away(box), LOST_S, "away from eu-west without Redis")
    cluster.start("eu-west-backends")
    until(lambda: back(box), BACK_S, "eu-west back")
    redis.start()
    until(lambda: all(one["up"] for one in box.status()["store"]), 15, "the edge to see Redis again")
    until(
        lambda: any("own word (eu-west" in key for key in box.status()["regions"]["eu-west"]["evidence"]),
        15, "heartbeats of eu-west again",
    )


def test_heartbeats_of_regions_reach_the_edge(whole):
    box, _, _ = whole
    until(
        lambda: all(
            any(key.startswith(f"own word ({name}/") for key in one["evidence"])
            for name, one in box.status()["regions"].items()
        ),
        15, "every region's own word through Redis",
    )


def test_two_edges_hear_each_other_and_both_fail_over(sandbox):
    """Views travel through Redis, so that a lost region is lost by quorum; and each edge answers by itself."""
    ports = sandbox.add_edge("edge-2")

    def second():
        return ask(("127.0.0.1", ports["dns"]), "www.example.com", "A", "141.20.0.0/24")[0]

    with RedisServer() as redis, running(sandbox.cluster(redis.url, edges=("edge-1", "edge-2"))) as cluster:
        sandbox.wait_ready()
        until(lambda: second() == ["192.0.2.10"], 20, "edge-2")
        until(lambda: "view of edge-2" in sandbox.status()["regions"]["eu-west"]["evidence"], 15, "edge-2's view")
        cluster.kill("eu-west")
        until(lambda: away(sandbox) and second() == ["203.0.113.10"], LOST_S, "both edges away from eu-west")
        why = sandbox.status()["regions"]["eu-west"]["why"]
        # Two edges and two regions, and while it is fresh its own last word.
        assert re.fullmatch(r"[234] of [45] see it down", why), why
        evidence = sandbox.status()["regions"]["eu-west"]["evidence"]
        assert {"view of us-east/demo", "view of ap-south/demo", "view of edge-2"} <= evidence.keys()
