"""How well a database agrees with the source it was made from, on random addresses.

For the command line, through `gslb.geo.build`. What counts is where clients are sent: the nearest of some regions by
the database against the nearest by the source. Networks without a place in the source are not asked about.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gslb.errors import GeoError
from gslb.geo.build.sources import ADDRESS_BITS, Place, Source, open_families
from gslb.geo.database import Database
from gslb.geo.distance import distance_km
from gslb.model import Location

Region = tuple[str, float, float]  # name, latitude and longitude in degrees

SAMPLE_REGIONS: tuple[Region, ...] = (
    ("eu-west", 53.34, -6.26),
    ("us-east", 38.95, -77.45),
    ("ap-south", 19.08, 72.88),
)
EIGHT_REGIONS: tuple[Region, ...] = (
    ("eu-west", 53.34, -6.26),
    ("eu-central", 50.11, 8.68),
    ("us-east", 38.95, -77.45),
    ("us-west", 45.84, -119.70),
    ("sa-east", -23.55, -46.63),
    ("ap-south", 19.08, 72.88),
    ("ap-northeast", 35.68, 139.69),
    ("ap-southeast", -33.87, 151.21),
)
ADDRESS, NETWORK = "address", "network"
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """One way of asking: `by` "address" (each counts the same) or "network" (each of the source's counts the same).

    `nearest`, `country` and `known` are fractions of `samples`: the same nearest region, the same country, any answer.
    Errors are distances in km between the two points, the median and the 95th percentile of the known ones.
    """

    family: int
    by: str
    samples: int
    nearest: float
    country: float
    known: float
    median_error_km: float
    p95_error_km: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """What `measure` found for one database and one set of regions."""

    database: str
    size_bytes: int
    regions: tuple[Region, ...]
    seed: int
    rows: tuple[AgreementRow, ...]

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def measure(
    database: Path,
    sources: Sequence[Path],
    regions: Sequence[Region] = SAMPLE_REGIONS,
    *,
    samples: int = 100_000,
    seed: int = 1,
    progress: Progress | None = None,
) -> Agreement:
    """Compare a database with its sources on random addresses; the same seed asks about the same addresses.

    Args:
        database: the file to judge, in the GeoIP2 schema.
        sources: the files to judge it by.
        regions: name, latitude and longitude of each region, degrees.
        samples: how many addresses for each family and each way of asking.
        seed: of the random numbers.
        progress: called with a stage's name and the fraction of all that is done.

    Raises:
        GeoError: a file can't be used, or there is no region.
    """
    if not regions:
        raise GeoError("name at least one region to measure with")
    tell = progress or (lambda _stage, _done: None)
    rows = []
    reader = Database(database)
    try:
        families = open_families(sources)
        ways = [(family, by) for family in sorted(families) for by in (ADDRESS, NETWORK)]
        for index, (family, by) in enumerate(ways):
            tell(f"IPv{family} by {by}", index / len(ways))
            asked = _sample(families[family], family, by, samples, random.Random(seed))  # noqa: S311 - no secret
            rows.append(_compare(reader, asked, regions, family, by))
    finally:
        reader.close()
    tell("done", 1.0)
    return Agreement(str(database), database.stat().st_size, tuple(regions), seed, tuple(rows))


def _sample(source: Source, family: int, by: str, count: int, numbers: random.Random) -> Iterator[tuple[int, Place]]:
    """Random addresses that the source covers, with the place of each, in address order."""
    bits = ADDRESS_BITS[family]
    total = 0
    for _, prefix_length, value in source.networks(family):
        if source.place(value) is not None:
            total += 1 << bits - prefix_length if by == ADDRESS else 1
    if not total:
        return
    targets = sorted((numbers.randrange(total) for _ in range(count)), reverse=True)
    passed = 0
    for first, prefix_length, value in source.networks(family):
        place = source.place(value)
        if place is None:
            continue
        size = 1 << bits - prefix_length
        passed += size if by == ADDRESS else 1
        while targets and targets[-1] < passed:
            targets.pop()
            yield first + numbers.randrange(size), place


def _compare(
    reader: Database, asked: Iterable[tuple[int, Place]], regions: Sequence[Region], family: int, by: str
) -> AgreementRow:
    places = [Location(latitude, longitude) for _, latitude, longitude in regions]
    count = nearest = country = 0
    errors_km: list[float] = []
    for address, place in asked:
        count += 1
        told = reader.lookup(address, family)[0]
        if told is None:
            continue
        truth = Location(place.latitude, place.longitude)
        errors_km.append(distance_km(truth, told))
        nearest += _nearest(truth, places) == _nearest(told, places)
        country += place.country == told.country
    errors_km.sort()
    known, parts = len(errors_km), max(1, count)
    median_km, p95_km = (errors_km[known // 2], errors_km[known * 95 // 100]) if known else (0.0, 0.0)
    return AgreementRow(
        family, by, count, nearest / parts, country / parts, known / parts, round(median_km, 1), round(p95_km, 1)
    )


def _nearest(client: Location, regions: Sequence[Location]) -> int:
    return min(range(len(regions)), key=lambda index: distance_km(client, regions[index]))
