"""`failover`: regions in a fixed order; the first that can serve gets everybody.

Source: the active-passive failover of Route 53 and of every GSLB since.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from gslb.model import Candidate, Client, Location, Note, Region, Sifted
from gslb.steering.policy import POLICIES


@POLICIES.register("failover")
@dataclass(frozen=True, slots=True)
class Failover:
    """Options: `order`, region names, best first; those it leaves out follow as they came, which is as declared."""

    name: ClassVar[str]
    order: tuple[str, ...] = ()

    def regions_named(self) -> frozenset[str]:
        """Every region that the options name."""
        return frozenset(self.order)

    def classify(self, location: Location | None, regions: tuple[Region, ...]) -> Hashable:
        """Looks at no location."""
        return None

    def apply(self, candidates: tuple[Candidate, ...], view: Hashable, client: Client) -> Sifted:
        """All candidates, in the order."""
        ranks: dict[str, int] = {}
        for rank, name in enumerate(self.order):
            ranks.setdefault(name, rank)
        last = len(self.order)
        ranked = tuple(sorted(candidates, key=lambda candidate: ranks.get(candidate.region.name, last)))
        notes = tuple(
            Note("failover", candidate.region.name, kept=True, why=f"choice {rank}" if rank > 1 else "first choice")
            for rank, candidate in enumerate(ranked, 1)
        )
        return Sifted(ranked, notes)
