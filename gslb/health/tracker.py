"""From results of checks to a state, without flapping: rise, fall and ok. Pure; control keeps one per target.

              1 success (`first`)                fall failures (they add up)
    UNKNOWN ─────────────> UP  ────────────────────────────────────────────> DOWN
       │                    ^  `ok` successes in a row forget the failures     │ ^
       │                    └──────────────────────────────────────────────────┘ │
       │                              rise successes in a row                    │
       └─────────────────────────────────────────────────────────────────────────┘
                                  fall failures in a row

gdnsd's rule (its `ok_thresh`): while up, failures add up even when successes come between them, and only `ok`
successes in a row clear them, so that a target that fails every second check goes down instead of staying in doubt.
Coming back takes `rise` successes in a row: with 10 of them, a check that fails half the time comes back about once
in 2,000 checks. The first result decides quickly, as gdnsd's does: a starting node must answer; but a first failure
alone takes nobody out.

The flap score is ours. Each time it goes down counts one, and one more if successes came between the failures; each row
of successes that breaks before it is up counts one; the score fades with FADE_S. A target that only was dead comes back
after `rise` successes; one that is in doubt needs `rise` more for every FLAPS of its score beyond that one, `rise_max`
at most. It is the same idea as a decaying average of failures beside the latest result (Akamai's
max(instant, decayed)): what drips is remembered, and a clean end is believed soon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gslb.model import State

OK_DEFAULT = 10
FADE_S = 300.0
FLAPS = 2.0
RISE_MAX_FACTOR = 8


@dataclass(frozen=True, slots=True)
class _Rule:
    """In a state: which results count towards which next state, and what the others do to the count."""

    counts: bool  # the result that is counted
    limit: Literal["first", "rise", "fall"]  # how many of them
    next: State
    cleared_by: Literal["any", "ok"]  # one opposite result, or `ok` in a row


_TABLE: dict[State, tuple[_Rule, ...]] = {
    State.UNKNOWN: (
        _Rule(True, "first", State.UP, "any"),
        _Rule(False, "fall", State.DOWN, "any"),
    ),
    State.UP: (_Rule(False, "fall", State.DOWN, "ok"),),
    State.DOWN: (_Rule(True, "rise", State.UP, "any"),),
}


class Tracker:
    """The state of one target as one observer's checks show it: UNKNOWN, UP or DOWN."""

    __slots__ = (
        "_counts", "_limits", "_mixed", "_ok", "_rise", "_rise_max", "_row", "_score", "_scored_at", "since", "state",
    )  # fmt: skip

    def __init__(
        self, rise: int, fall: int, ok: int = OK_DEFAULT, initial: State = State.UNKNOWN,
        rise_max: int | None = None, first: int = 1,
    ) -> None:  # fmt: skip
        """See the module; each number is at least 1.

        Args:
            rise: successes in a row, from DOWN to UP.
            fall: failures, from UP or UNKNOWN to DOWN.
            ok: successes in a row that forget failures.
            initial: UNKNOWN, UP or DOWN.
            rise_max: the most that `rise` becomes; None is 8 × `rise`.
            first: successes in a row, from UNKNOWN to UP.
        """
        self._rise = max(1, rise)
        self._rise_max = max(self._rise, RISE_MAX_FACTOR * self._rise if rise_max is None else rise_max)
        self._score, self._scored_at = 0.0, 0.0
        self._limits = {"first": max(1, first), "rise": self._rise, "fall": max(1, fall)}
        self._ok = max(1, ok)
        self._enter(initial, 0.0)

    def _enter(self, state: State, now: float) -> None:
        self.state = state
        self.since = now
        self._counts = [0] * len(_TABLE[state])
        self._row = 0  # equal results in a row that might clear a count
        self._mixed = False  # opposite results came between those that count

    def observe(self, success: bool, now: float) -> State | None:
        """Counts one result. Returns the new state if this changed it; `now` then becomes `since`."""
        for index, rule in enumerate(_TABLE[self.state]):
            if success is rule.counts:
                self._mixed = self._mixed or self._row > 0
                self._row = 0
                self._counts[index] += 1
                if self._counts[index] >= self._limits[rule.limit]:
                    if rule.next is State.DOWN:
                        self._doubt(now, 1.0 + self._mixed)
                    self._enter(rule.next, now)
                    return rule.next
            elif self._counts[index]:
                self._row += 1
                if rule.cleared_by == "any" or self._row >= self._ok:
                    self._counts[index] = self._row = 0
                    self._mixed = False
                    if self.state is State.DOWN:
                        self._doubt(now, 1.0)
        return None

    def _doubt(self, now: float, signs: float) -> None:
        """More signs of flapping; what they make of `rise` holds until the next."""
        self._score = self._score * math.exp(-max(0.0, now - self._scored_at) / FADE_S) + signs
        self._scored_at = now
        more = max(0.0, self._score - 1.0) / FLAPS
        self._limits["rise"] = min(self._rise_max, int(self._rise * (1.0 + more)))

    @property
    def recovering(self) -> bool:
        """It is down, and on its way back: its last check was a success."""
        return self.state is State.DOWN and self._counts[0] > 0

    @property
    def changing(self) -> bool:
        """In doubt: something counts towards another state, or nothing is known yet. Check at the fast interval."""
        return self.state is State.UNKNOWN or any(self._counts)

    def changes_in(self, interval_s: float) -> float | None:
        """Seconds to the soonest change if checks go on every `interval_s`; None while nothing moves.

        A time to live must not outlast it (gdnsd clamps its TTLs in this way).
        """
        if not self.changing:
            return None
        rules = zip(_TABLE[self.state], self._counts, strict=True)
        return min(self._limits[rule.limit] - count for rule, count in rules) * interval_s
