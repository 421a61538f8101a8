"""Which server: a balancer with its pools and servers. Everybody imports these from `gslb.model`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gslb.model.guarding import BreakerRule, OutlierRule, SlowStart
from gslb.model.limits import Limits
from gslb.model.listening import ServerTls
from gslb.model.routing import Route
from gslb.model.scaling import ScalingRule
from gslb.model.steering import Service

_TLS = ServerTls()  # of a server that is asked to be spoken to by HTTPS in a pool without TLS


@dataclass(frozen=True, slots=True)
class Server:
    """One backend of a pool. `max_connections` 0 is no limit.

    `draining`: no new requests, what runs is finished. `health`: its own check, where it isn't the pool's. `protocol`:
    "http" or "https" where it isn't the pool's. `priority`: those of a greater one are used while none of a lesser is
    available. `zone`: where it stands. `scale`: in how many parts its `weight` is told, 100 where an operator
    has changed one of its pool. As a worker gives it to a request it also says under which `epoch` of
    its breaker that request begins, and by which `lease` if it tries a half-open server (0: by none).
    """

    id: str
    host: str
    port: int
    weight: int = 1
    max_connections: int = 0
    priority: int = 0
    zone: str = ""
    draining: bool = False
    health: HealthCheck | None = None
    protocol: str = ""
    scale: int = 1
    epoch: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a pool's servers are checked: `check` is a registered check's dataclass; times in seconds.

    `url` (scheme, host and port) is asked in place of the server's own address; "" is that address. `initial`:
    "unknown", "up" or "down", what a server is until its checks decide. `rise_max`: see health/tracker.py.
    """

    check: Any
    interval_s: float = 2.0
    timeout_s: float = 1.0
    rise: int = 2
    fall: int = 3
    url: str = ""
    initial: str = "unknown"
    rise_max: int | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """When a request is tried again: see balancing/exchange.py.

    `attempts` counts the first. `on` holds "connect", "reset", "timeout", "status"; `statuses` those that "status"
    means. `per_try_s` bounds one try, 0: only the whole request is bounded. `hedge_s`: see http/hedging.py.
    """

    attempts: int = 2
    on: frozenset[str] = frozenset({"connect"})
    statuses: frozenset[int] = frozenset()
    budget: float = 0.2
    per_try_s: float = 0.0
    backoff_s: float = 0.025
    backoff_max_s: float = 0.25
    hedge_s: float = 0.0  # 0: requests are not hedged


@dataclass(frozen=True, slots=True)
class Sticky:
    """What keeps a client on its server: see balancing/sticky.py.

    `by`: "cookie" (our own, called `name`), or a key as balancing/keys.py reads it, or "learned:NAME", a cookie that
    servers set. `failback_s`: how long after it has moved a session may go back to where it began. `domain`: whose
    hosts see the cookie; "" is the one that was asked alone.
    """

    by: str = "cookie"
    name: str = "gslb"
    ttl_s: float = 3600.0
    failback_s: float = math.inf
    same_site: str = "Lax"
    domain: str = ""


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """A pool's session cookie that the front door of a service sees, too."""

    name: str
    pool: str
    failback_s: float
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Queue:
    """Where requests wait while all servers are at their max_connections: `size` of each worker, for `timeout_s`."""

    size: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Discovery:
    """Servers by DNS: records of `kind` ("A", "AAAA" or "SRV") of `name`; `port` of the first two.

    `resolvers`: (address, port), () is what the system asks. Asked again after the TTL, within `least_s` and `most_s`.
    """

    name: str
    kind: str = "A"
    port: int = 0
    resolvers: tuple[tuple[str, int], ...] = ()
    least_s: float = 5.0
    most_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Agent:
    """Where a program beside each server says how it is: `path` by HTTP at the server's host and this `port`.

    `text`: it says a line instead (health/agent_text.py), once it was sent `send`.
    """

    port: int
    path: str = "/"
    interval_s: float = 2.0
    timeout_s: float = 1.0
    text: bool = False
    send: bytes = b""


@dataclass(frozen=True, slots=True)
class Connections:
    """Kept-alive connections of each worker to one server: most idle ones, ones kept ready, how old one may get."""

    idle: int = 256
    warm: int = 0
    lifetime_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Servers that can stand in for each other. `algorithm` is a registered algorithm's dataclass.

    `tls` None is plain; `proxy_protocol` is the header that each connection to a server begins with, "" is none.
    `panic_threshold`: with a smaller share of servers available, `panic` says: "all" get requests, or "fail": none.
    """

    name: str
    servers: tuple[Server, ...]
    algorithm: Any
    health: HealthCheck | None = None
    retries: Retries = Retries()
    sticky: Sticky | None = None
    tls: ServerTls | None = None
    proxy_protocol: Literal["", "v1", "v2"] = ""
    breaker: BreakerRule | None = None
    outliers: OutlierRule | None = None
    panic_threshold: float = 0.0  # 0.0: never
    panic: str = "all"
    slow_start: SlowStart | None = None
    limits: tuple[str, ...] = ()  # names of limits that its requests must pass
    queue: Queue | None = None
    zone: str = ""  # the balancer's own, where it prefers servers of it
    connections: Connections = Connections()
    scaling: ScalingRule | None = None
    discovery: Discovery | None = None
    agent: Agent | None = None
    zone_share: float = 1.0  # of the zone's servers that must be available for the others to be left alone

    @property
    def wants_reports(self) -> bool:
        """Whether what servers say of their load decides anything."""
        return bool(getattr(self.algorithm, "reports", False)) or (self.scaling is not None and self.scaling.by_cpu)

    @property
    def bounds_loads(self) -> bool:
        """Whether its algorithm goes by how much each server has running (bounded loads)."""
        return bool(getattr(self.algorithm, "balance_factor", 0.0))

    @property
    def guarded(self) -> bool:
        """Whether the outcome of its requests decides anything."""
        return self.breaker is not None or self.outliers is not None

    def tls_to(self, server: Server) -> ServerTls | None:
        """How TLS is spoken to a server of this pool; None is plain."""
        if server.protocol == "https":
            return self.tls or _TLS
        return None if server.protocol == "http" else self.tls


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds on one request, in seconds."""

    connect_s: float = 2.0
    first_byte_s: float = 30.0
    idle_s: float = 60.0
    head_s: float = 10.0
    keepalive_s: float = 75.0
    tunnel_s: float = 3600.0
    total_s: float = 0.0  # 0: no bound


@dataclass(frozen=True, slots=True)
class Stragglers:
    """Requests that come to a region which drains or has no servers left, and the other regions that may have them.

    Attributes:
        mode: "proxy" them there, "redirect" the client, or "refuse": they are answered here.
        services: the region's, each without this region; those that no other region with a URL serves are not here.
        pools: of regions in place of servers (a server's id is its region's name), by the pool's name.
        pool_of: by service, the name of its pool.
        own: the service that is meant by requests that name the region itself.
    """

    mode: Literal["proxy", "redirect", "refuse"] = "proxy"
    services: Mapping[str, Service] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    pool_of: Mapping[str, str] = field(default_factory=dict)
    own: str = ""


@dataclass(frozen=True, slots=True)
class Balancer:
    """A region node's proxy: which region it is, its routes in order, its pools by name."""

    region: str
    routes: tuple[Route, ...]
    pools: Mapping[str, Pool]
    timeouts: Timeouts = Timeouts()
    trusted_proxies: tuple[str, ...] = ()
    upgrades: tuple[str, ...] = ("websocket",)  # protocols that a connection may be switched to
    max_head_bytes: int = 32_768
    limits: Limits = field(default_factory=Limits)
    stragglers: Stragglers = field(default_factory=Stragglers)

    @property
    def server_tls(self) -> set[ServerTls]:
        """Every way in which TLS is spoken to servers."""
        found = {pool.tls for pool in self.pools.values()}
        others = (*self.pools.values(), *self.stragglers.pools.values())
        found |= {pool.tls_to(server) for pool in others for server in pool.servers if server.protocol}
        return {tls for tls in found if tls is not None}
