"""How large a share of its clients a region can have, by what its own balancer sees. Pure; a region's control asks.

A region that is whole says 1. What lowers it, in quarters, never below one:

| evidence | the share |
| --- | --- |
| healthy capacity: usable servers' weights | that, times 1.4 (Envoy's overprovisioning factor) |
| load: more requests a second than `capacity` | a quarter less every STEP_S while it lasts |
| failing: real answers of 5xx, servers out of reach | a quarter less every STEP_S while half or more fail |

So a region that lost less than 29 % of its servers keeps all its clients; of its `capacity` what is healthy counts.
The failure share is max(now, decayed average): fast down, slow up (Akamai's score), so that what fails in turns is
seen, too. Going down takes STEP_S a quarter, coming back BACK_S a quarter
(servers that are healthy again: RETURN_S), so that nothing swings. A quarter always
stays: without any clients there would be no evidence of better times. The whole region is taken out by its own word
that it has no servers, and by others' probes, not by this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

STEPS = 4
LEAST = 1 / STEPS
OVERPROVISIONED = 1.4
STEP_S = 5.0
BACK_S = 15.0
RETURN_S = 2.0
OVERLOADED, RELAXED = 1.0, 0.8  # of the capacity
FAILING, FINE = 0.5, 0.1  # of the requests
REQUESTS_MIN = 20  # in a window; fewer say nothing
DECAY_S = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: `healthy` share of the weights; `load` share of what it can hold, 0.0 if not said; a window's requests.

    `requests` and `failed` are counts since the last look.
    """

    healthy: float
    load: float
    requests: int
    failed: int


class _Level:
    """A share that goes down and up by quarters, each in its time."""

    def __init__(self, back_s: float) -> None:
        self.share = 1.0
        self._back_s = back_s
        self._moved = -math.inf

    def move(self, bad: bool, good: bool, now: float) -> None:
        if bad and self.share > LEAST and now - self._moved >= STEP_S:
            self.share, self._moved = self.share - LEAST, now
        elif good and self.share < 1.0 and now - self._moved >= self._back_s:
            self.share, self._moved = self.share + LEAST, now
        elif bad and self.share <= LEAST:
            self._moved = now


class Share:
    """One region node's."""

    def __init__(self) -> None:
        self.share = 1.0
        self.why = ""
        self._healthy, self._load, self._failing = _Level(RETURN_S), _Level(BACK_S), _Level(BACK_S)
        self._average = 0.0  # of the failure shares
        self._at = 0.0

    def look(self, seen: Seen, now: float) -> float:
        """The share after another look; `now` in seconds. Call it every second or so."""
        wanted = max(LEAST, min(1.0, math.ceil(STEPS * min(1.0, OVERPROVISIONED * seen.healthy)) / STEPS))
        healthy = self._healthy
        if wanted < healthy.share:  # what isn't there can't be used: at once
            healthy.share, healthy._moved = wanted, now  # noqa: SLF001 - of this module
        else:
            healthy.move(bad=False, good=wanted > healthy.share, now=now)
        self._load.move(seen.load > OVERLOADED, seen.load < RELAXED, now)
        if not seen.healthy:  # its own word says that it has no servers: that they fail is no news, nor for the next
            self._failing, self._average = _Level(BACK_S), 0.0
            seen = replace(seen, requests=0, failed=0)
        score = self._score(seen, now)
        self._failing.move(score >= FAILING, score < FINE, now)
        reasons = {
            f"{seen.healthy:.0%} of its capacity is healthy": healthy.share,
            f"it is at {seen.load:.0%} of its capacity": self._load.share,
            f"{score:.0%} of its requests fail": self._failing.share,
        }
        self.share = min(reasons.values())
        self.why = "; ".join(reason for reason, share in reasons.items() if share == self.share < 1.0)
        return self.share

    def _score(self, seen: Seen, now: float) -> float:
        """max(now, decayed average) of the failure share; without enough requests the average fades."""
        faded = math.exp(-max(0.0, now - self._at) / DECAY_S)
        self._at = now
        instant = seen.failed / seen.requests if seen.requests >= REQUESTS_MIN else 0.0
        self._average = self._average * faded + instant * (1 - faded)
        return max(instant, self._average)
