from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.model import Candidate, Client, Location, Region, Sifted, State
from gslb.steering.policies.weighted import Weighted, smooth_order

CLIENTS = 5000


def candidates(names: str) -> tuple[Candidate, ...]:
    return tuple(Candidate(Region(name, Location(0, 0), (), (), ""), State.UP) for name in names)


def run(policy: Weighted, names: str = "abc", unit: int = 1) -> Sifted:
    return policy.apply(candidates(names), None, Client(unit))


def text(order: tuple[Candidate, ...]) -> str:
    return "".join(candidate.region.name for candidate in order)


def test_by_client_shares_follow_the_weights() -> None:
    policy = Weighted(weights={"a": 6, "b": 3})
    counts = Counter(run(policy, unit=unit).candidates[0].region.name for unit in range(CLIENTS))
    assert counts["a"] / CLIENTS == pytest.approx(0.6, abs=0.03)
    assert counts["b"] / CLIENTS == pytest.approx(0.3, abs=0.03)
    assert counts["c"] / CLIENTS == pytest.approx(0.1, abs=0.03)  # not mentioned: weighs 1


def test_by_client_a_canary_moves_only_its_own_share() -> None:
    before, after = Weighted(weights={"a": 99, "b": 0, "c": 0}), Weighted(weights={"a": 99, "b": 1, "c": 0})
    moved = [
        new
        for unit in range(CLIENTS)
        if text(run(before, unit=unit).candidates)[0] != (new := text(run(after, unit=unit).candidates)[0])
    ]
    assert set(moved) == {"b"} and len(moved) / CLIENTS == pytest.approx(0.01, abs=0.006)


def test_weight_nought_is_never_chosen_unless_alone() -> None:
    policy = Weighted(weights={"a": 0})
    assert all(text(run(policy, unit=unit).candidates)[2] == "a" for unit in range(200))
    assert text(run(policy, "a").candidates) == "a"
    by_answer = Weighted(weights={"a": 0}, by="answer")
    assert {text(order) for order in run(by_answer).alternatives} == {"bca", "cba"}


@pytest.mark.parametrize("by", ["client", "answer"])
def test_nothing_is_hashed_or_turned_where_nothing_is_shared(by: str) -> None:
    for weights, expected in (({"a": 0, "b": 0, "c": 0}, "abc"), ({"a": 0, "b": 0}, "cab")):
        sifted = run(Weighted(weights=weights, by=by))
        assert text(sifted.candidates) == expected
        assert not sifted.hashed and not sifted.alternatives


def test_by_answer_turns_in_smooth_order() -> None:
    sifted = run(Weighted(weights={"a": 5}, by="answer"))
    assert not sifted.hashed
    assert "".join(text(order)[0] for order in sifted.alternatives) == "aabacaa"  # nginx's order for 5, 1, 1
    assert text(sifted.candidates) == "abc"
    assert all(sorted(text(order)) == ["a", "b", "c"] for order in sifted.alternatives)


def test_by_answer_is_the_same_for_every_client() -> None:
    policy = Weighted(weights={"a": 5}, by="answer")
    assert run(policy, unit=1) == run(policy, unit=2)


def test_notes_say_the_weights() -> None:
    assert [note.why for note in run(Weighted(weights={"a": 6, "b": 3})).notes] == [
        "weight 6 of 10",
        "weight 3 of 10",
        "weight 1 of 10",
    ]


@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=80).filter(any))
def test_smooth_order_is_bounded_and_fair(weights: list[int]) -> None:
    turns = Counter(smooth_order(weights))
    length, total = turns.total(), sum(weights)
    assert length <= 64
    positive = [index for index, weight in enumerate(weights) if weight]
    assert set(turns) <= set(positive)
    if len(positive) <= 64:
        assert set(turns) == set(positive)
        # nobody has more than one turn too many, since raising others to one turn only takes away
        assert all(count <= max(1, length * weights[index] / total + 1) for index, count in turns.items())


@given(st.lists(st.integers(0, 10), min_size=1, max_size=6).filter(any))
def test_smooth_order_is_exact_for_small_totals(weights: list[int]) -> None:
    turns = Counter(smooth_order(weights))
    assert all(turns[index] * sum(weights) == turns.total() * weight for index, weight in enumerate(weights))
