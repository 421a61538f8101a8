"""What of a node is worth an alert, from one look at its control. alerting.py asks; the rules are docs/alerts.md's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gslb.config.schema_alerts import RulesSection
from gslb.health.alerts import Fact
from gslb.health.runner import name_of
from gslb.http.replies import healthy_capacity
from gslb.model import State
from gslb.node.board import EXITED, HUNG

if TYPE_CHECKING:
    from gslb.node.control import Control

# What every edge sees: one of them tells. All else is said by the node that it is about.
SEEN_BY_ALL_EDGES = frozenset({"region_lost", "region_held", "quorum_split", "capacity_short"})
WINDOW_S = 600.0  # in which changes and replaced processes count
TRACKED_MAX = 10_000
_DAY_S = 86_400


class AlertFacts:
    """One node's. Keeps only what needs a memory: changes of states, replaced processes, the last reload."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._states: dict[str, State] = {}
        self._changes: dict[str, deque[float]] = {}
        self._replaced: tuple[int, float] = (0, -WINDOW_S)
        self._reloads: dict[str, int] = {}
        self._refused = False

    def look(self, rules: RulesSection, now: float) -> list[Fact]:
        """Everything that holds now; `now` on the monotonic clock."""
        described = self._control.side.describe(now)
        found = [*self._node(rules, described, now), *self._flapping(rules, now)]
        if self._control.context.role == "edge":
            return [*found, *self._regions(rules, described)]
        return [*found, *self._balancer(rules)]

    # ------------------------------------------------------------ said by edges
    def _regions(self, rules: RulesSection, described: Mapping[str, object]) -> Iterator[Fact]:
        control = self._control
        plan, known = control.planning.plan, control.status.regions
        for name, one in known.items():
            if one.state is State.DOWN and not one.forced:
                yield Fact("region_lost", name, f"region {name} is down: {one.why}")
        held, split = described.get("held"), described.get("split")
        for name, why in held.items() if isinstance(held, Mapping) else ():
            yield Fact("region_held", name, f"region {name} is held as it was: {why}")
        for name in split if isinstance(split, list) else ():
            yield Fact("quorum_split", name, f"observers disagree about region {name}")
        alike = any(not region.capacity for region in plan.regions.values())
        total = left = 0.0
        for name, region in plan.regions.items():
            weight = 1.0 if alike else region.capacity
            state = known[name].state if name in known else State.UNKNOWN
            total += weight
            left += weight * known[name].share if name in known and state in {State.UP, State.UNKNOWN} else 0.0
        if total and left < rules.capacity_short.below * total:
            yield Fact("capacity_short", "cluster", f"{left / total:.0%} of the regions' capacity is left")

    # ------------------------------------------------------------ said by a region's nodes
    def _balancer(self, rules: RulesSection) -> Iterator[Fact]:
        control = self._control
        balancer, node = control.planning.plan.balancer, control.context.node
        if balancer is None or control.registering is None:
            return
        healthy = healthy_capacity(balancer, control.status)
        if healthy < rules.capacity_short.below:
            yield Fact("capacity_short", node, f"{healthy:.0%} of the servers' weights are usable at {node}")
        for name, one in control.registering.summary()["pools"].items():
            subject = f"{node} {name}"
            success, late, rate = one["success_rate"], rules.latency, one["requests_per_second"]
            if success is not None and 1 - success > rules.error_rate.above and rate >= rules.error_rate.requests:
                yield Fact("error_rate", subject, f"{1 - success:.1%} of the answers of pool {name} at {node} are 5xx")
            took_s = one[late.percentile]
            if took_s is not None and took_s > late.above and rate >= late.requests:
                yield Fact("latency", subject, f"{late.percentile} of pool {name} at {node} is {took_s:.2f} s")

    # ------------------------------------------------------------ said by every node
    def _node(self, rules: RulesSection, described: Mapping[str, object], now: float) -> Iterator[Fact]:
        control, node = self._control, self._control.context.node
        if described.get("isolated"):
            yield Fact("isolated", node, f"{node} sees no region up, and hears of none")
        if control.status.stale:
            yield Fact("stale_state", node, f"{node} goes by what was known before")
        for one in control.sync.endpoints() if control.sync else ():
            if not one["up"] and one["failures"]:
                yield Fact("store_lost", f"{node} {one['endpoint']}", f"the shared store is away: {one['why']}")
        for user, name, expires in control.certificates.expiries():
            days = (expires - time.time()) / _DAY_S
            if days < rules.certificate_expiry.days:
                text = f"the certificate {name} of {user} at {node} ends in {days:.1f} days"
                yield Fact("certificate_expiry", f"{node} {user} {name}", text)
        for key, left_s in control.runner.certificates():
            if left_s < rules.certificate_expiry.days * _DAY_S:
                name = name_of(key)
                text = f"the certificate that {name} shows to {node} ends in {left_s / _DAY_S:.1f} days"
                yield Fact("certificate_expiry", f"{node} {name}", text)
        if self._was_refused():
            yield Fact("config_refused", node, f"{node} refused its last reload, and goes on as it was")
        count, at = self._replaced
        replaced = sum(row.header[cell] for row in control.context.board.rows for cell in (EXITED, HUNG))
        if replaced != count:
            at = now
        self._replaced = replaced, at
        if now - at < WINDOW_S:
            yield Fact("process_replaced", node, f"a process of {node} died or hung and was replaced")

    def _was_refused(self) -> bool:
        reloads, before = self._control.reloads, self._reloads
        for result in ("ok", "refused"):
            if reloads[result] > before.get(result, 0):
                self._refused = result == "refused"
        self._reloads = dict(reloads)
        return self._refused

    def _flapping(self, rules: RulesSection, now: float) -> Iterator[Fact]:
        status = self._control.status
        states = {f"region {name}": one.state for name, one in status.regions.items()}
        states |= {f"server {key}": state for key, state in status.servers.items()}
        for key in (states.keys() | self._states.keys()) if self._states or states else ():
            old, new = self._states.get(key, State.UP), states.get(key, State.UP)
            if old is not new and State.UNKNOWN not in (old, new) and len(self._changes) < TRACKED_MAX:
                self._changes.setdefault(key, deque(maxlen=100)).append(now)
        self._states = states
        for key, times in list(self._changes.items()):
            while times and now - times[0] > WINDOW_S:
                times.popleft()
            if not times:
                del self._changes[key]
            elif len(times) >= rules.flapping.changes:
                text = f"{key} changed its state {len(times)} times in ten minutes"
                yield Fact("flapping", f"{self._control.context.node} {key}", text)
