"""From what was seen in a drill to its figures and its verdict. Core: samples and marks in, a report out.

All times are seconds from the moment the fault was injected, so what was before is negative.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = ("kill", "servers", "blackhole", "slow", "flap", "partition", "redis-loss")
CLIENTS = ("honest", "stubborn", "front door")
LAST_WRONG_MAX_S = 8.0
SUCCESS_MIN = 0.999
FLAPS_MAX = 2  # changes of the answer while a region flaps
# There every client is to be served, for the region's balancer lives …
BALANCER_LIVES = frozenset({"servers", "partition", "redis-loss", "down", "drain"})
# … and there answers are to move away.
MOVES = frozenset({"kill", "servers", "blackhole", "slow", "partition", "down", "drain"})


@dataclass(frozen=True, slots=True)
class Answer:
    """One look at an answer: `source` "dns" or "front door", the `region` it names; "" if there was none."""

    at: float
    source: str
    region: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a played client, and whether it was served."""

    at: float
    client: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Drill:
    """What was done and seen. `states`: (when, state) of the lost region as an edge's status shows it."""

    region: str
    kind: str
    lasted_s: float
    answers: Sequence[Answer]
    requests: Sequence[Request]
    states: Sequence[tuple[float, str]]
    how: str = ""  # what was injected, for people
    aborted: str = ""


@dataclass(slots=True)
class Figures:
    """The report's numbers; a time that was not reached is None."""

    detect_s: float | None = None  # an edge's status says that the region is not up
    decide_s: float | None = None  # the first new answer that leads elsewhere
    last_wrong_dns_s: float | None = None  # the last answer that still led there; 0 if there was none
    last_wrong_front_s: float | None = None
    recovered_s: float | None = None  # after the fault's end, until answers lead there again
    changes: int = 0  # of the answer, from one region to another, during the fault
    failed_answers: int = 0
    success: dict[str, float] = field(default_factory=dict)  # by kind of client, while the fault lasted
    requests: int = 0


@dataclass(slots=True)
class Report:
    """A drill's outcome; `missed` are the bars that did not hold."""

    region: str
    kind: str
    how: str
    lasted_s: float
    balancer_lives: bool
    figures: Figures
    missed: list[str]
    aborted: str = ""

    @property
    def ok(self) -> bool:
        """Whether every bar held."""
        return not self.missed and not self.aborted

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "ok": self.ok}


def measure(drill: Drill) -> Figures:
    """The figures of a drill."""
    figures = Figures()
    during = [one for one in drill.answers if 0 <= one.at < drill.lasted_s]
    dns = [one for one in during if one.source == "dns"]
    figures.failed_answers = sum(not one.region for one in during)
    figures.detect_s = _first(at for at, state in drill.states if 0 <= at < drill.lasted_s and state != "up")
    figures.decide_s = _first(one.at for one in dns if one.region not in {"", drill.region})
    figures.last_wrong_dns_s = _last_wrong(dns, drill.region)
    figures.last_wrong_front_s = _last_wrong([one for one in during if one.source != "dns"], drill.region)
    after = [one for one in drill.answers if one.at >= drill.lasted_s]
    wrong = [one.at for one in after if one.region != drill.region]
    if after:
        back = _first(one.at for one in after if one.at > max(wrong, default=-math.inf))
        figures.recovered_s = None if back is None else back - drill.lasted_s
    named = [one.region for one in dns if one.region]
    figures.changes = sum(old != new for old, new in itertools.pairwise(named))
    asked = [one for one in drill.requests if 0 <= one.at < drill.lasted_s]
    figures.requests = len(asked)
    for client in CLIENTS:
        mine = [one.ok for one in asked if one.client == client]
        if mine:
            figures.success[client] = sum(mine) / len(mine)
    return figures


def _first(times: Iterable[float]) -> float | None:
    return min(times, default=None)


def _last_wrong(answers: Sequence[Answer], region: str) -> float | None:
    """When the last answer led to the lost region; None if the very last one still did, or there was none."""
    if not answers or answers[-1].region in {region, ""}:
        return None
    return max((one.at for one in answers if one.region == region), default=0.0)


def judge(drill: Drill) -> Report:
    """The figures, held against the bars."""
    figures = measure(drill)
    missed = []
    if drill.kind in MOVES:
        for source, last in (("DNS", figures.last_wrong_dns_s), ("the front door", figures.last_wrong_front_s)):
            if last is None:
                missed.append(f"{source} never left {drill.region} for good")
            elif last > LAST_WRONG_MAX_S:
                missed.append(f"{source} led to {drill.region} for {last:.2f} s, the bar is {LAST_WRONG_MAX_S:g} s")
    if drill.kind == "flap" and figures.changes > FLAPS_MAX:
        missed.append(f"the answer changed {figures.changes} times, at most {FLAPS_MAX} are wanted")
    if drill.kind == "redis-loss" and figures.failed_answers:
        missed.append(f"{figures.failed_answers} answers failed, none may")
    if drill.kind in BALANCER_LIVES:
        for client, success in figures.success.items():
            if success < SUCCESS_MIN:
                missed.append(f"{success:.2%} of {client} clients' requests were served, the bar is {SUCCESS_MIN:.1%}")
    if not drill.answers or not drill.requests:
        missed.append("nothing was asked")
    lives = drill.kind in BALANCER_LIVES
    return Report(drill.region, drill.kind, drill.how, drill.lasted_s, lives, figures, missed, drill.aborted)


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value that `share` of them do not exceed; None without any."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, math.ceil(share * len(ranked)) - 1)] if ranked else None
