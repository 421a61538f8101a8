"""`gslb demo` and its rehearsal, as a user runs them."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.support.redis_server import RedisServer
from tests.support.sandbox import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(150)]


def test_the_rehearsal_holds_without_redis_and_reports_json(sandbox):
    out = sandbox.gslb("demo", "--once", "--json", timeout_s=120)
    assert out.returncode == 0, out.stdout + out.stderr
    report = json.loads(out.stdout)
    assert report["ok"] is True and report["region"] == "eu-west"
    assert len(report["steps"]) == 6 and all(step["ok"] for step in report["steps"])
    lost = next(step for step in report["steps"] if "killed" in step["name"])
    assert 0 < lost["figures"]["dns_s"] <= 8 and 0 < lost["figures"]["front_door_s"] <= 8


def test_the_rehearsal_holds_over_a_real_redis(sandbox):
    with RedisServer() as redis:
        out = sandbox.gslb("demo", "--once", "--redis", redis.url, timeout_s=120)
        assert out.returncode == 0, out.stdout + out.stderr
        assert "Every step held" in out.stdout
        assert "calls=" in redis.ask("info", "commandstats").partition("cmdstat_eval")[2]  # reports were published


def test_a_step_that_fails_is_named(sandbox):
    sandbox.edit("gslb.yaml", "steering: [nearest]", "steering: [failover]")  # Brazil no longer gets the nearest
    out = sandbox.gslb("demo", "--once", "--json", timeout_s=120)
    assert out.returncode == 1
    failed = [step for step in json.loads(out.stdout)["steps"] if not step["ok"]]
    assert len(failed) == 1
    assert "Brazil gets eu-west; nearest is us-east, of which the edge says: up, " in failed[0]["detail"]


def test_a_busy_port_is_named(sandbox):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", sandbox.ports["8102"]))
        taken.listen()
        out = sandbox.gslb("demo", "--once")
    assert out.returncode == 2
    assert f"127.0.0.1:{sandbox.ports['8102']}" in out.stderr


def test_the_demo_prints_commands_that_do_what_it_says(sandbox):
    """Pastes what the demo prints: the three digs, the curl, a kill, and the way back."""
    with (sandbox.folder / "out").open("w+") as out:
        demo = subprocess.Popen([sys.executable, "-m", "gslb", "demo", "--config", str(sandbox.config)],
                                stdout=out, stderr=out, start_new_session=True)
        try:
            until(lambda: "Logs are in" in (sandbox.folder / "out").read_text(), 30, "the things to try")
            text = (sandbox.folder / "out").read_text()
            sandbox.wait_ready()
            lines = [line.strip() for line in text.splitlines()]
            digs = [line for line in lines if line.startswith("dig ")]
            assert len(digs) == 3
            shell = {"capture_output": True, "text": True, "timeout": 20, "shell": True}
            for line, address in zip(digs, ("192.0.2.10", "198.51.100.10", "203.0.113.10"), strict=True):
                assert address in subprocess.run(f"{line} +short", **shell, check=False).stdout
            curl = next(line for line in lines if line.startswith("curl "))
            assert json.loads(subprocess.run(curl, **shell, check=False).stdout)["region"] == "eu-west"
            kill = next(line for line in lines if line.startswith("kill -9") and "backends die" in line)
            assert subprocess.run(kill, **shell, check=False).returncode == 0
            until(lambda: sandbox.region_of() != "eu-west" and sandbox.front_region() != "eu-west", 8, "failover")
            bring = next(line for line in lines if "kill -USR1" in line).split(": ", 1)[1]
            assert subprocess.run(bring, **shell, check=False).returncode == 0
            until(lambda: sandbox.region_of() == "eu-west" and sandbox.front_region() == "eu-west", 40, "the way back")
        finally:
            os.killpg(demo.pid, signal.SIGINT)
            assert demo.wait(30) == 0
