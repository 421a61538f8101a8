"""Every registered policy through the same properties: a new policy's file is all that has to be written."""

from __future__ import annotations

import dataclasses
import pickle
from functools import cache
from random import Random
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.model import Candidate, Client, Location, Policy, Region, Sifted, State
from gslb.steering.policy import POLICIES

ALTERNATIVES_MAX = 64
NAMES = tuple(f"region-{number}" for number in range(50))
KEYS = {  # options whose keys are not region names
    "subdivisions": ("US-CA", "DE-BE"),
    "countries": ("DE", "US", "NA", "AS"),
    "continents": ("EU", "NA", "AS", "AF"),
}
names = st.sampled_from(NAMES[:6])
locations = st.builds(
    Location,
    st.floats(-90, 90),
    st.floats(-180, 180),
    country=st.sampled_from(["", "DE", "US", "NA"]),
    continent=st.sampled_from(["", "EU", "NA", "AF"]),
    subdivision=st.sampled_from(["", "CA", "BE"]),
)
units = st.integers(0, (1 << 49) - 1)


def of_type(hint: Any, keys: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Values of an option's type; strings are region names."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is dict:
        return st.dictionaries(st.sampled_from(keys), of_type(arguments[1], keys), max_size=6)
    if origin is tuple:
        return st.lists(of_type(arguments[0], keys), max_size=6).map(tuple)
    if origin is Literal:
        return st.sampled_from(arguments)
    if hint is str:
        return names
    assert origin is Annotated or hint in {int, float, bool}, f"say in this test how to draw {hint}"
    return st.from_type(hint)


@cache
def policies(cls: type[Any]) -> st.SearchStrategy[Policy]:
    """The policy with its defaults, or with any options."""
    hints, fields = get_type_hints(cls, include_extras=True), dataclasses.fields(cls)
    options = {field.name: of_type(hints[field.name], KEYS.get(field.name, NAMES[:6])) for field in fields}
    return st.builds(cls) | st.builds(cls, **options)


@st.composite
def situations(draw: st.DrawFn, cls: type[Any]) -> tuple[Policy, tuple[Region, ...], tuple[Candidate, ...]]:
    """A policy with some options, the regions of a service, and those of them in the running, in any order.

    Regions come from one drawn seed: fifty drawn one by one would be most of the time these tests take.
    """
    policy = draw(policies(cls))
    count, seeded = draw(st.integers(1, 6) | st.integers(1, 50)), Random(draw(st.integers(0, 1 << 32)))
    grid = seeded.choice((1, 30))  # a coarse grid has regions in one place, ties, poles and the antimeridian
    everyone = tuple(
        Region(
            name,
            Location(seeded.randint(-90 // grid, 90 // grid) * grid, seeded.randint(-180 // grid, 180 // grid) * grid),
            ("192.0.2.1",),
            (),
            f"http://{name}",
        )
        for name in NAMES[:count]
    )
    chosen = seeded.sample(everyone, seeded.randint(1, count))
    return policy, everyone, tuple(Candidate(region, seeded.choice(tuple(State))) for region in chosen)


def facts(sifted: Sifted) -> tuple[Any, ...]:
    """All of a result but the words of its trace."""
    return (
        [candidate.region.name for candidate in sifted.candidates],
        [[candidate.region.name for candidate in order] for order in sifted.alternatives],
        [(note.stage, note.region, note.kept) for note in sifted.notes],
        (sifted.hashed, sifted.valid_until, sifted.address_limit),
    )


@pytest.fixture(scope="module", params=POLICIES.known())
def cls(request: pytest.FixtureRequest) -> type[Any]:
    return POLICIES.get(request.param)


def test_is_a_documented_frozen_dataclass_that_needs_no_option(cls: type[Any]) -> None:
    policy = cls()
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen and not hasattr(policy, "__dict__")
    assert POLICIES.get(cls.name) is cls
    assert cls.__module__ == f"gslb.steering.policies.{cls.name}"
    assert cls.__doc__ and __import__(cls.__module__, fromlist=["_"]).__doc__.startswith(f"`{cls.name}`:")


@given(st.data(), st.none() | locations, units)
def test_keeps_some_of_some_and_notes_each(cls: type[Any], data: st.DataObject, place: Location, unit: int) -> None:
    policy, everyone, candidates = data.draw(situations(cls))
    sifted = policy.apply(candidates, policy.classify(place, everyone), Client(unit, place))
    assert sifted.candidates
    for order in (sifted.candidates, *sifted.alternatives):
        assert set(order) <= set(candidates) and len(set(order)) == len(order) > 0
    kept = {candidate.region.name for order in (sifted.candidates, *sifted.alternatives) for candidate in order}
    said = {note.region: note.kept for note in sifted.notes}
    assert said == {candidate.region.name: candidate.region.name in kept for candidate in candidates}
    assert all(note.stage == policy.name and note.why for note in sifted.notes)
    assert len(sifted.alternatives) <= ALTERNATIVES_MAX
    assert not sifted.alternatives or sifted.alternatives[0] == sifted.candidates


@given(st.data(), st.none() | locations, units)
def test_is_deterministic_and_travels(cls: type[Any], data: st.DataObject, place: Location, unit: int) -> None:
    policy, everyone, candidates = data.draw(situations(cls))
    there, view = pickle.loads(pickle.dumps((policy, policy.classify(place, everyone))))
    assert there == policy and repr(there) == repr(policy) and view == policy.classify(place, everyone)
    first = policy.apply(candidates, view, Client(unit, place))
    assert (
        first
        == policy.apply(candidates, view, Client(unit, place))
        == there.apply(candidates, there.classify(place, everyone), Client(unit, place))
    )


@given(st.data(), st.none() | locations)
def test_a_view_is_hashable_and_small(cls: type[Any], data: st.DataObject, place: Location) -> None:
    policy, everyone, _ = data.draw(situations(cls))
    view = policy.classify(place, everyone)
    hash(view)
    assert len(pickle.dumps(view)) <= 200 + 40 * len(everyone)


@given(st.data(), st.none() | locations, st.none() | locations, units)
def test_place_enters_through_the_view_alone(
    cls: type[Any], data: st.DataObject, place: Location, elsewhere: Location, unit: int
) -> None:
    policy, everyone, candidates = data.draw(situations(cls))
    view = policy.classify(place, everyone)
    assert facts(policy.apply(candidates, view, Client(unit, place))) == facts(
        policy.apply(candidates, view, Client(unit, elsewhere))
    )


@given(st.data(), st.none() | locations, units, units)
def test_the_unit_matters_only_where_hashed_says_so(
    cls: type[Any], data: st.DataObject, place: Location, unit: int, other: int
) -> None:
    policy, everyone, candidates = data.draw(situations(cls))
    view = policy.classify(place, everyone)
    one, two = (policy.apply(candidates, view, Client(each, place)) for each in (unit, other))
    assert one.hashed == two.hashed
    assert one.hashed or one == two


@given(st.data(), locations)
def test_other_options_have_another_repr(cls: type[Any], data: st.DataObject, place: Location) -> None:
    """Chains with equal reprs share prefix tables (gslb.geo.locate.chain_key)."""
    policy, _, _ = data.draw(situations(cls))
    other, _, _ = data.draw(situations(cls))
    assert policy == other or repr(policy) != repr(other)
