"""`workers: 0`: control and a worker in one process, over the same message boundary."""

import signal

import pytest

from gslb.demo.clients import get
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


def test_one_process_serves_fails_over_and_reloads(sandbox):
    sandbox.edit("gslb.yaml", "workers: 1", "workers: 0")
    sandbox.edit("eu-west.yaml", "workers: auto", "workers: 0")
    sandbox.edit("us-east.yaml", "workers: 1", "workers: 0")
    members = ("edge-1", "eu-west", "eu-west-backends", "us-east", "us-east-backends")
    with running(sandbox.cluster(), *members) as cluster:
        url = f"http://127.0.0.1:{sandbox.ports['8101']}/"
        until(lambda: get(url, host="www.example.com").status == 200, 20, "eu-west")
        until(lambda: sandbox.region_of() == sandbox.front_region() == "eu-west", 20, "the edge")
        processes = sandbox.status()["processes"]
        assert len({process["pid"] for process in processes}) == 1
        cluster.kill("eu-west-backends")
        until(lambda: sandbox.region_of() == sandbox.front_region() == "us-east", 8, "failover")
        before = sandbox.status()["plan_generation"]
        cluster.members["edge-1"].process.send_signal(signal.SIGHUP)
        until(lambda: sandbox.status()["plan_generation"] > before, 10, "HUP")
        cluster.members["edge-1"].process.send_signal(signal.SIGTERM)
        assert cluster.members["edge-1"].process.wait(20) == 0
