"""Routes that ask for more than a plain host and path: wildcard hosts, globs, regular expressions, conditions. Core.

Compiled so that a thousand routes cost little more than ten: each host has its paths in dictionaries and its patterns
in one set that is matched in one pass; conditions are tried only for the routes whose host and path fit, in declared
order, up to the first that holds. `compile_routes` makes one where the routes need it, else a plain `Router`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from gslb.balancing.conditions import Conditions
from gslb.balancing.patterns import PatternSet, glob_pattern, is_glob
from gslb.balancing.request import Request
from gslb.balancing.routes import Router, name_of
from gslb.model import Route

T = TypeVar("T")

Places = dict[str, list[int]]  # of the routes that share a path, in order, up to the first without conditions


class _Paths:
    """The routes of one host: path -> places in the declared order."""

    __slots__ = ("_exact", "_lengths", "_patterns", "_prefixes", "_set")

    def __init__(self, routes: Iterable[tuple[int, Route]]) -> None:
        """Raises ValueError for patterns that RE2 doesn't take."""
        self._exact: Places = {}
        self._prefixes: Places = {}
        self._patterns: list[list[int]] = []  # by place in the set
        patterns: Places = {}
        ends: set[int] = set()  # routes without conditions: none after one with the same path is ever reached
        for place, route in routes:
            path = route.path
            if route.pattern or is_glob(path):
                here = patterns.setdefault(route.pattern or glob_pattern(path), [])
            elif path.endswith("*") or not path:
                here = self._prefixes.setdefault(path[:-1], [])
            else:
                here = self._exact.setdefault(path, [])
            if not here or here[-1] not in ends:
                here.append(place)
            if not route.conditional:
                ends.add(place)
        self._lengths = tuple(sorted({len(prefix) for prefix in self._prefixes}))
        self._patterns = list(patterns.values())
        self._set = PatternSet(tuple(patterns)) if patterns else None

    def places(self, path: str) -> Iterator[list[int]]:
        """The places of the routes that match `path`: lists in order, the lists among each other in none."""
        exact = self._exact.get(path)
        if exact is not None:
            yield exact
        for length in self._lengths:
            prefixed = self._prefixes.get(path[:length])
            if prefixed is not None:
                yield prefixed
        if self._set is not None:
            for index in self._set.matching(path.encode("ascii")):
                yield self._patterns[index]


class RuledRouter(Generic[T]):
    """The compiled routes of a balancer. Immutable; a new Plan makes a new one."""

    __slots__ = ("_any", "_conditions", "_hosts", "_values", "_wild")

    def __init__(self, routes: Sequence[Route], values: Sequence[T]) -> None:
        """`values`: what `find` gives for each route. Raises ValueError for patterns that RE2 doesn't take."""
        self._values = values
        self._conditions = tuple(Conditions(route) if route.conditional else None for route in routes)
        everywhere: list[tuple[int, Route]] = []
        hosts: dict[str, list[tuple[int, Route]]] = {}
        wild: dict[str, list[tuple[int, Route]]] = {}
        for place, route in enumerate(routes):
            for host in route.hosts:
                if host.startswith("*."):
                    wild.setdefault(host[2:].lower(), []).append((place, route))
                else:
                    hosts.setdefault(host.lower(), []).append((place, route))
            if not route.hosts:
                everywhere.append((place, route))
        self._hosts = {host: _Paths(listed) for host, listed in hosts.items()}
        self._wild = {parent: _Paths(listed) for parent, listed in wild.items()}
        self._any = _Paths(everywhere)

    def _named(self, host: str) -> Iterator[_Paths]:
        """The routes of every way to name this host, those of any host last."""
        authority = host.lower()
        name = name_of(authority)
        for one in {host, authority, name}:
            if one in self._hosts:
                yield self._hosts[one]
        if self._wild:
            parent = name
            while "." in parent:
                parent = parent[parent.index(".") + 1 :]
                if parent in self._wild:
                    yield self._wild[parent]
        yield self._any

    def find(self, host: str, path: str) -> T | None:
        """The value of the first route whose host and path fit, whatever its conditions; None if there is none.

        Args:
            host: as the Host field or the absolute target names it; case, a port and a final dot don't matter.
            path: as it came, without the query.
        """
        best = len(self._values)
        for paths in self._named(host):
            for places in paths.places(path):
                best = min(best, places[0])
        return self._values[best] if best < len(self._values) else None

    def choose(self, request: Request) -> T | None:
        """The value of the first route that takes the request, its conditions included."""
        path = request.path.decode("ascii")
        fitting = {place for paths in self._named(request.host) for places in paths.places(path) for place in places}
        for place in sorted(fitting):
            conditions = self._conditions[place]
            if conditions is None or conditions.hold(request):
                return self._values[place]
        return None


def compile_routes(routes: Sequence[Route], values: Sequence[T]) -> Router[T] | RuledRouter[T]:
    """The router for these routes: `find(host, path)`, and `choose(request)` where what was found has conditions."""
    if any(_is_ruled(route) for route in routes):
        return RuledRouter(routes, values)
    return Router(routes, values)


def _is_ruled(route: Route) -> bool:
    wild = any(host.startswith("*.") for host in route.hosts)
    return route.conditional or bool(route.pattern) or is_glob(route.path) or wild
