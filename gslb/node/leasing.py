"""Control's part in rate limits: slices for the node's workers, from its own count or from the region's Redis.

A limit of `scope: local` is counted here, for all workers; a `shared` one is leased from Redis, a batch at a time, and
while Redis is away counted here as well. Nobody waits: workers spend what they hold (balancing/leases.py). Only control
and its view call it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gslb.balancing.leases import Ask, Grant
from gslb.balancing.limits import Counted, meter_of
from gslb.errors import StateError, StoreUnavailable
from gslb.model import Plan, RateLimit
from gslb.node.messages import Asks, Grants, Message

if TYPE_CHECKING:
    from gslb.state.leases import RedisLeases

BATCH_MAX = 256  # asks in one script
QUEUE_MAX = 16_384  # asks that wait for Redis; what is more is counted by the node alone
RETRY_S = 1.0  # after Redis has failed: until then the node counts by itself
LATER = -1  # the number of grants that follow their answer

log = logging.getLogger("gslb.control")


class Leasing:
    """All rate limits of a region node; an edge has none."""

    def __init__(self, tell: Callable[[int, Message], bool], clock: Callable[[], float]) -> None:
        """`tell` sends a message to the worker of a slot; `clock` gives monotonic seconds."""
        self._tell, self._clock = tell, clock
        self._limits: Mapping[str, RateLimit] = {}
        self._counted: dict[str, Counted] = {}
        self._redis: RedisLeases | None = None
        self._wanted: tuple[str, str, str] | None = None
        self._queue: deque[tuple[int, Ask]] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._well = True
        self.slices: dict[tuple[str, str], int] = {}  # (limit, "node" or "redis") -> how many were given

    def configure(self, plan: Plan, url: str) -> None:
        """A new plan; `url` of the Redis that shared limits lease from, "" for none."""
        old = self._limits
        self._limits = plan.balancer.limits.rates if plan.balancer is not None else {}
        self._counted = {
            name: self._counted[name] if old.get(name) == limit else Counted(meter_of(limit))
            for name, limit in self._limits.items()
        }
        shared = any(limit.scope == "shared" for limit in self._limits.values())
        region = plan.balancer.region if plan.balancer is not None else ""
        wanted = (url, plan.cluster, region) if shared and url else None
        if wanted != self._wanted:
            self._wanted, self._away_until = wanted, 0.0
            self._drop()
            if wanted:
                self._connect(*wanted)

    def _connect(self, url: str, cluster: str, region: str) -> None:
        from gslb.state.leases import RedisLeases  # noqa: PLC0415 - 0.15 s of a start that may not need it

        try:
            self._redis = RedisLeases(url, cluster, region)
        except StateError as error:
            log.error("limits are not shared: %s", error)

    # ------------------------------------------------------------ asks
    def take(self, slot: int, message: Asks) -> None:
        """A worker's asks: answered at once where this node counts, and by Redis as soon as that has answered."""
        now = self._clock()
        grants = []
        for ask in message.asks:
            limit = self._limits.get(ask.limit)
            if limit is None:
                continue
            far = limit.scope == "shared" and self._redis is not None and now >= self._away_until
            if far and len(self._queue) < QUEUE_MAX:
                self._queue.append((slot, ask))
            else:
                grants.append(self._grant(ask, now))
        self._tell(slot, Grants(message.number, tuple(grants)))
        if self._queue and self._asking is None:
            self._asking = asyncio.create_task(self._ask_redis())

    def _grant(self, ask: Ask, now: float) -> Grant:
        """From this node's own count."""
        self._given(ask.limit, "node")
        return Grant(ask.limit, ask.key, *self._counted[ask.limit].lease(ask.key, ask.want, ask.lump, ask.charge, now))

    async def _ask_redis(self) -> None:
        """Leases until the queue is empty."""
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]
                batch = [(slot, ask) for slot, ask in batch if ask.limit in self._limits]
                self._spread(batch, await self._leased([ask for _, ask in batch]))
        finally:
            self._asking = None

    async def _leased(self, asks: Sequence[Ask]) -> list[Grant]:
        """From Redis; from this node's count where that is away."""
        redis, now = self._redis, self._clock()
        if redis is not None and asks and now >= self._away_until:
            try:
                found = await redis.lease([(self._limits[ask.limit], ask) for ask in asks])
            except StoreUnavailable as error:
                self._away_until = self._clock() + RETRY_S
                self._say(well=False, why=str(error))
            else:
                self._say(well=True)
                for ask in asks:
                    self._given(ask.limit, "redis")
                return [Grant(ask.limit, ask.key, *one) for ask, one in zip(asks, found, strict=True)]
        return [self._grant(ask, self._clock()) for ask in asks if ask.limit in self._counted]

    def _spread(self, batch: Sequence[tuple[int, Ask]], grants: Sequence[Grant]) -> None:
        """Each worker gets its own."""
        slots: dict[int, list[Grant]] = {}
        for (slot, _), grant in zip(batch, grants, strict=False):
            slots.setdefault(slot, []).append(grant)
        for slot, own in slots.items():
            self._tell(slot, Grants(LATER, tuple(own)))

    def _given(self, limit: str, source: str) -> None:
        self.slices[limit, source] = self.slices.get((limit, source), 0) + 1

    def _say(self, *, well: bool, why: str = "") -> None:
        if well != self._well:
            self._well = well
            if well:
                log.info("shared limits: Redis is back")
            else:
                log.warning("shared limits hold for this node alone", extra={"why": why})

    # ------------------------------------------------------------ for people and Prometheus
    def describe(self) -> dict[str, Any]:
        """Part of `/status`: of each limit whether it is shared now."""
        return {name: {"scope": limit.scope, "shared": self._is_shared(limit)} for name, limit in self._limits.items()}

    def _is_shared(self, limit: RateLimit) -> bool:
        return limit.scope == "shared" and self._redis is not None and self._clock() >= self._away_until

    def gauge(self, put: Callable[..., None]) -> None:
        """Sets every gauge and total: `put(metric, value, **labels)`."""
        for name, limit in self._limits.items():
            if limit.scope == "shared":
                put("gslb_limit_shared_ok", self._is_shared(limit), limit=name)
        for (name, source), count in self.slices.items():
            put("gslb_limit_slices_total", count, limit=name, source=source)

    # ------------------------------------------------------------ the end
    def _drop(self) -> None:
        """Lets go of a Redis."""
        redis, self._redis = self._redis, None
        if redis is not None:
            self._closing = asyncio.ensure_future(redis.close())

    async def stop(self) -> None:
        """Asks nothing more."""
        if self._asking is not None:
            self._asking.cancel()
        if self._redis is not None:
            await self._redis.close()
