"""The prefix tables of all chains, made in one walk over a database. Only the builder process calls it.

It takes seconds of CPU; answers come from the database's own reader until it is done (gslb.geo.locate).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from pathlib import Path

from gslb.geo.database import Database
from gslb.geo.locate import chain_key
from gslb.geo.prefixes import ClassTable, build
from gslb.model import Location, Service
from gslb.steering.engine import views


def build_tables(path: str | Path, services: Mapping[str, Service]) -> dict[Hashable, ClassTable]:
    """A table for every different chain of `services`, by chain key. Raises GeoError."""
    database = Database(path)
    try:
        by_place = build(database.networks(), _itself)
    finally:
        database.close()
    chains = {chain_key(service): service for service in services.values()}
    return {key: by_place.regroup(partial(views, service)) for key, service in chains.items()}


def _itself(place: Location | None) -> Location | None:
    return place
