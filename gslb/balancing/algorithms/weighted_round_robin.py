"""weighted_round_robin: `round_robin` by another name, for those who look for it; both honour weights."""

from __future__ import annotations

from dataclasses import dataclass

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.turns import TurnsPicker
from gslb.model import Server


@ALGORITHMS.register("weighted_round_robin")
@dataclass(frozen=True, slots=True)
class WeightedRoundRobin:
    """The same as `round_robin`: servers take turns by weight. No options."""

    def build(self, servers: tuple[Server, ...]) -> TurnsPicker:
        """See Algorithm."""
        return TurnsPicker(servers)
