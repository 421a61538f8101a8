"""Control's part in overrides: what operators say here, what other nodes tell, kept on disk, and what follows.

The node that is told obeys at once, alone or not; all else is health/overrides.py's. Safety rules are judged by what
this node knows of the regions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from gslb.errors import ChangeRefused, StateError
from gslb.health.overrides import STATES, WEIGHT, Override, Overrides, SafetyRule, broken, newest, parse_target
from gslb.model import Plan, RegionStatus, State, Status
from gslb.node.context import NodeContext
from gslb.state.store import NODES_MAX, Report

TOLD_MAX_BYTES = 32_768  # of one report; the newest first
DURATION_MAX_S = 366 * 86_400

log = logging.getLogger("gslb.overrides")


def now_ms() -> int:
    """Unix time: an expiry means the same on every node."""
    return int(time.time() * 1000)


class Overriding:
    """One node's. All methods belong to control's loop."""

    def __init__(self, context: NodeContext, plan: Callable[[], Plan], rules: Callable[[], tuple[SafetyRule, ...]],
                 status: Callable[[], Status], applied: Callable[[], None]) -> None:  # fmt: skip
        """`applied` is told that something holds now that did not, or the other way round."""
        self._context, self._plan, self._rules, self._status, self._applied = context, plan, rules, status, applied
        self.overrides = Overrides(context.node)
        self.overrides.merge(context.directory.kept("overrides").get("overrides", ()), now_ms())
        self._heard: dict[str, list[Any]] = {}  # by node, what it said last: said again it is no news
        self._made_of: tuple[Any, ...] = ()  # what `_servers` follows from
        self._servers: dict[str, tuple[State, str]] = {}
        self._weighed_of: tuple[Any, ...] = ((), [])  # what `_weights` follows from: a weight makes another Plan itself
        self._weights: dict[tuple[str, str], float] = {}

    # ------------------------------------------------------------ said here
    def say(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Obeys an operator; what is in force then. Raises ChangeRefused."""
        target, action, seconds = words["target"], words["action"], words["for_s"]
        try:
            parse_target(target)
        except ValueError as error:
            raise ChangeRefused(str(error), 400, "target") from None
        if not action.endswith("auto"):
            self._must_fit(target)
            self._must_be_a_share(target, action)
        now, until = now_ms(), 0
        if seconds:
            until = now + int(seconds * 1000)
        rule = self._minds(target, action, now)
        if rule and not words["break_glass"]:
            raise ChangeRefused(f"{rule}; --break-glass does it nevertheless, and says so", 409, "target")
        try:
            said = self.overrides.say(
                target, action, why=words["why"], author=words["author"], now_ms=now, expires_ms=until,
                broke_glass=bool(rule),
            )
        except ValueError as error:
            raise ChangeRefused(str(error), 409, "target") from None
        log.warning("override: %s %s by %s", action, target, said.author,
                    extra={"why": said.why, "until": until or "taken back", "past_the_rule": rule})  # fmt: skip
        if len(self.told()) < len(self.overrides.rows()):
            log.warning("too many overrides to tell other nodes of all: take some back")
        self._keep()
        self._applied()
        return self.describe()

    def _must_fit(self, target: str) -> None:
        """Refuses a target that means nothing here, and names what there is."""
        plan, probe = self._plan(), Overrides("probe")
        probe.say(target, "drain", why="", author="", now_ms=1)
        if "@" in target:
            pairs = [(service, one.name) for service, of in plan.services.items() for one in of.regions]
            known = [f"{service}@{region}" for service, region in pairs]
            fits = any(probe.of_service(service, region, 1) for service, region in pairs)
        elif "/" not in target:
            known = sorted(plan.regions)
            fits = any(probe.of_region(name, 1) for name in known)
        else:
            known = [f"{region}/{pool}/{server}" for region, pool, server in self._own_servers()]
            if not known:
                raise ChangeRefused("an edge has no servers: ask a node of the region", 404, "target")
            fits = any(probe.of_server(region, pool, server, 1) for region, pool, server in self._own_servers())
        if not fits:
            shown = ", ".join(known[:10]) + (" …" if len(known) > 10 else "")
            raise ChangeRefused(f"nothing here is called {target!r}; there is {shown}", 404, "target")

    @staticmethod
    def _must_be_a_share(target: str, action: str) -> None:
        """Clients can't be made more: only a server's weight may grow."""
        if action.startswith(WEIGHT) and "/" not in target and float(action.removeprefix(WEIGHT)) > 100:
            raise ChangeRefused("a region can have no more than 100% of its clients", 400, "action")

    def _own_servers(self) -> list[tuple[str, str, str]]:
        balancer = self._plan().balancer
        pools = balancer.pools.values() if balancer is not None else ()
        return [(self._context.name, pool.name, server.id) for pool in pools for server in pool.servers]

    def _minds(self, target: str, action: str, now: int) -> str:
        """The rule that this would break, "" if none: only what takes whole regions out can."""
        if "/" in target or "@" in target or action not in {"drain", "down", f"{WEIGHT}0"}:
            return ""
        wanted = Overrides("probe")
        wanted.merge(self.overrides.rows(), now)
        wanted.say(target, action, why="", author="", now_ms=now)
        plan, known = self._plan(), self._status().regions
        out = {}
        for name in plan.regions:
            said = wanted.of_region(name, now)
            state = known.get(name, RegionStatus(State.UNKNOWN)).state
            if said is not None and said.action != "up":
                out[name] = said.action
            elif said is None and state is State.DOWN:
                out[name] = "down by health"
            elif (share := newest(wanted.weights(now), name)) is not None and not share.weight:
                out[name] = "weight 0"
        capacities = {name: region.capacity for name, region in plan.regions.items()}
        return broken(self._rules(), capacities, out)

    # ------------------------------------------------------------ told by others
    def heard(self, reports: Iterable[Report]) -> None:
        """What other nodes know."""
        news = False
        for report in reports:
            rows = report.payload.get("overrides")
            if not isinstance(rows, list) or report.node == self._context.node or rows == self._heard.get(report.node):
                continue
            if len(self._heard) >= NODES_MAX:
                self._heard.clear()
            self._heard[report.node] = rows
            refused = self.overrides.refused
            news = self.overrides.merge(rows, now_ms()) or news
            if self.overrides.refused > refused:
                log.warning("%d overrides of %s are refused", self.overrides.refused - refused, report.node,
                            extra={"why": "they are of the future, or broken: compare the clocks"})  # fmt: skip
        if news:
            log.info("overrides were told by other nodes: %d hold", len(self.overrides.holding(now_ms())))
            self._keep()
            self._applied()

    def told(self) -> list[dict[str, Any]]:
        """What others are told, within TOLD_MAX_BYTES."""
        return self.overrides.rows(TOLD_MAX_BYTES)

    def _keep(self) -> None:
        self.overrides.forget(now_ms())
        try:
            self._context.directory.keep("overrides", {"overrides": self.overrides.rows()})
        except StateError as error:
            log.error("an override is obeyed but can't be kept over a restart", extra={"why": str(error)})

    # ------------------------------------------------------------ what follows
    def regions(self) -> dict[str, tuple[State, str]]:
        """Regions that an operator has spoken of: the state, and who and why."""
        now, found = now_ms(), {}
        for name in self._plan().regions:
            said = self.overrides.of_region(name, now)
            if said is not None:
                found[name] = STATES[said.action], said.text
        return found

    def services(self) -> dict[str, RegionStatus]:
        """The same by `service@region`, for `Status.services`."""
        now, found = now_ms(), {}
        for service in self._plan().services.values():
            for region in service.regions:
                said = self.overrides.of_service(service.name, region.name, now)
                if said is not None:
                    why = f"an operator forced it for {service.name}: {said.text}"
                    found[f"{service.name}@{region.name}"] = RegionStatus(STATES[said.action], why, forced=True)
        return found

    def servers(self) -> dict[str, tuple[State, str]]:
        """Servers of this region's node, by `pool/server id`: the state, and who and why. Made once for what holds."""
        held = tuple(one for one in self.overrides.states(now_ms()) if "/" in one.target)
        if (held, self._plan().generation) != self._made_of:
            self._made_of = held, self._plan().generation
            self._servers = {}
            for region, pool, server in self._own_servers() if held else ():
                said = newest(held, f"{region}/{pool}/{server}") or newest(held, f"{region}/{pool}")
                if said is not None:
                    self._servers[f"{pool}/{server}"] = STATES[said.action], said.text
        return self._servers

    def weights(self) -> dict[tuple[str, str], float]:
        """Weights of this region's node's servers, by pool and server id; what isn't there is as it is."""
        held = tuple(one for one in self.overrides.weights(now_ms()) if "/" in one.target)
        servers = self._own_servers() if held else []
        if (held, servers) != self._weighed_of:
            self._weighed_of, self._weights = (held, servers), {}
            for region, pool, server in servers:
                said = newest(held, f"{region}/{pool}/{server}") or newest(held, f"{region}/{pool}")
                if said is not None and said.weight is not None:
                    self._weights[pool, server] = said.weight
        return self._weights

    def shared(self, regions: Mapping[str, RegionStatus], services: Mapping[str, RegionStatus]) -> tuple[
        dict[str, RegionStatus], dict[str, RegionStatus]
    ]:  # fmt: skip
        """The same with operators' weights: a region, or a service there, has that share of its clients."""
        held = [one for one in self.overrides.weights(now_ms()) if "/" not in one.target]
        new_regions, new_services = dict(regions), dict(services)
        if not held:
            return new_regions, new_services
        for name, one in regions.items():
            new_regions[name] = _weighed(one, newest(held, name))
        for service in self._plan().services.values():
            for region in service.regions:
                key = f"{service.name}@{region.name}"
                said, base = newest(held, key), services.get(key) or new_regions.get(region.name)
                if said is not None and base is not None:
                    new_services[key] = _weighed(base, said)
        return new_regions, new_services

    def shown(self, servers: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Servers as a side describes them, with what operators have said of them."""
        rows = dict(servers)
        for key, (state, text) in self.servers().items():
            rows[key] = {**rows.get(key, {}), "state": state.value, "why": f"an operator forced it: {text}"}
        return rows

    @property
    def draining(self) -> str:
        """Why this region's node takes no new clients by an operator's word; "" if it may."""
        if self._context.role != "region":
            return ""
        said = self.overrides.of_region(self._context.name, now_ms())
        return said.text if said is not None and said.action in {"drain", "down"} else ""

    def describe(self) -> dict[str, Any]:
        """For `/status` and `/overrides`."""
        now = now_ms()
        return {
            "overrides": [_shown(one, now) for one in self.overrides.holding(now)],
            "refused": self.overrides.refused,
        }


def _weighed(one: RegionStatus, said: Override | None) -> RegionStatus:
    if said is None or said.weight is None:
        return one
    why = f"an operator gives it {said.weight:.0%} of its clients: {said.text}"
    return replace(one, share=one.share * said.weight, why=f"{one.why}; {why}" if one.why else why)


def _shown(said: Override, now: int) -> dict[str, Any]:
    return {
        "target": said.target,
        "action": said.action,
        "why": said.why,
        "author": said.author,
        "said_by": said.stamp[2],
        "age_s": round(max(0, now - said.stamp[0]) / 1000, 1),
        "ends_in_s": round((said.expires_ms - now) / 1000, 1) if said.expires_ms else None,
        "broke_glass": said.broke_glass,
    }
