"""round_robin: servers take turns by weight, in the order nginx would give them (see balancing/turns.py)."""

from __future__ import annotations

from dataclasses import dataclass

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.turns import TurnsPicker
from gslb.model import Server


@ALGORITHMS.register("round_robin")
@dataclass(frozen=True, slots=True)
class RoundRobin:
    """Servers take turns by weight. No options."""

    def build(self, servers: tuple[Server, ...]) -> TurnsPicker:
        """See Algorithm."""
        return TurnsPicker(servers)
