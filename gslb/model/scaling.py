"""When a pool gets more or fewer servers. Everybody imports these from `gslb.model`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Of one server, 0 is not looked at: CPU in use (a share), requests running, requests a second, mean seconds."""

    cpu: float = 0.0
    connections: float = 0.0
    requests: float = 0.0
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ScalingDriver:
    """Who makes servers come and go: the URL `webhook` (with `token` as Bearer), or the command `exec`."""

    webhook: str = ""
    token: str = field(default="", repr=False)
    exec: tuple[str, ...] = ()
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ScalingRule:
    """Between `min` and `max` servers, declared ones included: more above `up`, fewer below `down`.

    What counts are means over `window_s`. `step_up` and `step_down` bound one change, the cooldowns what follows it;
    a server that leaves finishes its requests within `drain_s`.
    """

    min: int
    max: int
    up: Thresholds
    down: Thresholds
    driver: ScalingDriver
    window_s: float = 60.0
    cooldown_up_s: float = 60.0
    cooldown_down_s: float = 300.0
    step_up: int = 4
    step_down: int = 1
    drain_s: float = 60.0

    @property
    def by_cpu(self) -> bool:
        """Whether it needs what servers say of their CPU."""
        return bool(self.up.cpu or self.down.cpu)
