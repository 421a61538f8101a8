"""What the admin API shows of a node: `/status`, `/explain`, `/metrics`, `/healthz`; and `/reload`, `/restart`."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gslb import __version__
from gslb.errors import ChangeRefused, NodeError
from gslb.health.overrides import STATES, WEIGHT
from gslb.health.runner import name_of
from gslb.metrics import IGNORED
from gslb.model import State, World
from gslb.node.board import EXITED, HUNG, PID, PLAN_GENERATION, READY, REFUSED, STATUS_GENERATION
from gslb.ops.explain import Knowledge, explain
from gslb.ops.processes import usage
from gslb.telemetry import Collector, Gauges

if TYPE_CHECKING:
    from gslb.node.control import Control
    from gslb.node.registering import Registering


class View:
    """Reads control; changes nothing but by `reload` and `restart`."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._gauges = Gauges()
        self._started_at = time.time()
        self._probes: dict[tuple[str, bool], int] = {}
        self._collector = Collector(lambda: control.context.board.counters, control.planning.series, self._gauges)

    def count_probe(self, target: str, *, ok: bool) -> None:
        """Counts one probe for the metrics."""
        key = (target, ok)
        self._probes[key] = self._probes.get(key, 0) + 1

    # ------------------------------------------------------------ the admin API's questions
    def status(self) -> dict[str, Any]:
        """All that this node knows, for people and programs."""
        control, now = self._control, time.monotonic()
        described = control.side.describe(now)
        guarded = control.guarding.describe(now)
        return {
            "node": control.context.node,
            "role": control.context.role,
            "version": __version__,
            "uptime_s": round(now - control.started, 3),
            "incarnation": control.sync.incarnation if control.sync else control.incarnation,
            "plan_generation": control.planning.plan.generation,
            "status_generation": control.status.generation,
            "stale": control.status.stale,
            "alerts": [one for one in control.alerting.describe()["alerts"] if one["state"] != "pending"],
            "draining": control.status.draining,
            "drain": control.draining.describe(control.overriding.draining or "the parent stands still", now),
            "overrides": control.overriding.describe()["overrides"],
            "services": {
                key: {"state": one.state.value, "why": one.why} for key, one in control.status.services.items()
            },
            "share": {"share": control.status.share, "why": described.get("share_why", "")},
            "isolated": described.get("isolated", False),
            "held": described.get("held", {}),
            "suspect_observers": described.get("suspect_observers", []),
            "geo_problem": control.planning.geo_problem,
            "certificates": control.certificates.describe(),
            "regions": {
                name: {"state": one.state.value, "why": one.why, "evidence": described["evidence"].get(name, {})}
                for name, one in control.status.regions.items()
            },
            "servers": control.overriding.shown(described.get("servers", {})),
            **({"registry": control.registering.describe()} if control.registering is not None else {}),
            **({"discovery": control.discovering.describe()} if control.discovering is not None else {}),
            "breakers": guarded["breakers"],
            "panic": guarded["panic"],
            "limits": control.leasing.describe(),
            "processes": self._processes(),
            "store": control.sync.endpoints() if control.sync else [],
            "reloads": dict(control.reloads),
            "restarts_refused": control.row.header[REFUSED],
        }

    def _processes(self) -> list[dict[str, Any]]:
        rows = []
        for slot, row in enumerate(self._control.context.board.rows):
            header = row.header
            rows.append(
                {
                    "role": "worker" if slot else "control",
                    "index": slot,
                    "pid": header[PID],
                    "ready": bool(header[READY]),
                    "plan_generation": header[PLAN_GENERATION],
                    "status_generation": header[STATUS_GENERATION],
                }
            )
        return rows

    def explain(self, name: str, client: str) -> dict[str, Any]:
        """See ops/explain.py."""
        control = self._control
        now = time.monotonic()
        knowledge = Knowledge(
            World(control.planning.plan, control.status),
            control.locator,
            control.side.describe(now).get("evidence", {}),
        )
        return explain(knowledge, name, client, time.time())

    async def reload(self) -> dict[str, Any]:
        """Reloads. Raises ConfigError with every problem."""
        return await self._control.reload()

    def restart(self) -> dict[str, Any]:
        """Asks the parent for a restart in place; what is told now differs when it is done. Raises NodeError."""
        control = self._control
        if not control.context.workers:
            raise NodeError("a node with workers: 0 can't restart in place: stop it and start it again")
        os.kill(os.getppid(), signal.SIGUSR2)
        told = self.status()
        return {key: told[key] for key in ("node", "incarnation", "restarts_refused", "version")}

    def overrides(self) -> dict[str, Any]:
        """What operators have said that holds now."""
        return self._control.overriding.describe()

    def override(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Obeys an operator. Raises ChangeRefused."""
        return self._control.overriding.say(words)

    def alerts(self) -> dict[str, Any]:
        """What is pending, firing and silenced, and how receivers were told."""
        return self._control.alerting.describe()

    def silence(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Holds notifications. Raises ChangeRefused."""
        return self._control.alerting.silence(words)

    def scaling(self) -> dict[str, Any]:
        """Pools that grow and shrink, and what was decided. Raises ChangeRefused."""
        if self._control.scaling is None:
            raise ChangeRefused("an edge has no servers: ask a region's node", 404)
        return self._control.scaling.describe()

    def health(self) -> dict[str, Any]:
        """Whether this node serves: every worker is ready."""
        ready = [process["ready"] for process in self._processes() if process["role"] == "worker"]
        return {"ok": bool(ready) and all(ready), "workers": len(ready), "ready": sum(ready)}

    def metrics(self) -> bytes:
        """The Prometheus text of this node, summed over its workers."""
        self._gauge()
        return self._collector.render()

    def _gauge(self) -> None:
        """Sets every gauge and total that control knows, from one look."""
        control, gauges = self._control, self._gauges
        context, planning, status = control.context, control.planning, control.status
        gauges.clear()
        build = {"version": __version__, "python": platform.python_version()}
        gauges.set("gslb_build_info", 1, **build, role=context.role, node=context.node)
        gauges.set("gslb_start_time_seconds", self._started_at)
        gauges.set("gslb_plan_generation", planning.plan.generation)
        gauges.set("gslb_status_generation", status.generation)
        gauges.set("gslb_state_stale", status.stale)
        gauges.set("gslb_geo_database_ok", not planning.geo_problem)
        for result, count in control.reloads.items():
            gauges.set("gslb_config_reloads_total", count, result=result)
        for (target, ok), count in self._probes.items():
            gauges.set("gslb_health_checks_total", count, target=target, result="ok" if ok else "failed")
        self._gauge_regions(control.side.describe(time.monotonic()))
        for user, name, expires in control.certificates.expiries():
            gauges.set("gslb_tls_certificate_expiry_seconds", expires, listener=user, certificate=name)
        for key, left_s in control.runner.certificates():
            gauges.set("gslb_checked_certificate_expiry_seconds", left_s, target=name_of(key))
        gauges.set("gslb_tls_certificates_ok", not control.certificates.problems)
        if control.registering is not None:
            self._gauge_registry(control.registering)
        if control.discovering is not None:
            for pool, one in control.discovering.describe().items():
                gauges.set("gslb_discovery_ok", not one["problem"], pool=pool)
                gauges.set("gslb_discovery_servers", len(one["servers"]), pool=pool)
        if control.scaling is not None:
            for (pool, action, result), count in control.scaling.counts.items():
                gauges.set("gslb_scaling_events_total", count, pool=pool, action=action, result=result)
        control.guarding.gauge(gauges.set)
        control.leasing.gauge(gauges.set)
        control.alerting.gauge(gauges.set)
        self._gauge_overrides()
        self._gauge_store()
        self._gauge_processes()

    def _gauge_overrides(self) -> None:
        """Operators' words that hold."""
        told = self._control.overriding.describe()
        for action in STATES:
            count = sum(one["action"] == action for one in told["overrides"])
            self._gauges.set("gslb_overrides", count, action=action)
        weights = sum(one["action"].startswith(WEIGHT) for one in told["overrides"])
        self._gauges.set("gslb_overrides", weights, action="weight")
        self._gauges.set("gslb_overrides_refused_total", told["refused"])

    def _gauge_registry(self, registering: Registering) -> None:
        """The registry of servers, and what each server did."""
        gauges = self._gauges
        gauges.set("gslb_registry_ok", not registering.why)
        gauges.set("gslb_registry_rows", len(registering.rows))
        gauges.set("gslb_registry_set_aside_total", registering.set_asides)
        for result, count in registering.changes.items():
            gauges.set("gslb_registry_changes_total", count, result=result)
        for pool, server in registering.known():
            did = registering.traffic.of((pool, server))
            which = {"pool": pool, "server": server}
            gauges.set("gslb_server_active_requests", did.active, **which)
            gauges.set("gslb_server_requests_total", did.total, **which)
            gauges.set("gslb_server_failed_total", did.failed, **which)
            gauges.set("gslb_server_response_seconds_total", did.seconds, **which)

    def _gauge_regions(self, described: dict[str, Any]) -> None:
        """Regions and services on an edge, servers in a region."""
        control, gauges = self._control, self._gauges
        regions = control.status.regions
        gauges.set("gslb_isolated", described.get("isolated", False))
        gauges.set("gslb_regions_held", len(described.get("held", ())))
        gauges.set("gslb_suspect_observers", len(described.get("suspect_observers", ())))
        if control.context.role == "region":
            gauges.set("gslb_own_share", control.status.share)
        for name, one in regions.items():
            gauges.set("gslb_region_up", one.state is State.UP, region=name)
            gauges.set("gslb_region_share", one.share, region=name)
            for state in State:
                gauges.set("gslb_region_state", one.state is state, region=name, state=state.value)
            age_s = described.get("evidence", {}).get(name, {}).get("probe", {}).get("age_s")
            if age_s is not None:
                gauges.set("gslb_region_state_age_seconds", age_s, region=name)
        for service in control.planning.plan.services.values() if regions else ():
            up = sum(region.name in regions and regions[region.name].state is State.UP for region in service.regions)
            gauges.set("gslb_service_regions_up", up, service=service.name)
        for key, row in described.get("servers", {}).items():
            pool, _, server = key.partition("/")
            gauges.set("gslb_server_up", row["state"] in {"up", "unknown"}, pool=pool, server=server)

    def _gauge_store(self) -> None:
        """Every endpoint of the shared store."""
        for endpoint in self._control.sync.endpoints() if self._control.sync else ():
            where = {"endpoint": endpoint["endpoint"]}
            self._gauges.set("gslb_store_up", endpoint["up"], **where)
            for metric, key in (
                ("gslb_store_lag_seconds", "age_s"),
                ("gslb_store_round_trip_seconds", "round_trip_s"),
                ("gslb_store_failures_total", "failures"),
            ):
                if endpoint.get(key) is not None:
                    self._gauges.set(metric, endpoint[key], **where)
            for reason in IGNORED:
                self._gauges.set("gslb_store_ignored_total", endpoint["ignored"].get(reason, 0), reason=reason, **where)

    def _gauge_processes(self) -> None:
        """This node's processes, and how often each kind was replaced."""
        gauges = self._gauges
        replaced: dict[tuple[str, str], int] = {}
        for slot, row in enumerate(self._control.context.board.rows):
            role = "worker" if slot else "control"
            who = {"role": role, "index": str(slot)}
            gauges.set("gslb_worker_up", bool(row.header[READY]), **who)
            for reason, cell in (("exited", EXITED), ("hung", HUNG)):
                replaced[role, reason] = replaced.get((role, reason), 0) + row.header[cell]
            used = usage(row.header[PID])
            if used is not None:
                gauges.set("gslb_process_resident_memory_bytes", used.resident_bytes, **who)
                gauges.set("gslb_process_cpu_seconds_total", used.cpu_s, **who)
                gauges.set("gslb_process_open_fds", used.open_fds, **who)
        for (role, reason), count in replaced.items():
            gauges.set("gslb_worker_restarts_total", count, role=role, reason=reason)
