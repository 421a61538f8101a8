"""What an observer knows of every region: blindness, stale words, peers, restarted nodes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.quorum import OwnWord
from gslb.health.regions import FRESH_S, PEERS_MAX, SURE, ProbeOptions, Regions, own_word
from gslb.model import State

NAMES = ("eu", "us", "ap")


def picture(rise=2, fall=3):
    made = Regions("edge-1", ProbeOptions())
    made.configure(NAMES, ProbeOptions(rise=rise, fall=fall))
    return made


def probe(regions, now, **ok):
    for name, good in ok.items():
        regions.probed(name, good, "200" if good else "refused", None, now)


def states(regions, now):
    return {name: status.state.value for name, status in regions.judge(now).items()}


def healthy(now=0.0):
    regions = picture()
    for turn in range(3):
        probe(regions, now + turn, eu=True, us=True, ap=True)
    assert set(states(regions, now + 2).values()) == {"up"}
    return regions


def test_nothing_is_known_at_first():
    assert set(states(picture(), 0).values()) == {"unknown"}


def test_one_region_that_fails_goes_down_and_comes_back():
    regions = healthy()
    for turn in range(3, 6):
        probe(regions, turn, eu=False, us=True, ap=True)
    assert states(regions, 6) == {"eu": "down", "us": "up", "ap": "up"}
    assert not regions.isolated
    for turn in range(6, 8):
        probe(regions, turn, eu=True, us=True, ap=True)
    assert states(regions, 8)["eu"] == "up"


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=30))
def test_a_node_that_sees_nothing_keeps_the_last_good_state_in_whatever_order_probes_fail(order):
    """Never 2: blindness is evidence about the node. The failures of a cut-off node come one region after another."""
    regions = healthy()
    failed = set()
    for turn, name in enumerate((*NAMES, *order, *NAMES * 4), 3):
        probe(regions, turn * 0.1, **{name: False})
        failed.add(name)
        now_states = states(regions, turn * 0.1)
        if len(failed) == len(NAMES):
            assert regions.isolated
            assert set(now_states.values()) == {"up"}


@pytest.mark.parametrize("when", ["before", "within"])
def test_what_an_operator_says_is_not_what_was_known_to_be_good(when):
    """Forced down and given back while the node is blind: it is as health last knew it, not as it was forced."""
    regions = healthy()
    forced = {"eu": (State.DOWN, "new disks")}
    if when == "before":
        assert regions.judge(2.5, forced)["eu"].state is State.DOWN
    for turn in range(3, 12):
        probe(regions, turn, eu=False, us=False, ap=False)
    states(regions, 12)
    assert regions.isolated
    assert regions.judge(12.5, forced)["eu"].state is State.DOWN
    assert set(states(regions, 13).values()) == {"up"}


def test_last_good_remembers_who_was_down_before_blindness():
    regions = healthy()
    for turn in range(3, 7):
        probe(regions, turn, eu=False, us=True, ap=True)
        states(regions, turn)
    for turn in range(7, 12):
        probe(regions, turn, eu=False, us=False, ap=False)
    assert states(regions, 12) == {"eu": "down", "us": "up", "ap": "up"}


def test_a_peer_that_sees_something_up_ends_the_doubt():
    """All my probes fail, a fresh peer sees us and ap up: I am not blind alone, and eu is down by quorum."""
    regions = healthy()
    for turn in range(3, 7):
        probe(regions, turn, eu=False, us=False, ap=False)
        regions.viewed("edge-2", 1, turn, {"regions": {"eu": "down", "us": "up", "ap": "up"}}, turn)
    assert states(regions, 6) == {"eu": "down", "us": "up", "ap": "up"}
    assert not regions.isolated


def test_a_single_witness_takes_nothing_down_while_a_peer_sees_it_up():
    regions = healthy()
    for turn in range(3, 8):
        probe(regions, turn, eu=False, us=True, ap=True)
        regions.viewed("edge-2", 1, turn, {"regions": {"eu": "up", "us": "up", "ap": "up"}}, turn)
    assert states(regions, 7)["eu"] == "up"
    assert states(regions, 7 + FRESH_S + 1)["eu"] == "down"  # the peer fell silent


def test_a_repeated_or_older_report_refreshes_nothing_and_a_restarted_node_is_newer():
    regions = healthy()
    regions.heard("eu/a", 5, 10, {"region": "eu", "state": "no_servers"}, 3.0)
    assert states(regions, 3.0)["eu"] == "down"
    regions.heard("eu/a", 5, 10, {"region": "eu", "state": "no_servers"}, 3.0 + FRESH_S)
    regions.heard("eu/a", 4, 99, {"region": "eu", "state": "no_servers"}, 3.0 + FRESH_S)
    assert states(regions, 3.1 + FRESH_S)["eu"] == "up"
    regions.heard("eu/a", 6, 1, {"region": "eu", "state": "draining"}, 3.1 + FRESH_S)
    assert states(regions, 3.1 + FRESH_S)["eu"] == "draining"


def test_one_node_of_a_region_that_can_serve_is_enough():
    regions = healthy()
    regions.heard("eu/a", 1, 1, {"region": "eu", "state": "no_servers"}, 3.0)
    regions.heard("eu/b", 1, 1, {"region": "eu", "state": "up"}, 3.0)
    assert regions.word("eu", 3.0) is OwnWord.UP
    assert states(regions, 3.0)["eu"] == "up"


def test_a_probes_body_carries_the_regions_own_word():
    regions = healthy()
    regions.probed("us", True, "200", json.dumps({"state": "draining"}).encode(), 3.0)
    assert states(regions, 3.0)["us"] == "draining"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"state": "fine"}', b'{"state": 7}', b"\xff", b"null"])
def test_a_body_that_is_not_ours_says_nothing(body):
    assert own_word(body) is None


anything = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.just({"a": []})


@given(
    st.dictionaries(st.sampled_from(["region", "state", "regions", "eu"]), anything | st.just("eu")),
    st.integers(),
    st.integers(),
)
def test_broken_reports_change_nothing(payload, incarnation, sequence):
    regions = healthy()
    regions.heard("x", incarnation, sequence, payload, 3.0)
    regions.viewed("x", incarnation, sequence, {"regions": payload}, 3.0)
    regions.viewed("x", incarnation, sequence + 1, payload, 3.0)
    assert set(states(regions, 3.0).values()) == {"up"}


def test_a_new_configuration_keeps_what_is_known_of_those_that_stay():
    regions = healthy()
    regions.configure(("us", "sa"), ProbeOptions(rise=2, fall=3))
    assert states(regions, 3) == {"us": "up", "sa": "unknown"}


def test_evidence_names_its_age_and_source():
    regions = healthy()
    regions.viewed("edge-2", 1, 1, {"regions": {"eu": "up"}}, 2.0)
    found = regions.evidence(4.0)["eu"]
    assert found["probe"] == {"says": "up: 200", "age_s": 2.0}
    assert found["view of edge-2"]["says"] == "up"
    assert regions.own_view() == dict.fromkeys(NAMES, State.UP)


def test_what_was_known_before_counts_until_there_is_evidence_and_is_called_stale():
    regions = picture()
    regions.remember({"eu": State.DOWN, "us": State.UP, "gone": State.UP})
    assert states(regions, 0.0) == {"eu": "down", "us": "up", "ap": "unknown"}
    assert regions.stale
    probe(regions, 1.0, eu=True, us=True)
    assert states(regions, 1.0) == {"eu": "up", "us": "up", "ap": "unknown"}
    assert not regions.stale


def test_a_first_failure_after_a_start_does_not_bring_a_dead_region_back():
    regions = picture()
    regions.remember({"eu": State.DOWN, "us": State.UP, "ap": State.UP})
    probe(regions, 0.5, eu=False, us=True, ap=True)
    assert states(regions, 0.5) == {"eu": "down", "us": "up", "ap": "up"}


# ---------------------------------------------------------------- regions as observers
def region_says(regions, node, region, now, view=None, state="up", sequence=None):
    payload = {"region": region, "state": state, "regions": view or {}}
    regions.heard(node, 1, int(now * 1000) if sequence is None else sequence, payload, now)


def test_a_regions_node_is_an_observer_of_the_others_and_not_of_its_own():
    regions = healthy()
    for turn in range(3, 6):
        probe(regions, turn, eu=False, us=True, ap=True)
    region_says(regions, "us/a", "us", 6, {"eu": "down", "ap": "up", "us": "up"})
    region_says(regions, "ap/a", "ap", 6, {"eu": "down", "us": "up"})
    found = regions.judge(6)
    assert (found["eu"].state, found["eu"].why) == (State.DOWN, "3 of 3 see it down")
    assert found["us"].why == "3 of 3 see it up", "edge-1, ap and its own word: its node has no view of itself"


def test_several_nodes_of_a_region_have_one_vote_and_the_best_view_counts():
    regions = healthy()
    for letter in "abc":
        region_says(regions, f"us/{letter}", "us", 3, {"eu": "down", "ap": "up"})
    assert states(regions, 3)["eu"] == "up", "one vantage of two"
    region_says(regions, "us/a", "us", 4, {"eu": "up", "ap": "up"})
    assert regions.judge(4)["eu"].why == "2 of 2 see it up"


def test_an_observer_that_sees_nothing_up_has_no_vote_while_another_sees_something_up():
    """Never 2 and 5: two edges behind a broken link are a majority of three, and must not take the regions down."""
    regions = healthy()
    for edge in ("edge-2", "edge-3"):
        regions.viewed(edge, 1, 1, {"regions": {"eu": "down", "us": "down", "ap": "down"}}, 2.5)
    assert states(regions, 3) == {"eu": "up", "us": "up", "ap": "up"}
    assert regions.suspects == ("edge-2", "edge-3")
    assert "not counted" in regions.evidence(3)["eu"]["view of edge-2"]["says"]


@pytest.mark.parametrize(
    ("known", "accuses"),
    [
        ({"eu": "up", "us": "up", "ap": "up"}, True),
        ({"us": "up", "ap": "up"}, False),
        ({"ap": "up"}, False),  # it has forgotten the others, or has just begun
        ({"ap": "up", "us": "unknown", "eu": "unknown"}, False),
        ({"us": "up", "ap": "up", "eu": "down"}, False),
    ],
)
def test_one_that_knows_little_does_not_call_most_others_blind(known, accuses):
    regions = healthy()
    for turn in range(3, 8):
        probe(regions, turn, eu=False, us=False, ap=False)
    for edge in ("edge-2", "edge-3"):
        regions.viewed(edge, 1, 1, {"regions": dict.fromkeys(NAMES, "down")}, 8)
    regions.viewed("edge-4", 1, 1, {"regions": known}, 8)
    regions.judge(8)
    assert regions.suspects == (("edge-1", "edge-2", "edge-3") if accuses else ())
    region_says(regions, "eu/a", "eu", 8, {"us": "up", "ap": "up"})
    regions.judge(8)
    assert regions.suspects == ("edge-1", "edge-2", "edge-3"), "a region's node does not watch its own"


def test_an_observer_that_is_itself_the_suspect_believes_the_others():
    regions = healthy()
    for turn in range(3, 8):
        probe(regions, turn, eu=False, us=False, ap=False)
    regions.viewed("edge-2", 1, 1, {"regions": {"eu": "down", "us": "up", "ap": "up"}}, 8)
    assert states(regions, 8) == {"eu": "down", "us": "up", "ap": "up"}
    assert regions.suspects == ("edge-1",)
    assert not regions.isolated


def test_if_nobody_sees_anything_up_everybodys_view_counts():
    regions = healthy()
    for turn in range(3, 8):
        probe(regions, turn, eu=False, us=False, ap=False)
    assert set(states(regions, 8).values()) == {"up"}, "alone: isolated"
    regions.viewed("edge-2", 1, 1, {"regions": dict.fromkeys(NAMES, "down")}, 8)
    assert sorted(states(regions, 8).values()) == ["down", "up", "up"], "two witnesses, but too much at once"
    later = 8 + regions.options.hold_s
    regions.viewed("edge-2", 1, 2, {"regions": dict.fromkeys(NAMES, "down")}, later)
    assert set(states(regions, later).values()) == {"down"}
    assert regions.suspects == ()


def test_a_regions_own_node_counts_its_siblings_views_with_its_own_and_not_its_own_report():
    regions = Regions("eu/a", ProbeOptions(), "eu")
    regions.configure(("us", "ap"), ProbeOptions(rise=2, fall=3))
    for turn in range(3):
        probe(regions, turn, us=False, ap=True)
    region_says(regions, "eu/a", "eu", 2.1, {"us": "up", "ap": "up"})
    assert states(regions, 2.2)["us"] == "down", "its own echo is no witness"
    region_says(regions, "eu/b", "eu", 2.2, {"us": "up", "ap": "up"})
    assert states(regions, 2.3)["us"] == "up", "from there it can be reached"
    assert "eu" not in regions.words


def test_there_is_room_for_a_new_observer_and_the_longest_silent_makes_it():
    regions = healthy()
    for number in range(PEERS_MAX + 5):
        regions.viewed(f"edge-{number + 2}", 1, 1, {"regions": {"eu": "up"}}, 3 + number * 0.001)
    assert len(regions.views) == PEERS_MAX
    assert f"edge-{PEERS_MAX + 6}" in regions.views
    assert "edge-2" not in regions.views


# ---------------------------------------------------------------- the share of its clients
def shares(regions, now):
    return {name: status.share for name, status in regions.judge(now).items()}


def test_a_region_that_can_have_half_of_its_clients_says_so_and_is_believed_while_that_is_fresh():
    regions = healthy()
    regions.heard("eu/a", 1, 1, {"region": "eu", "state": "up", "share": 0.5}, 3)
    assert shares(regions, 3) == {"eu": 0.5, "us": 1.0, "ap": 1.0}
    assert "can have 50% of its clients" in regions.judge(3)["eu"].why
    assert shares(regions, 3 + FRESH_S + 0.1)["eu"] == 1.0


def test_several_nodes_shares_are_averaged_and_a_probes_word_is_only_one_of_theirs():
    regions = healthy()
    regions.probed("eu", True, "200", json.dumps({"state": "up", "share": 0.25}).encode(), 3)
    assert shares(regions, 3)["eu"] == 0.25
    regions.heard("eu/a", 1, 1, {"region": "eu", "state": "up", "share": 0.5}, 3)
    regions.heard("eu/b", 1, 1, {"region": "eu", "state": "up", "share": 1.0}, 3)
    assert shares(regions, 3)["eu"] == 0.75


@pytest.mark.parametrize("share", [0, -1, 2, float("nan"), "0.5", None, True, [], 1e999])
def test_a_share_that_can_be_none_is_all_of_them(share):
    regions = healthy()
    regions.heard("eu/a", 1, 1, {"region": "eu", "state": "up", "share": share}, 3)
    assert shares(regions, 3)["eu"] == 1.0


def test_spill_bounds_what_a_region_may_send_elsewhere_and_an_operators_word_is_above_it():
    regions = picture()
    regions.configure(NAMES, ProbeOptions(rise=2, fall=3, spill=0.25))
    probe(regions, 0, eu=True, us=True, ap=True)
    regions.heard("eu/a", 1, 1, {"region": "eu", "state": "up", "share": 0.25}, 1)
    assert shares(regions, 1)["eu"] == 0.75
    assert regions.judge(1, {"eu": (State.UP, "told")})["eu"].share == 1.0


# ---------------------------------------------------------------- too much at once
def test_two_of_three_that_fail_together_by_probes_alone_are_suspect_and_confirmed_by_their_silence():
    regions = healthy()
    region_says(regions, "us/a", "us", 2.9, {"ap": "up"})
    for turn in range(3):
        probe(regions, 3 + turn * 0.1, eu=False, us=False, ap=True)
        regions.viewed("edge-2", 1, turn + 1, {"regions": {"eu": "down", "us": "down", "ap": "up"}}, 3 + turn * 0.1)
    found = regions.judge(3.3)
    assert [name for name, one in found.items() if one.state is State.DOWN] == ["eu"]
    assert "held" in found["us"].why
    assert regions.good["us"] is State.UP, "what is kept on disk is what was let through"
    regions.viewed("edge-2", 1, 9, {"regions": {"eu": "down", "us": "down", "ap": "up"}}, 5.9)
    assert regions.judge(2.9 + FRESH_S + 0.1)["us"].state is State.DOWN, "its nodes have fallen silent, too"


def test_a_region_that_says_itself_that_it_has_no_servers_is_not_held():
    regions = healthy()
    for name in ("eu", "us"):
        region_says(regions, f"{name}/a", name, 3, state="no_servers")
    assert [name for name, one in regions.judge(3).items() if one.state is State.DOWN] == ["eu", "us"]


# ---------------------------------------------------------------- after blindness, and after flaps
def test_what_a_blind_node_saw_go_down_is_forgotten_when_it_sees_again():
    """Never 2, to its end: the first probe that gets through must not make the others' failures count."""
    regions = healthy()
    for turn in range(3, 12):
        probe(regions, turn, eu=False, us=False, ap=False)
        assert set(states(regions, turn).values()) == {"up"}
    assert regions.isolated
    probe(regions, 12, eu=True)
    assert states(regions, 12) == {"eu": "up", "us": "up", "ap": "up"}
    for turn in range(13, 16):
        probe(regions, turn, eu=True, us=True, ap=False)
    assert states(regions, 16) == {"eu": "up", "us": "up", "ap": "down"}, "what is seen from now on counts"


def test_one_that_was_blind_gives_others_no_view_until_it_is_sure():
    """By a probe that gets through now and then it would call most others blind."""
    regions = healthy()
    regions.configure(NAMES, ProbeOptions())  # rise 10
    probe(regions, 2, eu=True, us=True, ap=True)
    for turn in range(3, 12):
        probe(regions, turn, eu=False, us=False, ap=False)
        states(regions, turn)
    probe(regions, 12, eu=True)
    assert states(regions, 12) == {"eu": "up", "us": "up", "ap": "up"}, "as last known"
    for turn in range(13, 13 + SURE):
        assert regions.own_view()["eu"] == "unknown"
        probe(regions, turn, eu=True)
        states(regions, turn)
    assert regions.own_view()["eu"] == "up"
    assert states(regions, 19) == {"eu": "up", "us": "up", "ap": "up"}


def test_a_region_that_was_down_before_the_blindness_stays_so():
    regions = healthy()
    for turn in range(3, 20):
        probe(regions, turn, eu=False, us=True, ap=True)
        states(regions, turn)
    for turn in range(20, 26):
        probe(regions, turn, eu=False, us=False, ap=False)
        states(regions, turn)
    probe(regions, 26, us=True)
    assert states(regions, 26) == {"eu": "down", "us": "up", "ap": "up"}


def test_an_observer_that_is_suddenly_alone_takes_nothing_down_for_having_flapped():
    """By the others' word it is up; here it answers, but has flapped and is still on its way back."""
    regions = healthy()
    now = 3.0
    for _ in range(12):
        for ok in (False, False, False, True, True):
            now += 0.3
            probe(regions, now, eu=ok, us=True, ap=True)
    for step in range(2):
        regions.viewed("edge-2", 1, step + 1, {"regions": {"eu": "up", "us": "up", "ap": "up"}}, now)
        regions.viewed("edge-3", 1, step + 1, {"regions": {"eu": "up", "us": "up", "ap": "up"}}, now)
        assert states(regions, now)["eu"] == "up"
        probe(regions, now + 0.1, eu=True, us=True, ap=True)
    assert regions.seen["eu"].tracker.state is State.DOWN
    assert regions.seen["eu"].tracker.recovering
    assert states(regions, now + FRESH_S + 0.2)["eu"] == "up", "its peers have fallen silent"
    for turn in range(3):
        probe(regions, now + 4 + turn, eu=False, us=True, ap=True)
    assert states(regions, now + 7)["eu"] == "down", "now it fails"


def test_an_observer_that_was_cut_off_from_a_region_and_then_loses_its_peers_does_not_take_it_down():
    """Seen in tests/chaos: the cut was over, the others had it up all the time, and then Redis was lost."""
    regions = healthy()
    for turn in range(4):
        probe(regions, 3 + turn * 0.3, eu=False, us=True, ap=True)
        for edge in ("edge-2", "edge-3"):
            regions.viewed(edge, 1, turn + 1, {"regions": dict.fromkeys(NAMES, "up")}, 3 + turn * 0.3)
        assert states(regions, 3 + turn * 0.3)["eu"] == "up"
    probe(regions, 5, eu=True, us=True, ap=True)
    assert regions.seen["eu"].tracker.state is State.DOWN
    alone = regions.judge(4 + FRESH_S + 1)["eu"]
    assert (alone.state, "others' word" in alone.why) == (State.UP, True)
