"""The models of a balancer's limits. See schema.py, docs/limits.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, PlainValidator, model_validator

from gslb.balancing.limits import LIMIT_KINDS, Whose
from gslb.config.values import Hint, LongTime, Section, ShortTime, refusal
from gslb.units import Rate, Share, parse_rate

LIMITS_MAX = 256  # of a balancer
COUNT_MAX = 10_000_000
CONCURRENCY_MAX = 1_000_000


def _key(text: str) -> str:
    try:
        Whose(text, 64)
    except ValueError as error:
        raise refusal(str(error), f"keys: {', '.join(LIMIT_KINDS)}") from None
    return text


def _rate(value: Any) -> Rate:
    try:
        rate = parse_rate(value)
    except ValueError as error:
        raise refusal(str(error), "write requests and a time, as 100/s, 6000/m or 10/h") from None
    if not 1 <= rate.count <= COUNT_MAX:
        raise refusal(f"{value!r} is out of bounds", f"write from 1 to {COUNT_MAX:,} requests")
    return rate


def _header(text: str) -> str:
    try:
        Whose(f"header:{text}", 64)
    except ValueError:
        raise refusal(f"{text!r} is no name of a header", "write letters, digits and hyphens, as X-Priority") from None
    return text


class AdaptiveSection(Section):
    """A limit of concurrency that finds itself by latency; a node's bounds, divided among its workers."""

    min: Annotated[int, Ge(1), Le(CONCURRENCY_MAX)] = Field(10, description="never fewer requests at once")
    max: Annotated[int, Ge(1), Le(CONCURRENCY_MAX)] = Field(1000, description="never more")
    tolerance: Annotated[float, Ge(1), Le(10)] = Field(
        1.5, description="how many times the least mean latency is not yet a queue"
    )
    window: LongTime = Field(60.0, description="how long the least mean latency is remembered")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is greater than max: write the smaller one as min")
        return self


class LimitSection(Section):
    """One limit: exactly one of `rate`, `concurrency` and `adaptive`. Routes and pools name it in their `limits`."""

    rate: Annotated[Rate | None, PlainValidator(_rate), Hint("requests/time, as `100/s`")] = Field(
        None, description="so many requests in a time, for each key"
    )
    key: Annotated[str, AfterValidator(_key), Hint("key")] = Field(
        "all", description=f"whose requests are counted together: {', '.join(f'`{kind}`' for kind in LIMIT_KINDS)}"
    )
    burst: Annotated[int, Ge(1), Le(COUNT_MAX)] | None = Field(
        None, description="requests that may come at once (token bucket); without it what the rate gives in a second"
    )
    algorithm: Literal["token_bucket", "sliding_window"] = Field("token_bucket", description="how a rate is counted")
    scope: Literal["local", "shared"] = Field(
        "local", description="`local`: for this node's workers together; `shared`: for all nodes of the region"
    )
    slice: Annotated[int, Ge(1), Le(COUNT_MAX)] | None = Field(
        None, description="requests of a key that a worker may hold; without it half of its even share of `burst`"
    )
    prefix: Annotated[int, Ge(16), Le(128)] = Field(64, description="bits of an IPv6 address that are one client")
    status: Literal[429, 503] = Field(429, description="what is answered over the rate")
    concurrency: Annotated[int, Ge(1), Le(CONCURRENCY_MAX)] | None = Field(
        None, description="so many requests at once, over this node's workers"
    )
    adaptive: AdaptiveSection | None = Field(None, description="as many requests at once as latency allows")
    apply: Literal["named", "all"] = Field(
        "named", description="`all`: to every request; `named`: where a route or a pool names it"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [name for name in ("rate", "concurrency", "adaptive") if getattr(self, name) is not None]
        if len(kinds) != 1:
            said = " and ".join(kinds) or "none of them"
            raise ValueError(f"a limit has one of rate, concurrency and adaptive, not {said}: write one limit for each")
        if kinds != ["rate"]:
            extra = sorted(self.model_fields_set - {"concurrency", "adaptive", "apply"})
            if extra:
                raise ValueError(f"{extra[0]!r} goes with rate only: leave it out")
        elif self.algorithm == "sliding_window" and self.burst is not None:
            raise ValueError("a sliding window has no burst: leave it out, or write algorithm: token_bucket")
        elif self.slice is not None and self.slice > self.burst_or_default:
            raise ValueError(f"a slice of {self.slice} is more than the burst: write at most {self.burst_or_default}")
        return self

    @property
    def burst_or_default(self) -> int:
        """`burst`, or a second's worth; of a sliding window all of it."""
        assert self.rate is not None
        if self.algorithm == "sliding_window":
            return self.rate.count
        return self.burst or max(1, round(self.rate.count / self.rate.period_s))


class SheddingSection(Section):
    """Who is refused first when there is too much."""

    normal: Share = Field(0.9, description="of a limit of concurrency, what `normal` and `batch` requests may fill")
    batch: Share = Field(0.7, description="of a limit of concurrency, what `batch` requests may fill")
    lag: ShortTime = Field(0.1, description="a worker's event loop this late is overloaded: `batch` is refused")
    header: Annotated[str, AfterValidator(_header), Hint("header")] | None = Field(
        None, description="a field that lowers a request's priority, and raises it from a trusted proxy"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.batch <= self.normal <= 1:
            raise ValueError("the shares are not in order: write 0% < batch <= normal <= 100%")
        return self
