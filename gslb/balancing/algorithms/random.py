"""random: a server by lot, each as often as its weight says.

It remembers nothing and needs no agreement: shares hold over many requests, not over few. The lots are those of
`balancing/lots.py`, so a picker is repeatable and workers differ.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from gslb.balancing.algorithm import ALGORITHMS, PICK_TRIES_MAX
from gslb.balancing.lots import Lots
from gslb.model import Server


class RandomPicker:
    """See the module."""

    __slots__ = ("_lots", "_servers")

    def __init__(self, servers: tuple[Server, ...]) -> None:
        self._servers: tuple[Server, ...] = ()
        self._lots = Lots()
        self.update(servers)

    def pick(self, key: bytes | int | None, now: float, skip: Container[str]) -> Server | None:
        """See Picker."""
        del key
        servers, lots = self._servers, self._lots
        if not servers:
            return None
        if not lots.begun:
            lots.begin(servers, now)
        for _ in range(PICK_TRIES_MAX):
            server = servers[lots.draw()]
            if server.id not in skip:
                return server
        return None

    def started(self, server: Server) -> None:
        """Lots don't depend on what is running."""

    def ended(self, server: Server) -> None:
        """Lots don't depend on what is running."""

    def update(self, servers: tuple[Server, ...]) -> None:
        """See Picker."""
        if servers != self._servers:
            self._servers = servers
            self._lots.weigh([server.weight for server in servers])


@ALGORITHMS.register("random")
@dataclass(frozen=True, slots=True)
class Random:
    """A server by lot, by weight. No options."""

    def build(self, servers: tuple[Server, ...]) -> RandomPicker:
        """See Algorithm."""
        return RandomPicker(servers)
