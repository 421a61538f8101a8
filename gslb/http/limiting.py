"""The limits of one worker's proxy: what each route's requests must pass, what is refused and in which words.

`Limiter` belongs to the proxy: it takes each Plan, keeps what is known of limits that stay, and is looked at by the
sweep. `Guard` is a route's: `admit` is all that a request meets. Slices are asked for through `Limiter.ask`, a batch at
a time; nobody waits for the answer. Only the proxy and its dispatch use this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from gslb.balancing.concurrency import Cells, Gate, Gradient
from gslb.balancing.leases import ASKS_MAX, Ask, Grant, Spender
from gslb.balancing.limits import Counted, Whose, meter_of
from gslb.balancing.request import Request
from gslb.balancing.shedding import CRITICAL, PRIORITIES, Overload, rank_of
from gslb.http.replies import RETRY_AFTER_S
from gslb.metrics import LIMITED
from gslb.model import Balancer, ConcurrencyLimit, Limits, RateLimit, Route
from gslb.telemetry import Counters

FLUSH_S = 0.004  # asks are gathered for so long: one message for many requests
ANSWER_S = 1.0  # control is away if it has not answered by then
PROBE = 0  # the number of a question without asks: is control there?
MICROSECONDS = 1_000_000
SHED = "shedding"  # what lag is called where a limit's name stands


class Refusal(NamedTuple):
    """Why a request may not go on, and what is answered: a status, a code, and fields."""

    status: int
    reason: str
    fields: bytes


class Rate:
    """One rate limit of this worker."""

    __slots__ = ("counted", "limit", "policy", "spender", "whose")

    def __init__(self, limit: RateLimit, workers: int) -> None:
        """A worker that is alone and shares with no other node counts by itself, exactly."""
        self.limit = limit
        self.whose = Whose(limit.key, limit.prefix)
        self.spender: Spender | None = None
        self.counted: Counted | Spender
        if workers > 1 or limit.scope == "shared":
            self.counted = self.spender = Spender(limit, workers)
        else:
            self.counted = Counted(meter_of(limit))
        quota, window_s = self.counted.meter.quota
        self.policy = b'RateLimit-Policy: "%b";q=%d;w=%d\r\n' % (limit.name.encode(), quota, window_s)

    def refusal(self, key: bytes, wait_s: float, now: float) -> Refusal:
        """With RateLimit fields (draft-ietf-httpapi-ratelimit-headers-09) and Retry-After (RFC 9110 §10.2.3)."""
        seconds = max(1, math.ceil(wait_s))
        left, _ = self.counted.left(key, now)
        fields = b'Retry-After: %d\r\n%bRateLimit: "%b";r=%d;t=%d\r\n' % (
            seconds, self.policy, self.limit.name.encode(), left, seconds,
        )  # fmt: skip
        return Refusal(self.limit.status, "rate_limited", fields)


_BUSY = b"Retry-After: %d\r\n" % RETRY_AFTER_S


class Guard:
    """What the requests of one route must pass."""

    __slots__ = ("_again", "_flush_soon", "_gates", "_header", "_id", "_overload", "_rank", "_rates", "_refused")

    def __init__(self, route: Route, names: Sequence[str], limiter: Limiter, *, again: bool = False) -> None:
        """`names` of the limits, in the order in which they are looked at. `again`: lag was looked at before."""
        self._again = again
        self._rates = tuple(limiter.rates[name] for name in names if name in limiter.rates)
        self._gates = tuple(limiter.gates[name] for name in names if name in limiter.gates)
        self._id = blake2b(repr(route).encode(), digest_size=8).hexdigest().encode()  # alike on every node
        self._rank = PRIORITIES[route.priority]
        self._overload = limiter.overload
        shedding = limiter.overload.shedding
        self._header = shedding.header.lower().encode() if shedding is not None and shedding.header else b""
        self._refused, self._flush_soon = limiter.refused, limiter.flush_soon

    @property
    def needed(self) -> bool:
        """Whether there is anything to pass whatever the load."""
        return bool(self._rates or self._gates)

    def admit(self, request: Request, trusted: bool, now: float) -> tuple[Gate, ...] | Refusal:
        """The gates that the request is behind now, to be left once each; or why it may not go on."""
        overload, rank = self._overload, self._rank
        if self._header:
            rank = rank_of(rank, request.header(self._header), trusted)
        if rank != CRITICAL and not self._again and overload.refuses(rank):
            return self._refuse(SHED, Refusal(503, "overloaded", _BUSY))
        for rate in self._rates:
            key = rate.whose.of(request, self._id)
            wait_s = rate.counted.admit(key, now)
            if rate.spender is not None and rate.spender.wanted:
                self._flush_soon()
            if wait_s:
                return self._refuse(rate.limit.name, rate.refusal(key, wait_s, now))
        gates = self._gates
        for number, gate in enumerate(gates):
            full = gate.enter(overload.shares[rank])
            if full:
                for entered in gates[:number]:
                    entered.leave(None)
                return self._refuse(gate.name, Refusal(503, _FULL[full], _BUSY))
        return gates

    def _refuse(self, name: str, refusal: Refusal) -> Refusal:
        self._refused(name, refusal.reason)
        return refusal


_FULL = {1: "overloaded", 2: "concurrency_limited"}


class Limiter:
    """All limits of one worker's proxy."""

    def __init__(
        self, clock: Callable[[], float], workers: int, others: Sequence[Cells], later: Callable[..., object]
    ) -> None:
        """`workers` of the node; `others`: the other ones' cells; `later(seconds, call)` is the loop's timer."""
        self._clock, self._workers, self._others, self._later = clock, workers, others, later
        self.ask: Callable[[int, tuple[Ask, ...]], bool] | None = None  # tells control; False if it can't be told
        self.rates: dict[str, Rate] = {}
        self.gates: dict[str, Gate] = {}
        self.overload = Overload(None)
        self._limits = Limits()
        self._spenders: dict[str, Spender] = {}
        self._flushing = False
        self._number = 0
        self._waiting: dict[int, float] = {}  # asks that were not answered yet, and since when
        self._cleared: set[int] = set()  # cells of gates that this process has counted in

    # ------------------------------------------------------------ plans
    def plan(self, balancer: Balancer, counters: Counters) -> None:
        """Takes a new plan. What is known of limits that are as they were stays."""
        old, new = self._limits, balancer.limits
        known = self.rates
        self.rates = {
            name: known[name] if old.rates.get(name) == limit else Rate(limit, self._workers)
            for name, limit in new.rates.items()
        }
        self._spenders = {name: rate.spender for name, rate in self.rates.items() if rate.spender is not None}
        if old.shedding != new.shedding:
            self.overload = Overload(new.shedding)
        self._gate(old.concurrency, new.concurrency, counters)
        self._limits = new
        self._count_into(counters)

    def _gate(
        self, old: Mapping[str, ConcurrencyLimit], new: Mapping[str, ConcurrencyLimit], counters: Counters
    ) -> None:
        """Gates count in the cells of their name, so what is running stays counted; an adaptive limit is kept."""
        gates: dict[str, Gate] = {}
        for name, limit in new.items():
            cell = counters.index("gslb_limit_running", limit=name)
            gradient = None
            if limit.adaptive is not None:
                before = self.gates.get(name)
                gradient = before.gradient if before is not None and old.get(name) == limit else None
                gradient = gradient or Gradient(limit.adaptive, self._workers, self._clock())
            if cell not in self._cleared:
                self._cleared.add(cell)
                counters.cells[cell] = 0  # the row may be that of a worker which died
            gates[name] = Gate(name, limit.most, gradient, counters.cells, cell, self._others)
        self.gates = gates

    def _count_into(self, counters: Counters) -> None:
        self._cells = counters.cells
        names = (*self._limits.names, SHED)
        self._refusals = {
            (name, reason): counters.index("gslb_http_limited_total", limit=name, reason=reason)
            for name in names
            for reason in LIMITED
        }
        index = counters.index
        adaptive = [name for name, gate in self.gates.items() if gate.gradient is not None]
        self._bounds = {name: index("gslb_limit_concurrency", limit=name) for name in adaptive}
        self._keys = {name: index("gslb_limit_keys", limit=name) for name in self.rates}
        self._lag = index("gslb_http_loop_lag_microseconds")

    def guard(self, route: Route, pool_limits: Sequence[str]) -> Guard:
        """What the requests of `route` must pass: the limits for all, the route's, those of its one pool."""
        return Guard(route, tuple(dict.fromkeys((*self._limits.for_all, *route.limits, *pool_limits))), self)

    def guard_of(self, route: Route, pool_limits: Sequence[str]) -> Guard:
        """What they must pass beside that for one of several pools."""
        passed = {*self._limits.for_all, *route.limits}
        names = tuple(dict.fromkeys(name for name in pool_limits if name not in passed))
        return Guard(route, names, self, again=True)

    def refused(self, name: str, reason: str) -> None:
        """Counts a refusal."""
        self._cells[self._refusals[name, reason]] += 1

    # ------------------------------------------------------------ slices
    def flush_soon(self) -> None:
        """Some limit runs low: asks in a moment, together with what else runs low until then."""
        if not self._flushing:
            self._flushing = True
            self._later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        """Asks control for what is wanted. If that can't be told, every worker counts by itself."""
        self._flushing = False
        asks: list[Ask] = []
        for spender in self._spenders.values():
            asks += spender.asks(ASKS_MAX - len(asks))
        if not asks:
            return
        self._number += 1
        if self.ask is None or not self.ask(self._number, tuple(asks)):
            self._leave()
            return
        self._waiting[self._number] = self._clock()
        if any(spender.wanted for spender in self._spenders.values()):
            self.flush_soon()

    def granted(self, number: int, grants: Sequence[Grant]) -> None:
        """Control's answer to the asks that were sent as `number`."""
        now = self._clock()
        if self._waiting.pop(number, None) is not None and number == PROBE:
            for spender in self._spenders.values():
                spender.rejoin()
        for grant in grants:
            asked = self._spenders.get(grant.limit)
            if asked is not None:
                asked.granted(grant.key, grant.given, grant.delay_s, now)

    def _leave(self) -> None:
        """Control is away."""
        self._waiting.clear()
        for spender in self._spenders.values():
            spender.leave()

    def _look_for_control(self, now: float) -> None:
        """Notices that control does not answer, and that it does again: an empty question costs little."""
        if not self._spenders:
            return
        if any(now - since > ANSWER_S for since in self._waiting.values()):
            self._leave()
        away = any(spender.alone is not None for spender in self._spenders.values())
        if away and not self._waiting and self.ask is not None and self.ask(PROBE, ()):
            self._waiting[PROBE] = now

    # ------------------------------------------------------------ time
    def tick(self, now: float, late_s: float) -> None:
        """Called by the sweep, which came `late_s` after its time."""
        self.overload.look(late_s)
        cells = self._cells
        for name, gate in self.gates.items():
            if gate.gradient is not None:
                gate.gradient.tick(now)
                cells[self._bounds[name]] = int(gate.gradient.limit)
        for name, rate in self.rates.items():
            cells[self._keys[name]] = len(rate.counted)
        if self.overload.shedding is not None:
            cells[self._lag] = int(self.overload.lag_s * MICROSECONDS)
        self._look_for_control(now)
