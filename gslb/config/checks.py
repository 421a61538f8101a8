"""What no single value shows: names that nothing has, sockets in each other's way, regions told twice. For load.py.

Each check works on what its file's model could make, so one mistake hides no other. `check_all` also puts the Config
together.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path

from gslb.config.check_zones import check_zones, written
from gslb.config.compile import merged
from gslb.config.plugins import meant
from gslb.config.reader import Document
from gslb.config.schema import BalancerSection, ClusterFile, Config, EdgeSection, RegionFile, RouteSection, ServiceSection
from gslb.config.source import Source
from gslb.model import Record

Path_ = tuple[str | int, ...]


def check_all(main: Source[ClusterFile], regions: Sequence[Source[RegionFile]]) -> Config | None:
    """Runs every check; the Config if `gslb.yaml` can be made sense of. Mistakes go to the sources' documents."""
    for source in regions:
        if source.model is not None:
            _check_balancer(source.document, source.model.balancer, source.pools)
            _check_twice(source.document, ("addresses",), source.model.addresses, "address")
    _check_regions(regions)
    cluster = main.model
    if cluster is None:
        return None
    _check_files(main.document, cluster)
    _check_edges(main.document, cluster)
    known = {source.region for source in regions if source.region}
    for name, service in cluster.services.items():
        _check_service(main.document, name, service, known)
    records = check_zones(main, cluster)
    return _config(cluster, regions, records)


def _config(
    cluster: ClusterFile, regions: Sequence[Source[RegionFile]], records: dict[str, tuple[Record, ...]]
) -> Config:
    models = {source.model.region: source.model for source in regions if source.model is not None}
    words = {name: getattr(cluster, name) for name in ClusterFile.model_fields}
    return Config.model_construct(**words, regions=models, zone_records=records)


# ---------------------------------------------------------------- small tools
def _check_twice(document: Document, path: Path_, values: Sequence[str], what: str) -> None:
    """Values of a list that are there already."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            line = document.line(*path, seen[value])
            document.blame((*path, index), f"the {what} {value!r} is there twice", f"it is on line {line}, too: remove one")
        seen.setdefault(value, index)


def split_listen(listen: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """A checked `address:port` as address and port."""
    host, _, port = listen.rpartition(":")
    return ipaddress.ip_address(host.strip("[]")), int(port)


def _check_listens(document: Document, listens: Iterable[tuple[Path_, str]]) -> None:
    """Two sockets of one node that want the same address; 0.0.0.0 and :: are all addresses of their family."""
    seen: list[tuple[Path_, str]] = []
    for path, listen in listens:
        address, port = split_listen(listen)
        for other_path, other in seen:
            other_address, other_port = split_listen(other)
            alike = address == other_address or address.is_unspecified or other_address.is_unspecified
            if port == other_port and address.version == other_address.version and alike:
                document.blame(path, f"{listen} overlaps with {other} on line {document.line(*other_path)}",
                               "give each its own port or address")
                break
        seen.append((path, listen))


# ---------------------------------------------------------------- regions
def _check_regions(regions: Sequence[Source[RegionFile]]) -> None:
    """Names and URLs that two regions have."""
    names: dict[str, Source[RegionFile]] = {}
    urls: dict[str, Source[RegionFile]] = {}
    for source in regions:
        document = source.document
        if source.region:
            first = names.setdefault(source.region, source)
            if first is not source:
                where = f"{first.document.file}:{first.document.line('region')}"
                document.blame(("region",), f"the region {source.region!r} is there twice",
                               f"it is in {where}, too: rename one")
        if source.model is not None:
            first = urls.setdefault(source.model.url, source)
            if first is not source:
                document.blame(("url",), f"the region {first.region!r} has this url, too",
                               "each region needs its own: redirects and probes go there")


def _check_balancer(document: Document, balancer: BalancerSection, pools: frozenset[str]) -> None:
    above: Path_ = ("balancer",)
    listens: list[tuple[Path_, str]] = [
        ((*above, "listen", index), listen) for index, listen in enumerate(balancer.listen)
    ]
    _check_listens(document, [*listens, ((*above, "admin"), balancer.admin)])
    own = {split_listen(listen) for listen in balancer.listen}
    for name, pool in balancer.pools.items():
        path: Path_ = (*above, "pools", name, "servers")
        _check_twice(document, path, [server.name for server in pool.servers], "server id")
        for index, server in enumerate(pool.servers):
            try:
                loops = (ipaddress.ip_address(server.host), server.port) in own
            except ValueError:
                continue
            if loops:
                document.blame((*path, index), f"{server.host}:{server.port} is this balancer itself",
                               "write the address of a server behind it")
    _check_routes(document, balancer, pools)


def _check_routes(document: Document, balancer: BalancerSection, pools: frozenset[str]) -> None:
    path: Path_ = ("balancer", "routes")
    if not balancer.routes and len(pools) > 1 and "routes" not in document.tree["balancer"]:
        document.blame(("balancer",), f"{len(pools)} pools, but no routes", "write which pool serves what: "
                       f"routes: [{{match: {{}}, pool: {next(iter(balancer.pools))}}}]")
    earlier: dict[tuple[str, str], int] = {}
    for index, route in enumerate(balancer.routes):
        if route.pool not in pools:
            document.blame((*path, index, "pool"), f"there is no pool {route.pool!r}", meant(route.pool, pools))
        covering = min((earlier[one] for one in covers(route) if one in earlier), default=None)
        if covering is not None:
            line = document.line(*path, covering)
            document.blame((*path, index), f"no request reaches this route: the one on line {line} takes them all",
                           "put it before that one, or remove it")
        earlier.setdefault((route.match.host or "", route.match.path or "*"), index)


def covers(route: RouteSection) -> list[tuple[str, str]]:
    """Every host and path of an earlier route that would take all requests of this one."""
    path = route.match.path or "*"
    stem = path.removesuffix("*")
    paths = ["*", *(f"{stem[:length]}*" for length in range(1, len(stem) + 1)), path]
    return [(host, path) for host in {"", route.match.host or ""} for path in paths]


# ---------------------------------------------------------------- the cluster
def _check_files(document: Document, cluster: ClusterFile) -> None:
    if cluster.geo.database is not None and not Path(cluster.geo.database).is_file():
        document.blame(("geo", "database"), f"there is no file {cluster.geo.database}",
                       "write the path from this file's folder, or make it: gslb geo build")


def _edge_listens(edge: EdgeSection, path: Path_) -> list[tuple[Path_, str]]:
    return [
        *(((*path, "dns", "listen", index), listen) for index, listen in enumerate(edge.dns.listen)),
        *(((*path, "frontdoor", "listen", index), listen) for index, listen in enumerate(edge.frontdoor.listen)),
        ((*path, "admin", "listen"), edge.admin.listen),
    ]


def _check_edges(document: Document, cluster: ClusterFile) -> None:
    _check_listens(document, _edge_listens(cluster.edge, ("edge",)))
    for name, edge in cluster.edges.items():
        mine: list[tuple[Path_, str]] = []
        for (path, listen), part in zip(
            _edge_listens(merged(cluster.edge, edge), ("edges", name)), _edge_listens_said(cluster.edge, edge), strict=True
        ):
            mine.append((path if part else ("edge", *path[2:]), listen))
        if any(path[0] == "edges" for path, _ in mine):
            _check_listens(document, sorted(mine, key=lambda one: one[0][0] == "edges"))


def _edge_listens_said(edge: EdgeSection, change: EdgeSection) -> list[bool]:
    """For each of the merged edge's listen lines, whether the edge itself says it."""
    whole = merged(edge, change)
    said = {
        part: part in change.model_fields_set and "listen" in getattr(change, part).model_fields_set
        for part in ("dns", "frontdoor", "admin")
    }
    return [said["dns"]] * len(whole.dns.listen) + [said["frontdoor"]] * len(whole.frontdoor.listen) + [said["admin"]]


def _check_service(document: Document, name: str, service: ServiceSection, known: set[str]) -> None:
    path: Path_ = ("services", written(document, "services", name))
    _check_twice(document, (*path, "regions"), service.regions, "region")
    for index, region in enumerate(service.regions):
        if region not in known:
            document.blame((*path, "regions", index), f"there is no region {region!r}", meant(region, known))
    for index, policy in enumerate(service.steering):
        named: Iterable[str] = policy.regions_named() if hasattr(policy, "regions_named") else ()
        for region in sorted(set(named) - set(service.regions)):
            line = document.line_of(region, *path, "steering", index)
            document.blame((*path, "steering", index), f"the region {region!r} is none of this service's",
                           meant(region, service.regions), line)
    if service.ttl.min > service.ttl.max:
        document.blame((*path, "ttl"), "min is greater than max", "write the smaller one as min")
