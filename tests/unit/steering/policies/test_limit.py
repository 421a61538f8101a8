from __future__ import annotations

import pytest

from gslb.model import Candidate, Client, Location, Region, State
from gslb.steering.policies.limit import Limit

CANDIDATES = tuple(Candidate(Region(name, Location(0, 0), (), (), ""), State.UP) for name in "abc")


@pytest.mark.parametrize(("regions", "expected"), [(1, "a"), (2, "ab"), (3, "abc"), (8, "abc")])
def test_cuts(regions: int, expected: str) -> None:
    sifted = Limit(regions=regions, addresses=5).apply(CANDIDATES, None, Client(1))
    assert "".join(candidate.region.name for candidate in sifted.candidates) == expected
    assert sifted.address_limit == 5
    assert [note.region for note in sifted.notes if note.kept] == list(expected)
