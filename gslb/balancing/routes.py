"""Which route takes a request: host and path against the routes, the first in declared order that matches.

Core; called by the proxy once a request. Compiled so that the number of routes doesn't matter: one dictionary of
exact paths and one of prefixes for each host, and one look-up for each distinct length of prefix; routes with patterns,
wildcard hosts or conditions are `ruled.py`'s. `compile_routes` gives whichever the routes need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from gslb.balancing.request import Request
from gslb.model import Route

T = TypeVar("T")


class _Paths:
    """The routes of one host: path -> place of the first route with it in the declared order."""

    __slots__ = ("_exact", "_lengths", "_prefixes", "_rest")

    def __init__(self) -> None:
        self._exact: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        self._lengths: tuple[int, ...] = ()
        self._rest: int | None = None  # the first route for any path

    def add(self, path: str, place: int) -> None:
        """Routes come in declared order, so the first to name a path keeps it."""
        if path in ("", "*"):
            if self._rest is None:
                self._rest = place
        elif path.endswith("*"):
            self._prefixes.setdefault(path[:-1], place)
            self._lengths = tuple(sorted({len(prefix) for prefix in self._prefixes}))
        else:
            self._exact.setdefault(path, place)

    def find(self, path: str, best: int) -> int:
        """The least of `best` and the places of the routes that match `path`."""
        if self._rest is not None and self._rest < best:
            best = self._rest
        place = self._exact.get(path)
        if place is not None and place < best:
            best = place
        for length in self._lengths:
            place = self._prefixes.get(path[:length])
            if place is not None and place < best:
                best = place
        return best


class Router(Generic[T]):
    """The compiled routes of a balancer. Immutable; a new Plan makes a new one."""

    __slots__ = ("_any", "_hosts", "_values")

    def __init__(self, routes: Iterable[Route], values: Sequence[T]) -> None:
        """`values`: what `find` gives for each route.

        A host in `Route.hosts` is a name, or `name:port` for that port alone; both in lower case.
        """
        self._values = values
        self._hosts: dict[str, _Paths] = {}
        self._any: _Paths = _Paths()
        for place, route in enumerate(routes):
            for host in route.hosts:
                self._hosts.setdefault(host.lower(), _Paths()).add(route.path, place)
            if not route.hosts:
                self._any.add(route.path, place)

    def find(self, host: str, path: str) -> T | None:
        """The value of the route for a request, or None.

        Args:
            host: as the Host field or the absolute target names it; case, a port and a final dot don't matter.
            path: as it came, without the query. No decoding is done: `/%61pi` is not `/api`.
        """
        best = len(self._values)
        hosts = self._hosts
        if hosts:
            paths = hosts.get(host)
            if paths is not None:
                best = paths.find(path, best)
            authority = host.lower()
            name = name_of(authority)
            for other in {authority, name} - {host}:
                paths = hosts.get(other)
                if paths is not None:
                    best = paths.find(path, best)
        best = self._any.find(path, best)
        return self._values[best] if best < len(self._values) else None

    def choose(self, request: Request) -> T | None:
        """What `find` gives: no route here asks for more than host and path."""
        return self.find(request.host, request.path.decode("ascii"))


def name_of(authority: str) -> str:
    """An authority without its port and final dot; `[::1]:80` is `[::1]`."""
    name, colon, port = authority.rpartition(":")
    return (name if colon and port.isdigit() else authority).rstrip(".")
