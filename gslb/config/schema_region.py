"""The models of a region's file. See schema.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, Field, PlainValidator

from gslb.balancing.algorithm import ALGORITHMS
from gslb.config import plugins
from gslb.config.schema_cluster import LISTENS_MAX, PROXIES_MAX
from gslb.config.values import (
    PORT_MAX,
    Address,
    Hint,
    HostName,
    Listen,
    LongTime,
    Name,
    Network,
    RoutePath,
    Section,
    ServerHost,
    ServerId,
    ShortTime,
    Unbuilt,
    Url,
    Workers,
    refusal,
)
from gslb.health.check import CHECKS
from gslb.units import Share

ADDRESSES_MAX = 64
ROUTES_MAX = 10_000
POOLS_MAX = 1000
SERVERS_MAX = 100_000
WEIGHT_MAX = 10_000

_COUNTRY = re.compile(r"[A-Z]{2}")


def _country(text: str) -> str:
    if not _COUNTRY.fullmatch(text):
        raise refusal(f"{text!r} is no country", "write its two-letter ISO 3166-1 code in capitals, as IE")
    return text


class LocationSection(Section):
    """Where a region is."""

    latitude: Annotated[float, Ge(-90), Le(90)] = Field(description="degrees north")
    longitude: Annotated[float, Ge(-180), Le(180)] = Field(description="degrees east")
    country: Annotated[str, AfterValidator(_country), Hint("ISO 3166-1 code")] | None = Field(
        None, description="the country, for people who read a decision"
    )


# ---------------------------------------------------------------- routes
class MatchSection(Section):
    """Which requests a route takes; what is left out matches all."""

    host: HostName | None = Field(None, description="a host name; a service's also matches by this region's `url`")
    path: RoutePath | None = Field(None, description="an exact path, or all below: `/api/*`")
    method: Annotated[Any, Unbuilt("match on method")] = Field(None, description="request method")
    headers: Annotated[Any, Unbuilt("match on headers")] = Field(None, description="request headers")


class RouteSection(Section):
    """Sends requests to a pool; the first route that matches counts."""

    match: MatchSection = Field(MatchSection(), description="which requests; `{}` is all")
    pool: Name = Field(description="the pool that serves them")
    weight: Annotated[Any, Unbuilt("weighted routes")] = Field(None, description="share of the requests")
    canary: Annotated[Any, Unbuilt("canary routes")] = Field(None, description="a second pool for some requests")


# ---------------------------------------------------------------- pools
class ServerSection(Section):
    """One backend."""

    id: ServerId | None = Field(None, description="its name in status, logs and sessions; else `host:port`")
    host: ServerHost = Field(description="where it is")
    port: Annotated[int, Ge(1), Le(PORT_MAX)] = Field(description="its port")
    weight: Annotated[int, Ge(0), Le(WEIGHT_MAX)] = Field(
        1, description="its share relative to the others; 0 takes no new requests"
    )
    max_connections: Annotated[int, Ge(0), Le(1_000_000)] = Field(
        0, description="requests it serves at once, per worker; 0 is no limit"
    )

    @property
    def name(self) -> str:
        """`id`, or what stands for it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.id or f"{host}:{self.port}"


class HealthTimes(Section):
    """When a pool's servers are checked, whatever the check."""

    interval: ShortTime = Field(2.0, description="time between checks of a server; a fifth of it while in doubt")
    timeout: ShortTime = Field(1.0, description="a check without a whole answer by then has failed")
    rise: Annotated[int, Ge(1), Le(100)] = Field(2, description="successes in a row that bring a server back")
    fall: Annotated[int, Ge(1), Le(100)] = Field(3, description="failures that take a server down")


@dataclass(frozen=True, slots=True)
class Health:
    """A check and when it runs."""

    check: Any
    times: HealthTimes


def _health(value: Any) -> Health:
    if not isinstance(value, Mapping):
        raise refusal("this is no check", f"write {{type: http, path: /health}}; types: {', '.join(CHECKS.known())}")
    beside = ("type", *HealthTimes.model_fields)
    times = {key: item for key, item in value.items() if key in HealthTimes.model_fields}
    options = {key: item for key, item in value.items() if key not in beside}
    built = plugins.together(
        lambda: plugins.build(
            CHECKS, value.get("type"), options, name_at=("type",), options_at=(), beside=beside
        ),
        lambda: plugins.validate(HealthTimes, times),
    )
    return Health(*built)


def _algorithm(value: Any) -> Any:
    return plugins.entry(ALGORITHMS, value)


class BreakerSection(Section):
    """When a pool's server is left alone for a while."""

    failures: Annotated[int, Ge(1), Le(10_000)] = Field(5, description="failures that open it")
    open_for: LongTime = Field(30.0, description="how long it stays open")
    half_open_probes: Annotated[int, Ge(1), Le(1000)] = Field(1, description="requests that try it again")


class StickySection(Section):
    """Keeps a client on its server."""

    by: str = Field("cookie", description="what a session is known by")
    ttl: LongTime = Field(3600.0, description="how long a session lasts")


class RetriesSection(Section):
    """What happens after a failed connect."""

    attempts: Annotated[int, Ge(1), Le(10)] = Field(
        2, description="tries for one request, the first included; a fresh server each, after failed connects only"
    )
    budget: Annotated[Share | None, Unbuilt("retries.budget")] = Field(
        None, description="most retries as a share of the active requests"
    )


class PoolSection(Section):
    """Servers that can stand in for each other."""

    servers: Annotated[tuple[ServerSection, ...], MinLen(1), MaxLen(SERVERS_MAX)] = Field(description="the backends")
    algorithm: Annotated[Any, PlainValidator(_algorithm), Hint("algorithm")] = Field(
        "round_robin", validate_default=True, description="how a server is picked: a name or `{name: {options}}`"
    )
    health: Annotated[Health | None, PlainValidator(_health), Hint("check")] = Field(
        None, description="how servers are checked; without it they count as up"
    )
    retries: RetriesSection = Field(RetriesSection(), description="what happens after a failed connect")
    breaker: Annotated[BreakerSection | None, Unbuilt("breaker")] = Field(None, description="circuit breaker")
    sticky: Annotated[StickySection | None, Unbuilt("sticky")] = Field(None, description="sticky sessions")


# ---------------------------------------------------------------- the balancer
class TimeoutsSection(Section):
    """Bounds on one request through the proxy."""

    connect: ShortTime = Field(2.0, description="to connect to a server")
    first_byte: LongTime = Field(30.0, description="from the request's end to the response's first byte")
    idle: LongTime = Field(60.0, description="without a byte either way")
    head: ShortTime = Field(10.0, description="for a client to send its request's head")
    keepalive: LongTime = Field(75.0, description="between two requests of a client")


class BalancerSection(Section):
    """The proxy of a region's nodes."""

    workers: Workers = Field("auto", description="data processes; `auto`: one per core; 0: everything in one process")
    listen: Annotated[tuple[Listen, ...], MinLen(1), MaxLen(LISTENS_MAX)] = Field(description="where HTTP is served")
    admin: Listen = Field("127.0.0.1:9471", description="where the admin API and `/metrics` are")
    trusted_proxies: Annotated[tuple[Network, ...], MaxLen(PROXIES_MAX)] = Field(
        (), description="peers whose X-Forwarded-For and Forwarded are believed"
    )
    timeouts: TimeoutsSection = Field(TimeoutsSection(), description="bounds on one request")
    routes: Annotated[tuple[RouteSection, ...], MaxLen(ROUTES_MAX)] = Field(
        (), description="which pool serves what, in order; without any, the only pool serves all"
    )
    pools: Annotated[dict[Name, PoolSection], MinLen(1), MaxLen(POOLS_MAX)] = Field(description="the pools by name")
    tls: Annotated[Any, Unbuilt("tls (HTTPS)")] = Field(None, description="HTTPS")


class RegionFile(Section):
    """A region's file: where it is, how clients reach it, what it balances."""

    region: Name = Field(description="the region's name")
    location: LocationSection = Field(description="where it is")
    addresses: Annotated[tuple[Address, ...], MinLen(1), MaxLen(ADDRESSES_MAX)] = Field(
        description="the addresses DNS gives out, IPv4 and IPv6"
    )
    url: Url = Field(description="where the front door sends clients, and where edges probe")
    capacity: Annotated[float, Ge(0), Le(1e9)] = Field(0.0, description="requests a second it can hold; 0 is not said")
    balancer: BalancerSection = Field(description="the region's proxy")
