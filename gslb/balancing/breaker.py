"""One server's circuit breaker: closed, open, half-open. Core; control keeps one a server, for all workers of a node.

                        too many failures (trigger.py)
            CLOSED ──────────────────────────────────────> OPEN <─────────────┐
              ^                                              │                │
              │                                              │ rested         │ a probe failed: rests longer
              │                                              v                │
              └───────────────────────────────────────── HALF_OPEN ───────────┘
                    half_open_successes probes went well

Half-open lets through only *leased* probes, at most `half_open_probes` at a time. A lease belongs to one worker. It
ends by its result, by its owner's word that nothing came of it, by its owner's death, or by expiring; so the number of
probes is bounded, and no lost result can keep the breaker half-open (the two bugs in the wild). The result of a lease
that expired still counts while the breaker is half-open: else a server slower than a lease would never come back.

Every change forgets all leases and counts, and results carry the epoch in which they began (`guards.py` compares), so
what began before a change counts for nothing after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gslb.balancing.trigger import Trigger
from gslb.model import BreakerRule, Gate
from gslb.units import format_duration

LEASE_S = 10.0  # after which a probe without a result makes room for another
OPEN_GROWTH_MAX = 8  # the longest rest is this many times `open_for`
EXPIRED_MAX = 16  # expired leases whose result would still count

Event = Literal["tripped", "rested", "failed", "recovered"]
_TABLE: dict[tuple[Gate, Event], Gate] = {
    (Gate.CLOSED, "tripped"): Gate.OPEN,
    (Gate.OPEN, "rested"): Gate.HALF_OPEN,
    (Gate.HALF_OPEN, "failed"): Gate.OPEN,
    (Gate.HALF_OPEN, "recovered"): Gate.CLOSED,
}


@dataclass(slots=True)
class _Lease:
    """Who may send a probe, and until when that is believed to happen."""

    owner: int
    until_s: float


class Breaker:
    """See the module. All times are seconds on the caller's monotonic clock."""

    __slots__ = ("_expired", "_growth", "_leases", "_number", "_rest_s", "_rule", "_successes", "_trigger", "gate",
                 "since_s", "why")  # fmt: skip

    def __init__(self, rule: BreakerRule) -> None:
        self._rule = rule
        self._trigger = Trigger(rule)
        self.gate = Gate.CLOSED
        self.why = ""
        self.since_s = 0.0
        self._growth = 1  # of the rest
        self._rest_s = 0.0  # how long it rests now, or rested last
        self._number = 0  # of the last lease: never used again
        self._leases: dict[int, _Lease] = {}
        self._expired: dict[int, _Lease] = {}
        self._successes = 0

    def _go(self, event: Event, why: str, now: float) -> None:
        closed_s = now - self.since_s if self.gate is Gate.CLOSED else 0.0
        self.gate = _TABLE[self.gate, event]
        if self.gate is Gate.OPEN:
            # One that stayed closed for as long as it had rested starts over; else each rest is twice the last.
            fresh = event == "tripped" and (not self._rest_s or closed_s >= self._rest_s)
            self._growth = 1 if fresh else min(2 * self._growth, OPEN_GROWTH_MAX)
            self._rest_s = self._rule.open_for_s * self._growth
            why += f"; tried again after {format_duration(self._rest_s)}"
        self.why, self.since_s = why, now
        self._successes = 0
        self._trigger.clear()
        self._leases.clear()
        self._expired.clear()

    # ------------------------------------------------------------ results and time
    def count(self, successes: int, failures: int, run: int, now: float, tripped: str = "") -> None:
        """Counts results of requests while closed, as `Trigger.add`; `tripped`: a worker's own count sufficed, why."""
        if self.gate is not Gate.CLOSED:
            return
        why = self._trigger.add(successes, failures, run, now) or tripped
        if why:
            self._go("tripped", why, now)

    def tick(self, now: float) -> None:
        """Time passes: a rest ends, leases expire."""
        if self.gate is Gate.OPEN and now >= self.since_s + self._rest_s:
            self._go("rested", f"rested for {format_duration(self._rest_s)}; probes decide", now)
        for number in [number for number, lease in self._leases.items() if now >= lease.until_s]:
            self._expired[number] = self._leases.pop(number)
        while len(self._expired) > EXPIRED_MAX:
            del self._expired[next(iter(self._expired))]

    # ------------------------------------------------------------ probes
    @property
    def free(self) -> int:
        """How many probes may be leased now."""
        if self.gate is not Gate.HALF_OPEN:
            return 0
        return self._rule.half_open_probes - len(self._leases)

    @property
    def leased(self) -> int:
        """How many probes are out."""
        return len(self._leases)

    def lease(self, owner: int, now: float) -> int | None:
        """The number of a new lease for worker `owner`, None if there is no room."""
        if self.free <= 0:
            return None
        self._number += 1
        self._leases[self._number] = _Lease(owner, now + LEASE_S)
        return self._number

    def result(self, number: int, ok: bool | None, now: float) -> None:
        """What came of a probe; None: nothing (it was not sent, or its client left). Unknown numbers are ignored."""
        if self._leases.pop(number, None) is None and self._expired.pop(number, None) is None:
            return
        if ok:
            self._successes += 1
            if self._successes >= self._rule.half_open_successes:
                self._go("recovered", f"{self._successes} probes went well", now)
        elif ok is False:
            self._go("failed", "a probe failed", now)

    def lost(self, owner: int) -> None:
        """Worker `owner` is gone, and its leases with it."""
        for leases in (self._leases, self._expired):
            for number in [number for number, lease in leases.items() if lease.owner == owner]:
                del leases[number]
