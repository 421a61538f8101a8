"""When a pool should have more or fewer servers: means over a sliding window, two sets of thresholds, cooldowns. Core.

Control measures a pool once a second and asks; a decision says in words why. More servers come as soon as one figure
says so, and as many as that figure needs; fewer only if every figure says so and those that stay would not be over the
upper thresholds. After a decision the window begins anew: what was measured with another number of servers tells
nothing of this one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gslb.model import ScalingRule, Thresholds

SAMPLES_MAX = 4000  # a window of an hour, a sample a second
_UNITS = {"cpu": "", "connections": " requests running", "requests": " requests/s", "latency_s": " s"}
_SHARED = ("cpu", "connections", "requests")  # figures that fall as servers come


@dataclass(frozen=True, slots=True)
class Load:
    """A pool at one moment. Figures are of one server on the average; None is unknown.

    `servers`: those that are there and are not leaving. `active`: of them, those that get requests.
    """

    servers: int
    active: int
    cpu: float | None = None
    connections: float | None = None
    requests: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """From `servers` to `wanted`. `trace` has a line for each figure that was looked at."""

    servers: int
    wanted: int
    why: str
    trace: tuple[str, ...] = ()

    @property
    def action(self) -> Literal["up", "down"]:
        """Which way."""
        return "up" if self.wanted > self.servers else "down"


class Scaler:
    """One pool's."""

    def __init__(self, rule: ScalingRule) -> None:
        self.rule = rule
        self._loads: deque[tuple[float, Load]] = deque(maxlen=SAMPLES_MAX)
        self.up_from = self.down_from = -math.inf  # when the cooldowns end

    def see(self, load: Load, now: float) -> None:
        """Takes a measurement (`now`: monotonic seconds)."""
        self._loads.append((now, load))
        while len(self._loads) > 1 and self._loads[1][0] <= now - self.rule.window_s:
            self._loads.popleft()  # one from before the window stays: it is full then

    def decide(self, now: float) -> ScalingDecision | None:
        """What is to be done after the last measurement; it is taken as begun."""
        if not self._loads:
            return None
        rule, load = self.rule, self._loads[-1][1]
        decision = self._bounded(load, now)
        if decision is None and now - self._loads[0][0] >= rule.window_s:
            decision = self._judged(load, now)
        if decision is not None:
            self._begin(decision.action, now)
        return decision

    def _begin(self, action: str, now: float) -> None:
        self._loads.clear()
        self.down_from = now + self.rule.cooldown_down_s
        if action == "up":
            self.up_from = now + self.rule.cooldown_up_s

    def _bounded(self, load: Load, now: float) -> ScalingDecision | None:
        """Out of bounds needs no figures."""
        rule, count = self.rule, load.servers
        if count < rule.min and now >= self.up_from:
            return ScalingDecision(count, rule.min, f"{count} servers are fewer than min, {rule.min}")
        if count > rule.max and now >= self.down_from:
            wanted = max(rule.max, count - rule.step_down)
            return ScalingDecision(count, wanted, f"{count} servers are more than max, {rule.max}")
        return None

    def _judged(self, load: Load, now: float) -> ScalingDecision | None:
        rule, count = self.rule, load.servers
        figures = list(self._figures())
        trace = tuple(text for _, _, text in figures)
        hot = [(over, text) for over, _, text in figures if over > 1]
        if hot and now >= self.up_from and rule.min <= count < rule.max:
            over, text = max(hot)
            more = max(1, math.ceil(load.active * over - 1e-9) - load.active)
            wanted = min(count + min(more, rule.step_up), rule.max)
            return ScalingDecision(count, wanted, text, trace)
        cold = not hot and self.rule.down != Thresholds() and all(under for _, under, _ in figures)
        if cold and now >= self.down_from and count > rule.min:
            wanted = max(rule.min, count - rule.step_down)
            if self._would_do(load, count - wanted):
                return ScalingDecision(count, wanted, "; ".join(trace), trace)
        return None

    def mean(self, name: str) -> float | None:
        """The mean of a figure over the window; None if it was not known in most of it."""
        known = [value for _, load in self._loads if (value := getattr(load, name)) is not None]
        return sum(known) / len(known) if len(known) * 2 > len(self._loads) else None

    def _figures(self) -> Iterator[tuple[float, bool, str]]:
        """Of each figure with a threshold: how many times the upper one it is, whether it is below the lower, words."""
        for name, unit in _UNITS.items():
            high, low = getattr(self.rule.up, name), getattr(self.rule.down, name)
            mean = self.mean(name)
            if not (high or low):
                continue
            shown = name.removesuffix("_s")
            if mean is None:
                # no reason to have more; and without an answer its time is none to keep what is there
                yield 0.0, name == "latency_s", f"{shown} is not known"
                continue
            over, under = (mean / high if high else 0.0), (mean < low if low else True)
            bound = f"over {high:g}" if over > 1 else f"under {low:g}" if low and under else f"up {high:g} down {low:g}"
            yield over, under, f"{shown} {mean:.4g}{unit}, {bound}, a server for {self.rule.window_s:g} s"

    def _would_do(self, load: Load, leave: int) -> bool:
        """Whether the servers that stay would be within the upper thresholds, were the load shared among them."""
        stay = load.active - leave
        for name in _SHARED:
            high, mean = getattr(self.rule.up, name), self.mean(name)
            if high and mean is not None and (stay <= 0 or mean * load.active / stay > high):
                return False
        return True

    def describe(self, now: float) -> dict[str, object]:
        """What was measured last, the means so far, and what is waited for."""
        last = self._loads[-1][1] if self._loads else None
        return {
            "servers": last.servers if last else None,
            "active": last.active if last else None,
            "min": self.rule.min,
            "max": self.rule.max,
            "means": {name.removesuffix("_s"): self.mean(name) for name in _UNITS},
            "window_s": round(now - self._loads[0][0], 1) if self._loads else 0.0,
            "up_after_s": round(max(0.0, self.up_from - now), 1),
            "down_after_s": round(max(0.0, self.down_from - now), 1),
        }
