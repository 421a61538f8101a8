"""A region's file -> its Balancer: pools, servers, what holds for all. Pure; only compile.py calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gslb.config.compile_limits import compile_limits
from gslb.config.compile_listen import compile_server_tls
from gslb.config.compile_routes import compile_route
from gslb.config.compile_stragglers import compile_stragglers
from gslb.config.schema import (
    BalancerSection,
    PoolSection,
    RegionFile,
    RetriesSection,
    StickySection,
    TimeoutsSection,
)
from gslb.config.schema_discovery import DiscoverSection
from gslb.config.schema_pool import AgentSection
from gslb.health.checks.tcp import unescaped
from gslb.model import (
    Agent,
    Balancer,
    Connections,
    Discovery,
    HealthCheck,
    Pool,
    Queue,
    Region,
    Retries,
    Route,
    Server,
    Service,
    SessionCookie,
    Sticky,
    Timeouts,
)


def compile_balancer(file: RegionFile, region: Region, services: Mapping[str, Service]) -> Balancer:
    """A region node's proxy. A region without routes serves everything from its only pool."""
    balancer: BalancerSection = file.balancer
    routes = tuple(compile_route(route, region, services) for route in balancer.routes)
    return Balancer(
        region=region.name,
        routes=routes or (Route(next(iter(balancer.pools))),),
        pools={name: _pool(name, pool, balancer.zone or "") for name, pool in balancer.pools.items()},
        timeouts=_timeouts(balancer.timeouts),
        trusted_proxies=balancer.trusted_proxies,
        upgrades=balancer.upgrades,
        limits=compile_limits(balancer.limits, balancer.shedding),
        stragglers=compile_stragglers(balancer.stragglers, region, services),
    )


def _pool(name: str, pool: PoolSection, zone: str) -> Pool:
    health = pool.health
    return Pool(
        name=name,
        servers=tuple(
            Server(one.name, one.host, one.port, one.weight, one.max_connections, one.priority, one.zone or "")
            for one in pool.servers
        ),
        algorithm=pool.algorithm,
        health=None
        if health is None
        else HealthCheck(
            health.check, health.times.interval, health.times.timeout, health.times.rise, health.times.fall,
            initial=health.times.initial, rise_max=health.times.rise_max,
        ),
        retries=_retries(pool.retries),
        limits=pool.limits,
        breaker=None if pool.breaker is None else pool.breaker.rule(),
        outliers=None if pool.outliers is None else pool.outliers.rule(),
        panic_threshold=pool.panic_threshold,
        panic=pool.panic,
        queue=None if pool.queue is None else Queue(pool.queue.size, pool.queue.timeout),
        agent=None if (one := pool.agent) is None else _agent(one),
        discovery=_discovery(pool.discover),
        connections=Connections(pool.connections.idle, pool.connections.warm, pool.connections.lifetime),
        scaling=None if pool.scaling is None else pool.scaling.rule(),
        zone=zone,
        zone_share=pool.zone_preference,
        slow_start=None if pool.slow_start is None else pool.slow_start.rule(),
        sticky=_sticky(name, pool.sticky),
        tls=compile_server_tls(pool.tls),
        proxy_protocol=pool.proxy_protocol or "",
    )


def _agent(section: AgentSection) -> Agent:
    text = section.type == "text"
    return Agent(section.port, section.path, section.interval, section.timeout, text, unescaped(section.send))


def _discovery(section: DiscoverSection | None) -> Discovery | None:
    if section is None:
        return None
    resolvers = [one.rpartition(":") for one in section.resolvers]
    return Discovery(
        name=section.name,
        kind=section.type,
        port=section.port or 0,
        resolvers=tuple((host.strip("[]"), int(port)) for host, _, port in resolvers),
        least_s=section.min_interval,
        most_s=section.max_interval,
    )


def _sticky(pool: str, sticky: StickySection | None) -> Sticky | None:
    if sticky is None:
        return None
    name = sticky.name or f"gslb-{pool}"
    return Sticky(sticky.by, name, sticky.ttl, sticky.failback, sticky.same_site, sticky.domain or "")


def session_cookies(files: Iterable[RegionFile], service: str) -> tuple[SessionCookie, ...]:
    """The cookies that a service's front door sees: of its regions' pools, for a domain that the service is in."""
    found: dict[SessionCookie, None] = {}
    for file in files:
        for name, pool in file.balancer.pools.items():
            sticky = _sticky(name, pool.sticky)
            seen = sticky is not None and sticky.domain and f".{service}".endswith(f".{sticky.domain}")
            if sticky is not None and sticky.by == "cookie" and seen:
                found[SessionCookie(sticky.name, name, sticky.failback_s, sticky.ttl_s)] = None
    return tuple(found)


def _retries(retries: RetriesSection) -> Retries:
    statuses = frozenset(kind for kind in retries.on if isinstance(kind, int))
    kinds = frozenset(kind for kind in retries.on if isinstance(kind, str))
    return Retries(
        attempts=retries.attempts,
        on=kinds | {"status"} if statuses else kinds,
        statuses=statuses,
        budget=retries.budget,
        per_try_s=retries.per_try or 0.0,
        backoff_s=retries.backoff.base,
        backoff_max_s=retries.backoff.max,
        hedge_s=retries.hedge_after or 0.0,
    )


def _timeouts(timeouts: TimeoutsSection) -> Timeouts:
    return Timeouts(
        connect_s=timeouts.connect,
        first_byte_s=timeouts.first_byte,
        idle_s=timeouts.idle,
        head_s=timeouts.head,
        keepalive_s=timeouts.keepalive,
        tunnel_s=timeouts.tunnel,
        total_s=timeouts.total or 0.0,
    )
