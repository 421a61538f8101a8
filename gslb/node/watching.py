"""How a node watches regions: an edge all of them, a region's node all but its own. For the sides only.

The picture itself is health/regions.py; this aims its probes and translates what control gives and takes.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from gslb.config.schema import Config
from gslb.health.check import CHECKS
from gslb.health.regions import ProbeOptions, Regions
from gslb.health.runner import Target
from gslb.http.replies import WELL_KNOWN
from gslb.model import Plan, RegionStatus, State
from gslb.state.store import Report

log = logging.getLogger("gslb.control")


class Watching:
    """One node's picture of the regions, and the probes that feed it."""

    def __init__(self, node: str, region: str = "") -> None:
        """`region`: the one that this node is of, which it does not watch; "" is none."""
        self.picture = Regions(node, ProbeOptions(), region)
        self.targets: dict[Hashable, Target] = {}  # by region

    def configure(self, plan: Plan, config: Config) -> None:
        """Watches the regions that the Plan names from now on."""
        probe = config.probe
        options = ProbeOptions(
            probe.interval, probe.fast_interval, probe.timeout, probe.rise, probe.fall,
            probe.rise_max, probe.withdraw_max, probe.hold, probe.spill,
        )  # fmt: skip
        regions = {name: region for name, region in plan.regions.items() if name != self.picture.vantage}
        capacities = {name: region.capacity for name, region in regions.items()}
        self.picture.configure(tuple(regions), options, capacities)
        check = CHECKS.get("http")(path=WELL_KNOWN.decode(), expect="200")
        self.targets = {
            name: Target(check, region.url, options.interval_s, options.fast_interval_s, options.timeout_s)
            for name, region in regions.items()
        }

    def judge(self, now: float, overrides: Mapping[str, tuple[State, str]]) -> Mapping[str, RegionStatus]:
        """Every region's status; what begins to be held, or ends to, is told by the log."""
        before = self.picture.withholding.held
        found = self.picture.judge(now, overrides)
        held = self.picture.withholding.held
        for name in held.keys() - before.keys():
            log.error("region %s is held as it was: too much fails at once", name, extra={"why": held[name]})
        for name in before.keys() - held.keys():
            log.warning("region %s is not held any more: it is %s", name, found[name].state.value)
        return found

    def changing(self, name: str) -> bool:
        """Whether a region is in doubt and is probed at the fast interval."""
        return self.picture.seen[name].tracker.changing

    def heard(self, kind: str, reports: Sequence[Report], now: float) -> None:
        """Reports from the shared store."""
        take = self.picture.heard if kind == "region" else self.picture.viewed
        for report in reports:
            take(report.node, report.incarnation, report.sequence, report.payload, now)

    def remember(self, kept: Mapping[str, Any]) -> None:
        """What `keep` gave when this node last ran. What is not ours, or not believable, is left out."""
        states = kept.get("regions")
        if isinstance(states, Mapping):
            known = set(State)
            self.picture.remember(
                {name: State(word) for name, word in states.items() if isinstance(word, str) and word in known}
            )

    def keep(self) -> dict[str, Any]:
        """What to keep on disk as last known good."""
        return {"regions": {name: state.value for name, state in self.picture.good.items()}}

    def view(self) -> dict[str, str]:
        """What this node's probes see, as others are told it."""
        return {name: state.value for name, state in self.picture.own_view().items()}

    def describe(self, now: float) -> dict[str, Any]:
        """For people: part of `/status`."""
        picture = self.picture
        return {
            "isolated": picture.isolated,
            "split": list(picture.split),
            "held": dict(picture.withholding.held),
            "suspect_observers": list(picture.suspects),
            "evidence": picture.evidence(now),
        }
