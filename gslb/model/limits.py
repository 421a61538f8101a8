"""How much is let through: rate limits, limits of concurrency, shedding. Everybody imports these from `gslb.model`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Priority = Literal["critical", "normal", "batch"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in a time, for each key. `slice` 0: as `leases.slice_of` sees fit.

    `key` is "all", "route" or what `balancing.keys` knows; `prefix` the bits of an IPv6 client that make one client.
    """

    name: str
    key: str
    count: int
    period_s: float
    burst: int
    algorithm: Literal["token_bucket", "sliding_window"] = "token_bucket"
    scope: Literal["local", "shared"] = "local"
    slice: int = 0
    prefix: int = 64
    status: int = 429


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Bounds and temper of a limit that finds itself: see balancing/concurrency.py."""

    least: int = 10
    most: int = 1000
    tolerance: float = 1.5
    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """So many requests at once on a node: `most`, or found by `adaptive`."""

    name: str
    most: int = 0
    adaptive: Adaptive | None = None


@dataclass(frozen=True, slots=True)
class Shedding:
    """Who is refused first. Shares are of a concurrency limit; `lag_s` is a late event loop; `header` "" is none."""

    normal: float = 0.9
    batch: float = 0.7
    lag_s: float = 0.1
    header: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """A balancer's limits by name, those that hold for every request, and how it sheds."""

    rates: dict[str, RateLimit] = field(default_factory=dict)
    concurrency: dict[str, ConcurrencyLimit] = field(default_factory=dict)
    for_all: tuple[str, ...] = ()
    shedding: Shedding | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every limit's name."""
        return (*self.rates, *self.concurrency)
