from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.geo.distance import EARTH_RADIUS_KM, distance_km
from gslb.model import Location

HALF_WAY_ROUND = math.pi * EARTH_RADIUS_KM
places = st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        # geodesics on the WGS 84 ellipsoid by Vincenty's inverse formula; the sphere is within 0.6 % of them
        ((53.34, -6.26), (39.04, -77.49), 5475.8),  # Dublin, Ashburn
        ((52.52, 13.41), (-33.87, 151.21), 16088.2),  # Berlin, Sydney
        ((-23.55, -46.63), (35.68, 139.69), 18531.7),  # São Paulo, Tokyo
    ],
)
def test_cities(one: tuple[float, float], other: tuple[float, float], kilometres: float) -> None:
    assert distance_km(Location(*one), Location(*other)) == pytest.approx(kilometres, rel=0.006)


def test_across_the_antimeridian_is_near() -> None:
    assert distance_km(Location(-17.7, 179.9), Location(-17.7, -179.9)) == pytest.approx(21.2, abs=0.1)


def test_every_longitude_is_the_same_pole() -> None:
    for latitude in (90, -90):
        assert distance_km(Location(latitude, 0), Location(latitude, 123)) == pytest.approx(0, abs=1e-6)
        assert distance_km(Location(latitude, 0), Location(0, 77)) == pytest.approx(HALF_WAY_ROUND / 2)


def test_the_other_end_of_the_earth() -> None:
    assert distance_km(Location(0, 0), Location(0, 180)) == pytest.approx(HALF_WAY_ROUND)
    assert distance_km(Location(90, 0), Location(-90, 50)) == pytest.approx(HALF_WAY_ROUND)


@given(places, places)
def test_is_symmetric_and_bounded(one: Location, other: Location) -> None:
    distance = distance_km(one, other)
    assert 0 <= distance <= HALF_WAY_ROUND + 1e-6
    assert distance == pytest.approx(distance_km(other, one), abs=1e-6)
    # an independent formula: the angle between unit vectors
    assert distance == pytest.approx(_by_vectors(one, other), abs=1e-3)


def _by_vectors(one: Location, other: Location) -> float:
    def vector(place: Location) -> tuple[float, float, float]:
        latitude, longitude = math.radians(place.latitude), math.radians(place.longitude)
        return math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude), math.sin(latitude)

    (x, y, z), (a, b, c) = vector(one), vector(other)
    cross = math.hypot(y * c - z * b, z * a - x * c, x * b - y * a)
    return EARTH_RADIUS_KM * math.atan2(cross, x * a + y * b + z * c)
