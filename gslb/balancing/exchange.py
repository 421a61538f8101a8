"""One request's tries: how many, until when, after what, and never the same server twice while another is left. Core.

The proxy makes one Exchange when a first try has failed: most requests need none. It asks `may` whether to go on,
waits for `delay_s`, and asks `next` for a server. The rules are REFERENCE's "Retries": failed connects by default;
anything else only if configured, and then only a request that may be repeated and is still here whole; jittered
exponential backoff between tries; a budget for the whole pool; all inside one deadline.
"""

from __future__ import annotations

from gslb.balancing.pool import PoolState
from gslb.model import Retries, Server

ATTEMPTS_MAX = 10
BUDGET_MIN = 3  # retries under way that a pool may always have (Envoy's min_retry_concurrency)


class Budget:
    """The retries that one worker has under way for a pool: at most max(BUDGET_MIN, share of the active requests).

    Without it a pool that fails gets `attempts` times its load just when it can't bear it.
    """

    __slots__ = ("share", "taken")

    def __init__(self, share: float) -> None:
        self.share = share
        self.taken = 0

    def take(self, active: int) -> bool:
        """Takes a place among `active` requests if there is one; `give` it back when that request is over."""
        if self.taken >= max(BUDGET_MIN, int(self.share * active)):
            return False
        self.taken += 1
        return True

    def give(self) -> None:
        """A request that had a place is over."""
        self.taken -= 1


class Exchange:
    """The tries of one request."""

    __slots__ = ("budget", "deadline", "retries", "tried")

    def __init__(self, retries: Retries, deadline: float, first: Server) -> None:
        """`first` has failed; no try starts after `deadline` on the caller's clock."""
        self.retries = retries
        self.deadline = deadline
        self.tried: tuple[str, ...] = (first.id,)  # server ids in the order of the tries
        self.budget: Budget | None = None  # where this request has a place

    def may(self, kind: str, repeatable: bool, budget: Budget, active: int, now: float) -> bool:
        """Whether another try may be made; takes a place in the budget for the first one.

        Args:
            kind: how the last try failed: "connect" (nothing was sent), "reset", "timeout", "status".
            repeatable: the request is idempotent (RFC 9110 §9.2.2) and still here whole.
            budget: the pool's.
            active: requests that the pool has running.
            now: seconds on the caller's clock.
        """
        retries = self.retries
        if kind not in retries.on or not (repeatable or kind == "connect"):
            return False
        if len(self.tried) >= min(retries.attempts, ATTEMPTS_MAX) or now >= self.deadline:
            return False
        return self.reserve(budget, active)

    def reserve(self, budget: Budget, active: int) -> bool:
        """A place in the budget for this request, if it has none yet; False if there is no room."""
        if self.budget is None and budget.take(active):
            self.budget = budget
        return self.budget is not None

    def delay_s(self, chance: float) -> float:
        """How long to wait before the next try: exponential, with full jitter by `chance` in 0..1 (AWS's rule)."""
        retries = self.retries
        return chance * min(retries.backoff_max_s, retries.backoff_s * 2.0 ** (len(self.tried) - 1))

    def next(self, pool: PoolState, key: bytes | int | None, now: float) -> Server | None:
        """The server to try, or None: no time is left, or no server has room.

        A server that was tried comes again only when no other has room, so a pool of one gets its second try too.
        """
        if now >= self.deadline:
            return None
        server = pool.pick(key, now, self.tried) or pool.pick(key, now, self.tried[-1:]) or pool.pick(key, now)
        if server is not None:
            self.tried += (server.id,)
        return server

    def over(self) -> None:
        """The request is over, however it went: call once."""
        if self.budget is not None:
            self.budget.give()
            self.budget = None
