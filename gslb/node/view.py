"""What the admin API shows of a node: the answers behind `/status`, `/explain`, `/metrics`, `/healthz`, `/reload`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gslb import __version__
from gslb.errors import ConfigError
from gslb.model import World
from gslb.node.board import PID, PLAN_GENERATION, READY, STATUS_GENERATION
from gslb.ops.explain import Knowledge, explain
from gslb.telemetry import Collector, Gauges

if TYPE_CHECKING:
    from gslb.node.control import Control


class View:
    """Reads control; changes nothing but by `reload`."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._gauges = Gauges()
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
        return {
            "node": control.context.node,
            "role": control.context.role,
            "version": __version__,
            "uptime_s": round(now - control.started, 3),
            "incarnation": control.incarnation,
            "plan_generation": control.planning.plan.generation,
            "status_generation": control.status.generation,
            "stale": control.status.stale,
            "isolated": described.get("isolated", False),
            "geo_problem": control.planning.geo_problem,
            "regions": {
                name: {"state": one.state.value, "why": one.why, "evidence": described["evidence"].get(name, {})}
                for name, one in control.status.regions.items()
            },
            "servers": described.get("servers", {}),
            "processes": self._processes(),
            "store": control.sync.endpoints() if control.sync else [],
            "reloads": dict(control.reloads),
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
            control.planning.database,
            control.side.describe(now).get("evidence", {}),
        )
        return explain(knowledge, name, client, time.time())

    async def reload(self) -> dict[str, Any]:
        """Reloads. Raises ConfigError with every problem."""
        return await self._control.reload()

    def health(self) -> dict[str, Any]:
        """Whether this node serves: every worker is ready."""
        ready = [process["ready"] for process in self._processes() if process["role"] == "worker"]
        return {"ok": bool(ready) and all(ready), "workers": len(ready), "ready": sum(ready)}

    def metrics(self) -> bytes:
        """The Prometheus text of this node, summed over its workers."""
        self._gauge()
        return self._collector.render()

    def _gauge(self) -> None:
        """Sets every gauge that control knows, from one look."""
        control, gauges = self._control, self._gauges
        gauges.clear()
        for name, one in control.status.regions.items():
            gauges.set("gslb_region_up", 1.0 if one.state.value == "up" else 0.0, region=name)


__all__ = ["ConfigError", "View"]
