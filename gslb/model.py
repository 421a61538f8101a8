"""The nouns that every room shares: frozen values without behaviour beyond what their fields imply.

Nothing here does I/O or knows a clock; any room may import this module, and it imports only the standard library.
The data plane reads one immutable `World`: a `Plan` (configuration, zones, geo: rarely new) and a `Status` (which
regions and servers are up, drained or forced: small). Both are swapped whole.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


# ---------------------------------------------------------------- places
@dataclass(frozen=True, slots=True)
class Location:
    """A point on Earth in degrees, with what the GeoIP database says of it ("" where it says nothing)."""

    latitude: float
    longitude: float
    country: str = ""  # ISO 3166-1 alpha-2
    continent: str = ""  # AF AN AS EU NA OC SA
    subdivision: str = ""  # ISO 3166-2 without the country, as "CA" for California


@dataclass(frozen=True, slots=True)
class Region:
    """One region: where it is and how clients reach it. Addresses are canonical text, IPv4 and IPv6 apart."""

    name: str
    location: Location
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]
    url: str
    capacity: float = 0.0  # requests a second; 0: not said

    def addresses(self, family: int) -> tuple[str, ...]:
        """The published addresses of `family`, 4 or 6."""
        return self.ipv4 if family == 4 else self.ipv6

    @property
    def authority(self) -> str:
        """`host[:port]` of `url` in lower case, as a Host field names this region."""
        return urlsplit(self.url).netloc.lower()


# ---------------------------------------------------------------- who asks
@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, as far as steering may know: a place and the unit of a client hash.

    `unit` is the client's /24 (IPv4) or /48 (IPv6) as an integer that differs between the families. `location` is
    for traces only: what steers is the views, which are made from it.
    """

    unit: int
    location: Location | None = None


# ---------------------------------------------------------------- steering
class State(StrEnum):
    """What is known of a region or a server, best first."""

    UP = "up"
    UNKNOWN = "unknown"
    DRAINING = "draining"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region in the running for an answer, with its state."""

    region: Region
    state: State


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a decision's trace: at `stage` ("health", "nearest", …) `region` was kept or not, and why."""

    stage: str
    region: str
    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class Sifted:
    """What a policy returns: candidates ranked (best first) or sifted, and what that depends on.

    `hashed`: the client's hash unit decided, so the answer's scope is at least that unit.
    `alternatives`: ready orders to take in turn, at most 64 (`weighted` with `by: answer`); () is the usual one order.
    `address_limit`: more than 0 says that the candidates were cut to what one answer holds, and to how many addresses.
    """

    candidates: tuple[Candidate, ...]
    notes: tuple[Note, ...] = ()
    hashed: bool = False
    valid_until: float = math.inf
    alternatives: tuple[tuple[Candidate, ...], ...] = ()
    address_limit: int = 0


class Policy(Protocol):
    """One way to choose regions: a frozen dataclass whose fields are its options (see steering/policies/).

    A client's place enters only through `view`: what `classify` made of it from the Plan alone. That takes few
    values, so answers are decided once a class of clients, and two clients with equal views get equal answers.
    """

    name: ClassVar[str]

    def classify(self, location: Location | None, regions: tuple[Region, ...]) -> Hashable:
        """All that this policy will ever need of `location`; None if it looks at no location at all."""

    def apply(self, candidates: tuple[Candidate, ...], view: Hashable, client: Client) -> Sifted:
        """Ranks or sifts `candidates`; never returns none out of some."""


class WhenAllDown(StrEnum):
    """What an answer holds when no region of a service is up."""

    ALL = "all"
    PRIMARY = "primary"
    LAST_GOOD = "last_good"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Service:
    """A host name that is steered: its regions, its chain of policies, its TTLs in seconds."""

    name: str  # lower case, no trailing dot
    regions: tuple[Region, ...]
    chain: tuple[Policy, ...]
    ttl_min_s: float = 5.0
    ttl_max_s: float = 60.0
    when_all_down: WhenAllDown = WhenAllDown.ALL
    fallback: tuple[str, ...] = ()  # addresses, with when_all_down "fallback"


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer and why: the regions in answer order, or literal `addresses` when the fallback spoke.

    `alternatives`, when not (), are whole answers to take in turn. `outcome` is "steered", "draining" (only draining
    regions are left), "all_down" or "no_address" (no configured region has an address of the asked family).
    """

    service: str
    outcome: str
    regions: tuple[Region, ...]
    ttl_s: int
    hashed: bool = False
    valid_until: float = math.inf
    alternatives: tuple[tuple[Region, ...], ...] = ()
    addresses: tuple[str, ...] = ()
    address_limit: int = 8
    trace: tuple[Note, ...] = ()


# ---------------------------------------------------------------- zones
@dataclass(frozen=True, slots=True)
class Record:
    """One resource record of a zone as text: absolute lower-case owner without the last dot, RFC 1035 rdata."""

    owner: str
    type: str
    ttl_s: int
    data: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone we are the authority for. `nameservers` maps absolute host names to their glue addresses."""

    origin: str
    nameservers: Mapping[str, tuple[str, ...]]
    records: tuple[Record, ...]
    serial: int
    contact: str = "hostmaster"  # RNAME, relative to the origin
    ttl_s: int = 3600
    refresh_s: int = 3600
    retry_s: int = 600
    expire_s: int = 1_209_600
    minimum_s: int = 60


# ---------------------------------------------------------------- balancing
@dataclass(frozen=True, slots=True)
class Server:
    """One backend of a pool. `max_connections` 0 is no limit."""

    id: str
    host: str
    port: int
    weight: int = 1
    max_connections: int = 0


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a pool's servers are checked: `check` is a registered check's dataclass; times in seconds."""

    check: Any
    interval_s: float = 2.0
    timeout_s: float = 1.0
    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True)
class Pool:
    """Servers that can stand in for each other. `algorithm` is a registered algorithm's dataclass."""

    name: str
    servers: tuple[Server, ...]
    algorithm: Any
    health: HealthCheck | None = None
    attempts: int = 2  # the first included


@dataclass(frozen=True, slots=True)
class Route:
    """Sends requests to a pool. `hosts` () is any; `path` "" is any, a last `*` makes it a prefix."""

    pool: str
    hosts: tuple[str, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds on one request, in seconds."""

    connect_s: float = 2.0
    first_byte_s: float = 30.0
    idle_s: float = 60.0
    head_s: float = 10.0
    keepalive_s: float = 75.0


@dataclass(frozen=True, slots=True)
class Balancer:
    """A region node's proxy: which region it is, its routes in order, its pools by name."""

    region: str
    routes: tuple[Route, ...]
    pools: Mapping[str, Pool]
    timeouts: Timeouts = Timeouts()
    trusted_proxies: tuple[str, ...] = ()
    max_head_bytes: int = 32_768


# ---------------------------------------------------------------- the world
@dataclass(frozen=True, slots=True)
class GeoSource:
    """The GeoIP database: its path, and a stamp that changes when the file does."""

    path: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the configuration says, checked and compiled. `balancer` is there on region nodes only."""

    cluster: str
    generation: int
    regions: Mapping[str, Region]
    services: Mapping[str, Service]
    zones: Mapping[str, Zone]
    geo: GeoSource | None = None
    trusted_proxies: tuple[str, ...] = ()  # of the front door
    balancer: Balancer | None = None
    counters: Mapping[str, int] = field(default_factory=dict)  # series name -> slot, see telemetry.py


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """What steers of a region, and the one line that says why.

    `forced`: an operator said so. `changes_in_s`: the soonest that the state could change while it is moving, None
    while nothing moves (TTLs follow it).
    """

    state: State
    why: str = ""
    forced: bool = False
    changes_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Which regions and servers are up. `servers` is keyed by `pool/server id` and holds what isn't UP only.

    `generation` changes whenever something that steers does, and only then (engine.py's `steers`). `last_good`: by
    service, the regions that were up when any was, for `when_all_down: last_good`. `stale`: last known, not fresh.
    """

    generation: int = 0
    regions: Mapping[str, RegionStatus] = field(default_factory=dict)
    servers: Mapping[str, State] = field(default_factory=dict)
    last_good: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    draining: bool = False  # this node is draining
    stale: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """All that the data plane reads, swapped whole."""

    plan: Plan
    status: Status
