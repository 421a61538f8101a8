"""What no single value of a route shows: unknown pools, routes that nothing reaches. Only checks.py calls it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gslb.balancing.patterns import PatternSet, glob_pattern, is_glob
from gslb.config.plugins import Place, meant
from gslb.config.reader import Document
from gslb.config.schema import BalancerSection, MatchSection, Regex, RouteSection

_ROUTES: Place = ("balancer", "routes")


def check_routes(document: Document, balancer: BalancerSection, pools: frozenset[str]) -> None:
    """Blames the routes of one region's file; `pools`: the names that are written, sound or not."""
    if not balancer.routes and len(pools) > 1:
        remedy = f"write which pool serves what: routes: [{{match: {{}}, pool: {min(pools)}}}]"
        document.blame(_ROUTES, f"{len(pools)} pools, but no routes", remedy)
    for index, route in enumerate(balancer.routes):
        for place, name in _pools_named(route):
            if name not in pools:
                document.blame((*_ROUTES, index, *place), f"there is no pool {name!r}", meant(name, pools))
        mirrored = balancer.pools.get(route.mirror.pool) if route.mirror is not None else None
        if mirrored is not None and mirrored.proxy_protocol:
            message = "copies come from no client's connection, and this pool's begin with one's PROXY header"
            document.blame((*_ROUTES, index, "mirror", "pool"), message, "mirror to a pool without proxy_protocol")
    for index, covering in _unreachable(document, balancer):
        line = document.line(*_ROUTES, covering)
        message = f"no request reaches this route: the one on line {line} takes them all"
        document.blame((*_ROUTES, index), message, "put it before that one, or remove it")


def _pools_named(route: RouteSection) -> Iterator[tuple[Place, str]]:
    """Every pool that a route names, and where."""
    if route.pool is not None:
        yield ("pool",), route.pool
    for name in route.pools or {}:
        yield ("pools", name), name
    if route.mirror is not None:
        yield ("mirror", "pool"), route.mirror.pool


# ---------------------------------------------------------------- routes that are never reached
def _unreachable(document: Document, balancer: BalancerSection) -> Iterator[tuple[int, int]]:
    """Every route behind one that takes all of its requests, with the first such one.

    Decided are: the same host or a wildcard over it; the same path, a prefix of it, a pattern that an exact path
    matches; no condition that the later route hasn't. Whether one regular expression holds another is not asked.
    """
    routes = balancer.routes
    patterns = _Patterns(document, routes)
    earlier: dict[tuple[str, str], list[int]] = {}
    for index, route in enumerate(routes):
        match = route.match
        behind = {place for key in _covers(match) for place in earlier.get(key, ())}
        behind.update(place for place in patterns.over(match) if place < index and _is_host_over(routes[place], match))
        covering = min((place for place in behind if _asks_no_more(routes[place].match, match)), default=None)
        if covering is not None:
            yield index, covering
        elif not document.doubts((*_ROUTES, index)):  # what is wrong stands there as its default: too much
            earlier.setdefault((match.host or "", _path_key(match)), []).append(index)


class _Patterns:
    """All globs and regular expressions of a file, to be tried on exact paths in one pass."""

    def __init__(self, document: Document, routes: Iterable[RouteSection]) -> None:
        written = [(index, text) for index, route in enumerate(routes) if (text := _pattern(route.match))]
        self._places = [index for index, _ in written]
        self._set: PatternSet | None = None
        if written:
            try:
                self._set = PatternSet([text for _, text in written])
            except ValueError as error:  # each by itself was fine
                remedy = "use fewer or simpler patterns"
                document.blame((*_ROUTES, self._places[-1], "match", "path"), str(error), remedy)

    def over(self, match: MatchSection) -> Iterator[int]:
        """The places of the routes whose pattern takes this exact path."""
        path = match.plain_path
        if self._set is not None and path and not path.endswith("*"):
            for place in self._set.matching(path.encode("ascii")):
                yield self._places[place]


def _pattern(match: MatchSection) -> str:
    if isinstance(match.path, Regex):
        return match.path.text
    return glob_pattern(match.path) if match.path is not None and is_glob(match.path) else ""


def _path_key(match: MatchSection) -> str:
    """Equal for equal paths; a regular expression is no path."""
    return f"regex {match.path.text}" if isinstance(match.path, Regex) else match.path or "*"


def _hosts_over(host: str) -> set[str]:
    """The hosts of earlier routes that take all of this one: any, itself, the wildcards above it."""
    labels = host.removeprefix("*.").split(".")
    return {"", host, *(f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels)))}


def _is_host_over(route: RouteSection, match: MatchSection) -> bool:
    return (route.match.host or "") in _hosts_over(match.host or "")


def _covers(match: MatchSection) -> list[tuple[str, str]]:
    """Host and path of every earlier route that would take all requests of this one, conditions apart."""
    path = _path_key(match)
    stem = "" if isinstance(match.path, Regex) else path.partition("*")[0]  # all that a glob takes begins with it
    paths = {"*", path, *(f"{stem[:length]}*" for length in range(1, len(stem) + 1))}
    return [(host, one) for host in _hosts_over(match.host or "") for one in paths]


def _asks_no_more(earlier: MatchSection, later: MatchSection) -> bool:
    """Whether the earlier one's conditions hold wherever the later one's do."""
    methods = not earlier.method or (later.method and set(later.method) <= set(earlier.method))
    return bool(methods) and set(earlier.conditions) <= set(later.conditions)
