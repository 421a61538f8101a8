"""Countries as points: the continent of each, and the middle of where its addresses are.

Anybody may use it; the geo room does for databases that know countries only, and the build for continents. The table
is `centroids.csv` beside this module: continents are kept by hand (as GeoNames has them), the points are made from the
DB-IP city database by `python -m gslb.geo.build centroids` (IP Geolocation by DB-IP, CC BY 4.0).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from gslb.model import Location

TABLE_NAME = "centroids.csv"


@cache
def table() -> dict[str, Location]:
    """Every country's middle, by ISO 3166-1 alpha-2 code; read once a process."""
    text = files("gslb.geo").joinpath(TABLE_NAME).read_text(encoding="utf-8")
    return {
        row["country"]: Location(
            float(row["latitude"]), float(row["longitude"]), country=row["country"], continent=row["continent"]
        )
        for row in csv.DictReader(text.splitlines())
    }


def centroid(country: str) -> Location | None:
    """The point from which the addresses of a country are nearest on average; None for an unknown country.

    Args:
        country: ISO 3166-1 alpha-2, upper case.
    """
    return table().get(country)


def continent(country: str) -> str:
    """The continent of a country: AF AN AS EU NA OC or SA; "" for an unknown country.

    Args:
        country: ISO 3166-1 alpha-2, upper case.
    """
    place = table().get(country)
    return place.continent if place else ""
