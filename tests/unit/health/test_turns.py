"""Who tells: one of those that see the same, another if that one does not, and nobody never."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.alerts import Event
from gslb.health.turns import FRESH_S, TOLD_FOR_S, TOLD_MAX, TURN_S, WAITING_MAX, Turns, key

LOST = Event("firing", "region_lost", "eu", "region eu is down", "critical", "f00d", 1.0)
NAMES = ("edge-1", "edge-2", "edge-3")


class Cluster:
    """Edges that see an alert at times of their own, and reports and notifications that arrive or don't."""

    def __init__(self, mute=(), cut=()):
        self.edges = {name: Turns(name) for name in NAMES}
        self.mute, self.cut = set(mute), set(cut)  # whose notifications, whose reports get lost
        self.told = []
        self.sequence = 0
        self.exchange(0.0)

    def exchange(self, now):
        self.sequence += 1
        for name, edge in self.edges.items():
            for other, heard in self.edges.items():
                if name != other and not self.cut & {name, other}:
                    heard.hear(name, (1, self.sequence), edge.told(now), now)

    def run(self, seen, until=20.0):
        now, waits = 0.0, dict(seen)
        while now < until:
            for name, edge in self.edges.items():
                if name in waits and now >= waits[name]:
                    edge.wait("ops", LOST, now)
                    del waits[name]
                for receiver, event in edge.due(now):
                    if name not in self.mute:
                        self.told.append((name, now))
                        edge.tell([key(receiver, event)], now)
            now += 0.5
            self.exchange(now)
        return [name for name, _ in self.told]


def test_the_first_by_name_tells_at_once_and_alone():
    cluster = Cluster()
    assert cluster.run(dict.fromkeys(NAMES, 0.0)) == ["edge-1"]
    assert cluster.told == [("edge-1", 0.0)]


def test_one_that_can_not_tell_has_the_next_tell():
    assert Cluster(mute=["edge-1"]).run(dict.fromkeys(NAMES, 0.0)) == ["edge-2"]


def test_one_that_nobody_hears_tells_for_itself_and_another_for_the_rest():
    assert sorted(Cluster(cut=["edge-3"]).run(dict.fromkeys(NAMES, 0.0))) == ["edge-1", "edge-3"]


def test_one_that_is_gone_has_no_turn():
    edge = Turns("edge-2")
    edge.hear("edge-1", (1, 1), (), 0.0)
    edge.wait("ops", LOST, FRESH_S + 1)
    assert edge.due(FRESH_S + 1) == [("ops", LOST)]


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(0, 5), min_size=1), st.sets(st.sampled_from(NAMES)),
       st.sets(st.sampled_from(NAMES)))  # fmt: skip
def test_somebody_tells_if_anybody_can_and_sees_it(seen, mute, cut):
    told = Cluster(mute, cut).run(seen)
    assert bool(told) == bool(set(seen) - mute)
    assert len(told) == len(set(told))
    if not cut and not mute and max(seen.values()) - min(seen.values()) < TURN_S - 1.5:
        assert len(told) == 1


def test_each_receiver_and_each_word_is_told_by_itself():
    edge = Turns("edge-2")
    edge.hear("edge-1", (1, 1), [key("ops", LOST)], 0.0)
    resolved, again = replace(LOST, status="resolved"), replace(LOST, again=True)
    edge.wait("ops", LOST, 0.0)
    edge.wait("mail", LOST, 0.0)
    assert edge.due(TURN_S) == [("mail", LOST)]
    edge.wait("ops", again, 0.0)
    assert edge.due(TURN_S) == [("ops", again)]
    edge.wait("ops", LOST, 0.0)
    edge.wait("ops", resolved, 0.0)
    assert edge.due(TURN_S) == [("ops", resolved)], "what is over takes the place of what was not told yet"


def test_a_report_that_is_not_newer_says_nothing():
    edge = Turns("edge-2")
    edge.hear("edge-1", (2, 5), (), 0.0)
    edge.hear("edge-1", (2, 4), [key("ops", LOST)], 1.0)
    edge.wait("ops", LOST, 1.0)
    assert edge.due(1.0 + TURN_S) == [("ops", LOST)]


def test_what_was_told_is_said_for_a_while_and_within_bounds():
    edge = Turns("a")
    edge.tell((f"{number}" for number in range(2 * TOLD_MAX)), 0.0)
    assert len(edge.told(1.0)) == TOLD_MAX
    assert edge.told(TOLD_FOR_S + 1) == []
    for number in range(2 * WAITING_MAX):
        edge.wait("ops", replace(LOST, fingerprint=str(number)), 0.0)
    newer = replace(LOST, fingerprint="0", status="resolved")
    edge.wait("ops", newer, 0.0)  # there is no room for another, but it takes the place of one that waits
    waiting = edge.due(0.0)
    assert len(waiting) == WAITING_MAX
    assert ("ops", newer) in waiting


@pytest.mark.parametrize("count", [2000])
def test_peers_are_bounded(count):
    edge = Turns("z")
    for number in range(count):
        edge.hear(f"edge-{number}", (1, 1), (), float(number))
    edge.wait("ops", LOST, float(count))
    assert edge.due(count + 2000 * TURN_S) == [("ops", LOST)]
