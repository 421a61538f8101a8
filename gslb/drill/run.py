"""Runs one drill: pre-checks, clients, the fault, its end, the report. The demo's cluster or a real one."""

from __future__ import annotations

import contextlib
import getpass
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from gslb.config.compile import compile_plan, edge_settings
from gslb.config.schema import Config
from gslb.demo.clients import PLACES, Place
from gslb.drill import cluster as demo
from gslb.drill.clients import Prober, World
from gslb.drill.report import Drill, Report, judge
from gslb.errors import GslbError, NodeError
from gslb.geo.distance import distance_km
from gslb.model import Location, Plan, Region
from gslb.node.listen import split
from gslb.ops import client

READY_S = 30.0
BEFORE_S = 2.0  # clients run before the fault
RECOVER_MAX_S = 45.0  # the end of a fault is watched so long
STEP_S = 0.1
SUCCESS_OVER_S = 3.0
DEMO_KINDS = ("kill", "servers", "blackhole", "slow", "flap", "partition", "redis-loss")

Say = Callable[[str], None]


class PreCheckFailed(GslbError):
    """The cluster is not in a state to lose a region on purpose."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted. `abort_below`: the share of served requests at which a real cluster's drill ends."""

    region: str
    kind: str
    lasts_s: float
    min_capacity: float = 0.5
    abort_below: float = 0.9


class Target(Protocol):
    """What is drilled."""

    world: World
    admin: str

    def inject(self) -> str:
        """Begins the fault; says what it is."""

    def keep_injecting(self, since_s: float) -> None:
        """What has to go on while it lasts."""

    def heal(self) -> None:
        """Ends it."""


# ---------------------------------------------------------------- a target
def _places(regions: Mapping[str, Region], lost: Region) -> tuple[Place, ...]:
    """Clients of which the first is near the region, and as many elsewhere."""

    def nearest(place: Place) -> Region:
        where = Location(place.latitude, place.longitude)
        return min(regions.values(), key=lambda region: distance_km(where, region.location))

    near = [place for place in PLACES if nearest(place) is lost]
    far = [place for place in PLACES if nearest(place) is not lost]
    if not near:
        raise NodeError(f"no sample client is nearest to {lost.name}: a drill would see nothing of it")
    return (*near[:3], *far[:1])


def _world(config: Config, plan: Plan, region: str, doors: Mapping[str, str]) -> World:
    """What clients see of the first service that the region is in. Raises NodeError."""
    service = next((one for one in plan.services.values() if any(each.name == region for each in one.regions)), None)
    if service is None:
        known = ", ".join(plan.regions) or "none"
        raise NodeError(f"no service has a region {region!r}; regions: {known}")
    regions = {one.name: one for one in service.regions}
    if len(regions) < 2:
        raise NodeError(f"{service.name} has no other region than {region}: there is nowhere to fail over to")
    edge = edge_settings(config, next(iter(config.edges), "edge-1"))
    addresses = {address: one.name for one in regions.values() for address in (*one.ipv4, *one.ipv6)}
    return World(
        split(edge.dns_listen[0]), f"http://{edge.frontdoor_listen[0]}", service.name, doors, addresses,
        _places(regions, regions[region]),
    )  # fmt: skip


class DemoTarget:
    """The demo's cluster, broken below gslb."""

    def __init__(self, drill: demo.DrillCluster, asked: Asked) -> None:
        plan = compile_plan(drill.config, generation=1, region=None, geo=None)
        self._drill, self._asked = drill, asked
        self.world = _world(drill.config, plan, asked.region, drill.doors)
        self.admin = f"http://{edge_settings(drill.config, next(iter(drill.config.edges), 'edge-1')).admin}"

    def inject(self) -> str:
        """See Target."""
        return self._drill.inject(self._asked.kind, self._asked.region)

    def keep_injecting(self, since_s: float) -> None:
        """See Target."""
        self._drill.keep_injecting(self._asked.kind, self._asked.region, since_s)

    def heal(self) -> None:
        """See Target."""
        self._drill.heal(self._asked.kind, self._asked.region)


class LiveTarget:
    """A real cluster: an operator's word, which ends by itself should the drill die."""

    def __init__(self, config: Config, node: str, asked: Asked) -> None:
        plan = compile_plan(config, generation=1, region=None, geo=None)
        doors = {name: urlsplit(region.url).netloc for name, region in plan.regions.items()}
        self._asked, self.admin = asked, node
        self.world = _world(config, plan, asked.region, doors)

    def _say(self, action: str, **words: Any) -> None:
        try:
            who = getpass.getuser()
        except (KeyError, OSError):  # a user without a name
            who = "a drill"
        said = {"target": self._asked.region, "action": action, "author": who, "why": "a drill", **words}
        client.ask(self.admin, "/overrides", method="POST", body=said)

    def inject(self) -> str:
        """See Target."""
        self._say("drain" if self._asked.kind == "drain" else "down", **{"for": f"{int(self._asked.lasts_s) + 60}s"})
        return f"an operator's word: {self._asked.region} is {'draining' if self._asked.kind == 'drain' else 'down'}"

    def keep_injecting(self, since_s: float) -> None:
        """See Target: it lasts by itself."""

    def heal(self) -> None:
        """See Target."""
        self._say("auto")


# ---------------------------------------------------------------- pre-checks
def check(status: Mapping[str, Any], plan: Plan, asked: Asked, *, live: bool) -> list[str]:
    """What of a node's status speaks against losing the region now; a demo's alerts are of the drill before."""
    found = [
        f"region {name} is {one['state']}: {one['why']}"
        for name, one in status.get("regions", {}).items()
        if one["state"] != "up"
    ]
    found += [f"the node is {name}" for name in ("stale", "isolated") if status.get(name)]
    found += [
        f"an override is in force: {one['action']} {one['target']} by {one['author']}"
        for one in status.get("overrides", ())
    ]
    found += [f"an alert is not quiet: {one['rule']} {one['subject']}" for one in status.get("alerts", ()) if live]
    alike = any(not region.capacity for region in plan.regions.values())
    weights = {name: 1.0 if alike else region.capacity for name, region in plan.regions.items()}
    left = 1 - weights.get(asked.region, 0.0) / (sum(weights.values()) or 1.0)
    if left < asked.min_capacity:
        found.append(f"{left:.0%} of the capacity would be left, wanted are {asked.min_capacity:.0%}")
    return found


def _ready(target: Target, plan: Plan, asked: Asked, *, live: bool) -> None:
    """Waits until nothing speaks against it, but not for a real cluster. Raises PreCheckFailed."""
    deadline = time.monotonic() + (0.0 if live else READY_S)
    while True:
        try:
            against = check(client.ask(target.admin, "/status"), plan, asked, live=live)
        except (client.NodeSilent, client.NodeRefused) as error:
            against = [str(error)]
        if not against:
            return
        if time.monotonic() >= deadline:
            raise PreCheckFailed("; ".join(against))
        time.sleep(0.2)


@contextlib.contextmanager
def _silenced(target: Target, asked: Asked) -> Iterator[None]:
    """Alerts tell nobody while a drill runs; where an operator has silenced them all, that stays."""
    already = False
    with contextlib.suppress(client.NodeSilent, client.NodeRefused):
        already = any(one["rule"] == "*" for one in client.ask(target.admin, "/alerts").get("silences", ()))
    if already:
        yield
        return
    for_s = asked.lasts_s + RECOVER_MAX_S + 60
    words = {"rule": "*", "for_s": for_s, "why": f"a drill of {asked.region}", "author": "gslb drill"}
    with contextlib.suppress(client.NodeSilent, client.NodeRefused):  # an older node
        client.ask(target.admin, "/silence", method="POST", body=words)
    try:
        yield
    finally:
        with contextlib.suppress(client.NodeSilent, client.NodeRefused):
            client.ask(target.admin, "/silence", method="POST", body={"rule": "*", "for_s": 0})


# ---------------------------------------------------------------- one drill
def drill(target: Target, plan: Plan, asked: Asked, say: Say, *, live: bool) -> tuple[Report, Drill]:
    """One drill of a running target. The fault is always ended. Raises PreCheckFailed."""
    say("checking that the cluster is whole")
    _ready(target, plan, asked, live=live)
    prober = Prober(target.world)

    def state() -> str:
        try:
            known = client.ask(target.admin, "/status")["regions"]
        except (client.NodeSilent, client.NodeRefused):
            return ""
        return str(known.get(asked.region, {}).get("state", ""))

    aborted, how = "", ""
    with _silenced(target, asked):
        prober.start(state)
        time.sleep(BEFORE_S)
        began = time.monotonic()
        try:
            how = target.inject()
            say(f"{asked.region}: {how}")
            while (since_s := time.monotonic() - began) < asked.lasts_s:
                target.keep_injecting(since_s)
                success = prober.success(SUCCESS_OVER_S) if live and since_s > SUCCESS_OVER_S else 1.0
                if success < asked.abort_below:
                    aborted = f"aborted after {since_s:.1f} s: {success:.0%} of the requests were served"
                    say(aborted)
                    break
                time.sleep(STEP_S)
        finally:
            ended = time.monotonic()
            target.heal()
        say("the fault has ended; waiting for answers to come back")
        _recovered(prober, asked.region, ended)
        prober.stop()
    seen = _seen(prober, asked, began, ended, how, aborted)
    return judge(seen), seen


def _recovered(prober: Prober, region: str, ended: float) -> None:
    """Waits until answers lead to the region again, for a bounded time."""
    deadline = time.monotonic() + RECOVER_MAX_S
    while time.monotonic() < deadline:
        last = [one.region for one in prober.answers[-10:] if one.at > ended]
        if len(last) >= 6 and all(one == region for one in last):
            return
        time.sleep(STEP_S)


def _seen(prober: Prober, asked: Asked, began: float, ended: float, how: str, aborted: str) -> Drill:
    """What the clients saw, from the moment of the fault on."""
    return Drill(
        region=asked.region,
        kind=asked.kind,
        lasted_s=ended - began,
        answers=sorted((replace(one, at=one.at - began) for one in prober.answers), key=lambda one: one.at),
        requests=sorted((replace(one, at=one.at - began) for one in prober.requests), key=lambda one: one.at),
        states=[(at - began, state) for at, state in prober.states],
        how=how,
        aborted=aborted,
    )


def demo_drills(directory: Path, asked: Asked, say: Say, runs: int = 1) -> Iterator[tuple[Report, Drill]]:
    """Drills of the demo's cluster, on one cluster one after another; but a Redis that is lost is lost."""
    if asked.kind not in DEMO_KINDS:
        raise NodeError(f"{asked.kind!r} is no kind of drill here; known: {', '.join(DEMO_KINDS)}")
    needs_redis = asked.kind in {"redis-loss", "partition"}
    left = runs
    while left:
        at_once = 1 if asked.kind == "redis-loss" else left
        say("starting the cluster")
        with demo.running(directory, wants_redis=needs_redis) as whole:
            target = DemoTarget(whole, asked)
            plan = compile_plan(whole.config, generation=1, region=None, geo=None)
            for _ in range(at_once):
                yield drill(target, plan, asked, say, live=False)
        left -= at_once
