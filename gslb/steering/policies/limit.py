"""`limit`: how many regions and addresses an answer holds; what is behind is cut.

Without it an answer holds one region, all its addresses of the asked family, at most eight. Put it at the end of a
chain. More than one region in a DNS answer leaves the choice to the resolver, which reshuffles the list.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from gslb.model import Candidate, Client, Location, Note, Region, Sifted
from gslb.steering.policy import POLICIES


@POLICIES.register("limit")
@dataclass(frozen=True, slots=True)
class Limit:
    """Options: the most `regions` and the most `addresses` in one answer."""

    name: ClassVar[str]
    regions: Annotated[int, Ge(1), Le(8)] = 1
    addresses: Annotated[int, Ge(1), Le(8)] = 8

    def classify(self, location: Location | None, regions: tuple[Region, ...]) -> Hashable:
        """Looks at no location."""
        return None

    def apply(self, candidates: tuple[Candidate, ...], view: Hashable, client: Client) -> Sifted:
        """The first `regions` of the candidates."""
        kept = self.regions
        notes = tuple(
            Note("limit", candidate.region.name, rank < kept, f"{'kept' if rank < kept else 'cut'} by limit {kept}")
            for rank, candidate in enumerate(candidates)
        )
        return Sifted(candidates[:kept], notes, address_limit=self.addresses)
