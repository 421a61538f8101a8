"""The GeoIP database of one worker, opened again only when the file changed. The planes make their Locators of it."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from typing import Any

from gslb.errors import GeoError
from gslb.geo.database import Database
from gslb.geo.locate import Locator
from gslb.model import GeoSource, Plan, Service

log = logging.getLogger("gslb.worker")


class Locating:
    """What one worker finds clients by."""

    def __init__(self, index: int) -> None:
        """`index` of the worker, for its log."""
        self._index = index
        self._database: Database | None = None
        self._geo: GeoSource | None = None
        self._tables: tuple[str, Mapping[Hashable, Any]] = ("", {})
        self.locator = Locator(None, {})

    def take(self, plan: Plan, services: Mapping[str, Service]) -> Locator:
        """A Locator by the Plan's database, for these services."""
        if plan.geo != self._geo:
            database = None
            try:
                database = Database(plan.geo.path) if plan.geo else None
            except GeoError as error:  # control has read this very file: keep the one we have
                log.error("worker %d: %s", self._index + 1, error)
            if database is not None or plan.geo is None:
                self._database, self._geo = database, plan.geo
        self.locator = Locator(self._database, services)
        self.install(*self._tables)
        return self.locator

    def install(self, stamp: str, tables: Mapping[Hashable, Any]) -> None:
        """Takes prefix tables. Those for another file are kept until that file's Plan comes."""
        self._tables = (stamp, tables)
        if self._geo is not None and self._geo.stamp == stamp:
            for key, table in tables.items():
                self.locator.install(key, table)
