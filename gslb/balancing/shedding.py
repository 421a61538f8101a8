"""Who is refused first when there is too much: priorities, and how late the event loop runs. Core.

Two signals. *Places*: a request may fill only its priority's share of a concurrency limit, so `batch` is turned away
while there is still room for `normal`, and `critical` has the last places. *Lag*: the loop's turns come late when a
worker has more to do than a core can; then `batch` goes first, whole; what is left of `normal` is thinned out evenly to
the share that would bring the lag back (`lag / measured`); `critical` is never refused for lag.

A route gives its requests a priority. A header may lower it, and raise it only from a trusted proxy: else every client
would be critical.
"""

from __future__ import annotations

from gslb.model import Shedding

CRITICAL, NORMAL, BATCH = range(3)
PRIORITIES = {"critical": CRITICAL, "normal": NORMAL, "batch": BATCH}
_WORDS = {word.encode(): rank for word, rank in PRIORITIES.items()}
SMOOTHING = 0.5  # of the lag, a look: one slow turn is no overload, two are
NORMAL_FACTOR = 2.0  # `normal` is thinned from this many times the lag on


def rank_of(route: int, said: bytes | None, trusted: bool) -> int:
    """A request's priority: its route's, or what its header says if that is lower, or comes from a trusted proxy."""
    found = _WORDS.get(said.strip().lower()) if said else None
    if found is None:
        return route
    return found if trusted else max(route, found)


class Overload:
    """One worker's lag, and what it sheds by it."""

    __slots__ = ("_credit", "_lag_s", "lag_s", "shares", "shedding")

    def __init__(self, shedding: Shedding | None) -> None:
        self.shedding = shedding
        self.shares = (1.0, shedding.normal, shedding.batch) if shedding is not None else (1.0, 1.0, 1.0)
        self._lag_s = shedding.lag_s if shedding is not None else 0.0
        self.lag_s = 0.0  # smoothed
        self._credit = 0.0

    def look(self, late_s: float) -> None:
        """A timer came `late_s` after its time."""
        self.lag_s += (max(0.0, late_s) - self.lag_s) * SMOOTHING

    @property
    def active(self) -> bool:
        """Whether some requests are refused for lag now."""
        return self._lag_s > 0.0 and self.lag_s >= self._lag_s

    def refuses(self, rank: int) -> bool:
        """Whether a request of this priority is refused for lag."""
        if rank == CRITICAL or not self.active:
            return False
        if rank == BATCH:
            return True
        bound_s = self._lag_s * NORMAL_FACTOR
        if self.lag_s < bound_s:
            return False
        self._credit += bound_s / self.lag_s
        if self._credit >= 1.0:
            self._credit -= 1.0
            return False
        return True
