from __future__ import annotations

import pytest

from gslb.model import Candidate, Client, Location, Region, Sifted, State
from gslb.steering.policies.geo import Geo

REGIONS = tuple(Region(name, Location(0, 0), ("192.0.2.1",), (), "") for name in ("eu", "us-west", "us-east", "af"))
POLICY = Geo(
    subdivisions={"US-CA": ("us-west",)},
    countries={"US": ("us-east", "us-west"), "NA": ("af",)},
    continents={"NA": ("us-east",), "EU": ("eu",)},
    default=("us-east", "eu"),
)
CALIFORNIA = Location(37, -122, "US", "NA", "CA")
TEXAS = Location(30, -97, "US", "NA", "TX")
CANADA = Location(45, -75, "CA", "NA", "ON")
NAMIBIA = Location(-22, 17, "NA", "AF")
FRANCE = Location(48, 2, "FR", "EU")
PERU = Location(-12, -77, "PE", "SA")


def run(place: Location | None, left: str = "eu us-west us-east af", policy: Geo = POLICY) -> Sifted:
    candidates = tuple(Candidate(each, State.UP) for each in REGIONS if each.name in left.split())
    return policy.apply(candidates, policy.classify(place, REGIONS), Client(1, place))


def names(sifted: Sifted) -> list[str]:
    return [candidate.region.name for candidate in sifted.candidates]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (CALIFORNIA, ["us-west"]),
        (TEXAS, ["us-east", "us-west"]),  # as the rule lists them
        (CANADA, ["us-east"]),
        (NAMIBIA, ["af"]),  # the country NA, not the continent
        (FRANCE, ["eu"]),
        (PERU, ["us-east", "eu"]),
        (None, ["us-east", "eu"]),
    ],
)
def test_the_most_specific_rule_wins(place: Location | None, expected: list[str]) -> None:
    assert names(run(place)) == expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ("eu us-east af", ["us-east"]),  # the country's rule
        ("eu af", ["eu"]),  # the default
        ("af", ["af"]),  # nobody named is left: everything
    ],
)
def test_a_wider_rule_takes_over_when_a_narrower_has_no_candidate(left: str, expected: list[str]) -> None:
    assert names(run(CALIFORNIA, left)) == expected


def test_notes_name_the_rule() -> None:
    assert {(note.region, note.kept, note.why) for note in run(CALIFORNIA).notes} == {
        ("us-west", True, "subdivision US-CA names it"),
        ("eu", False, "subdivision US-CA does not name it"),
        ("us-east", False, "subdivision US-CA does not name it"),
        ("af", False, "subdivision US-CA does not name it"),
    }


def test_without_rules_all_are_kept() -> None:
    assert len(names(run(FRANCE, policy=Geo()))) == 4


def test_a_subdivision_without_its_country_matches_nothing() -> None:
    assert names(run(Location(0, 0, "", "", "CA"))) == ["us-east", "eu"]


def test_views_are_as_few_as_the_rules() -> None:
    assert POLICY.classify(PERU, REGIONS) == POLICY.classify(None, REGIONS)
    assert POLICY.classify(TEXAS, REGIONS) == POLICY.classify(Location(40, -74, "US", "NA", "NY"), REGIONS)


def test_names_every_region_of_its_options() -> None:
    assert POLICY.regions_named() == {"eu", "us-west", "us-east", "af"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"countries": {"de": ("eu",)}}, "'de' is no country.*capitals, as DE"),
        ({"countries": {"EUR": ("eu",)}}, "'EUR' is no country"),
        ({"continents": {"XX": ("eu",)}}, "'XX' is no continent; known: AF, AN"),
        ({"subdivisions": {"CA": ("eu",)}}, "'CA' is no subdivision.*as US-CA"),
    ],
)
def test_a_code_that_no_client_could_match_is_refused(options: dict[str, dict[str, tuple[str]]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Geo(**options)
