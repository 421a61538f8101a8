"""When failures are too many: in a row, within a window, or as a share of all. Core; no clock of its own.

A data worker counts its own requests (`outcomes.py`), control those of all workers (`breaker.py`), by the same rule.
"""

from __future__ import annotations

from collections import deque

from gslb.model import BreakerRule
from gslb.units import format_duration

BUCKETS = 10  # of a window: how coarse its beginning is
ERROR_RATE_WINDOW_S = 10.0  # for `error_rate` where no window is given


class Trigger:
    """Counts results of one server and says when the rule is broken."""

    __slots__ = ("_buckets", "_rule", "_width_s", "run")

    def __init__(self, rule: BreakerRule) -> None:
        self._rule = rule
        window_s = rule.window_s or (ERROR_RATE_WINDOW_S if rule.error_rate else 0.0)
        self._width_s = window_s / BUCKETS  # 0.0: nothing is kept but the run
        self._buckets: deque[list[int]] = deque()  # [number of the bucket, successes, failures], newest last
        self.run = 0  # failures since the last success

    def clear(self) -> None:
        """Forgets all."""
        self.run = 0
        self._buckets.clear()

    def add(self, successes: int, failures: int, run: int, now: float) -> str:
        """Counts a batch of results.

        Args:
            successes: how many went well.
            failures: how many failed.
            run: how many of these failures came after the last of these successes.
            now: seconds on the caller's monotonic clock.

        Returns:
            Why the breaker opens, "" if it does not.
        """
        rule = self._rule
        self.run = run if successes else self.run + failures
        if not self._width_s:
            if failures and 0 < rule.failures <= self.run:
                return f"{self.run} failures in a row"
            return ""
        self._count(successes, failures, now)
        failed = sum(bucket[2] for bucket in self._buckets)
        total = failed + sum(bucket[1] for bucket in self._buckets)
        if not failures:
            return ""
        window = format_duration(self._width_s * BUCKETS)
        count = failed if rule.window_s else self.run
        if 0 < rule.failures <= count:
            return f"{count} failures within {window}" if rule.window_s else f"{count} failures in a row"
        if rule.error_rate and total >= rule.min_requests and failed >= rule.error_rate * total:
            return f"{failed} of {total} requests failed within {window}"
        return ""

    def _count(self, successes: int, failures: int, now: float) -> None:
        """Into the bucket of `now`; those that left the window go."""
        number = int(now / self._width_s)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        self._buckets[-1][1] += successes
        self._buckets[-1][2] += failures
        while self._buckets[0][0] <= number - BUCKETS:
            self._buckets.popleft()
