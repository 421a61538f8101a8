"""A region's traffic in a few figures, over a sliding window: rates, success, percentiles. Core.

Control takes a sample of the workers' counters once a second; the figures are the difference of two samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gslb.metrics import SECONDS

WINDOW_S = 60.0
PERCENTILES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class PoolSample:
    """One pool's counters: answers by the class of their status (1xx first), and the cells of its histogram."""

    classes: tuple[int, ...]
    histogram: tuple[int, ...]  # a count a bucket, +Inf, the sum in microseconds


@dataclass(frozen=True, slots=True)
class Sample:
    """All pools at one moment (monotonic seconds)."""

    at: float
    pools: Mapping[str, PoolSample]


def summary(old: Sample, new: Sample, active: Mapping[str, int]) -> dict[str, Any]:
    """The region's figures, and each pool's under `pools`.

    Args:
        old: where the window begins.
        new: now.
        active: servers in use, by pool.

    `total_requests` counts from the node's start; all else is of the window. Times are in seconds; `success_rate` is
    the share of answers that are not 5xx, from 0 to 1. None where nothing was answered.
    """
    nothing = PoolSample((0,) * 5, (0,) * (len(SECONDS) + 2))
    window_s = new.at - old.at
    parts = {name: (old.pools.get(name, nothing), sample) for name, sample in new.pools.items()}
    whole = _figures(
        _sum([before for before, _ in parts.values()], nothing), _sum(list(new.pools.values()), nothing), window_s
    )
    pools = {
        name: {**_figures(before, now, window_s), "active_servers": active.get(name, 0)}
        for name, (before, now) in parts.items()
    }
    return {"window_s": round(window_s, 3), **whole, "active_servers": sum(active.values()), "pools": pools}


def _sum(samples: Sequence[PoolSample], nothing: PoolSample) -> PoolSample:
    every = [*samples, nothing]
    return PoolSample(
        tuple(map(sum, zip(*(one.classes for one in every), strict=True))),
        tuple(map(sum, zip(*(one.histogram for one in every), strict=True))),
    )


def _figures(old: PoolSample, new: PoolSample, window_s: float) -> dict[str, Any]:
    classes = [now - before for before, now in zip(old.classes, new.classes, strict=True)]
    *counts, total_us = (now - before for before, now in zip(old.histogram, new.histogram, strict=True))
    requests, timed = sum(classes), sum(counts)
    return {
        "total_requests": sum(new.classes),
        "requests_per_second": round(requests / window_s, 3) if window_s > 0 else 0.0,
        "success_rate": round(1 - classes[4] / requests, 6) if requests else None,
        "average_response_time": round(total_us / _MICROSECONDS / timed, 6) if timed else None,
        **{name: percentile(counts, share) for name, share in PERCENTILES},
    }


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The time within which `share` of the answers came, in seconds; None without any.

    Linear within a bucket, as Prometheus's histogram_quantile; beyond the last bound it is that bound.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, seen, low = share * total, 0, 0.0
    for bound, count in zip(SECONDS, counts, strict=False):
        if count and seen + count >= wanted:
            return round(low + (bound - low) * (wanted - seen) / count, 6)
        seen, low = seen + count, bound
    return SECONDS[-1]
