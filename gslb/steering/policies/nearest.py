"""`nearest`: the region at the shortest distance from the client.

Distance is the great circle's (gslb.geo.distance), stretched by a region's `bias`. Regions hardly farther than the
nearest one (`tie`, 1.05 times its distance) share its clients by weight and client hash, not by coin: each client
stays where it is. When regions drop out, the band is that of the nearest one left. A client that can't be located
leaves the order as it is, the declared one when `nearest` opens the chain, and nothing is hashed.

Source of bias: Amazon Route 53, geoproximity routing: +b shrinks a distance to d·(1 − b/100), −b stretches it to
d / (1 − b/100); so +50 makes 75 km of 150 km, and −50 makes 300 km.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, cast

from annotated_types import Ge, Le

from gslb.geo.distance import distance_km
from gslb.model import Candidate, Client, Location, Note, Region, Sifted
from gslb.steering.hashing import rendezvous
from gslb.steering.policy import POLICIES

# Names of all regions, nearest first, and for each the rank that ends the tie band which begins there. It says all of
# the geography that matters and no distance, so whole countries share one.
View = tuple[tuple[str, ...], tuple[int, ...]]


@POLICIES.register("nearest")
@dataclass(frozen=True, slots=True)
class Nearest:
    """Options: `bias` in percent by region, `tie` as a factor of the nearest distance, `weights` inside a tie (1)."""

    name: ClassVar[str]
    bias: dict[str, Annotated[int, Ge(-99), Le(99)]] = field(default_factory=dict)
    tie: Annotated[float, Ge(1.0), Le(2.0)] = 1.05
    weights: dict[str, Annotated[float, Ge(0.0), Le(1e6)]] = field(default_factory=dict)

    def regions_named(self) -> frozenset[str]:
        """Every region that the options name."""
        return frozenset(self.bias) | frozenset(self.weights)

    def classify(self, location: Location | None, regions: tuple[Region, ...]) -> View | None:
        """The ranking of `regions` from `location`, with the reach of each rank's tie band; None if not located."""
        if location is None:
            return None
        # whole metres: no edge may rank a tie otherwise for the last bit of a sine
        felt = [round(self._felt_km(distance_km(location, region.location), region.name), 3) for region in regions]
        ranks = sorted(range(len(regions)), key=felt.__getitem__)
        rising = [felt[rank] for rank in ranks]
        names = tuple(regions[rank].name for rank in ranks)
        return names, tuple(bisect_right(rising, distance * self.tie) for distance in rising)

    def apply(self, candidates: tuple[Candidate, ...], view: Hashable, client: Client) -> Sifted:
        """All candidates, nearest first; the nearest one's tie band in the order of the client's hash."""
        if view is None:
            why = "client not located: the order is kept"
            return Sifted(
                candidates, tuple(Note("nearest", each.region.name, kept=True, why=why) for each in candidates)
            )
        names, reaches = cast("View", view)
        by_name = {candidate.region.name: candidate for candidate in candidates}
        ranks = [rank for rank, name in enumerate(names) if name in by_name]
        ranked = tuple(by_name[names[rank]] for rank in ranks)
        tied = bisect_right(ranks, reaches[ranks[0]] - 1) if ranks else 0
        if tied > 1:
            weights = self.weights
            shared = rendezvous(ranked[:tied], client.unit, lambda name: weights.get(name, 1.0))
            ranked = shared + ranked[tied:]
        return Sifted(ranked, self._notes(ranked, tied, client.location), hashed=tied > 1)

    def _felt_km(self, distance: float, name: str) -> float:
        bias = self.bias.get(name, 0)
        return distance * (1 - bias / 100) if bias >= 0 else distance / (1 + bias / 100)

    def _notes(self, ranked: tuple[Candidate, ...], tied: int, location: Location | None) -> tuple[Note, ...]:
        notes = []
        for rank, candidate in enumerate(ranked):
            name = candidate.region.name
            if rank >= tied:
                why = f"behind {ranked[0].region.name}"
            elif tied == 1:
                why = "nearest"
            else:
                why = f"{'first' if rank == 0 else 'next'} by client hash of {tied} within {self.tie:g} × the nearest"
            if location is not None:
                distance = distance_km(location, candidate.region.location)
                felt = self._felt_km(distance, name)
                biased = f" felt as {felt:,.0f} km (bias {self.bias[name]:+d})" if self.bias.get(name) else ""
                why = f"{distance:,.0f} km{biased}, {why}"
            notes.append(Note("nearest", name, kept=True, why=why))
        return tuple(notes)
