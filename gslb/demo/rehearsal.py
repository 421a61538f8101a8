"""The rehearsal behind `gslb demo --once`: loses a region for real, and times what clients see.

The backends of a region are killed (SIGKILL) below the code under test; nothing tells gslb. Each step is named,
holds or fails by itself, and says what was seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gslb.config.compile import edge_settings
from gslb.demo.clients import PLACES, NoAnswer, Place, ask, get
from gslb.demo.cluster import Cluster
from gslb.errors import GslbError
from gslb.geo.distance import distance_km
from gslb.model import Location, Region
from gslb.node.listen import split

READY_S = 20.0
LOST_S = 8.0
BACK_S = 45.0
POLL_S = 0.05


class StepFailed(GslbError):
    """A step of the rehearsal did not hold; says what was seen."""


@dataclass(slots=True)
class Step:
    """One step's outcome; `seconds` is how long it took, `figures` what it measured."""

    name: str
    ok: bool
    seconds: float
    detail: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """The whole rehearsal."""

    ok: bool
    region: str
    steps: list[Step]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class Rehearsal:
    """Runs the steps against a running cluster. `say` is told each step as it ends."""

    def __init__(self, cluster: Cluster, regions: dict[str, Region], service: str, say: Callable[[Step], None]) -> None:
        edge = edge_settings(cluster.config, cluster.edges[0])
        self._cluster, self._regions, self._service, self._say = cluster, regions, service, say
        self._dns = split(edge.dns_listen[0])
        self._front, self._admin = f"http://{edge.frontdoor_listen[0]}", f"http://{edge.admin}"
        self._lost: Region | None = None
        self._near: Place = PLACES[0]

    def run(self) -> Report:
        """Every step in order; the first that fails ends it, but the cluster is left whole."""
        plan: list[tuple[str, Callable[[Step], None]]] = [
            ("DNS and front door answer", self._ready),
            (f"clients of {len(PLACES)} countries get the nearest region from DNS", self._countries),
            ("the front door leads to a region and on to a backend of it", self._follow),
            ("the region's backends are killed: DNS and front door move away", self._lose),
            ("every client still gets a living region", self._without),
            ("the backends are back: DNS and front door return", self._return),
        ]
        steps: list[Step] = []
        for name, action in plan:
            step = Step(name, ok=True, seconds=0.0, detail="")
            started = time.monotonic()
            try:
                action(step)
            except (StepFailed, NoAnswer) as error:
                step.ok, step.detail = False, str(error)
            step.seconds = round(time.monotonic() - started, 3)
            steps.append(step)
            self._say(step)
            if not step.ok:
                break
        whole = len(steps) == len(plan) and all(step.ok for step in steps)
        return Report(whole, self._lost.name if self._lost else "", steps)

    # ------------------------------------------------------------ what clients see
    def _dns_region(self, place: Place | None) -> str:
        """The region that DNS names for a client in `place`."""
        addresses, _, _ = ask(self._dns, self._service, "A", place.subnet if place else None)
        for region in self._regions.values():
            if addresses and addresses[0] in region.ipv4:
                return region.name
        raise NoAnswer(f"DNS gives {addresses or 'no address'}, which no region publishes")

    def _front_region(self) -> tuple[str, str]:
        """The region that the front door names, and the URL it gives."""
        page = get(f"{self._front}/hello?from=rehearsal", host=self._service)
        location = page.headers.get("location", "")
        if page.status != 302 or not location:
            raise NoAnswer(f"the front door answers {page.status} without a Location")
        return page.headers.get("x-gslb-region", ""), location

    def _nearest(self, place: Place, among: Iterable[Region]) -> Region:
        where = Location(place.latitude, place.longitude)
        return min(among, key=lambda region: distance_km(where, region.location))

    def _answers(self, among: Iterable[Region]) -> dict[str, str]:
        """By country, the region that DNS names. Raises NoAnswer, with the why, if it isn't the nearest of `among`."""
        found, regions = {}, tuple(among)
        for place in PLACES:
            wanted, got = self._nearest(place, regions).name, self._dns_region(place)
            if wanted != got:
                known = get(f"{self._admin}/status").json()["regions"][wanted]
                rests = [f"{source}: {one['says']}, {one['age_s']} s ago" for source, one in known["evidence"].items()]
                says = f"{known['state']}, {known['why']} ({'; '.join(rests)})"
                raise NoAnswer(f"{place.country} gets {got}; nearest is {wanted}, of which the edge says: {says}")
            found[place.country] = got
        return found

    def _until(self, deadline_s: float, what: str, seen: Callable[[], bool]) -> float:
        """Seconds until `seen` is true. Raises StepFailed at the deadline."""
        started = time.monotonic()
        last = ""
        while (waited := time.monotonic() - started) < deadline_s:
            self._cluster_alive()
            try:
                if seen():
                    return round(waited, 3)
            except NoAnswer as error:
                last = f" ({error})"
            time.sleep(POLL_S)
        raise StepFailed(f"{what} not seen within {deadline_s:.0f} s{last}")

    def _cluster_alive(self) -> None:
        for name in (*self._regions, *self._cluster.edges):
            member = self._cluster.members[name]
            if not member.running:
                raise StepFailed(f"{name} ended: {self._cluster.log_tail(name) or 'no output'}")

    # ------------------------------------------------------------ the steps
    def _ready(self, step: Step) -> None:
        def all_up() -> bool:
            self._answers(self._regions.values())
            return self._backend_ok() and self._every_region_is_up()

        step.figures["ready_s"] = self._until(READY_S, "a right answer for every client", all_up)
        step.detail = f"after {step.figures['ready_s']:.1f} s"

    def _every_region_is_up(self) -> bool:
        """By the edge's own word: while it knows nothing of any, its answers are right by chance, and then change."""
        known = get(f"{self._admin}/status").json()["regions"]
        return all(known.get(name, {}).get("state") == "up" for name in self._regions)

    def _backend_ok(self) -> bool:
        name, location = self._front_region()
        return name in self._regions and get(location).status == 200

    def _countries(self, step: Step) -> None:
        found = self._answers(self._regions.values())
        step.detail = ", ".join(f"{country} → {name}" for country, name in found.items())

    def _follow(self, step: Step) -> None:
        name, location = self._front_region()
        parts = urlsplit(location)
        region = self._regions.get(name)
        if region is None or f"{parts.scheme}://{parts.netloc}" != region.url or parts.query != "from=rehearsal":
            raise StepFailed(f"the front door leads to {location} and calls it {name!r}")
        said = get(location).json()
        if said.get("region") != name or said.get("path") != "/hello?from=rehearsal":
            raise StepFailed(f"{location} was answered by {said}")
        self._lost = region
        near = [place for place in PLACES if self._nearest(place, self._regions.values()) is region]
        if not near or len(self._regions) < 2:
            raise StepFailed(f"no sample client is nearest to {name}, or it is the only region")
        self._near = near[0]
        step.detail = f"{location} answered by {said.get('server')} of {name}"

    def _lose(self, step: Step) -> None:
        lost = self._lost
        assert lost is not None
        self._cluster.kill(f"{lost.name}-backends")
        self._moved(step, LOST_S, "away from", lambda name: name != lost.name)

    def _moved(self, step: Step, deadline_s: float, word: str, right: Callable[[str], bool]) -> None:
        """Times DNS and front door on their own, in one loop, so that neither waits for the other."""
        lost = self._lost
        assert lost is not None
        times: dict[str, float] = {}
        started = time.monotonic()

        def both() -> bool:
            if "dns_s" not in times and right(self._dns_region(self._near)):
                times["dns_s"] = round(time.monotonic() - started, 3)
            if "front_door_s" not in times and right(self._front_region()[0]):
                times["front_door_s"] = round(time.monotonic() - started, 3)
            return len(times) == 2

        self._until(deadline_s, f"both {word} {lost.name}", both)
        step.figures.update(times)
        step.detail = f"DNS after {times['dns_s']:.2f} s, front door after {times['front_door_s']:.2f} s"

    def _without(self, step: Step) -> None:
        left = [region for region in self._regions.values() if region is not self._lost]
        settled = self._until(LOST_S, "the nearest region left, for every client,", lambda: bool(self._answers(left)))
        step.figures["settled_s"] = settled
        name, location = self._front_region()
        page = get(location)
        if page.status != 200 or page.json().get("region") != name:
            raise StepFailed(f"{location} answers {page.status}")
        step.detail = f"{len(PLACES)} countries, and {location}"

    def _return(self, step: Step) -> None:
        lost = self._lost
        assert lost is not None
        self._cluster.start(f"{lost.name}-backends")
        self._moved(step, BACK_S, "back at", lambda name: name == lost.name)
