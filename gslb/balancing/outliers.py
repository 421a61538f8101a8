"""Outlier ejection: which server of a pool does worse than the others, and for how long it goes. Core; control asks it.

Envoy's rules ("Outlier detection" in its manual; `outlier_detection_impl.cc`):

- `consecutive_5xx` failures in a row, or `consecutive_gateway_failures` of them that are the network's or a gateway's
  (no connection, no answer, 502, 503, 504), eject at once.
- Every interval the servers with enough requests are compared: a success rate below mean − factor · deviation ejects.
- An ejection lasts `base_ejection` times how often the server was ejected, at most `max_ejection`. The count goes down
  by one for every interval in which it was not.
- At most `max_ejected` of the servers are out at a time. That is rounded down, but one of several may always go; the
  last server that is left never does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from statistics import fmean, pstdev

from gslb.model import OutlierRule

HOSTS_MIN = 5  # servers with enough requests, for a comparison to mean something
REQUESTS_MIN = 100  # an interval and server


@dataclass(slots=True)
class _Seen:
    """One server."""

    successes: int = 0  # in this interval
    failures: int = 0
    run: int = 0
    gateway_run: int = 0
    ejected: bool = False
    until_s: float = 0.0
    count: int = 0  # ejections not yet forgotten


class Detector:
    """The outliers of one pool."""

    def __init__(self, rule: OutlierRule, servers: Iterable[str], now: float) -> None:
        """`servers`: ids; `now`: seconds on the caller's monotonic clock, as everywhere here."""
        self.rule = rule
        self._seen = {server: _Seen() for server in servers}
        self._due_s = now + rule.interval_s
        self.why: dict[str, str] = {}  # of who is ejected

    def configure(self, rule: OutlierRule, servers: Iterable[str]) -> None:
        """New servers join, others leave; what is known of those that stay is kept."""
        self.rule = rule
        self._seen = {server: self._seen.get(server) or _Seen() for server in servers}
        self.why = {server: why for server, why in self.why.items() if server in self._seen}

    @property
    def allowed(self) -> int:
        """How many servers may be out at a time."""
        total = len(self._seen)
        return max(1, int(total * self.rule.max_ejected)) if total > 1 and self.rule.max_ejected else 0

    def is_ejected(self, server: str) -> bool:
        """Whether it is out."""
        return server in self.why

    # ------------------------------------------------------------ results
    def observe(
        self, server: str, successes: int, failures: int, runs: tuple[int, int], gateway: int, now: float
    ) -> str:
        """Counts a batch of results of a server that is in.

        Args:
            server: its id; an unknown one is ignored.
            successes: how many went well.
            failures: how many failed, of any kind.
            runs: how many failures, and how many gateway failures, ended the batch in a row.
            gateway: how many of the failures were gateway failures.
            now: seconds.

        Returns:
            Why it deserves ejection, "" if it does not.
        """
        seen = self._seen.get(server)
        if seen is None or seen.ejected:
            return ""
        seen.successes += successes
        seen.failures += failures
        run, gateway_run = runs
        seen.run = run if successes else seen.run + failures
        seen.gateway_run = gateway_run if successes or failures > gateway else seen.gateway_run + gateway
        rule = self.rule
        if failures and 0 < rule.consecutive_5xx <= seen.run:
            why = f"{seen.run} failures in a row"
        elif gateway and 0 < rule.consecutive_gateway_failures <= seen.gateway_run:
            why = f"{seen.gateway_run} gateway failures in a row"
        else:
            return ""
        seen.run = seen.gateway_run = 0
        return why

    def eject(self, server: str, why: str, available: Collection[str], now: float) -> bool:
        """Ejects if the bounds allow it: `available` are the ids of the servers that may get requests now."""
        seen, rule = self._seen[server], self.rule
        if seen.ejected or len(self.why) >= self.allowed or not any(one != server for one in available):
            return False
        seen.ejected = True
        seen.count += 1
        seen.until_s = now + min(rule.base_ejection_s * seen.count, rule.max_ejection_s)
        self.why[server] = why
        return True

    # ------------------------------------------------------------ time
    def is_due(self, now: float) -> bool:
        """Whether `tick` has anything to do."""
        return now >= self._due_s or any(now >= self._seen[server].until_s for server in self.why)

    def tick(self, now: float, available: Collection[str]) -> None:
        """Servers come back; an interval that is over is judged."""
        for server in [server for server in self.why if now >= self._seen[server].until_s]:
            seen = self._seen[server]
            seen.ejected = False
            seen.successes = seen.failures = seen.run = seen.gateway_run = 0
            del self.why[server]
        if now < self._due_s:
            return
        self._due_s = now + self.rule.interval_s
        left = set(available)
        for server, why in self._outliers():
            if self.eject(server, why, left, now):
                left.discard(server)
        for seen in self._seen.values():
            seen.successes = seen.failures = 0
            if not seen.ejected and seen.count:
                seen.count -= 1

    def _outliers(self) -> list[tuple[str, str]]:
        """Who did worse than the others in this interval, the worst first."""
        rates = {
            server: seen.successes / (seen.successes + seen.failures)
            for server, seen in self._seen.items()
            if not seen.ejected and seen.successes + seen.failures >= REQUESTS_MIN
        }
        if not self.rule.success_rate_stdev or len(rates) < HOSTS_MIN:
            return []
        mean = fmean(rates.values())
        least = mean - self.rule.success_rate_stdev * pstdev(rates.values())
        return [
            (server, f"success rate {rate:.1%}, the pool's {mean:.1%}")
            for server, rate in sorted(rates.items(), key=lambda item: item[1])
            if rate < least
        ]
