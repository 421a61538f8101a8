"""least_connections: the server with the least (active + 1) / weight (see balancing/least_loaded.py)."""

from __future__ import annotations

from dataclasses import dataclass

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.least_loaded import LeastLoadedPicker
from gslb.model import Server


@ALGORITHMS.register("least_connections")
@dataclass(frozen=True, slots=True)
class LeastConnections:
    """The least (active + 1) / weight; equals take turns. No options."""

    def build(self, servers: tuple[Server, ...]) -> LeastLoadedPicker:
        """See Algorithm."""
        return LeastLoadedPicker(servers)
