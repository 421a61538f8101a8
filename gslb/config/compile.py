"""Config -> Plan, and the settings of one node. Pure: equal configurations give equal Plans on every node.

For the node's control, the commands and the demo. Whatever could be wrong was told by `load`; what is left to refuse
here is a name that the caller asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gslb.config.compile_balancer import compile_balancer, session_cookies
from gslb.config.compile_listen import compile_listeners
from gslb.config.names import by_zone, mailbox, nameservers
from gslb.config.schema import (
    Config,
    EdgeSection,
    ListenSection,
    LocationSection,
    RegionFile,
    ServiceSection,
    ZoneSection,
)
from gslb.errors import UnknownName
from gslb.geo.centroids import continent
from gslb.health.overrides import SafetyRule
from gslb.model import (
    GeoSource,
    Listener,
    Location,
    Plan,
    Record,
    Region,
    Service,
    SessionCookie,
    Zone,
)

CPU_WORKERS_MAX = 64  # `workers: auto` stops here


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What one edge's processes and sockets are made from."""

    workers: int
    dns_listen: tuple[str, ...]
    frontdoor: tuple[Listener, ...]
    admin: str
    trusted_proxies: tuple[str, ...]

    @property
    def frontdoor_listen(self) -> tuple[str, ...]:
        """The addresses of the front door."""
        return tuple(one.address for one in self.frontdoor)

    def fixed(self) -> dict[str, object]:
        """What only a restart can change."""
        sockets = _sockets(self.frontdoor)
        return {"workers": self.workers, "dns_listen": self.dns_listen, "frontdoor": sockets, "admin": self.admin}


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """What one region node's processes and sockets are made from."""

    workers: int
    listeners: tuple[Listener, ...]
    admin: str

    @property
    def listen(self) -> tuple[str, ...]:
        """The addresses of the proxy."""
        return tuple(one.address for one in self.listeners)

    def fixed(self) -> dict[str, object]:
        """What only a restart can change."""
        return {"workers": self.workers, "listen": _sockets(self.listeners), "admin": self.admin}


def _sockets(listeners: Iterable[Listener]) -> list[tuple[object, ...]]:
    """Of listeners, what is settled when their sockets are opened; the rest follows a reload."""
    return [
        (one.address, one.tls is None, not one.proxy_networks, not one.redirect, one.mode, not one.pool)
        for one in listeners
    ]


def safety_rules(config: Config) -> tuple[SafetyRule, ...]:
    """What overrides must keep to."""
    return tuple(
        SafetyRule(one.keep_up or 0, one.of or tuple(config.regions), one.min_capacity or 0.0) for one in config.safety
    )


def compile_plan(
    config: Config, *, generation: int, region: str | None, geo: GeoSource | None, edge: str | None = None
) -> Plan:
    """The Plan that a node serves by.

    Args:
        config: what `load` returned.
        generation: of the Plan.
        region: the region this node balances; None on an edge, which gets no `balancer`.
        geo: the GeoIP database, with the stamp of the file in use.
        edge: the edge this is, for what its own entry in `edges` changes.

    Raises UnknownName for a region or an edge that the files don't have.
    """
    regions = {name: _region(one) for name, one in config.regions.items()}
    services = {name: compile_service(name, one, regions) for name, one in config.services.items()}
    steered = by_zone(services, config.zones)
    zones = {
        origin: compile_zone(origin, zone, config.zone_records[origin], [services[name] for name in steered[origin]])
        for origin, zone in config.zones.items()
    }
    return Plan(
        cluster=config.cluster,
        generation=generation,
        regions=regions,
        services=services,
        zones=zones,
        geo=geo,
        trusted_proxies=_edge(config, edge).frontdoor.trusted_proxies,
        session_cookies={} if region is not None else _session_cookies(config),
        listeners=compile_listeners(_listen(config, region, edge)),
        balancer=None if region is None else compile_balancer(_known_region(config, region), regions[region], services),
    )


def _session_cookies(config: Config) -> dict[str, tuple[SessionCookie, ...]]:
    found = {
        name: session_cookies([config.regions[region] for region in service.regions], name)
        for name, service in config.services.items()
    }
    return {name: cookies for name, cookies in found.items() if cookies}


# ---------------------------------------------------------------- one node's settings
def edge_settings(config: Config, name: str, *, cpu_count: int = 1) -> EdgeSettings:
    """An edge's settings: `edge`, with what its own entry in `edges` changes. `auto` workers are `cpu_count`.

    Raises UnknownName if `edges` names others only.
    """
    edge = _edge(config, name)
    return EdgeSettings(
        workers=_workers(edge.workers, cpu_count),
        dns_listen=edge.dns.listen,
        frontdoor=compile_listeners(edge.frontdoor.listen),
        admin=edge.admin.listen,
        trusted_proxies=edge.frontdoor.trusted_proxies,
    )


def region_settings(config: Config, name: str, *, cpu_count: int = 1) -> RegionSettings:
    """A region node's settings. `auto` workers are `cpu_count`. Raises UnknownName."""
    balancer = _known_region(config, name).balancer
    listeners = compile_listeners(balancer.listen)
    return RegionSettings(_workers(balancer.workers, cpu_count), listeners, balancer.admin)


def geo_source(config: Config) -> GeoSource | None:
    """The configured GeoIP database, its stamp still unknown; None if there is none."""
    return None if config.geo.database is None else GeoSource(config.geo.database, "")


def merged(edge: EdgeSection, change: EdgeSection) -> EdgeSection:
    """`edge` with what one edge says for itself, key by key."""
    updates: dict[str, object] = {}
    for name in change.model_fields_set:
        said = getattr(change, name)
        if name != "workers":
            said = getattr(edge, name).model_copy(update={key: getattr(said, key) for key in said.model_fields_set})
        updates[name] = said
    return edge.model_copy(update=updates)


def _edge(config: Config, name: str | None) -> EdgeSection:
    if name is None or not config.edges:
        return config.edge
    if name not in config.edges:
        raise UnknownName("edge", name, config.edges)
    return merged(config.edge, config.edges[name])


def _listen(config: Config, region: str | None, edge: str | None) -> tuple[ListenSection, ...]:
    """The HTTP listeners of a node."""
    return _edge(config, edge).frontdoor.listen if region is None else _known_region(config, region).balancer.listen


def _known_region(config: Config, name: str) -> RegionFile:
    if name not in config.regions:
        raise UnknownName("region", name, config.regions)
    return config.regions[name]


def _workers(said: int | str, cpu_count: int) -> int:
    return said if isinstance(said, int) else max(1, min(cpu_count, CPU_WORKERS_MAX))


# ---------------------------------------------------------------- regions and services
def _location(location: LocationSection) -> Location:
    country = location.country or ""
    return Location(location.latitude, location.longitude, country, continent(country))


def _region(region: RegionFile) -> Region:
    return Region(
        name=region.region,
        location=_location(region.location),
        ipv4=tuple(address for address in region.addresses if ":" not in address),
        ipv6=tuple(address for address in region.addresses if ":" in address),
        url=region.url,
        capacity=region.capacity,
    )


def compile_service(name: str, service: ServiceSection, regions: Mapping[str, Region]) -> Service:
    """A service with its regions in the declared order."""
    return Service(
        name=name,
        regions=tuple(regions[region] for region in service.regions),
        chain=service.steering,
        ttl_min_s=service.ttl.min,
        ttl_max_s=service.ttl.max,
        when_all_down=service.when_all_down.kind,
        fallback=service.when_all_down.fallback,
    )


# ---------------------------------------------------------------- zones
def compile_zone(origin: str, zone: ZoneSection, records: tuple[Record, ...], services: Iterable[Service]) -> Zone:
    """A zone as it is served. Its serial is a hash of all that it is made from, so it is alike on every edge."""
    servers = nameservers(zone, origin)
    contact = mailbox(zone.contact, origin)
    timers = (int(zone.ttl), int(zone.refresh), int(zone.retry), int(zone.expire), int(zone.minimum))
    content = repr((origin, servers, contact, timers, records, sorted(services, key=lambda one: one.name)))
    digest = int.from_bytes(hashlib.blake2b(content.encode(), digest_size=4).digest(), "big")
    return Zone(origin, servers, records, digest or 1, contact, *timers)
