from __future__ import annotations

import pytest

from gslb.model import Candidate, Client, Location, Region, State
from gslb.steering.policies.failover import Failover

CANDIDATES = tuple(Candidate(Region(name, Location(0, 0), (), (), ""), State.UP) for name in "abcd")


@pytest.mark.parametrize(
    ("order", "expected"),
    [((), "abcd"), (("c", "a"), "cabd"), (("gone", "d"), "dabc"), (("b", "b", "a"), "bacd")],
)
def test_order(order: tuple[str, ...], expected: str) -> None:
    sifted = Failover(order=order).apply(CANDIDATES, None, Client(1))
    assert "".join(candidate.region.name for candidate in sifted.candidates) == expected
    assert not sifted.hashed
    assert [note.why for note in sifted.notes] == ["first choice", "choice 2", "choice 3", "choice 4"]


def test_names_every_region_of_its_options() -> None:
    assert Failover(order=("a", "gone")).regions_named() == {"a", "gone"}
