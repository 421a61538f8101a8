"""The models of what makes a pool grow and shrink. See schema.py."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field, StringConstraints, model_validator

from gslb.config.values import HookUrl, Secret, Section, ShortTime, Within, refusal
from gslb.model import ScalingDriver, ScalingRule, Thresholds
from gslb.units import Duration, Share, Span

POOL_SERVERS_MAX = 10_000
Word = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]


class ThresholdsSection(Section):
    """Figures of one server, as means over the window; what is left out is not looked at."""

    cpu: Annotated[Share, Within("1%", "100%")] | None = Field(
        None, description="CPU in use, as servers say it (`endpoint-load-metrics`, see algorithms.md)"
    )
    connections: Annotated[float, Ge(0.01), Le(1_000_000)] | None = Field(None, description="requests running")
    requests: Annotated[float, Ge(0.01), Le(1_000_000)] | None = Field(None, description="requests a second")
    latency: ShortTime | None = Field(None, description="mean time of an answer")

    def compiled(self) -> Thresholds:
        """As the scaler wants it."""
        return Thresholds(self.cpu or 0.0, self.connections or 0.0, self.requests or 0.0, self.latency or 0.0)


class CooldownSection(Section):
    """How long nothing follows a change."""

    up: Annotated[Duration, Span("0s", "1d")] = Field(
        60.0, description="after more were wanted, before still more are: longer than a server takes to start"
    )
    down: Annotated[Duration, Span("0s", "1d")] = Field(300.0, description="after any change, before fewer are wanted")


class StepSection(Section):
    """The most that one change brings."""

    up: Annotated[int, Ge(1), Le(1000)] = Field(4, description="servers that come")
    down: Annotated[int, Ge(1), Le(1000)] = Field(1, description="servers that leave")


class DriverSection(Section):
    """Who makes servers come and go: one of the two. What it gets and may answer is in docs/scaling.md."""

    webhook: HookUrl | None = Field(None, description="URL that is sent a POST with a JSON body")
    token: Secret = Field(None, description="sent to it as `Authorization: Bearer`")
    exec: Annotated[tuple[Word, ...], MinLen(1), MaxLen(64)] | None = Field(
        None, description="command and its words, run without a shell, with the JSON on its standard input"
    )
    timeout: ShortTime = Field(30.0, description="it has failed if it isn't done by then")

    @model_validator(mode="after")
    def _one(self) -> DriverSection:
        if (self.webhook is None) == (self.exec is None):
            raise refusal("a driver is a webhook or a command", "write one of webhook: URL and exec: [command, …]")
        return self


class ScalingSection(Section):
    """When a pool gets more or fewer servers, and who makes them."""

    min: Annotated[int, Ge(1), Le(POOL_SERVERS_MAX)] = Field(1, description="never fewer, those of the file included")
    max: Annotated[int, Ge(1), Le(POOL_SERVERS_MAX)] = Field(description="never more, those of the file included")
    up: ThresholdsSection = Field(description="above any of them more servers are wanted")
    down: ThresholdsSection = Field(
        ThresholdsSection(), description="below all of them fewer are wanted; without any, never"
    )
    window: Annotated[Duration, Span("1s", "1h")] = Field(60.0, description="over which the means are made")
    cooldown: CooldownSection = Field(CooldownSection(), description="how long nothing follows a change")
    step: StepSection = Field(StepSection(), description="the most that one change brings")
    drain: Annotated[Duration, Span("0s", "1d")] = Field(
        60.0, description="a server that leaves finishes its requests within this"
    )
    driver: DriverSection = Field(description="who makes servers come and go")

    @model_validator(mode="after")
    def _fits(self) -> ScalingSection:
        """Thresholds that cross would add and remove servers by turns."""
        if self.min > self.max:
            raise refusal(f"min {self.min} is more than max {self.max}", "write min ≤ max")
        names = tuple(ThresholdsSection.model_fields)
        if all(getattr(self.up, name) is None for name in names):
            raise refusal("up names no figure", f"write one of {', '.join(names)}")
        for name in names:
            high, low = getattr(self.up, name), getattr(self.down, name)
            if high is not None and low is not None and low >= high:
                raise refusal(f"down.{name} is not below up.{name}", "leave room between the two: half is usual")
        return self

    def rule(self) -> ScalingRule:
        """As control wants it."""
        driver = self.driver
        return ScalingRule(
            min=self.min,
            max=self.max,
            up=self.up.compiled(),
            down=self.down.compiled(),
            driver=ScalingDriver(driver.webhook or "", driver.token or "", driver.exec or (), driver.timeout),
            window_s=self.window,
            cooldown_up_s=self.cooldown.up,
            cooldown_down_s=self.cooldown.down,
            step_up=self.step.up,
            step_down=self.step.down,
            drain_s=self.drain,
        )
