from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.model import (
    Candidate,
    Client,
    Decision,
    Location,
    Region,
    RegionStatus,
    Service,
    Sifted,
    State,
    Status,
    WhenAllDown,
)
from gslb.steering import engine
from gslb.steering.policies.failover import Failover
from gslb.steering.policies.geo import Geo
from gslb.steering.policies.limit import Limit
from gslb.steering.policies.nearest import Nearest
from gslb.steering.policies.weighted import Weighted

EU = Region("eu", Location(53, -6, "IE", "EU"), ("192.0.2.1", "192.0.2.2"), ("2001:db8::1",), "http://eu")
US = Region("us", Location(39, -77, "US", "NA"), ("192.0.2.3",), ("2001:db8::3",), "http://us")
AP = Region("ap", Location(19, 73, "IN", "AS"), ("192.0.2.4",), (), "")
BERLIN = Location(52.5, 13.4, "DE", "EU")
TOKYO = Location(35.7, 139.7, "JP", "AS")
SERVICE = Service("www.example.com", (EU, US, AP), (Nearest(),))
NOW = 1000.0


def status(forced: str = "", **states: State | RegionStatus) -> Status:
    """A Status by region; those in `forced` are an operator's."""
    return Status(
        regions={
            name: state
            if isinstance(state, RegionStatus)
            else RegionStatus(state, "told", forced=name in forced.split())
            for name, state in states.items()
        }
    )


UP = status(eu=State.UP, us=State.UP, ap=State.UP)


def decide(
    service: Service = SERVICE,
    place: Location | None = BERLIN,
    family: int | None = 4,
    known: Status = UP,
    last_good: tuple[str, ...] = (),
    unit: int = 1,
) -> Decision:
    views = engine.views(service, place)
    known = dataclasses.replace(known, last_good={service.name: last_good})
    return engine.decide(service, views, Client(unit, place), family, known, NOW)


def names(decision: Decision) -> list[str]:
    return [region.name for region in decision.regions]


# ---------------------------------------------------------------- health
def test_the_nearest_region_that_is_up_answers() -> None:
    assert names(decide()) == ["eu"]
    assert names(decide(place=TOKYO)) == ["ap"]
    known = status(eu=State.DOWN, us=State.UP, ap=State.UP)
    decision = decide(known=known)
    assert (decision.outcome, names(decision)) == ("steered", ["ap"])
    assert decide(place=TOKYO, known=known).regions == (AP,)


def test_a_region_that_the_status_does_not_name_is_unknown_and_behind_one_that_is_up() -> None:
    assert names(decide(known=Status())) == ["eu"]
    assert names(decide(known=status(ap=State.UP))) == ["ap"]
    both = replace(SERVICE, chain=(Nearest(), Limit(regions=3)))
    assert names(decide(both, known=status(us=State.UP))) == ["us", "eu", "ap"]


def test_unknown_comes_behind_up_before_a_limit_cuts() -> None:
    cut_first = replace(SERVICE, chain=(Limit(), Nearest()))
    assert names(decide(cut_first, known=status(eu=State.UNKNOWN, us=State.UNKNOWN, ap=State.UP))) == ["eu"]
    ranked = replace(SERVICE, chain=(Nearest(), Limit()))
    assert names(decide(ranked, known=status(eu=State.UNKNOWN, us=State.UNKNOWN, ap=State.UP))) == ["ap"]


def test_draining_regions_answer_only_when_nothing_better_is_left() -> None:
    assert names(decide(known=status(eu=State.DRAINING, us=State.UNKNOWN, ap=State.DOWN))) == ["us"]
    decision = decide(known=status(eu=State.DOWN, us=State.DRAINING, ap=State.DOWN))
    assert (decision.outcome, names(decision)) == ("draining", ["us"])


# ---------------------------------------------------------------- all down
DOWN = status(eu=State.DOWN, us=State.DOWN, ap=State.DOWN)


def when_all_down(choice: WhenAllDown, fallback: tuple[str, ...] = ()) -> Service:
    return replace(SERVICE, when_all_down=choice, fallback=fallback)


def test_all_down_all_steers_as_if_nothing_were() -> None:
    decision = decide(place=TOKYO, known=DOWN)
    assert (decision.outcome, names(decision)) == ("all_down", ["ap"])


def test_all_down_leaves_out_what_an_operator_forced_down() -> None:
    known = status("ap", eu=State.DOWN, us=State.DOWN, ap=State.DOWN)
    assert names(decide(place=TOKYO, known=known)) == ["eu"]


def test_all_forced_down_answers_all_the_same() -> None:
    known = status("eu us ap", eu=State.DOWN, us=State.DOWN, ap=State.DOWN)
    assert names(decide(place=TOKYO, known=known)) == ["ap"]


def test_a_draining_region_is_better_than_one_forced_down() -> None:
    assert names(decide(known=status("eu", eu=State.DOWN, us=State.DRAINING, ap=State.DOWN))) == ["us"]


def test_all_down_primary_is_the_first_listed_that_can_answer() -> None:
    service = when_all_down(WhenAllDown.PRIMARY)
    assert names(decide(service, TOKYO, known=DOWN)) == ["eu"]
    assert names(decide(service, TOKYO, known=status("eu", eu=State.DOWN, us=State.DOWN, ap=State.DOWN))) == ["us"]
    assert names(decide(replace(service, regions=(AP, US, EU)), BERLIN, 6, DOWN)) == ["us"]


def test_all_down_last_good() -> None:
    service = when_all_down(WhenAllDown.LAST_GOOD)
    assert names(decide(service, TOKYO, known=DOWN, last_good=("us", "eu"))) == ["eu"]
    assert names(decide(service, TOKYO, known=DOWN, last_good=("gone",))) == ["ap"]
    assert names(decide(service, TOKYO, known=DOWN)) == ["ap"]


def test_all_down_fallback_addresses_of_the_family() -> None:
    service = when_all_down(WhenAllDown.FALLBACK, ("198.51.100.1", "2001:db8::99", "198.51.100.2"))
    four = decide(service, known=DOWN)
    assert (four.outcome, four.regions, four.addresses) == ("all_down", (), ("198.51.100.1", "198.51.100.2"))
    assert decide(service, family=6, known=DOWN).addresses == ("2001:db8::99",)
    assert {note.region for note in four.trace} == {"eu", "us", "ap"}
    assert decide(service).addresses == ()


def test_without_a_fallback_of_the_family_all_steer() -> None:
    service = when_all_down(WhenAllDown.FALLBACK, ("198.51.100.1",))
    assert names(decide(service, family=6, known=DOWN)) == ["eu"]
    front_door = decide(service, family=None, known=DOWN)  # nobody can be redirected to an address
    assert (names(front_door), front_door.addresses) == (["eu"], ())


# ---------------------------------------------------------------- families
def test_a_region_without_an_address_of_the_family_is_no_candidate() -> None:
    decision = decide(place=TOKYO, family=6)
    assert "ap" not in names(decision)
    assert [note.why for note in decision.trace if note.region == "ap"] == ["no IPv6 address"]
    assert names(decide(place=TOKYO, family=None)) != ["ap"]


def test_no_address_only_if_no_region_has_one() -> None:
    service = replace(SERVICE, regions=(AP,))
    for known in (UP, DOWN, Status()):
        decision = decide(service, family=6, known=known)
        assert (decision.outcome, decision.regions, decision.addresses) == ("no_address", (), ())
        assert decision.trace


def test_a_healthy_region_without_the_family_does_not_hide_that_the_others_are_down() -> None:
    decision = decide(family=6, known=status(eu=State.DOWN, us=State.DOWN, ap=State.UP))
    assert (decision.outcome, names(decision)) == ("all_down", ["eu"])


# ---------------------------------------------------------------- how much an answer holds
def test_an_answer_holds_one_region_without_a_limit() -> None:
    decision = decide()
    assert len(decision.regions) == 1 and decision.address_limit == 8


def test_limit_says_how_many_regions_and_addresses() -> None:
    decision = decide(replace(SERVICE, chain=(Nearest(), Limit(regions=2, addresses=3))))
    assert (names(decision), decision.address_limit) == (["eu", "ap"], 3)
    assert [note.why for note in decision.trace if not note.kept] == ["cut by limit 2"]


# ---------------------------------------------------------------- the chain
def test_stages_run_in_order() -> None:
    chain = (Geo(continents={"EU": ("us", "ap")}), Nearest())
    assert names(decide(replace(SERVICE, chain=chain))) == ["ap"]
    assert names(decide(replace(SERVICE, chain=chain), place=None)) == ["eu"]
    assert names(decide(replace(SERVICE, chain=(Nearest(), Failover(order=("us",)))))) == ["us"]
    assert names(decide(replace(SERVICE, chain=()))) == ["eu"]


def test_a_policy_that_keeps_nothing_is_ignored_and_noted() -> None:
    @dataclass(frozen=True, slots=True)
    class Nothing:
        name: ClassVar[str] = "nothing"

        def classify(self, location: Location | None, regions: tuple[Region, ...]) -> Hashable:
            return None

        def apply(self, candidates: tuple[Candidate, ...], view: Hashable, client: Client) -> Sifted:
            return Sifted(())

    decision = decide(replace(SERVICE, chain=(Nothing(), Nearest())))
    assert names(decision) == ["eu"]
    assert any(note.stage == "nothing" and "ignored" in note.why for note in decision.trace)


def test_answers_in_turn_go_through_the_rest_of_the_chain() -> None:
    chain = (Weighted(weights={"eu": 2, "us": 1, "ap": 1}, by="answer"), Limit(regions=2))
    decision = decide(replace(SERVICE, chain=chain))
    assert not decision.hashed
    assert [[region.name for region in order] for order in decision.alternatives] == [
        ["eu", "us"],
        ["us", "ap"],
        ["ap", "eu"],
        ["eu", "us"],
    ]
    assert decision.regions == decision.alternatives[0]


def test_turns_put_unknown_behind_up() -> None:
    chain = (Weighted(weights={"eu": 1, "us": 1, "ap": 1}, by="answer"),)
    decision = decide(replace(SERVICE, chain=chain), known=status(us=State.UP, ap=State.UP))
    assert {order[0].name for order in decision.alternatives} == {"us", "ap"}


def test_turns_are_at_most_64() -> None:
    chain = (Weighted(weights={"eu": 40, "us": 24}, by="answer"), Weighted(weights={"eu": 63, "us": 1}, by="answer"))
    assert len(decide(replace(SERVICE, chain=chain)).alternatives) == 64


def test_hashed_says_that_the_unit_decided() -> None:
    service = replace(SERVICE, chain=(Weighted(),))
    assert decide(service).hashed
    assert {decide(service, unit=unit).regions[0].name for unit in range(100)} == {"eu", "us", "ap"}
    assert not decide().hashed
    assert not decide(service, known=status(eu=State.DOWN, us=State.DOWN, ap=State.UP)).hashed


# ---------------------------------------------------------------- time
def moving(seconds: float) -> RegionStatus:
    return RegionStatus(State.UP, changes_in_s=seconds)


@pytest.mark.parametrize(
    ("seconds", "ttl_s", "until"),
    [(2.2, 5, NOW + 5), (7.2, 8, NOW + 7.2), (500.0, 60, NOW + 60), (math.inf, 60, NOW + 60), (-3.0, 5, NOW + 5)],
)
def test_ttl_follows_the_soonest_change(seconds: float, ttl_s: int, until: float) -> None:
    known = status(eu=moving(seconds), us=moving(1e9), ap=State.UP)
    decision = decide(known=known)
    assert (decision.ttl_s, decision.valid_until) == (ttl_s, until)


def test_ttl_is_the_longest_while_nothing_moves() -> None:
    assert (decide().ttl_s, decide().valid_until) == (60, math.inf)


def test_a_change_of_a_region_without_the_family_moves_nothing() -> None:
    assert decide(family=6, known=status(eu=State.UP, us=State.UP, ap=moving(1.0))).ttl_s == 60


def test_ttl_with_bounds_that_are_no_whole_seconds() -> None:
    service = replace(SERVICE, ttl_min_s=0.0, ttl_max_s=1.5)
    assert decide(service, known=status(eu=moving(0.0))).ttl_s == 0
    assert decide(service, known=status(eu=moving(0.2))).ttl_s == 1
    assert decide(service, known=status(eu=moving(9.0))).ttl_s == 1
    assert decide(service, known=status(eu=moving(math.nan))).ttl_s == 0


# ---------------------------------------------------------------- the trace
def test_the_trace_reads_well() -> None:
    down = RegionStatus(State.DOWN, "quorum 2 of 2 say connection refused")
    lines = [
        f"{note.stage}: {note.region} {'in' if note.kept else 'out'}: {note.why}"
        for note in decide(known=status(eu=State.UP, us=down)).trace
    ]
    assert lines == [
        "health: eu in: up: told",
        "health: us out: down: quorum 2 of 2 say connection refused",
        "health: ap in: unknown: no word of it yet",
        "nearest: eu in: 1,303 km, nearest",
        "nearest: ap in: 6,301 km, behind eu",
        "answer: eu in: first: an answer holds one region",
        "answer: ap out: unknown ranks behind up",
    ]


# ---------------------------------------------------------------- what must never happen
chains = st.lists(
    st.sampled_from(
        [
            Nearest(),
            Nearest(tie=2.0),
            Geo(countries={"DE": ("us",)}, continents={"AS": ("ap",)}, default=("eu",)),
            Failover(order=("ap", "us")),
            Weighted(weights={"eu": 0}),
            Weighted(weights={"eu": 3}, by="answer"),
            Limit(regions=2, addresses=1),
        ]
    ),
    max_size=4,
).map(tuple)
statuses = st.dictionaries(
    st.sampled_from(["eu", "us", "ap"]),
    st.builds(RegionStatus, st.sampled_from(State), st.text(max_size=3), st.booleans(), st.none() | st.floats()),
).map(lambda regions: Status(regions=regions))
services = st.builds(
    Service,
    st.just("www.example.com"),
    st.permutations([EU, US, AP]).flatmap(lambda order: st.integers(1, 3).map(lambda count: tuple(order[:count]))),
    chains,
    st.floats(0, 10),
    st.floats(10, 86400),
    st.sampled_from(WhenAllDown),
    st.sampled_from([(), ("198.51.100.1",), ("2001:db8::99", "198.51.100.1")]),
)
places = st.sampled_from([None, BERLIN, TOKYO, Location(0, 180), Location(90, 0)])
families = st.sampled_from([4, 6, None])


@given(services, places, families, statuses, st.lists(st.sampled_from(["eu", "us", "gone"])), st.integers(0, 1 << 49))
def test_never_empty_while_a_region_has_an_address(
    service: Service, place: Location | None, family: int | None, known: Status, last_good: list[str], unit: int
) -> None:
    decision = decide(service, place, family, known, tuple(last_good), unit)
    able = [region for region in service.regions if (region.addresses(family) if family else region.url)]
    assert (decision.outcome == "no_address") == (not able)
    assert bool(decision.regions or decision.addresses) == bool(able)
    assert {note.region for note in decision.trace} == {region.name for region in service.regions}
    for order in (decision.regions, *decision.alternatives):
        assert set(order) <= set(able) and len(set(order)) == len(order)
    assert isinstance(decision.ttl_s, int) and 0 <= decision.ttl_s <= service.ttl_max_s
    assert decision.valid_until >= NOW
    assert len(decision.alternatives) <= 64 and 1 <= decision.address_limit <= 8
    # nothing worse than the best that is there
    states = {region.name: known.regions.get(region.name, RegionStatus(State.UNKNOWN)) for region in able}
    answered = {region.name for order in (decision.regions, *decision.alternatives) for region in order}
    best = {name for name, each in states.items() if each.state in {State.UP, State.UNKNOWN}} or {
        name for name, each in states.items() if each.state is State.DRAINING
    }
    if best:
        assert answered <= best and decision.outcome in {"steered", "draining"}
    elif able:
        assert decision.outcome == "all_down"
        unforced = {name for name, each in states.items() if not each.forced}
        assert not unforced or answered <= unforced


@given(services, places, places, families, statuses, st.integers(0, 1 << 49))
def test_equal_views_units_and_status_make_equal_decisions(
    service: Service, place: Location | None, elsewhere: Location, family: int, known: Status, unit: int
) -> None:
    views = engine.views(service, place)
    one, two = (engine.decide(service, views, Client(unit, where), family, known, NOW) for where in (place, elsewhere))
    assert replace(one, trace=()) == replace(two, trace=())
    assert [(note.stage, note.region, note.kept) for note in one.trace] == [
        (note.stage, note.region, note.kept) for note in two.trace
    ]


@given(services, places, families, statuses, st.integers(0, 1 << 49), st.integers(0, 1 << 49))
def test_the_unit_decides_nothing_unless_hashed(
    service: Service, place: Location | None, family: int, known: Status, unit: int, other: int
) -> None:
    one, two = (decide(service, place, family, known, unit=each) for each in (unit, other))
    assert one.hashed == two.hashed
    assert one.hashed or one == two


def test_what_was_up_is_remembered_for_each_service_that_asks_for_it() -> None:
    asks = dataclasses.replace(SERVICE, when_all_down=WhenAllDown.LAST_GOOD)
    other = dataclasses.replace(SERVICE, name="other.example.com")
    before = status(eu=State.DOWN, us=State.UP, ap=State.UP)
    kept = engine.last_good((asks, other), before)
    assert kept == {asks.name: tuple(region.name for region in asks.regions if region.name != "eu")}
    dark = dataclasses.replace(DOWN, last_good=kept)
    assert engine.last_good((asks, other), dark) == kept


def test_words_steer_nothing_states_do() -> None:
    first = RegionStatus(State.UP, "2 of 2")
    for other, same in (
        (RegionStatus(State.UP, "3 of 3"), True),
        (RegionStatus(State.DOWN, "2 of 2"), False),
        (RegionStatus(State.UP, "2 of 2", forced=True), False),
        (RegionStatus(State.UP, "2 of 2", changes_in_s=2.0), False),
    ):
        assert (engine.steers(Status(1, {"eu": first})) == engine.steers(Status(2, {"eu": other}))) is same


# ---------------------------------------------------------------- a share of the clients
def sharing(share: float) -> Status:
    return status(eu=RegionStatus(State.UP, "told", share=share), us=State.UP, ap=State.UP)


def test_a_region_with_a_share_keeps_that_share_of_its_clients_and_the_same_ones_as_it_moves() -> None:
    def kept(share: float) -> set[int]:
        return {unit for unit in range(2000) if names(decide(unit=unit, known=sharing(share))) == ["eu"]}

    half, quarter = kept(0.5), kept(0.25)
    assert 900 < len(half) < 1100
    assert 430 < len(quarter) < 570
    assert quarter < half
    assert len(kept(1.0)) == 2000
    others = {names(decide(unit=unit, known=sharing(0.5)))[0] for unit in range(2000)}
    assert others == {"eu", "ap"}, "the next one for a client in Berlin"


def test_a_share_is_decided_by_the_unit_and_says_so() -> None:
    assert decide(known=sharing(0.5)).hashed
    assert not decide(known=sharing(1.0)).hashed
    notes = [note for note in decide(known=sharing(0.5)).trace if note.stage == "share"]
    assert [(note.region, "50%" in note.why) for note in notes] == [("eu", True)]


def test_who_has_nowhere_else_to_go_stays() -> None:
    only = status(eu=RegionStatus(State.UP, "told", share=0.25), us=State.DOWN, ap=State.DOWN)
    assert all(names(decide(unit=unit, known=only)) == ["eu"] for unit in range(50))
    everywhere = Status(regions={name: RegionStatus(State.UP, "told", share=0.25) for name in ("eu", "us", "ap")})
    assert all(decide(unit=unit, known=everywhere).regions for unit in range(200))


def test_a_share_steers() -> None:
    assert engine.steers(sharing(0.5)) != engine.steers(sharing(0.75))
