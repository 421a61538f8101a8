"""Servers that come and go by load: real processes, started and ended by the demo's driver."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gslb.demo.clients import get
from gslb.demo.scaler import pid_files
from tests.e2e.test_workers import Load, alive
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def box(sandbox):
    """Region us-east, quick to decide."""
    for old, new in (
        ("window: 10s", "window: 2s"),
        ("{up: 20s, down: 30s}", "{up: 2s, down: 4s}"),
        ("drain: 10s", "drain: 3s"),
        ("max: 6", "max: 4"),
        ("{requests: 300}", "{requests: 20}"),
        ("{requests: 50}", "{requests: 5}"),
    ):
        sandbox.edit("us-east.yaml", old, new)
    return sandbox


def scaling(box):
    return json.loads(box.gslb("scaling", "--json", "--node", admin(box)).stdout)["node"]


def admin(box):
    return f"http://127.0.0.1:{box.ports['9472']}"


def events(box, action):
    return [one for one in scaling(box)["events"] if one["action"] == action]


def serving(box):
    """Who answers, asked often enough for everybody's turn."""
    url = f"http://127.0.0.1:{box.ports['8102']}/"
    return {get(url, host="www.example.com").headers["x-server"] for _ in range(30)}


def scaled(box):
    """The ids of the driver's processes."""
    return [int(file.read_text()) for file in pid_files(box.folder / "run").glob("*")]


def test_a_server_comes_with_the_load_and_goes_after_it(box):
    with running(box.cluster(), "us-east", "us-east-backends"):
        until(lambda: len(serving(box)) == 3, 20, "the declared servers")
        url = f"http://127.0.0.1:{box.ports['8102']}/"
        with Load(lambda: get(url, host="www.example.com")):
            until(lambda: len(serving(box)) == 4, 30, "a fourth server")
        (came,) = events(box, "up")
        assert (came["result"], came["servers"], came["wanted"]) == ("done", 3, 4)
        assert "requests/s, over 20" in came["why"]
        (pid,) = scaled(box)
        assert alive(pid)
        until(lambda: len(events(box, "end")) == 1, 30, "its end")
        assert events(box, "end")[0]["result"] == "done"
        assert "under 5" in events(box, "down")[0]["why"]
        until(lambda: not alive(pid), 5, "the process")
        assert len(serving(box)) == 3
        assert box.metric('gslb_scaling_events_total{action="up",pool="web",result="done"}', "9472") == 1
        shown = box.gslb("scaling", "--node", admin(box)).stdout
        assert "3 of 3" in shown
        assert "has finished and is gone" in shown


def test_a_driver_that_fails_is_told_and_left_alone_for_a_while(box):
    box.edit("us-east.yaml", "[python3, -m, gslb.demo.scaler]", "[python3, -c, 'raise SystemExit(\"no quota\")']")
    box.edit("us-east.yaml", "min: 3", "min: 4")
    with running(box.cluster(), "us-east", "us-east-backends"):
        until(lambda: bool(events(box, "up")), 20, "an event")
        (event,) = events(box, "up")
        assert event["result"] == "failed"
        assert "no quota" in event["outcome"]
        assert event["why"] == "3 servers are fewer than min, 4"
        assert scaling(box)["pools"]["web"]["held_s"] > 0
        assert len(serving(box)) == 3


def test_a_new_control_goes_on_with_a_server_that_is_leaving(box):
    box.edit("us-east.yaml", "min: 3", "min: 4")
    with running(box.cluster(), "us-east", "us-east-backends"):
        until(lambda: len(serving(box)) == 4, 20, "a fourth server")
        (pid,) = scaled(box)
        box.edit("us-east.yaml", "min: 4", "min: 3")
        box.edit("us-east.yaml", "drain: 3s", "drain: 60s")
        assert box.gslb("reload", "--node", admin(box)).returncode == 0
        until(lambda: bool(scaling(box)["pools"]["web"]["leaving"]), 30, "a server that leaves")
        control = next(one["pid"] for one in box.status("9472")["processes"] if one["role"] == "control")
        os.kill(control, signal.SIGKILL)
        until(lambda: not alive(pid), 30, "its end")
        until(lambda: len(serving(box)) == 3, 10, "the declared servers")


def test_the_driver_outside_the_demo_says_so():
    words = ["python3", "-m", "gslb.demo.scaler"]
    environment = {key: value for key, value in os.environ.items() if key != "GSLB_DEMO_FOLDER"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(words, input="{}", capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0
    assert "docs/scaling.md" in done.stderr


def test_an_edge_has_no_servers_to_scale(sandbox):
    with running(sandbox.cluster(), "edge-1"):
        until(lambda: sandbox.status()["role"] == "edge", 20, "the edge")
        done = sandbox.gslb("scaling", "--node", sandbox.admin)
        assert done.returncode == 2
        assert "a region's node" in done.stderr
