"""power_of_two: two servers by lot, and of them the one with less to do.

Mitzenmacher, "The power of two choices in randomized load balancing" (IEEE TPDS 12(10), 2001): nearly as even as
looking at all, at the price of two looks, and workers that don't know of each other do not all run to the same server.

Candidates are drawn by weight and compared by (active + 1) / weight. Drawn evenly, a server of a hundred times the
weight of its thousand neighbours would still be looked at by two requests in a thousand, and could get no more.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from gslb.balancing.algorithm import ALGORITHMS, PICK_TRIES_MAX
from gslb.balancing.lots import Lots
from gslb.model import Server

# Draws for one choice, since the same server may come again or may be in `skip`; in all at most PICK_TRIES_MAX.
DRAWS_PER_CHOICE = 4


class PowerOfTwoPicker:
    """See the module."""

    __slots__ = ("_active", "_choices", "_lots", "_servers", "_wanted")

    def __init__(self, servers: tuple[Server, ...], choices: int) -> None:
        self._choices = choices
        self._active: dict[str, int] = {}  # of any server with requests, usable or not
        self._servers: tuple[Server, ...] = ()
        self._lots = Lots()
        self._wanted = 0
        self.update(servers)

    def pick(self, key: bytes | int | None, now: float, skip: Container[str]) -> Server | None:
        """See Picker."""
        del key
        servers, lots, active = self._servers, self._lots, self._active
        if not servers:
            return None
        if not lots.begun:
            lots.begin(servers, now)
        best, least, left = None, 0.0, self._wanted
        for _ in range(min(left * DRAWS_PER_CHOICE, PICK_TRIES_MAX)):
            server = servers[lots.draw()]
            if server is best or server.id in skip:
                continue
            load = (active.get(server.id, 0) + 1) / server.weight
            if best is None or load < least:
                best, least = server, load
            left -= 1
            if not left:
                break
        return best

    def started(self, server: Server) -> None:
        """See Picker."""
        self._active[server.id] = self._active.get(server.id, 0) + 1

    def ended(self, server: Server) -> None:
        """See Picker."""
        active = self._active.get(server.id, 0)
        if active > 1:
            self._active[server.id] = active - 1
        elif active:
            del self._active[server.id]

    def update(self, servers: tuple[Server, ...]) -> None:
        """See Picker."""
        if servers != self._servers:
            self._servers = servers
            self._wanted = min(self._choices, len(servers))
            self._lots.weigh([server.weight for server in servers])


@ALGORITHMS.register("power_of_two")
@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """Of a few servers drawn by weight, the least (active + 1) / weight.

    Attributes:
        choices: how many are drawn and compared.
    """

    choices: Annotated[int, Ge(2), Le(8)] = 2

    def build(self, servers: tuple[Server, ...]) -> PowerOfTwoPicker:
        """See Algorithm."""
        return PowerOfTwoPicker(servers, self.choices)
