"""The middle of each country's addresses, for databases that know countries only.

For `python -m gslb.geo.build centroids`, which makes `gslb/geo/centroids.csv`. The middle is the geometric median (the
point nearest to a country's addresses on average), not the mean: that of the United States would lie in a desert, and
a mean is moved far by a few addresses far away.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from gslb.geo.build.fit import Progress
from gslb.geo.build.pipeline import weigh, write_atomically
from gslb.geo.build.places import Point, to_point
from gslb.geo.build.sources import open_families
from gslb.geo.centroids import TABLE_NAME
from gslb.geo.distance import EARTH_RADIUS_KM

ROUNDS = 100  # of Weiszfeld's method, which gains about a digit in ten here


def write_centroids(sources: Sequence[Path], destination: Path, *, progress: Progress | None = None) -> int:
    """Make the table of countries anew: points from `sources`, continents from the table in use.

    A country of the table that the sources do not have keeps its point; one that the table does not have is left out,
    since its continent is unknown.

    Args:
        sources: city databases.
        destination: the CSV to write; replaced whole, or left as it was.
        progress: called with a stage's name and the fraction of all that is done.

    Returns:
        How many countries got their point from the sources.

    Raises:
        GeoError: a source can't be used, or the destination can't be written.
    """
    tell = progress or (lambda _stage, _done: None)
    weighed = weigh(open_families(sources), tell)
    by_country: dict[str, dict[tuple[float, float], float]] = {}
    for place, weight in weighed.weights.items():
        spots = by_country.setdefault(place.country, {})
        spot = (round(place.latitude, 1), round(place.longitude, 1))
        spots[spot] = spots.get(spot, 0.0) + weight
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("country", "continent", "latitude", "longitude"))
    made = 0
    for row in csv.DictReader(files("gslb.geo").joinpath(TABLE_NAME).read_text(encoding="utf-8").splitlines()):
        latitude, longitude = float(row["latitude"]), float(row["longitude"])
        if row["country"] in by_country:
            tell(f"find the middle of {row['country']}", 0.5 + made / 2 / len(by_country))
            latitude, longitude = middle(by_country[row["country"]])
            made += 1
        writer.writerow((row["country"], row["continent"], f"{latitude:.2f}", f"{longitude:.2f}"))
    write_atomically(destination, text.getvalue().encode())
    return made


def middle(spots: Mapping[tuple[float, float], float]) -> tuple[float, float]:
    """The geometric median of weighted places, by Weiszfeld's method from their mean.

    Args:
        spots: (latitude, longitude) in degrees → weight above 0.

    Returns:
        Latitude and longitude, degrees.
    """
    points = [(to_point(*spot), weight) for spot, weight in sorted(spots.items())]
    centre = _mean(points)
    for _ in range(ROUNDS):
        centre = _mean([(point, weight / max(1.0, math.dist(point, centre))) for point, weight in points])
    x, y, z = centre
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def _mean(points: Sequence[tuple[Point, float]]) -> Point:
    x = math.fsum(point[0] * weight for point, weight in points)
    y = math.fsum(point[1] * weight for point, weight in points)
    z = math.fsum(point[2] * weight for point, weight in points)
    scale = EARTH_RADIUS_KM / (math.hypot(x, y, z) or 1.0)
    return x * scale, y * scale, z * scale
