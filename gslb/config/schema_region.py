"""The models of a region's file. See schema.py."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, Field

from gslb.config.schema_cluster import LISTENS_MAX, PROXIES_MAX
from gslb.config.schema_limits import LIMITS_MAX, LimitSection, SheddingSection
from gslb.config.schema_listen import ListenSection
from gslb.config.schema_pool import PoolSection
from gslb.config.schema_registry import RegistrySection
from gslb.config.schema_routes import RouteSection
from gslb.config.values import (
    Address,
    Hint,
    Listen,
    LongTime,
    Name,
    Network,
    RedisUrl,
    Section,
    ShortTime,
    Url,
    Workers,
    refusal,
)

ADDRESSES_MAX = 64
ROUTES_MAX = 10_000
POOLS_MAX = 1000

UPGRADES_MAX = 16

_PROTOCOL = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,32}(/[a-z0-9!#$%&'*+.^_`|~-]{1,32})?")
_COUNTRY = re.compile(r"[A-Z]{2}")


def _country(text: str) -> str:
    if not _COUNTRY.fullmatch(text):
        raise refusal(f"{text!r} is no country", "write its two-letter ISO 3166-1 code in capitals, as IE")
    return text


def _protocol(text: str) -> str:
    if not _PROTOCOL.fullmatch(text):
        raise refusal(f"{text!r} is no protocol name", "write it in lower case as Upgrade has it: websocket")
    if text in ("h2c", "tls", "http"):
        raise refusal(f"{text} can't be passed on", "its requests would go by unseen; speak HTTP/1.1 here")
    return text


Protocol = Annotated[str, AfterValidator(_protocol), Hint("protocol")]


class LocationSection(Section):
    """Where a region is."""

    latitude: Annotated[float, Ge(-90), Le(90)] = Field(description="degrees north")
    longitude: Annotated[float, Ge(-180), Le(180)] = Field(description="degrees east")
    country: Annotated[str, AfterValidator(_country), Hint("ISO 3166-1 code")] | None = Field(
        None, description="the country, for people who read a decision"
    )


# ---------------------------------------------------------------- the balancer
class TimeoutsSection(Section):
    """Bounds on one request through the proxy."""

    connect: ShortTime = Field(2.0, description="to connect to a server")
    first_byte: LongTime = Field(30.0, description="from the request's end to the response's first byte")
    idle: LongTime = Field(60.0, description="without a byte either way")
    head: ShortTime = Field(10.0, description="for a client to send its request's head")
    keepalive: LongTime = Field(75.0, description="between two requests of a client")
    total: LongTime | None = Field(None, description="from a request's head to the response's end; none unless said")
    tunnel: LongTime = Field(3600.0, description="without a byte either way, on a WebSocket or another tunnel")


class BalancerSection(Section):
    """The proxy of a region's nodes."""

    workers: Workers = Field("auto", description="data processes; `auto`: one per core; 0: everything in one process")
    listen: Annotated[tuple[ListenSection, ...], MinLen(1), MaxLen(LISTENS_MAX)] = Field(
        description="where HTTP is served: `address:port`, or a mapping"
    )
    admin: Listen = Field("127.0.0.1:9471", description="where the admin API and `/metrics` are")
    zone: Name | None = Field(None, description="where this balancer stands: servers of that `zone` are preferred")
    trusted_proxies: Annotated[tuple[Network, ...], MaxLen(PROXIES_MAX)] = Field(
        (), description="peers whose X-Forwarded-For and Forwarded are believed"
    )
    upgrades: Annotated[tuple[Protocol, ...], MaxLen(UPGRADES_MAX)] = Field(
        ("websocket",), description="protocols that a client's connection may be switched to; `[]`: none"
    )
    timeouts: TimeoutsSection = Field(TimeoutsSection(), description="bounds on one request")
    routes: Annotated[tuple[RouteSection, ...], MaxLen(ROUTES_MAX)] = Field(
        (), description="which pool serves what, in order; without any, the only pool serves all"
    )
    limits: Annotated[dict[Name, LimitSection], MaxLen(LIMITS_MAX)] = Field(
        {}, description="limits by name: rates, concurrency; see docs/limits.md"
    )
    limits_redis: RedisUrl | None = Field(
        None, description="the Redis that `scope: shared` leases from; without it the first of `state.redis`"
    )
    stragglers: Literal["proxy", "redirect", "refuse"] = Field(
        "proxy", description="what becomes of requests while the region drains, or has no servers left: they are "
        "proxied to the region that is next for their client, redirected there, or served and refused here"
    )
    shedding: SheddingSection | None = Field(None, description="who is refused first under too much load")
    pools: Annotated[dict[Name, PoolSection], MinLen(1), MaxLen(POOLS_MAX)] = Field(description="the pools by name")
    registry: RegistrySection = Field(RegistrySection(), description="servers at run time, and what servers did")


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
