"""What agents answer, as it is kept and told."""

from dataclasses import replace

import pytest

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.loads import LoadReport
from gslb.model import Agent, Balancer, Pool, Route, Server
from gslb.node.agents import AGENT, Agents

SERVERS = (Server("a", "10.0.0.1", 80), Server("b", "2001:db8::1", 80))
POOL = Pool("web", SERVERS, ALGORITHMS.get("resource")(), agent=Agent(9777, "/load", 2.0, 0.5))
PLAIN = Pool("plain", SERVERS, ALGORITHMS.get("round_robin")())


def balancer(*pools):
    return Balancer("eu", (Route(pools[0].name),), {pool.name: pool for pool in pools})


def test_every_server_of_a_pool_with_agents_is_asked():
    targets = Agents().aim(balancer(POOL, PLAIN))
    assert {key: (one.url, one.check.path, one.interval_s, one.timeout_s) for key, one in targets.items()} == {
        (AGENT, "web", "a"): ("http://10.0.0.1:9777", "/load", 2.0, 0.5),
        (AGENT, "web", "b"): ("http://[2001:db8::1]:9777", "/load", 2.0, 0.5),
    }


@pytest.mark.parametrize(
    ("body", "load"),
    [
        (b'{"cpu_utilization": 0.25, "mem_utilization": 0.5}', LoadReport(0.25, 0.5)),
        (b" cpu_utilization=0.25, rps_fractional=9\n", LoadReport(0.25, rate=9.0)),
    ],
)
def test_news_are_told_once(body, load):
    agents = Agents()
    agents.aim(balancer(POOL))
    agents.result((AGENT, "web", "a"), True, "status 200", body, 5.0)
    assert agents.take() == {"web": {"a": load}}
    assert agents.take() == {}
    said = agents.describe(7.0)["web/a"]
    assert (said["cpu"], said["problem"], said["age_s"]) == (0.25, "", 2.0)


@pytest.mark.parametrize(
    ("ok", "body", "problem"),
    [
        (False, None, "no answer within 0.5 s"),
        (True, b"", "says nothing of use"),
        (True, b"[1]", "says nothing of use"),
        (True, b"{", "says nothing of use"),
    ],
)
def test_what_is_no_word_of_load_is_told_and_nobody_hears_it(ok, body, problem):
    agents = Agents()
    agents.aim(balancer(POOL))
    agents.result((AGENT, "web", "a"), ok, "no answer within 0.5 s", body, 5.0)
    assert agents.take() == {}
    assert problem in agents.describe(5.0)["web/a"]["problem"]


def test_values_out_of_bounds_are_left_out_and_told():
    agents = Agents()
    agents.aim(balancer(POOL))
    agents.result((AGENT, "web", "a"), True, "", b'{"cpu_utilization": 0.5, "mem_utilization": -1}', 5.0)
    assert agents.take() == {"web": {"a": LoadReport(0.5)}}
    assert "1 of its values" in agents.describe(5.0)["web/a"]["problem"]


def test_of_servers_that_leave_nothing_is_kept():
    agents = Agents()
    agents.aim(balancer(POOL))
    agents.result((AGENT, "web", "a"), True, "", b"cpu_utilization=0.5", 5.0)
    agents.aim(balancer(replace(POOL, servers=SERVERS[1:])))
    assert agents.describe(5.0) == {}
