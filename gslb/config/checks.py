"""What no single value shows: names that nothing has, sockets in each other's way, regions told twice. For load.py.

Each check works on what its file's model could make, so one mistake hides no other. `check_all` also puts the Config
together.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gslb.config.check_routes import check_routes
from gslb.config.check_zones import check_zones, written
from gslb.config.compile import merged
from gslb.config.plugins import Place, meant
from gslb.config.reader import Document
from gslb.config.schema import (
    BalancerSection,
    ClusterFile,
    Config,
    EdgeSection,
    RegionFile,
    ServiceSection,
)
from gslb.config.source import Source
from gslb.model import UNIX, Record

EDGE_PARTS = ("dns", "frontdoor", "admin")


def check_all(main: Source[ClusterFile], regions: Sequence[Source[RegionFile]]) -> Config | None:
    """Runs every check; the Config if `gslb.yaml` can be made sense of. Mistakes go to the sources' documents."""
    for source in regions:
        if source.model is not None:
            _check_balancer(source.document, source.model.balancer, source.pools)
            _check_limits(source.document, source.model.balancer, source.limits)
            _check_twice(source.document, ("addresses",), source.model.addresses, "address")
    _check_regions(regions)
    cluster = main.model
    if cluster is None:
        return None
    known = {source.region for source in regions}
    _check_geo(main.document, cluster)
    _check_edges(main.document, cluster, known)
    for name, service in cluster.services.items():
        _check_service(main.document, name, service)
        if "" not in known and len(known) == len(regions):  # else a name may be in the file that can't be read
            _check_regions_named(main.document, name, service, known)
    for source in regions:
        if source.model is not None and not cluster.secrets.cookie:
            _check_sessions(source.document, source.model.balancer)
    _check_safety(main.document, cluster, known)
    records = check_zones(main, cluster)
    return _config(cluster, regions, records)


def _config(
    cluster: ClusterFile, regions: Sequence[Source[RegionFile]], records: dict[str, tuple[Record, ...]]
) -> Config:
    models = {source.model.region: source.model for source in regions if source.model is not None}
    words = {name: getattr(cluster, name) for name in ClusterFile.model_fields}
    return Config.model_construct(**words, regions=models, zone_records=records)


# ---------------------------------------------------------------- small tools
def _check_twice(document: Document, path: Place, values: Sequence[str], what: str) -> None:
    """Values of a list that are there already."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            remedy = f"it is on line {document.line(*path, seen[value])}, too: remove or rename one"
            document.blame((*path, index), f"the {what} {value!r} is there twice", remedy)
        seen.setdefault(value, index)


def _split(listen: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """A checked `address:port` as address and port."""
    host, _, port = listen.rpartition(":")
    return ipaddress.ip_address(host.strip("[]")), int(port)


def _overlap(listen: str, other: str) -> bool:
    """Whether two listeners want the same address."""
    if UNIX in {listen[: len(UNIX)], other[: len(UNIX)]}:
        return listen == other
    (address, port), (other_address, other_port) = _split(listen), _split(other)
    alike = address == other_address or address.is_unspecified or other_address.is_unspecified
    return alike and address.version == other_address.version and port == other_port


def _check_listens(document: Document, listens: Iterable[tuple[Place, str]], below: str = "") -> None:
    """Two sockets of one node that want the same address; 0.0.0.0 and [::] are all addresses of their family.

    `below`: only listen lines below this key are blamed.
    """
    seen: list[tuple[Place, str]] = []
    for path, listen in listens:
        for other_path, other in seen:
            if _overlap(listen, other) and below in {"", path[0]}:
                message = f"{listen} overlaps with {other} on line {document.line(*other_path)}"
                document.blame(path, message, "give each its own port or address")
                break
        seen.append((path, listen))


# ---------------------------------------------------------------- regions
def _check_regions(regions: Sequence[Source[RegionFile]]) -> None:
    """Names and URLs that two regions have."""
    names: dict[str, Source[RegionFile]] = {}
    urls: dict[str, Source[RegionFile]] = {}
    for source in regions:
        document = source.document
        named = names.setdefault(source.region, source)
        if source.region and named is not source:
            remedy = f"it is in {named.document.file}:{named.document.line('region')}, too: rename one"
            document.blame(("region",), f"the region {source.region!r} is there twice", remedy)
        if source.model is not None:
            first = urls.setdefault(source.model.url, source)
            if first is not source:
                remedy = "each region needs its own: redirects and probes go there"
                document.blame(("url",), f"the region {first.region!r} has this url, too", remedy)


def _check_balancer(document: Document, balancer: BalancerSection, pools: frozenset[str]) -> None:
    above: Place = ("balancer",)
    listens: list[tuple[Place, str]] = [
        ((*above, "listen", index), listen.address) for index, listen in enumerate(balancer.listen)
    ]
    _check_listens(document, [*listens, ((*above, "admin"), balancer.admin)])
    own = {_split(listen.address) for listen in balancer.listen if not listen.address.startswith(UNIX)}
    for name, pool in balancer.pools.items():
        path: Place = (*above, "pools", name, "servers")
        _check_twice(document, path, [server.name for server in pool.servers], "server id")
        for index, server in enumerate(pool.servers):
            with contextlib.suppress(ValueError):  # a host name is looked up by the proxy, not here
                if (ipaddress.ip_address(server.host), server.port) in own:
                    message = f"{server.name} is this balancer itself, at {server.host}:{server.port}"
                    document.blame((*path, index), message, "write the address of a server behind it")
        if pool.slow_start is not None and getattr(pool.algorithm, "key", None) is not None:
            message = "slow_start moves weights, and with them the keys of an algorithm that hashes"
            document.blame((*path[:-1], "slow_start"), message, "leave it out, or choose another algorithm")
    _check_tcp(document, balancer, pools)
    check_routes(document, balancer, pools)


def _check_tcp(document: Document, balancer: BalancerSection, pools: frozenset[str]) -> None:
    """Listeners that pass connections on as they are."""
    for index, listen in enumerate(balancer.listen):
        path: Place = ("balancer", "listen", index, "tcp")
        if listen.tcp is None:
            continue
        if listen.tcp not in pools:
            document.blame(path, f"there is no pool {listen.tcp!r}", meant(listen.tcp, pools))
        elif listen.tcp in balancer.pools and balancer.pools[listen.tcp].tls is not None:
            message = f"TCP passes connections on as they are, but the pool {listen.tcp} has tls"
            document.blame(path, message, "remove the pool's tls: clients speak TLS with the servers themselves")
    if balancer.listen and all(listen.tcp is not None for listen in balancer.listen):
        message = "no listener speaks HTTP, and by HTTP edges and load balancers ask how this region is"
        document.blame(("balancer", "listen"), message, "add one for the region's url")


def _check_sessions(document: Document, balancer: BalancerSection) -> None:
    """Where nodes share no secret a session can't cross them."""
    for name, pool in balancer.pools.items():
        if pool.sticky is not None and pool.sticky.domain:
            message = "a session cookie for a domain is read by every node, but they share no secret"
            remedy = "in gslb.yaml write secrets: {cookie: {file: …}}, or leave the domain out"
            document.blame(("balancer", "pools", name, "sticky", "domain"), message, remedy)


def _check_limits(document: Document, balancer: BalancerSection, known: frozenset[str]) -> None:
    """Names of limits that nothing has."""
    named: list[tuple[Place, tuple[str, ...]]] = [
        *((("balancer", "routes", index, "limits"), route.limits) for index, route in enumerate(balancer.routes)),
        *((("balancer", "pools", name, "limits"), pool.limits) for name, pool in balancer.pools.items()),
    ]
    for path, names in named:
        for index, name in enumerate(names):
            if name not in known:
                document.blame((*path, index), f"there is no limit {name!r}", meant(name, known))


# ---------------------------------------------------------------- the cluster
def _check_geo(document: Document, cluster: ClusterFile) -> None:
    database = cluster.geo.database
    if database is None:
        return
    try:
        with Path(database).open("rb"):
            return
    except OSError as error:
        remedy = "write the path from this file's folder; gslb geo build makes one"
        document.blame(("geo", "database"), f"can't read {database}: {error.strerror}", remedy)


def _check_edges(document: Document, cluster: ClusterFile, regions: set[str]) -> None:
    """What edges listen on, and names that would make status and logs ambiguous."""
    _check_listens(document, _edge_listens(cluster.edge, {part: ("edge", part) for part in EDGE_PARTS}))
    named = ((("edges", name), one.frontdoor) for name, one in cluster.edges.items())
    doors = [(("edge",), cluster.edge.frontdoor), *named]
    for above, door in doors:
        for index, listen in enumerate(door.listen):
            if listen.tcp is not None:
                message = "a front door speaks HTTP: it has no pools"
                document.blame((*above, "frontdoor", "listen", index, "tcp"), message, "move this to a region's listen")
    for name, change in cluster.edges.items():
        if name in regions:
            path = ("edges", name)
            document.add(document.line(*path), f"{name!r} is the name of a region", "give each node its own name", path)
        said = {
            part
            for part in EDGE_PARTS
            if part in change.model_fields_set and "listen" in getattr(change, part).model_fields_set
        }
        if said:
            places = {part: ("edges", name, part) if part in said else ("edge", part) for part in EDGE_PARTS}
            listens = _edge_listens(merged(cluster.edge, change), places)
            _check_listens(document, sorted(listens, key=lambda one: one[0][0] == "edges"), below="edges")


def _edge_listens(edge: EdgeSection, places: Mapping[str, Place]) -> list[tuple[Place, str]]:
    """Every listen line of an edge and where it is written."""
    return [
        *(((*places["dns"], "listen", index), listen) for index, listen in enumerate(edge.dns.listen)),
        *(((*places["frontdoor"], "listen", index), one.address) for index, one in enumerate(edge.frontdoor.listen)),
        ((*places["admin"], "listen"), edge.admin.listen),
    ]


def _check_safety(document: Document, cluster: ClusterFile, known: set[str]) -> None:
    for number, rule in enumerate(cluster.safety):
        for index, region in enumerate(rule.of):
            if region not in known:
                document.blame(("safety", number, "of", index), f"there is no region {region!r}", meant(region, known))
        count = len(rule.of or known)
        if rule.keep_up is not None and rule.keep_up > count:
            message = f"keep_up {rule.keep_up} of {count} regions"
            document.blame(("safety", number, "keep_up"), message, "write fewer than there are, so that one may drain")


def _check_regions_named(document: Document, name: str, service: ServiceSection, known: set[str]) -> None:
    path: Place = ("services", written(document, "services", name), "regions")
    for index, region in enumerate(service.regions):
        if region not in known:
            document.blame((*path, index), f"there is no region {region!r}", meant(region, known))


def _check_service(document: Document, name: str, service: ServiceSection) -> None:
    path: Place = ("services", written(document, "services", name))
    _check_twice(document, (*path, "regions"), service.regions, "region")
    for index, policy in enumerate(service.steering):
        named: Iterable[str] = policy.regions_named() if hasattr(policy, "regions_named") else ()
        for region in sorted(set(named) - set(service.regions)):
            here: Place = (*path, "steering", index)
            message = f"the region {region!r} is none of this service's"
            document.blame(here, message, meant(region, service.regions), document.line_of(region, *here))
    if service.ttl.min > service.ttl.max:
        document.blame((*path, "ttl"), "min is greater than max", "write the smaller one as min")
