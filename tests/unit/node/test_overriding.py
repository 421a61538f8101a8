"""Control's part in overrides: obeyed at once and alone, kept over a restart, told on, no more than rules allow."""

import time
from types import SimpleNamespace

import pytest

from gslb.config.compile import compile_plan
from gslb.config.load import load
from gslb.errors import ChangeRefused
from gslb.health.overrides import SafetyRule
from gslb.model import RegionStatus, State, Status
from gslb.node.overriding import Overriding
from gslb.state.directory import StateDirectory
from gslb.state.store import Report
from tests.support.sandbox import ROOT

PLAN = compile_plan(load(ROOT / "regions", environment={}), generation=1, region="eu-west", geo=None)
STATUS = Status(1, {name: RegionStatus(State.UP, "") for name in PLAN.regions})


class Node:
    """One node's overrides, with or without what is on its disk."""

    def __init__(self, folder, name="eu-west/a", rules=()):
        self.applied = 0
        self.directory = StateDirectory(folder, name.replace("/", "-"))
        context = SimpleNamespace(role="region", name="eu-west", node=name, directory=self.directory)
        self.overriding = Overriding(context, lambda: PLAN, lambda: rules, lambda: STATUS, self._apply)

    def _apply(self):
        self.applied += 1

    def say(self, target, action, **words):
        said = {"why": "x", "author": "ada", "for_s": 0, "break_glass": False, **words}
        return self.overriding.say({"target": target, "action": action, **said})

    def hear(self, other, sequence=1):
        payload = {"overrides": other.overriding.told()}
        self.overriding.heard([Report("view", other.overriding.overrides._node, 1, sequence, payload)])


def test_a_word_is_obeyed_at_once_and_alone(tmp_path):
    node = Node(tmp_path)
    node.say("us-east", "drain")
    assert node.applied == 1
    assert node.overriding.regions() == {"us-east": (State.DRAINING, "x (ada)")}
    node.say("us-east", "auto")
    assert (node.applied, node.overriding.regions()) == (2, {})


def test_it_holds_over_a_restart(tmp_path):
    node = Node(tmp_path)
    node.say("eu-west/web/web-1", "down")
    node.say("us-east", "drain", for_s=3600)
    node.directory.close()
    again = Node(tmp_path)
    assert again.overriding.servers() == {"web/web-1": (State.DOWN, "x (ada)")}
    assert again.overriding.regions().keys() == {"us-east"}


def test_it_is_told_on_and_the_newest_word_wins(tmp_path):
    one, two = Node(tmp_path, "eu-west/a"), Node(tmp_path, "edge-1")
    one.say("us-east", "drain")
    two.hear(one)
    assert (two.applied, two.overriding.regions()) == (1, one.overriding.regions())
    two.say("us-east", "up")
    one.hear(two)
    assert one.overriding.regions()["us-east"][0] is State.UP
    one.hear(two, 2)
    assert one.applied == 2, "the same again is no news"


def test_an_end_ends_it(tmp_path):
    node = Node(tmp_path)
    node.say("us-east", "drain", for_s=0.05)
    deadline = time.monotonic() + 5
    while node.overriding.regions() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert node.overriding.regions() == {}


@pytest.mark.parametrize(("target", "action", "code"), [
    ("mars", "drain", 404), ("eu-west/web/none", "down", 404), ("us-east/web/web-1", "down", 404),
    ("a b", "drain", 400), ("us-east", "weight:150", 400), ("none@us-east", "drain", 404),
])  # fmt: skip
def test_what_makes_no_sense_here_is_refused_and_changes_nothing(tmp_path, target, action, code):
    node = Node(tmp_path)
    with pytest.raises(ChangeRefused) as refused:
        node.say(target, action)
    assert refused.value.status == code
    assert (node.applied, node.overriding.told()) == (0, [])


def test_a_rule_is_not_broken_but_by_the_glass_and_that_is_recorded(tmp_path):
    node = Node(tmp_path, rules=(SafetyRule(keep_up=2, of=tuple(PLAN.regions)),))
    node.say("us-east", "drain")
    with pytest.raises(ChangeRefused, match="must stay up"):
        node.say("ap-south", "down")
    node.say("ap-south", "down", break_glass=True)
    assert node.overriding.told()[0]["broke_glass"] is True
