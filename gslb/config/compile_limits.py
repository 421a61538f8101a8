"""A balancer's limits -> their nouns. Pure; only compile_balancer.py calls it."""

from __future__ import annotations

from collections.abc import Mapping

from gslb.config.schema import LimitSection, SheddingSection
from gslb.model import Adaptive, ConcurrencyLimit, Limits, RateLimit, Shedding


def compile_limits(sections: Mapping[str, LimitSection], shedding: SheddingSection | None) -> Limits:
    """All limits of a balancer."""
    return Limits(
        rates={name: _rate(name, one) for name, one in sections.items() if one.rate is not None},
        concurrency={name: _concurrency(name, one) for name, one in sections.items() if one.rate is None},
        for_all=tuple(name for name, one in sections.items() if one.apply == "all"),
        shedding=None
        if shedding is None
        else Shedding(shedding.normal, shedding.batch, shedding.lag, shedding.header or ""),
    )


def _rate(name: str, section: LimitSection) -> RateLimit:
    assert section.rate is not None
    return RateLimit(
        name=name,
        key=section.key,
        count=section.rate.count,
        period_s=section.rate.period_s,
        burst=section.burst_or_default,
        algorithm=section.algorithm,
        scope=section.scope,
        slice=section.slice or 0,
        prefix=section.prefix,
        status=section.status,
    )


def _concurrency(name: str, section: LimitSection) -> ConcurrencyLimit:
    found = section.adaptive
    if found is None:
        return ConcurrencyLimit(name, section.concurrency or 0)
    return ConcurrencyLimit(name, adaptive=Adaptive(found.min, found.max, found.tolerance, found.window))
