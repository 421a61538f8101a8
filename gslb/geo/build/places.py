"""From the source's 700,000 points to some 20,000: which places a database of bounded size may name.

For `gslb.geo.build` only. Points are taken heaviest first (by the addresses that lie there); one that is near a
heavier point of the same country (and the same subdivision, where those are kept) becomes that one. So suburbs become
their city, cities keep their own coordinates, and no border is crossed.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from gslb.geo.build.mmdb import Value
from gslb.geo.build.sources import Place, Source
from gslb.geo.centroids import continent
from gslb.geo.distance import EARTH_RADIUS_KM

WEIGHT_DEPTH = {4: 32, 6: 64}  # nothing deeper is told apart: a /64 is one network of one owner
# By addresses alone, a few idle /8s would outweigh whole countries, and of IPv6 addresses say nothing (a /32 has 2**96
# of them): so a network counts by a power of its number of addresses, or of /64s. Measured: 0.8 against 1.0 gains more
# for networks, each counted once, than it loses for addresses.
WEIGHT_EXPONENT = {4: 0.8, 6: 0.5}

Point = tuple[float, float, float]


@cache
def subdivision_codes() -> dict[str, dict[str, tuple[str, str]]]:
    """For each country whose subdivisions are kept: the source's name of one → (ISO 3166-2 code, English name)."""
    text = files("gslb.geo.build").joinpath("subdivisions.csv").read_text(encoding="utf-8")
    names: dict[str, dict[str, tuple[str, str]]] = {}
    first: dict[tuple[str, str], str] = {}
    for row in csv.DictReader(text.splitlines()):
        code = row["subdivision"]
        name = first.setdefault((row["country"], code), row["name"])
        names.setdefault(row["country"], {})[row["name"]] = (code, name)
    return names


def network_weight(family: int, prefix_length: int) -> float:
    """How much a network counts against others of its family: see WEIGHT_EXPONENT."""
    depth = WEIGHT_DEPTH[family]
    return float(2 ** ((depth - min(prefix_length, depth)) * WEIGHT_EXPONENT[family]))


def weigh(source: Source, family: int) -> dict[int, float]:
    """The weight of every record of a source: value → summed `network_weight` of the networks that have it.

    Raises:
        GeoError: the source is damaged.
    """
    weights: dict[int, float] = {}
    by_length = [network_weight(family, length) for length in range(129)]
    for _, prefix_length, value in source.networks(family):
        weights[value] = weights.get(value, 0.0) + by_length[prefix_length]
    return weights


def simplified(place: Place) -> Place:
    """`place` with its subdivision as ISO 3166-2 has it in large countries, and without one elsewhere."""
    codes = subdivision_codes().get(place.country)
    if codes is None:
        return place._replace(subdivision_code="", subdivision_name="")
    if place.subdivision_code:
        return place
    code, name = codes.get(place.subdivision_name, ("", place.subdivision_name))
    return place._replace(subdivision_code=code, subdivision_name=name)


def to_point(latitude: float, longitude: float) -> Point:
    """A place on the globe as x, y, z in km: straight distances between such points order as great circles do."""
    phi, lam = math.radians(latitude), math.radians(longitude)
    across = EARTH_RADIUS_KM * math.cos(phi)
    return across * math.cos(lam), across * math.sin(lam), EARTH_RADIUS_KM * math.sin(phi)


@dataclass
class Gazetteer:
    """The places that a database may name; a label is an index into `places`, `points` and `countries`."""

    places: list[Place] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    countries: list[str] = field(default_factory=list)

    def add(self, place: Place) -> int:
        """Admit a place; its label."""
        self.places.append(place)
        self.points.append(to_point(place.latitude, place.longitude))
        self.countries.append(place.country)
        return len(self.places) - 1

    def records(self, coordinate_step: float) -> list[Value]:
        """The GeoIP2 City record of every label, coordinates rounded to `coordinate_step` degrees."""
        return [_record(place, coordinate_step) for place in self.places]


def gather(weights: Mapping[Place, float], radius_km: float) -> tuple[Gazetteer, dict[Place, int]]:
    """Choose the places to keep.

    Args:
        weights: every place of the source, with its weight.
        radius_km: a place within this distance of a heavier one of its country and subdivision becomes that one.

    Returns:
        The places kept, and the label of every place of `weights`.
    """
    gazetteer, labels = Gazetteer(), {}
    buckets: dict[tuple[str, str, int, int, int], list[int]] = {}
    for place in sorted(weights, key=lambda place: (-weights[place], place)):
        point = to_point(place.latitude, place.longitude)
        x, y, z = (math.floor(part / radius_km) for part in point)
        best, best_km = -1, radius_km
        for cell in _around(x, y, z):
            for label in buckets.get((place.country, place.subdivision_name, *cell), ()):
                distance_km = math.dist(point, gazetteer.points[label])
                if distance_km < best_km:
                    best, best_km = label, distance_km
        if best < 0:
            best = gazetteer.add(place)
            buckets.setdefault((place.country, place.subdivision_name, x, y, z), []).append(best)
        labels[place] = best
    return gazetteer, labels


def _around(x: int, y: int, z: int) -> Iterator[tuple[int, int, int]]:
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            for dz in (-1, 0, 1):
                yield x + dx, y + dy, z + dz


def _record(place: Place, step: float) -> Value:
    record: dict[str, Value] = {}
    if code := continent(place.country):
        record["continent"] = {"code": code}
    record["country"] = {"iso_code": place.country}
    record["location"] = {
        "latitude": round(round(place.latitude / step) * step, 4),
        "longitude": round(round(place.longitude / step) * step, 4),
    }
    if place.subdivision_name or place.subdivision_code:
        subdivision: dict[str, Value] = {}
        if place.subdivision_code:
            subdivision["iso_code"] = place.subdivision_code
        if place.subdivision_name:
            subdivision["names"] = {"en": place.subdivision_name}
        record["subdivisions"] = [subdivision]
    return record
