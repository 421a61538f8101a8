"""Drills: the fault is real, the report measured, and without health checks it fails; a real cluster is given back."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sandbox import Sandbox, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A drill's folder is below this test's."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def ours(folder):
    """Processes whose command line names the folder of a drill or demo below this one: where its nodes keep state."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            words = (one / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if f"{folder}/gslb-d".encode() in words and int(one.name) != os.getpid():
            found.append(words)
    return found


def drill(box, *words, timeout_s=100.0):
    return box.gslb("drill", "eu-west", *words, timeout_s=timeout_s)


def test_a_region_that_loses_its_servers_is_drilled_and_leaves_nothing_behind(tmp_path):
    box = Sandbox(tmp_path)
    done = drill(box, "--kind", "servers", "--for", "6s", "--json", "--html", str(tmp_path / "page.html"))
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == 0, report["missed"]
    assert report["ok"] is True
    figures = report["figures"]
    assert 0 < figures["last_wrong_dns_s"] <= 8
    assert 0 <= figures["detect_s"] <= 8
    assert figures["recovered_s"] > 0
    assert figures["requests"] > 100
    assert set(figures["success"]) == {"honest", "stubborn", "front door"}
    assert min(figures["success"].values()) >= 0.999
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert ours(tmp_path) == []
    assert "eu-west" in box.gslb("drill", "--history").stdout
    assert json.loads(box.gslb("drill", "--history", "--json").stdout)[-1]["kind"] == "servers"


def test_without_health_checks_it_fails(tmp_path):
    """The proof that it measures gslb and not itself: nothing is told to the nodes but by the network."""
    box = Sandbox(tmp_path)
    box.edit("gslb.yaml", "\nprobe: {", "\nprobe: {fall: 100, ")
    box.edit("gslb.yaml", " fall: 3,", "")
    done = drill(box, "--kind", "partition", "--for", "6s", "--json")
    assert done.returncode == 1, done.stderr
    assert "DNS never left eu-west for good" in json.loads(done.stdout)["missed"]


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        (["drill", "eu-west", "--for", "60s"], signal.SIGINT, 1),
        (["drill", "eu-west", "--for", "60s"], signal.SIGTERM, 143),
        (["demo", "--once"], signal.SIGHUP, 129),
    ],
)
def test_one_that_is_interrupted_ends_everything(tmp_path, command, number, code):
    box = Sandbox(tmp_path)
    shell = ["env", "--default-signal=INT,HUP"]  # a shell's background job starts with them ignored
    words = [*shell, sys.executable, "-m", "gslb", *command, "--config", str(box.config)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: len(ours(tmp_path)) > 5, 20, "the cluster starts")
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == code
    assert ours(tmp_path) == []
    assert list(tmp_path.glob("gslb-*")) == []


def test_a_real_cluster_is_taken_out_by_an_operators_word_which_is_taken_back(tmp_path):
    box = Sandbox(tmp_path)
    with running(box.cluster()) as members:
        box.wait_ready()
        until(lambda: all(one["state"] == "up" for one in box.status()["regions"].values()), 15, "all up")
        done = drill(box, "--node", box.admin, "--for", "4s", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert report["figures"]["last_wrong_dns_s"] < 1
        assert min(report["figures"]["success"].values()) == 1.0
        assert box.status()["overrides"] == []
        assert json.loads(box.gslb("alerts", "--json", "--node", box.admin).stdout)["node"]["silences"] == []
        words = [sys.executable, "-m", "gslb", "drill", "eu-west", "--node", box.admin, "--config", str(box.config)]
        with subprocess.Popen(words, stderr=subprocess.PIPE) as ended:
            until(lambda: box.status()["overrides"] != [], 20, "the region is taken out")
            ended.terminate()
        assert ended.returncode == 143
        assert box.status()["overrides"] == []
        members.kill("us-east-backends")
        until(lambda: box.status()["regions"]["us-east"]["state"] == "down", 10, "another region is lost")
        refused = drill(box, "--node", box.admin, "--for", "4s")
        assert refused.returncode == 1
        assert "not now: region us-east is down" in refused.stderr
        assert box.status()["overrides"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--for", "1s"), "a drill lasts from 3 s"),
        (("--kind", "explode"), "'explode' is not one of"),
        (("--kind", "down"), "no kind of drill here"),
        (("--kind", "kill", "--node", "http://127.0.0.1:1"), "a real cluster is not broken"),
    ],
)
def test_what_can_not_be_meant_is_refused(tmp_path, words, says):
    done = drill(Sandbox(tmp_path), *words)
    assert done.returncode == 2
    assert says in done.stderr
