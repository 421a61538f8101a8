"""Control's part in sticky sessions: what one worker learns the others hear, and Redis gets the record afterwards.

Nothing waits for it: a worker has answered its client before it tells. Only control calls this module.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from gslb.errors import StateError, StoreUnavailable
from gslb.model import Plan, Pool
from gslb.node.messages import Message, Sessions

if TYPE_CHECKING:
    from gslb.state.sessions import Record, RedisSessions

WAITING_MAX = 50_000  # records that wait for Redis; the oldest goes unwritten
BATCH_MAX = 500
WRITE_INTERVAL_S = 0.2

log = logging.getLogger("gslb.control")


class SessionSpread:
    """The sessions of one region node."""

    def __init__(self, tell: Callable[[int, Message], bool], slots: Callable[[], Sequence[int]]) -> None:
        """`tell` sends a message to the worker of a slot; `slots` are those that are linked."""
        self._tell, self._slots = tell, slots
        self._pools: Mapping[str, Pool] = {}
        self._waiting: deque[Record] = deque(maxlen=WAITING_MAX)
        self._redis: RedisSessions | None = None
        self._wanted: tuple[str, str, str] | None = None
        self._well = True

    def configure(self, plan: Plan, url: str) -> None:
        """A new plan; `url` of the Redis that gets the records, "" for none."""
        self._pools = plan.balancer.pools if plan.balancer is not None else {}
        sticky = plan.balancer is not None and any(pool.sticky is not None for pool in self._pools.values())
        wanted = (url, plan.cluster, plan.balancer.region) if plan.balancer is not None and sticky and url else None
        if wanted == self._wanted:
            return
        self._wanted, old = wanted, self._redis
        self._redis = None
        if old is not None:
            self._closing = asyncio.ensure_future(old.close())
        if wanted is not None:
            from gslb.state.sessions import RedisSessions  # noqa: PLC0415 - 0.15 s of a start that may not need it

            try:
                self._redis = RedisSessions(*wanted)
            except StateError as error:
                log.error("sessions are not recorded: %s", error)

    def take(self, slot: int, message: Sessions) -> None:
        """What the worker of `slot` has learned."""
        pool = self._pools.get(message.pool)
        if pool is None or pool.sticky is None:
            return
        if pool.sticky.by != "cookie":  # a cookie says it to every worker by itself
            for other in self._slots():
                if other != slot:
                    self._tell(other, message)
        if self._redis is not None:
            from gslb.state.sessions import Record  # noqa: PLC0415 - loaded already where there is a Redis

            now, ttl_s = int(time.time()), int(pool.sticky.ttl_s)
            for key, server in message.entries:
                name = key.hex() if pool.sticky.by == "cookie" else blake2b(key, digest_size=16).hexdigest()
                self._waiting.append(Record(pool.name, name, server, now, ttl_s))

    async def run(self) -> None:
        """Writes records until cancelled; what a Redis that is away misses is not missed."""
        while True:
            await asyncio.sleep(WRITE_INTERVAL_S)
            while self._waiting and self._redis is not None:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_MAX))]
                try:
                    await self._redis.write(batch)
                except StoreUnavailable as error:
                    self._say(well=False, why=str(error))
                    break
                self._say(well=True)

    def _say(self, *, well: bool, why: str = "") -> None:
        if well != self._well:
            self._well = well
            if well:
                log.info("sessions are recorded again")
            else:
                log.warning("sessions are not recorded; they go on", extra={"why": why})

    async def stop(self) -> None:
        """Lets go of Redis."""
        if self._redis is not None:
            await self._redis.close()
