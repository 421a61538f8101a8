"""The search for the price of a branch at which the file just fits into the size asked for.

For `gslb.geo.build` only. Prices double until the file fits; then the last step is bisected. Each trial goes on from
the tree of the last price that was too low, so trials get cheaper as they go.
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
FIRST_PRICE, BORDERLESS_PRICE, DEAREST_PRICE = 1e-7, 1e-2, 1e6
BISECTIONS, CLOSE_ENOUGH = 7, 0.995

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
        low, price = 0.0, FIRST_PRICE
        while True:  # bounded: the price doubles up to the dearest
            self.tell(f"make networks fit (price {price:.1e})", 0.4 + 0.03 * min(12.0, math.log2(price / FIRST_PRICE)))
            pruned = self._pruned(shapes, price)
            best = self._file(pruned, records, price)
            if best.size_bytes <= self.size_bytes:
                break
            if price > DEAREST_PRICE:
                raise GeoError(f"{self.size_bytes} bytes are too few for any database; ask for more")
            shapes.update(pruned)
            low, price = price, price * 2
        high = price
        for step in range(BISECTIONS):
            if low == 0.0 or best.size_bytes >= self.size_bytes * CLOSE_ENOUGH:
                break
            price = math.sqrt(low * high)
            self.tell(f"fill the file ({best.size_bytes:,} bytes so far)", 0.8 + 0.02 * step)
            pruned = self._pruned(shapes, price)
            candidate = self._file(pruned, records, price)
            if candidate.size_bytes <= self.size_bytes:
                best, high = candidate, price
            else:
                shapes.update(pruned)
                low = price
        return best

    def _pruned(self, shapes: Mapping[int, prune.Shape], price: float) -> dict[int, prune.Shape]:
        pruned = {}
        for family, shape in shapes.items():
            border_km = self.border_km[family] if price < BORDERLESS_PRICE else LAST_RESORT_BORDER_KM
            points, countries = self.gazetteer.points, self.gazetteer.countries
            rates = prune.Rates(points, countries, family, self.scales[family], border_km)
            pruned[family] = prune.prune(shape, price, rates)
        return pruned

    def _file(self, shapes: Mapping[int, prune.Shape], records: list[mmdb.Value], price: float) -> Fit:
        trees = {family: prune.labelled(shape) for family, shape in shapes.items()}
        tree = mmdb.graft(trees.get(4, mmdb.ABSENT), trees.get(6, mmdb.ABSENT))
        networks = {family: prune.leaves(part) for family, part in trees.items()}
        return Fit(mmdb.serialize(tree, records, self.header), price, networks)
