from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.model import Candidate, Location, Region, State
from gslb.steering.hashing import client_unit, mix64, name64, rendezvous, score

UNITS = range(20_000)


def candidate(name: str) -> Candidate:
    return Candidate(Region(name, Location(0, 0), (), (), ""), State.UP)


def shares(weights: dict[str, float]) -> list[str]:
    candidates = [candidate(name) for name in weights]
    return [rendezvous(candidates, unit, weights.__getitem__)[0].region.name for unit in UNITS]


def test_splitmix64_is_the_published_one() -> None:
    # the reference generator's first outputs from state 0 and 1234567 (Vigna, splitmix64.c)
    assert mix64(0) == 0xE220A8397B1DCDAF
    assert mix64(1234567) == 6457827717110365317


def test_names_hash_the_same_in_every_process_and_release() -> None:
    assert name64("eu-west") == 0x309CB47C89711F44  # BLAKE2b with a digest of 8 bytes


@pytest.mark.parametrize(
    ("address", "family", "unit"),
    [(0xC0000201, 4, 0xC00002), (0xC00002FF, 4, 0xC00002), (0x20010DB8 << 96 | 5, 6, 1 << 48 | 0x20010DB80000)],
)
def test_units_are_a_24_and_a_48(address: int, family: int, unit: int) -> None:
    assert client_unit(address, family) == unit


def test_units_differ_between_the_families() -> None:
    assert client_unit(0, 4) != client_unit(0, 6)


def test_shares_follow_the_weights() -> None:
    counts = Counter(shares({"a": 5, "b": 3, "c": 2}))
    for name, share in (("a", 0.5), ("b", 0.3), ("c", 0.2)):
        assert counts[name] / len(UNITS) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / len(UNITS)))


def test_moving_a_weight_moves_clients_one_way_only() -> None:
    before, after = shares({"a": 1, "b": 1, "c": 1}), shares({"a": 2, "b": 1, "c": 1})
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {new for _, new in moved} == {"a"}
    # from a third to a half of all
    assert len(moved) / len(UNITS) == pytest.approx(1 / 6, abs=0.02)


def test_losing_a_region_moves_its_clients_only_and_spreads_them() -> None:
    before, after = shares({"a": 1, "b": 1, "c": 1}), shares({"a": 1, "b": 1})
    moved = Counter((old, new) for old, new in zip(before, after, strict=True) if old != new)
    assert {old for old, _ in moved} == {"c"}
    assert moved["c", "a"] == pytest.approx(moved["c", "b"], rel=0.1)


def test_weight_nought_comes_last_in_the_order_given() -> None:
    candidates = [candidate(name) for name in ("z", "a", "m")]
    ranked = rendezvous(candidates, 7, {"z": 0.0, "a": 1.0, "m": 0.0}.__getitem__)
    assert [each.region.name for each in ranked] == ["a", "z", "m"]


@given(st.integers(0, 1 << 130), st.text(max_size=20), st.floats(0, 1e9))
def test_a_score_is_positive_whatever_comes(unit: int, name: str, weight: float) -> None:
    assert score(unit, name, weight) > 0 if weight > 1e-300 else score(unit, name, weight) <= 1e-200
