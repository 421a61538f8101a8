"""Control's prefix tables: built for the current Plan in a process of their own, then spread. Edges only."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from gslb.errors import NodeError
from gslb.geo.locate import Locator, chain_key
from gslb.model import Plan
from gslb.node import tables
from gslb.node.table_cache import TableCache

log = logging.getLogger("gslb.control")


class Prefixing:
    """One node's. All methods belong to control's loop."""

    def __init__(
        self, spread: Callable[[str, Mapping[Hashable, Any]], None], locator: Callable[[], Locator], cache: TableCache
    ) -> None:
        """`spread` gives the workers tables for a geo file's stamp; `locator` is what `explain` answers by."""
        self._cache = cache
        self._spread, self._locator = spread, locator
        self._building: asyncio.Task[None] | None = None
        self._newest: tuple[str, Mapping[Hashable, Any]] = ("", {})  # and the geo file they were built from

    def build(self, plan: Plan) -> None:
        """Builds the tables of `plan`, in place of a build under way."""
        if plan.geo is None:
            return
        if self._building is not None:
            self._building.cancel()
        stamp, known = self._newest
        if stamp == plan.geo.stamp and all(chain_key(service) in known for service in plan.services.values()):
            self._install(known)  # the workers have them too: neither the file nor a chain is new
            return
        kept = self._cache.load(plan.geo.stamp, _keys(plan))
        if kept is not None:
            self._take(plan.geo.stamp, kept)
            return
        self._building = asyncio.create_task(self._build(plan))

    async def _build(self, plan: Plan) -> None:
        assert plan.geo is not None
        try:
            pickled = await tables.build(plan.geo.path, plan.services)
        except NodeError as error:
            log.error("%s; answers go on by the database's own networks", error)
            return
        self._cache.save(plan.geo.stamp, _keys(plan), pickled)
        self._take(plan.geo.stamp, pickle.loads(pickled))

    def _take(self, stamp: str, built: Mapping[Hashable, Any]) -> None:
        """Answers by these tables, and has the workers do so."""
        self._newest = (stamp, built)
        self._install(built)
        self._spread(stamp, built)
        log.info("prefix tables are ready: %d chains", len(built))

    def _install(self, built: Mapping[Hashable, Any]) -> None:
        """Gives `explain` the tables that the workers answer by."""
        for key, table in built.items():
            self._locator().install(key, table)


def _keys(plan: Plan) -> set[Hashable]:
    """The chains whose tables a Plan needs."""
    return {chain_key(service) for service in plan.services.values()}
