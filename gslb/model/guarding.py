"""When a server is left alone, and how it comes back: rules and standings. Everybody imports these from `gslb.model`.

A rule is what the configuration says of a pool; a standing is what control holds of one server, spread in the Status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a breaker opens, and how it closes again. Times in seconds.

    `failures` 0 counts none; `window_s` 0 counts failures in a row, else those within it. `error_rate` 0.0 is off,
    else the share of failures within the window (ten seconds without one) that opens it from `min_requests` on.
    """

    failures: int = 5
    window_s: float = 0.0
    error_rate: float = 0.0
    min_requests: int = 20
    open_for_s: float = 30.0
    half_open_probes: int = 1
    half_open_successes: int = 1
    ramp_s: float = 10.0


@dataclass(frozen=True, slots=True)
class OutlierRule:
    """When a server is ejected from its pool (Envoy's outlier detection). Times in seconds; 0 switches a trigger off.

    `max_ejected`: the largest share of the servers that is out at a time.
    """

    consecutive_5xx: int = 5
    consecutive_gateway_failures: int = 5
    success_rate_stdev: float = 1.9
    interval_s: float = 10.0
    base_ejection_s: float = 30.0
    max_ejection_s: float = 300.0
    max_ejected: float = 0.1


@dataclass(frozen=True, slots=True)
class SlowStart:
    """How the share of a server that comes back grows: weight · max(min_weight, (t / window_s) ^ (1 / aggression))."""

    window_s: float = 30.0
    aggression: float = 1.0
    min_weight: float = 0.1


class Gate(StrEnum):
    """What stands between a server and requests."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    EJECTED = "ejected"


@dataclass(frozen=True, slots=True)
class BreakerState:
    """One server's standing. `epoch` rises with every change of `gate`: what began before a change counts for nothing.

    `since_s`: when the gate took this position, on the monotonic clock of this host.
    """

    gate: Gate
    epoch: int
    why: str = ""
    since_s: float = 0.0
