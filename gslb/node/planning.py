"""From files to Plan, and from one Plan to the next: loading, reloading, the geo file's changes, the running copy.

Generations and metric slots never go back, not even when control itself is replaced: what runs is kept beside the
other state, so that a new control goes on with it even if the files are broken by then.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gslb.balancing.discovery import joined
from gslb.balancing.merging import Key, Rows, merge, weighed
from gslb.config.compile import compile_plan, edge_settings, geo_source, region_settings
from gslb.config.load import load
from gslb.config.schema import Config
from gslb.config.source import KeyChecks
from gslb.errors import ConfigError, GeoError, Problem, UnknownName
from gslb.geo.database import Database
from gslb.model import GeoSource, Plan, Pool, Server
from gslb.node.board import PLAN_GENERATION
from gslb.node.context import NodeContext
from gslb.telemetry import SeriesTable

RUNNING = "running.pickle"

log = logging.getLogger("gslb.control")


class Planning:
    """Makes Plans for one node."""

    def __init__(self, context: NodeContext, restarts: int) -> None:
        self._context = context
        self._header = context.board.rows[0].header
        self._path = Path(context.directory.path) / RUNNING
        self.config: Config = context.config
        self.series = SeriesTable()
        self.cookie_secret = context.cookie_secret
        self._made_up = b""  # a session secret of this node's own
        self.rows: Rows = {}  # what was said of servers at run time
        self.weights: Mapping[Key, float] = {}  # by an operator's word
        self.found: Mapping[str, Sequence[Server]] = {}  # servers by DNS, by pool
        self._of_files: Mapping[str, Pool] = {}  # the pools as the files have them …
        self.declared: Mapping[str, Pool] = {}  # … and with the servers by DNS
        if restarts:
            self._resume()
        self.database: Database | None = None
        self.geo_problem = ""
        self._geo: GeoSource | None = None
        self._look: tuple[int, int, int] | None = None
        self._geo = self._open_geo()
        self.plan = self._compile(self.config)
        self._keep()

    # ------------------------------------------------------------ plans
    def _compile(self, config: Config) -> Plan:
        generation = self._header[PLAN_GENERATION] + 1
        name, role = self._context.name, self._context.role
        region, edge = (name, None) if role == "region" else (None, name)
        plan = compile_plan(config, generation=generation, region=region, geo=self._geo, edge=edge)
        self._header[PLAN_GENERATION] = generation
        return self._with_rows(replace(plan, session_secret=self._session_secret(config)))

    def _session_secret(self, config: Config) -> bytes:
        """What signs session cookies: the cluster's, or this node's own."""
        shared = config.secrets.cookie
        if shared:
            return shared.encode()
        if not self._made_up:
            self._made_up = self._context.directory.session_secret()
        return self._made_up

    def _with_rows(self, plan: Plan) -> Plan:
        """A Plan of the files, with what was said of servers at run time, and its series' places."""
        if plan.balancer is not None:
            self._of_files = plan.balancer.pools
            self.declared = joined(self._of_files, self.found)
            pools = weighed(merge(self.declared, self.rows.values()), self.weights)
            plan = replace(plan, balancer=replace(plan.balancer, pools=pools))
        return replace(plan, counters=self.series.assign(plan))

    def take_rows(self, rows: Rows) -> Plan:
        """The next Plan: what was said of servers at run time is this now. Region nodes only."""
        self.rows = rows
        return self._again()

    def take_found(self, found: Mapping[str, Sequence[Server]]) -> Plan:
        """The next Plan: the DNS gives these servers now. Region nodes only."""
        self.found = found
        return self._again()

    def take_weights(self, weights: Mapping[Key, float]) -> Plan:
        """The next Plan: operators want these weights of servers now. Region nodes only."""
        self.weights = weights
        return self._again()

    def _again(self) -> Plan:
        """The next Plan of the same files."""
        assert self.plan.balancer is not None
        generation = self._header[PLAN_GENERATION] + 1
        balancer = replace(self.plan.balancer, pools=self._of_files)
        self.plan = self._with_rows(replace(self.plan, generation=generation, balancer=balancer))
        self._header[PLAN_GENERATION] = generation
        self._keep()
        return self.plan

    async def reload(self) -> tuple[Plan, list[str]]:
        """Reads the files again: the new Plan, and what only a restart can change.

        Raises ConfigError; then nothing has changed.
        """
        config = await asyncio.to_thread(
            load,
            self._context.config_directory,
            environment=self._context.environment,
            keys=KeyChecks(self._context.name),
        )
        config = self._context.overrides.applied(config)
        try:
            notes = self._needs_restart(config)
        except UnknownName as error:
            where = str(self._context.config_directory)
            problem = Problem(where, 0, "", f"this node is not in the files: {error}", "put it back, or stop the node")
            raise ConfigError([problem]) from error
        self.config = config
        self._geo = self._open_geo()
        self.plan = self._compile(config)
        self._keep()
        return self.plan, notes

    def _needs_restart(self, config: Config) -> list[str]:
        """Settings of the sockets and processes that differ from what runs."""
        name = self._context.name
        settings = edge_settings if self._context.role == "edge" else region_settings
        old, new = settings(self.config, name), settings(config, name)
        return [f"{key} changed" for key, value in new.fixed().items() if old.fixed()[key] != value]

    # ------------------------------------------------------------ geo
    def _open_geo(self) -> GeoSource | None:
        """The configured database, opened; what we had if the file can't be used."""
        source = geo_source(self.config)
        if source is None:
            self.database, self.geo_problem = None, ""
            return None
        self._look = look(source.path)
        try:
            database = Database(source.path)
        except GeoError as error:
            self.geo_problem = str(error)
            log.error("%s; going on with %s", error, "the one in use" if self.database else "no database")
            return self._geo
        self.database, self.geo_problem = database, ""
        return replace(source, stamp=database.stamp)

    def geo_changed(self) -> Plan | None:
        """A new Plan if the geo file is another one now, else None. A broken file is told once and changes nothing."""
        source = geo_source(self.config)
        if source is None or look(source.path) in {None, self._look}:
            return None  # unchanged, or being replaced: look again at the next tick
        before = self._geo
        self._geo = self._open_geo()
        if self._geo is None or self._geo == before:
            return None
        log.info("the geo database %s was replaced; it is read anew", source.path)
        self.plan = self._compile(self.config)
        return self.plan

    # ------------------------------------------------------------ what outlives control
    def _keep(self) -> None:
        """Keeps what runs for a control that replaces this one."""
        body = pickle.dumps((self.config, self.series.slots, self.rows), pickle.HIGHEST_PROTOCOL)
        scratch = self._path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            scratch.write_bytes(body)
            scratch.replace(self._path)
        except OSError as error:
            log.warning("can't keep the running configuration in %s: %s", self._path, error)

    def _resume(self) -> None:
        """Goes on with what ran before; with what the parent loaded if that can't be read."""
        try:
            config, slots, rows = pickle.loads(self._path.read_bytes())
        except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError, ValueError) as error:
            log.warning("can't go on with the running configuration (%s); using the one of the node's start", error)
            return
        if isinstance(config, Config) and isinstance(slots, Mapping) and isinstance(rows, Mapping):
            self.config, self.rows = config, rows
            self.series = SeriesTable(slots)


def look(path: str) -> tuple[int, int, int] | None:
    """What changes when the file does; None while there is none."""
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
