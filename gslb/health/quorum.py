"""How a region's state is known: all evidence about one region in, one status with its reason out. Pure.

Control calls `judge` for every region on every tick, with fresh evidence only (`Freshness` says what is fresh). The
precedence is the table `_PRECEDENCE`, first row that speaks wins:

| row | speaks when | says |
| --- | --- | --- |
| override | an operator said so | that |
| own word | the region's fresh word, also as an observer heard it: it drains, or has no servers | draining, down |
| quorum | two or more fresh views | what more than half of them say; without a majority, what it was |
| one view | a single fresh view, which isn't down, or is by a node that sees others up | that view |
| isolated | all my probes fail and no fresh peer sees anything up | the last known good |
| silence | nothing fresh | the last known good, else unknown |

The region's word that it is up is one view among the others. A draining view means the region was reached, so it
isn't down. Down everywhere by quorum is not decided here: the engine then does what `when_all_down` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gslb.model import RegionStatus, State

SOURCES_MAX = 4096  # nodes whose reports' freshness is remembered
NAMES_MAX = 3  # observers named in a reason
THE_REGION = "the region itself"


class OwnWord(StrEnum):
    """What a region says of itself, best first."""

    UP = "up"
    DRAINING = "draining"
    NO_SERVERS = "no_servers"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is fresh about one region; the fields are `judge`'s arguments."""

    override: tuple[State, str] | None
    own_word: OwnWord | None
    views: Mapping[str, State]
    isolated: bool
    last_good: State | None
    before: State | None = None
    recovering: bool = False


def judge(
    *,
    override: tuple[State, str] | None,
    own_word: OwnWord | None,
    views: Mapping[str, State],
    isolated: bool,
    last_good: State | None,
    changes_in_s: float | None = None,
    before: State | None = None,
    recovering: bool = False,
) -> RegionStatus:
    """The status of one region by the precedence above, with the evidence named in `why`.

    Args:
        override: the state an operator set, and the reason given.
        own_word: the region's own fresh word, None if there is none.
        views: observer -> its fresh view of the region, this node's own included. UNKNOWN is no view.
        isolated: all probes of this node fail and no fresh peer sees any region up.
        last_good: the state before this node was isolated or everything fell silent.
        changes_in_s: the soonest that the evidence could change the state; ignored under an override.
        before: what this observer judged last; a vote without a majority changes nothing.
        recovering: this observer calls the region down, but its last probe succeeded: alone, that takes nothing down
            that was up by others' word.
    """
    known = {observer: state for observer, state in views.items() if state is not State.UNKNOWN}
    if own_word is OwnWord.UP:
        known[THE_REGION] = State.UP
    evidence = Evidence(override, own_word, known, isolated, last_good, before, recovering)
    for row in _PRECEDENCE:
        spoken = row(evidence)
        if spoken is not None:
            state, why = spoken
            forced = override is not None
            return RegionStatus(state, why, forced=forced, changes_in_s=None if forced else changes_in_s)
    raise AssertionError("the last row always speaks")


_Spoken = tuple[State, str] | None


def _override(evidence: Evidence) -> _Spoken:
    if evidence.override is None:
        return None
    state, why = evidence.override
    return state, f"an operator forced it: {why}"


def _own_word(evidence: Evidence) -> _Spoken:
    if evidence.own_word is OwnWord.NO_SERVERS:
        return State.DOWN, "its own word: no servers left"
    if evidence.own_word is OwnWord.DRAINING:
        return State.DRAINING, "its own word: draining"
    heard = [observer for observer, state in evidence.views.items() if state is State.DRAINING]
    return (State.DRAINING, f"its own word: draining, heard by {_names(heard)}") if heard else None


def _quorum(evidence: Evidence) -> _Spoken:
    views = evidence.views
    if len(views) < 2:
        return None
    down = [observer for observer, state in views.items() if state is State.DOWN]
    if 2 * len(down) > len(views):
        return State.DOWN, f"{len(down)} of {len(views)} see it down"
    if 2 * len(down) == len(views) and evidence.before is State.DOWN:
        return State.DOWN, f"{len(down)} of {len(views)} see it down, no majority: as it was"
    unlike = f"; {_names(down)} sees it down, no majority" if down else ""
    return State.UP, f"{len(views) - len(down)} of {len(views)} see it up{unlike}"


def _one_view(evidence: Evidence) -> _Spoken:
    if evidence.recovering and evidence.before is State.UP and set(evidence.views.values()) == {State.DOWN}:
        return State.UP, "as it was by others' word; here it answers again"
    for observer, state in evidence.views.items():
        if state is not State.DOWN or not evidence.isolated:
            return state, f"{observer} sees it {state.value}, the only fresh view"
    return None


def _isolated(evidence: Evidence) -> _Spoken:
    if not evidence.isolated:
        return None
    return (
        evidence.last_good or State.UNKNOWN,
        "isolated: all probes fail here and no peer sees anything up; last known good",
    )


def _silence(evidence: Evidence) -> _Spoken:
    if evidence.last_good is None:
        return State.UNKNOWN, "no evidence yet"
    return evidence.last_good, "no fresh evidence; last known good"


_PRECEDENCE: tuple[Callable[[Evidence], _Spoken], ...] = (
    _override,
    _own_word,
    _quorum,
    _one_view,
    _isolated,
    _silence,
)


def _names(observers: list[str]) -> str:
    shown = ", ".join(sorted(observers)[:NAMES_MAX])
    return shown if len(observers) <= NAMES_MAX else f"{shown} and {len(observers) - NAMES_MAX} more"


@dataclass(slots=True)
class _Seen:
    order: tuple[int, int]  # incarnation, sequence
    at: float


class Freshness:
    """When each source last said something new, by this node's monotonic clock; other clocks are never trusted.

    A source's reports are ordered by incarnation, then sequence: a restarted node counts from 1 again in a higher
    incarnation and is newer at once; repeats and anything older refresh nothing.
    """

    def __init__(self, ttl_s: float) -> None:
        """What was new within the last `ttl_s` seconds is fresh."""
        self._ttl_s = ttl_s
        self._seen: dict[str, _Seen] = {}

    def seen(self, key: str, incarnation: int, sequence: int, now: float) -> bool:
        """Notes a report of source `key`; True if it is newer than all before, which makes the source fresh."""
        order = (incarnation, sequence)
        known = self._seen.get(key)
        if known is not None:
            if order <= known.order:
                return False
            known.order, known.at = order, now
            return True
        if len(self._seen) >= SOURCES_MAX:
            del self._seen[min(self._seen, key=lambda each: self._seen[each].at)]
        self._seen[key] = _Seen(order, now)
        return True

    def is_fresh(self, key: str, now: float) -> bool:
        """Whether `key` said something new within the time to live."""
        known = self._seen.get(key)
        return known is not None and now - known.at <= self._ttl_s

    def age_s(self, key: str, now: float) -> float | None:
        """Seconds since `key` last said something new, None if it never did."""
        known = self._seen.get(key)
        return None if known is None else now - known.at
