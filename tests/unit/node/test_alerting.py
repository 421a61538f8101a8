"""Control's part in alerts: what is held by a silence, and what a reload takes away meanwhile."""

from types import SimpleNamespace

import pytest

from gslb.config.load import load
from gslb.health.alerts import Fact
from gslb.node.alerting import Alerting
from gslb.state.directory import StateDirectory
from tests.support.sandbox import Sandbox

LOST = Fact("region_lost", "eu", "region eu is down")


class Node:
    """An edge's alerts by files that may change, with one receiver that keeps what it is given."""

    def __init__(self, folder):
        self.box, self.facts, self.told = Sandbox(folder), [LOST], []
        self.box.edit("gslb.yaml", "\nservices:", "\nalerts:\n  receivers: {ops: {exec: [/bin/true]}}\nservices:")
        context = SimpleNamespace(role="edge", node="edge-1", directory=StateDirectory(folder, "edge-1"),
                                  config_directory=self.box.config)  # fmt: skip
        self.reload()
        self.alerting = Alerting(context, lambda: self.config, lambda _rules, _now: self.facts)

    def reload(self):
        self.config = load(self.box.config, environment={})

    def look(self, now):
        self.alerting._connect()
        self.alerting._receivers["ops"].take = self.told.append
        self.alerting.look(now)
        return [(one["status"], one["rule"]) for message in self.told for one in message["alerts"]]

    def silence(self, for_s):
        self.alerting.silence({"rule": "region_lost", "for_s": for_s, "why": "", "author": ""})


@pytest.fixture
async def node(tmp_path):
    made = Node(tmp_path)
    yield made
    for task in made.alerting._tasks.values():
        task.cancel()


async def test_what_is_silenced_is_told_when_the_silence_ends(node):
    node.silence(60.0)
    assert node.look(0.0) == []
    node.silence(0.0)
    assert node.look(1.0) == [("firing", "region_lost")]


async def test_a_rule_that_a_reload_ends_while_it_is_silenced_is_not_told(node):
    node.silence(60.0)
    assert node.look(0.0) == []
    node.box.edit("gslb.yaml", "\nalerts:\n", "\nalerts:\n  rules: {region_lost: {enabled: false}}\n")
    node.reload()
    node.silence(0.0)
    assert node.look(1.0) == []


async def test_what_another_edge_has_told_is_not_told_again(node):
    (fingerprint,) = {node.alerting._alerts.fingerprint("region_lost", "eu")}
    payload = {"regions": {}, "told": [f"ops {fingerprint} firing"]}
    node.alerting.heard("view", [SimpleNamespace(node="edge-0", order=(1, 1), payload=payload)], 0.0)
    assert node.look(0.0) == []
    assert node.look(9.0) == []
