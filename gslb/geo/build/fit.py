"""The search for the price of a branch at which the file just fits into the size asked for.

For `gslb.geo.build` only. Prices double until the file fits; then the last step is narrowed down. Each trial goes on
from the tree of the last price that was too low, so trials get cheaper as they go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gslb.errors import GeoError
from gslb.geo.build import mmdb, prune
from gslb.geo.build.places import Gazetteer

COORDINATE_STEP = 0.05
LAST_RESORT_BORDER_KM = 1000.0  # what a border costs when not all of them fit
# DB-IP of 2026 fills 8 MiB at a price of about 2e-5; a first price below that saves passes over larger trees
FIRST_PRICE, SIZE_OF_FIRST_PRICE_BYTES = 6e-6, 8 * 1024 * 1024
BORDERS_UP_TO = 1000  # times the first price; if that does not fit, borders cost, too, and the price begins anew
DOUBLINGS = 50
REFINEMENTS, CLOSE_ENOUGH = 7, 0.995

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Fit:
    """A file, the price that made it, and how many networks of each family it tells apart."""

    file: mmdb.File
    price: float
    networks: dict[int, int]

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return len(self.file.content)


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the largest file of at most `size_bytes`.

    `scales` turns a family's network weights into shares of one; `border_km` is what a wrong country costs a family.
    """

    gazetteer: Gazetteer
    scales: Mapping[int, float]
    border_km: Mapping[int, float]
    header: mmdb.Header
    size_bytes: int
    tell: Progress

    def run(self, shapes: dict[int, prune.Shape]) -> Fit:
        """The best file that fits.

        Args:
            shapes: the tree of each family; emptied as the search proceeds, since these are large.

        Raises:
            GeoError: even a file that tells no places apart is too large.
        """
        records = self.gazetteer.records(COORDINATE_STEP)
        too_low: Fit | None = None
        first_price = FIRST_PRICE * SIZE_OF_FIRST_PRICE_BYTES / max(1, self.size_bytes)
        price, border_km = first_price, dict(self.border_km)
        for _ in range(DOUBLINGS):
            self.tell(f"merge networks (price {price:.1e})", 0.4)
            pruned = self._pruned(shapes, price, border_km)
            best = self._file(pruned, records, price)
            if best.size_bytes <= self.size_bytes:
                break
            shapes.update(pruned)
            too_low, price = best, price * 2
            if price > first_price * BORDERS_UP_TO and math.inf in border_km.values():
                border_km = dict.fromkeys(border_km, LAST_RESORT_BORDER_KM)
                price = first_price
        else:
            raise GeoError(f"{self.size_bytes} bytes are too few for any database; ask for more")
        if too_low is None:  # a small source: perhaps nothing need be merged at all
            too_low = self._file(self._pruned(shapes, 0.0, border_km), records, 0.0)
            if too_low.size_bytes <= self.size_bytes:
                return too_low
        for step in range(REFINEMENTS):
            if best.size_bytes >= self.size_bytes * CLOSE_ENOUGH:
                break
            self.tell(f"fill the file ({best.size_bytes:,} bytes so far)", 0.7 + 0.3 * step / REFINEMENTS)
            price = self._between(too_low, best)
            pruned = self._pruned(shapes, price, border_km)
            candidate = self._file(pruned, records, price)
            if candidate.size_bytes <= self.size_bytes:
                best = candidate
            else:
                shapes.update(pruned)
                too_low = candidate
        return best

    def _between(self, too_low: Fit, enough: Fit) -> float:
        """The price to try next: sizes are nearly a straight line over the logarithm of the price."""
        target = self.size_bytes * (1 + CLOSE_ENOUGH) / 2
        part = (too_low.size_bytes - target) / (too_low.size_bytes - enough.size_bytes)
        part = min(0.95, max(0.05, part))
        low = max(too_low.price, enough.price / 1e6)
        return math.exp(math.log(low) * (1 - part) + math.log(enough.price) * part)

    def _pruned(
        self, shapes: Mapping[int, prune.Shape], price: float, border_km: Mapping[int, float]
    ) -> dict[int, prune.Shape]:
        points, countries = self.gazetteer.points, self.gazetteer.countries
        return {
            family: prune.prune(
                shape, price, prune.Rates(points, countries, family, self.scales[family], border_km[family])
            )
            for family, shape in shapes.items()
        }

    def _file(self, shapes: Mapping[int, prune.Shape], records: list[mmdb.Value], price: float) -> Fit:
        trees = {family: prune.labelled(shape) for family, shape in shapes.items()}
        tree = mmdb.graft(trees.get(4, mmdb.ABSENT), trees.get(6, mmdb.ABSENT))
        networks = {family: prune.leaves(part) for family, part in trees.items()}
        return Fit(mmdb.serialize(tree, records, self.header), price, networks)
