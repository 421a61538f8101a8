"""The models of what keeps requests away from a failing server, and of how it comes back. See schema.py."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field, model_validator

from gslb.config.values import LongTime, Section, ShortTime, Within, refusal
from gslb.model import BreakerRule, OutlierRule, SlowStart
from gslb.units import Duration, Share, Span


class BreakerSection(Section):
    """When a server is left alone for a while, and how it comes back.

    A failure is a connection that fails, a timeout, an answer that breaks off, or a 5xx.
    """

    failures: Annotated[int, Ge(0), Le(10_000)] = Field(
        5, description="failures that open it, in a row or within `window`; 0 leaves it to `error_rate`"
    )
    window: LongTime | None = Field(
        None, description="failures are counted within this time; without it in a row (and `error_rate` within 10s)"
    )
    error_rate: Annotated[Share, Within("1%", "100%")] | None = Field(
        None, description="share of failed requests within the window that opens it, too"
    )
    min_requests: Annotated[int, Ge(1), Le(1_000_000)] = Field(
        20, description="with fewer requests within the window, `error_rate` says nothing"
    )
    open_for: LongTime = Field(30.0, description="how long it stays open; doubled (to 8 times) while probes fail")
    half_open_probes: Annotated[int, Ge(1), Le(1000)] = Field(
        1, description="requests at a time, per node, that try a server again"
    )
    half_open_successes: Annotated[int, Ge(1), Le(1000)] = Field(1, description="of them that close the breaker")
    ramp: Annotated[Duration, Span("0s", "1h")] = Field(
        10.0, description="over which the server then gets its share back; 0s is at once"
    )

    @model_validator(mode="after")
    def _opens(self) -> BreakerSection:
        """A breaker that nothing opens is a mistake."""
        if not self.failures and self.error_rate is None:
            raise refusal("nothing opens this breaker", "write failures: 1 or more, or an error_rate")
        return self

    def rule(self) -> BreakerRule:
        """As the balancer wants it."""
        return BreakerRule(
            failures=self.failures,
            window_s=self.window or 0.0,
            error_rate=self.error_rate or 0.0,
            min_requests=self.min_requests,
            open_for_s=self.open_for,
            half_open_probes=self.half_open_probes,
            half_open_successes=self.half_open_successes,
            ramp_s=self.ramp,
        )


class OutliersSection(Section):
    """When a server is ejected for doing worse than the others of its pool (Envoy's outlier detection)."""

    consecutive_5xx: Annotated[int, Ge(0), Le(10_000)] = Field(
        5, description="failures in a row, of any kind, that eject; 0 is off"
    )
    consecutive_gateway_failures: Annotated[int, Ge(0), Le(10_000)] = Field(
        5, description="in a row: no connection, timeouts, broken answers, 502, 503, 504; 0 is off"
    )
    success_rate_stdev: Annotated[float, Ge(0), Le(10)] = Field(
        1.9,
        description="ejects below mean − this · standard deviation, of 5 or more servers with 100 requests an interval;"
        " 0 is off",
    )
    interval: ShortTime = Field(10.0, description="time between two comparisons of success rates")
    base_ejection: LongTime = Field(30.0, description="the first ejection; the second lasts twice that, and so on …")
    max_ejection: LongTime = Field(300.0, description="… up to this")
    max_ejected: Annotated[Share, Within("0%", "100%")] = Field(
        0.1, description="most servers out at a time, rounded down; one of several may always go, the last never"
    )

    def rule(self) -> OutlierRule:
        """As the balancer wants it."""
        return OutlierRule(
            consecutive_5xx=self.consecutive_5xx,
            consecutive_gateway_failures=self.consecutive_gateway_failures,
            success_rate_stdev=self.success_rate_stdev,
            interval_s=self.interval,
            base_ejection_s=self.base_ejection,
            max_ejection_s=self.max_ejection,
            max_ejected=self.max_ejected,
        )


class SlowStartSection(Section):
    """How the share of a server grows that was seen down or has joined; never at the balancer's own start."""

    window: LongTime = Field(30.0, description="until it has its whole share")
    aggression: Annotated[float, Ge(0.1), Le(10)] = Field(
        1.0, description="above 1 grows faster at first, below 1 more slowly: (t / window) ^ (1 / aggression)"
    )
    min_weight: Annotated[Share, Within("1%", "100%")] = Field(0.1, description="its share at first")

    def rule(self) -> SlowStart:
        """As the balancer wants it."""
        return SlowStart(self.window, self.aggression, self.min_weight)
