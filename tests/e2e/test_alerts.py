"""A lost region is told once, and once that it is back; silences hold what they should; a restart repeats nothing."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gslb.demo.clients import get
from gslb.ops import client
from tests.support.redis_server import RedisServer
from tests.support.sandbox import Sandbox, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


class Hook(ThreadingHTTPServer):
    """A webhook that keeps what it is told."""

    def __init__(self):
        self.told = []

        class Take(BaseHTTPRequestHandler):
            def do_POST(self):
                self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                """Says nothing."""

        super().__init__(("127.0.0.1", 0), Take)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, rule):
        """(status, subject) of all that was told of a rule."""
        return [(one["status"], one["subject"]) for said in self.told for one in said["alerts"] if one["rule"] == rule]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    hook = Hook()
    box = Sandbox(tmp_path_factory.mktemp("alerts"))
    box.edit(
        "gslb.yaml",
        "\nservices:",
        f"\nalerts:\n  receivers:\n    ops: {{webhook: 'http://127.0.0.1:{hook.server_port}/'}}\n"
        "  rules:\n    region_lost: {keep: 1s}\n    capacity_short: {for: 2s, keep: 1s}\nservices:",
    )
    with running(box.cluster()) as members:
        box.wait_ready()
        until(lambda: all(one["state"] == "up" for one in box.status()["regions"].values()), 15, "all up")
        yield box, members, hook
    hook.shutdown()
    hook.server_close()


def firing(box):
    return {one["rule"] for one in box.status()["alerts"] if one["state"] == "firing"}


def test_a_lost_region_is_told_once_and_once_that_it_is_back(cluster):
    box, members, hook = cluster
    before = len(hook.of("region_lost"))
    members.kill("eu-west-backends")
    until(lambda: hook.of("region_lost")[before:] == [("firing", "eu-west")], 10, "it is told")
    until(lambda: ("firing", "eu-west/demo") in hook.of("capacity_short"), 10, "its own node tells of its servers")
    shown = box.gslb("alerts", "--node", box.admin)
    assert shown.returncode == 1
    assert "region eu-west is down" in " ".join(shown.stdout.split())
    assert "region_lost" in box.gslb("status", "--node", box.admin).stdout
    assert box.metric('gslb_alert_firing{rule="region_lost",subject="eu-west"}', "9470") == 1
    # Control dies and a new one goes on: nobody is told again.
    control = next(one["pid"] for one in box.status()["processes"] if one["role"] == "control")


    os.kill(control, signal.SIGKILL)
    until(lambda: box.status()["processes"][0]["pid"] not in {0, control}, 10, "another control")
    until(lambda: "region_lost" in firing(box), 10, "it goes on")
    members.start("eu-west-backends")
    until(lambda: hook.of("region_lost")[-1] == ("resolved", "eu-west"), 20, "that it is back")
    assert hook.of("region_lost")[before:] == [("firing", "eu-west"), ("resolved", "eu-west")]
    until(lambda: "process_replaced" in firing(box), 5, "the control that died is worth a word, too")


def test_what_is_silenced_is_told_when_the_silence_ends_if_it_still_fires(cluster):
    box, members, hook = cluster
    before = len(hook.of("region_lost"))
    done = box.gslb("alerts", "silence", "region_*", "--for", "1h", "--why", "a drill", "--node", box.admin)
    assert done.returncode == 0, done.stderr
    members.kill("us-east-backends")
    until(lambda: "region_lost" in firing(box), 10, "it fires")
    assert "a drill" in box.gslb("alerts", "--node", box.admin).stdout
    assert len(hook.of("region_lost")) == before
    assert client.ask(box.admin, "/silence", method="POST", body={"rule": "region_*", "for_s": 0}) == {
        "silenced_until_ms": 0
    }
    until(lambda: hook.of("region_lost")[before:] == [("firing", "us-east")], 5, "now it is told")
    client.ask(box.admin, "/silence", method="POST", body={"for_s": 60, "why": "x", "author": "y", "rule": "*"})
    members.start("us-east-backends")
    until(lambda: "region_lost" not in firing(box), 20, "it is back")
    until(lambda: not box.status()["alerts"] or "region_lost" not in str(box.status()["alerts"]), 10, "resolved")
    assert len(hook.of("region_lost")) == before + 1
    assert box.gslb("alerts", "unsilence", "--node", box.admin).returncode == 0
    until(lambda: hook.of("region_lost")[-1] == ("resolved", "us-east"), 5, "that, too, is told in the end")


def test_a_silence_of_a_rule_that_is_none_is_refused(cluster):
    box, _, _ = cluster
    done = box.gslb("alerts", "silence", "regoin_lost", "--node", box.admin)
    assert done.returncode == 2
    assert "known: region_lost" in done.stdout


def test_of_two_edges_one_tells_and_the_other_if_that_one_is_gone_and_a_silence_holds_on_both(tmp_path):
    hook, box = Hook(), Sandbox(tmp_path)
    second = f"http://127.0.0.1:{box.add_edge('edge-2')['admin']}"
    box.edit(
        "gslb.yaml", "\nservices:",
        f"\nalerts:\n  receivers:\n    ops: {{webhook: 'http://127.0.0.1:{hook.server_port}/'}}\n"
        "  rules:\n    region_lost: {keep: 1s}\nservices:",
    )  # fmt: skip

    def alerts(node):
        return get(f"{node}/alerts").json()

    with RedisServer() as redis, running(box.cluster(redis.url, edges=("edge-1", "edge-2"))) as members:
        box.wait_ready()
        until(lambda: all(one["state"] == "up" for one in client.ask(second, "/status")["regions"].values()), 15, "up")
        until(lambda: "view of edge-2" in box.status()["regions"]["eu-west"]["evidence"], 15, "they hear each other")
        before = len(hook.of("region_lost"))
        members.kill("eu-west-backends")
        until(lambda: all("region_lost" in str(alerts(node)) for node in (box.admin, second)), 15, "both see it")
        until(lambda: hook.of("region_lost")[before:] == [("firing", "eu-west")], 10, "it is told")
        teller = next(said["node"] for said in hook.told if "region_lost" in str(said["alerts"]))
        members.kill("edge-1")
        members.start("eu-west-backends")
        until(lambda: hook.of("region_lost")[-1] == ("resolved", "eu-west"), 30, "the edge that is left tells the end")
        assert hook.of("region_lost")[before:] == [("firing", "eu-west"), ("resolved", "eu-west")]
        assert (teller, hook.told[-1]["node"]) == ("edge-1", "edge-2")
        client.ask(second, "/silence", method="POST", body={"rule": "latency", "for_s": 60, "why": "x", "author": "y"})
        members.start("edge-1")
        until(lambda: [one["rule"] for one in alerts(box.admin)["silences"]] == ["latency"], 15, "it spreads")
        assert box.gslb("alerts", "unsilence", "latency", "--node", box.admin).returncode == 0
        until(lambda: alerts(second)["silences"] == [], 5, "its end, too")
    hook.shutdown()
    hook.server_close()
