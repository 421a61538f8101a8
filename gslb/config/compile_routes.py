"""The routes of a region's file -> its Routes. Pure; only compile_balancer.py calls it."""

from __future__ import annotations

from collections.abc import Mapping

from gslb.config.schema import RouteSection
from gslb.config.schema_match import Regex
from gslb.config.schema_routes import CompressionSection, HeadersSection
from gslb.model import CompressionRule, HeadEdits, Mirror, Redirect, Region, Respond, Rewrite, Route, Service, Split


def compile_route(route: RouteSection, region: Region, services: Mapping[str, Service]) -> Route:
    """A service's host also matches as this region's URL names it: that is where the front door sends its clients."""
    match, rewrite, mirror = route.match, route.rewrite, route.mirror
    host = match.host
    hosts: tuple[str, ...] = () if host is None else (host,)
    if host is not None and any(region in service.regions for service in _covered(host, services)):
        hosts += (region.authority,)
    return Route(
        pool=route.pool or "",
        hosts=hosts,
        path="" if isinstance(match.path, Regex) else match.path or "",
        pattern=match.path.text if isinstance(match.path, Regex) else "",
        methods=match.method or (),
        conditions=match.conditions,
        action=_action(route),
        rewrite=Rewrite(rewrite.prefix, rewrite.path, rewrite.regex, rewrite.substitute or "") if rewrite else None,
        forward_host=route.host or "",
        request_fields=_edits(route.request_headers),
        response_fields=_edits(route.response_headers),
        mirror=Mirror(mirror.pool, mirror.percent) if mirror else None,
        limits=route.limits,
        priority=route.priority,
        compression=_compression(route.compression),
        breaker=None if route.breaker is None else route.breaker.rule(),
    )


def _covered(host: str, services: Mapping[str, Service]) -> list[Service]:
    """The services whose name the host of a match is, or covers as a wildcard."""
    if host.startswith("*."):
        return [service for name, service in services.items() if name.endswith(host[1:])]
    return [services[host]] if host in services else []


def _action(route: RouteSection) -> Split | Redirect | Respond | None:
    """What stands in the place of one pool; a pool without a weight takes no part."""
    if route.pools is not None:
        weights = tuple((name, weight) for name, weight in route.pools.items() if weight)
        return Split(weights, "" if route.by == "request" else route.by)
    if route.redirect is not None:
        return Redirect(route.redirect.place, route.redirect.status, route.redirect.prefix)
    if route.respond is not None:
        answer = route.respond
        return Respond(answer.status, answer.body.encode(), answer.content_type, tuple(answer.headers.items()))
    return None


def _compression(section: CompressionSection | None) -> CompressionRule | None:
    if section is None:
        return None
    return CompressionRule(section.codings, frozenset(section.types), section.min_size, section.level)


def _edits(section: HeadersSection | None) -> HeadEdits | None:
    if section is None:
        return None
    return HeadEdits(tuple(section.set.items()), tuple(section.add.items()), section.remove)
