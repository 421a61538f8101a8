"""Hosts that are cut off, one way and both ways: what each edge answers meanwhile.

k8gb's split brain, as a matrix: whoever is cut from whom, an edge that somebody can reach never answers by one
witness's word, never gives an empty answer, and two edges come to the same once they can hear each other.
"""

import json

import pytest

from tests.chaos.conftest import BOTH_EU, BOTH_US, LOST_S, NEW_YORK, stays, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


def saw_down(hosts, edge):
    """Its own probes of eu-west fail."""
    return json.loads(hosts.status(edge))["regions"]["eu-west"]["evidence"]["probe"]["says"].startswith("down")


def test_a_region_that_is_cut_from_everybody_is_left(hosts):
    for other in ("edge-1", "edge-2", "us-east"):
        hosts.cut("eu-west", other)
    until(lambda: hosts.answers() == BOTH_US, LOST_S, "both edges lead elsewhere")
    stays(lambda: hosts.answers() == BOTH_US, 2, "and stay there")


@pytest.mark.parametrize("both", [True, False], ids=["both ways", "one way"])
def test_one_edge_that_can_not_reach_a_region_does_not_take_it_down(hosts, both):
    """One witness of three: its own probes fail, the other edge and the other region see it."""
    hosts.cut("edge-1", "eu-west", both=both)
    stays(lambda: hosts.answers() == BOTH_EU, 2, "the others' word counts", after=lambda: saw_down(hosts, "edge-1"))


def test_an_edge_that_is_cut_from_everything_keeps_its_last_good_answers(hosts):
    for other in ("edge-2", "eu-west", "us-east"):
        hosts.cut("edge-1", other)
    stays(
        lambda: (hosts.answer("edge-1"), hosts.answer("edge-1", NEW_YORK)) == ("eu-west", "us-east"), 3, "as before",
        after=lambda: '"isolated": true' in hosts.status("edge-1"),
    )  # fmt: skip
    assert hosts.answers()[1] == "eu-west", "the other edge goes on"


def test_edges_that_can_not_hear_each_other_answer_the_same(hosts):
    hosts.cut("edge-1", "edge-2")
    stays(lambda: hosts.answers() == BOTH_EU and hosts.answers(NEW_YORK) == BOTH_US, 4, "the same as ever")


def test_an_edge_that_starts_cut_off_answers_by_what_it_knew(hosts):
    """A cold start without Redis and without a region in sight."""
    hosts.kill("edge-1")
    for other in ("edge-2", "eu-west", "us-east"):
        hosts.cut("edge-1", other)
    hosts.node("edge-1")
    until(lambda: hosts.answer("edge-1") == "eu-west", 8, "from what is on its disk")
    stays(lambda: (hosts.answer("edge-1"), hosts.answer("edge-1", NEW_YORK)) == ("eu-west", "us-east"), 4, "and stays")
    assert '"stale": true' in hosts.status("edge-1")


def test_a_region_that_nobody_but_the_other_region_reaches_is_no_ones_to_judge(hosts):
    """Two of four witnesses say down: no majority, so nothing changes, and its own balancer serves who comes."""
    hosts.cut("edge-1", "eu-west", both=False)
    hosts.cut("edge-2", "eu-west", both=False)
    stays(
        lambda: hosts.answers() in {BOTH_EU, BOTH_US}, 2, "and both edges say the same",
        after=lambda: saw_down(hosts, "edge-1") and saw_down(hosts, "edge-2"),
    )  # fmt: skip
