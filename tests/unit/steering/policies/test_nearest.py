from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.geo.distance import distance_km
from gslb.model import Candidate, Client, Location, Region, Sifted, State
from gslb.steering.policies.nearest import Nearest

HOME = Location(0, 0)


def region(name: str, latitude: float, longitude: float) -> Region:
    return Region(name, Location(latitude, longitude), ("192.0.2.1",), (), "")


def run(
    policy: Nearest, place: Location | None, regions: tuple[Region, ...], without: str = "", unit: int = 1
) -> Sifted:
    """`policy` for a client at `place`, when the regions in `without` have dropped out."""
    left = tuple(Candidate(each, State.UP) for each in regions if each.name not in without.split())
    return policy.apply(left, policy.classify(place, regions), Client(unit, place))


def names(sifted: Sifted) -> list[str]:
    return [candidate.region.name for candidate in sifted.candidates]


def firsts(policy: Nearest, place: Location, regions: tuple[Region, ...], without: str = "") -> Counter[str]:
    return Counter(names(run(policy, place, regions, without, unit))[0] for unit in range(1000))


def test_ranks_by_distance() -> None:
    regions = region("far", 60, 60), region("near", 1, 1), region("middle", 20, 20)
    sifted = run(Nearest(), HOME, regions)
    assert names(sifted) == ["near", "middle", "far"]
    assert not sifted.hashed
    assert [note.why for note in sifted.notes] == ["157 km, nearest", "3,112 km, behind near", "8,398 km, behind near"]


def test_across_the_antimeridian() -> None:
    regions = region("japan", 35.7, 139.7), region("hawaii", 21.3, -157.9)
    assert names(run(Nearest(), Location(20, 179), regions)) == ["hawaii", "japan"]
    assert names(run(Nearest(), Location(20, -179), regions)) == ["hawaii", "japan"]
    assert names(run(Nearest(), Location(30, 170), regions)) == ["japan", "hawaii"]


def test_at_a_pole_regions_of_one_latitude_tie() -> None:
    regions = region("a", 60, 10), region("b", 60, 130), region("c", 60, -110), region("south", -60, 0)
    for pole in (Location(90, 0), Location(90, -123)):
        assert set(firsts(Nearest(tie=1.0), pole, regions)) == {"a", "b", "c"}
    assert names(run(Nearest(), Location(-90, 55), regions))[0] == "south"


@pytest.mark.parametrize(
    ("bias", "first"), [({}, "near"), ({"far": 51}, "far"), ({"far": 49}, "near"), ({"near": -51}, "far")]
)
def test_bias_is_route_53s(bias: dict[str, int], first: str) -> None:
    """+50 makes 75 km of 150; −50 makes 300 km of 150."""
    regions = region("near", 10, 0), region("far", 20, 0)
    assert names(run(Nearest(bias=bias, tie=1.0), HOME, regions))[0] == first


def test_bias_is_in_the_trace() -> None:
    sifted = run(Nearest(bias={"far": 75}), HOME, (region("near", 10, 0), region("far", 20, 0)))
    assert sifted.notes[0].why == "2,224 km felt as 556 km (bias +75), nearest"


def test_a_tie_is_shared_by_client_hash() -> None:
    regions = region("a", 0, 10), region("b", 0, -10.4), region("c", 0, 10.6)
    assert run(Nearest(), HOME, regions).hashed
    shared = firsts(Nearest(), HOME, regions)
    assert set(shared) == {"a", "b"} and 400 < shared["a"] < 600
    assert names(run(Nearest(), HOME, regions))[2] == "c"
    assert not run(Nearest(tie=1.0), HOME, regions).hashed


def test_a_tie_is_shared_by_weight() -> None:
    regions = region("a", 0, 10), region("b", 0, -10)
    shared = firsts(Nearest(weights={"a": 3.0}), HOME, regions)
    assert 700 < shared["a"] < 800
    assert set(firsts(Nearest(weights={"a": 0.0}), HOME, regions)) == {"b"}


def test_a_region_of_weight_nought_answers_where_there_is_no_tie() -> None:
    regions = region("a", 0, 10), region("b", 0, -30)
    assert set(firsts(Nearest(weights={"a": 0.0}), HOME, regions)) == {"a"}


def test_when_the_nearest_drops_out_the_band_is_that_of_the_next() -> None:
    regions = region("a", 0, 10), region("b", 0, 20), region("c", 0, -20.5), region("d", 0, 40)
    assert not run(Nearest(), HOME, regions).hashed
    assert set(firsts(Nearest(), HOME, regions, without="a")) == {"b", "c"}
    alone = run(Nearest(), HOME, regions, without="a b")
    assert names(alone) == ["c", "d"] and not alone.hashed


def test_a_client_that_is_not_located_gets_the_declared_order() -> None:
    regions = region("z", 0, 10), region("a", 0, 20)
    for unit in range(20):
        sifted = run(Nearest(), None, regions, unit=unit)
        assert names(sifted) == ["z", "a"] and not sifted.hashed
    assert "not located" in sifted.notes[0].why


def test_clients_of_one_neighbourhood_share_a_view() -> None:
    regions = region("eu", 53, -6), region("us", 39, -77), region("ap", 19, 73)
    views = {Nearest().classify(Location(45 + n / 10, m / 10), regions) for n in range(30) for m in range(30)}
    assert len(views) == 1


@given(
    st.lists(st.tuples(st.integers(-18, 18), st.integers(-36, 36)), min_size=1, max_size=8),
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.sampled_from([1.0, 1.05, 1.5]),
    st.data(),
)
def test_against_distances_themselves(
    places: list[tuple[int, int]], latitude: float, longitude: float, tie: float, data: st.DataObject
) -> None:
    """Whichever regions are left, the first is within the band of the nearest of them, and who is in shares."""
    regions = tuple(region(str(number), 5 * place[0], 5 * place[1]) for number, place in enumerate(places))
    client = Location(latitude, longitude)
    left = data.draw(st.lists(st.sampled_from(regions), min_size=1, unique=True))
    policy = Nearest(tie=tie)
    sifted = policy.apply(
        tuple(Candidate(each, State.UP) for each in left), policy.classify(client, regions), Client(1, client)
    )
    distances = {each.name: round(distance_km(client, each.location), 3) for each in left}
    nearest = min(distances.values())
    band = {name for name, distance in distances.items() if distance <= nearest * tie}
    assert sifted.hashed == (len(band) > 1)
    assert set(names(sifted)[: len(band)]) == band
    rest = [distances[name] for name in names(sifted)[len(band) :]]
    assert rest == sorted(rest)
