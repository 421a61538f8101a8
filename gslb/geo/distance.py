"""Distance on Earth. Pure; for the `nearest` policy, for traces and for the geo build."""

from __future__ import annotations

import math

from gslb.model import Location

EARTH_RADIUS_KM = 6371.0088  # the mean radius (IUGG)


def distance_km(one: Location, other: Location) -> float:
    """Great-circle kilometres between two places, by the haversine formula (R. W. Sinnott, Sky & Telescope, 1984).

    Right across the antimeridian and at the poles; within 0.6 % of the distance on the ellipsoid.
    """
    latitude, other_latitude = math.radians(one.latitude), math.radians(other.latitude)
    half_north = math.sin((other_latitude - latitude) / 2)
    half_east = math.sin(math.radians(other.longitude - one.longitude) / 2)
    square = half_north * half_north + math.cos(latitude) * math.cos(other_latitude) * half_east * half_east
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, square)))
