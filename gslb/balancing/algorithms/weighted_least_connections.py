"""weighted_least_connections: `least_connections` by another name, for those who look for it; both honour weights."""

from __future__ import annotations

from dataclasses import dataclass

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.least_loaded import LeastLoadedPicker
from gslb.model import Server


@ALGORITHMS.register("weighted_least_connections")
@dataclass(frozen=True, slots=True)
class WeightedLeastConnections:
    """The same as `least_connections`: the least (active + 1) / weight. No options."""

    def build(self, servers: tuple[Server, ...]) -> LeastLoadedPicker:
        """See Algorithm."""
        return LeastLoadedPicker(servers)
