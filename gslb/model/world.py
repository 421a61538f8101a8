"""What the data plane reads: Plan and Status. Everybody imports these from `gslb.model`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gslb.model.balancing import Balancer, SessionCookie
from gslb.model.guarding import BreakerState
from gslb.model.listening import Listener
from gslb.model.places import Region
from gslb.model.steering import Service, State, Zone


@dataclass(frozen=True, slots=True)
class GeoSource:
    """The GeoIP database: its path, and a stamp that changes when the file does."""

    path: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the configuration says, checked and compiled. `balancer` is there on region nodes only.

    `listeners` are this node's for HTTP: an edge's front door, or a region's proxy.
    """

    cluster: str
    generation: int
    regions: Mapping[str, Region]
    services: Mapping[str, Service]
    zones: Mapping[str, Zone]
    geo: GeoSource | None = None
    trusted_proxies: tuple[str, ...] = ()  # of the front door
    balancer: Balancer | None = None
    session_secret: bytes = field(default=b"", repr=False)  # signs session cookies; the same on every node
    session_cookies: Mapping[str, tuple[SessionCookie, ...]] = field(default_factory=dict)  # by service
    listeners: tuple[Listener, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)  # series name -> slot, see telemetry.py


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """What steers of a region, and the one line that says why.

    `forced`: an operator said so. `changes_in_s`: the soonest that the state could change while it is moving, None
    while nothing moves (TTLs follow it). `share`: how much of its clients it can have, below 1 while it says so itself
    or an operator does; the others go where they would if it were not there.
    """

    state: State
    why: str = ""
    forced: bool = False
    changes_in_s: float | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Status:
    """Which regions and servers are up. `servers` is keyed by `pool/server id` and holds what isn't UP only.

    `breakers` is keyed alike, and holds the servers whose breaker has ever left its first position, or that were
    ejected: a closed one stays, since its epoch tells late results from new ones.

    `generation` changes whenever something that steers does, and only then (engine.py's `steers`). `last_good`: by
    service, the regions that were up when any was, for `when_all_down: last_good`. `stale`: last known, not fresh.
    `services`: by `service@region`, what an operator said of a service there; it goes before the region's own.
    `share`: of its clients that this region's node can have, see health/share.py.
    """

    generation: int = 0
    regions: Mapping[str, RegionStatus] = field(default_factory=dict)
    servers: Mapping[str, State] = field(default_factory=dict)
    last_good: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    draining: bool = False  # this node is draining
    stale: bool = False
    breakers: Mapping[str, BreakerState] = field(default_factory=dict)
    services: Mapping[str, RegionStatus] = field(default_factory=dict)
    share: float = 1.0

    def of(self, service: str, region: str) -> RegionStatus | None:
        """What holds of a region for a service; None if nothing is known."""
        said = self.services.get(f"{service}@{region}") if self.services else None
        return said or self.regions.get(region)


@dataclass(frozen=True, slots=True)
class World:
    """All that the data plane reads, swapped whole."""

    plan: Plan
    status: Status
