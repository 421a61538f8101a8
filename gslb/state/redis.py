"""The store in a Redis (5 or later): a key a report, an index a kind, all under one prefix, all expiring.

`gslb:CLUSTER:KIND:NODE` holds a report as JSON for its lifetime; `gslb:CLUSTER:KIND` is a sorted set of the nodes that
published, by the end of their report's life, so that reading needs no SCAN. Only control uses it.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gslb.errors import StoreUnavailable
from gslb.state.redis_client import FAILURES, bounded, close, connect, kind_of, prefix_of, public
from gslb.state.store import NODES_MAX, NUMBER_MAX, REPORT_MAX_BYTES, SCHEMA, Order, Report, decode, encode

LISTEN_S = 5.0
TIMEOUT_S = 0.8  # of one exchange; a frozen Redis still takes connections
HINT = "hint"

# Publishes unless a newer report is there. Only a report of this very kind and node counts as one: the order of
# anything else means nothing, and SET replaces whatever type it has. TIME is Redis's own: nodes' clocks don't enter.
_PUBLISH = f"""
local value, index = KEYS[1], KEYS[2]
local data, kind, node, ttl_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local incarnation, sequence = tonumber(ARGV[5]), tonumber(ARGV[6])
local function number(found)
    return type(found) == 'number' and found >= 0 and found <= {NUMBER_MAX} and found % 1 == 0
end
if redis.call('TYPE', value).ok == 'string' and redis.call('STRLEN', value) <= {REPORT_MAX_BYTES} then
    local readable, old = pcall(cjson.decode, redis.call('GET', value))
    if readable and type(old) == 'table' and old.schema == {SCHEMA} and old.kind == kind and old.node == node
        and number(old.incarnation) and number(old.sequence) then
        if old.incarnation > incarnation or (old.incarnation == incarnation and old.sequence > sequence) then
            return {{string.format('%.0f', old.incarnation), string.format('%.0f', old.sequence)}}
        end
    end
end
redis.call('SET', value, data, 'PX', ttl_ms)
if redis.call('TYPE', index).ok ~= 'zset' then redis.call('DEL', index) end
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', index, '-inf', now_ms)
redis.call('ZADD', index, now_ms + ttl_ms, node)
if redis.call('PTTL', index) < ttl_ms then redis.call('PEXPIRE', index, ttl_ms) end
return {{ARGV[5], ARGV[6]}}
"""

T = TypeVar("T")


class RedisStore:
    """One Redis. It connects when first used, and again whenever it has to."""

    def __init__(self, url: str, cluster: str, *, timeout_s: float = TIMEOUT_S, client: Redis | None = None) -> None:
        """`url`: see redis_client.py. `client` replaces the one made from it (tests).

        Raises StateError for a URL that can't be one.
        """
        self.endpoint = public(url)
        self.ignored: Counter[str] = Counter()
        self.kind = kind_of(url)
        self._prefix = prefix_of(url, cluster)
        self._timeout_s = timeout_s
        self._client = client or connect(url, timeout_s)
        self._publish = self._client.register_script(_PUBLISH)

    async def _ask(self, question: Awaitable[T]) -> T:
        """Awaits an exchange for a bounded time. Raises StoreUnavailable."""
        return await bounded(question, self._timeout_s, self.endpoint)

    async def publish(self, report: Report, ttl_s: float) -> Order:
        """See Store."""
        data = encode(report)
        index = f"{self._prefix}:{report.kind}"
        ttl_ms = max(1, round(ttl_s * 1000))
        arguments: list[bytes | str | int] = [data, report.kind, report.node, ttl_ms, *report.order]
        held = await self._ask(self._publish([f"{index}:{report.node}", index], arguments))
        return int(held[0]), int(held[1])

    async def read(self, kind: str) -> tuple[Report, ...]:
        """See Store."""
        index = f"{self._prefix}:{kind}"
        names: Any = await self._ask(self._commands(("ZREVRANGE", index, 0, NODES_MAX - 1)))
        if isinstance(names[0], RedisError):  # the index is not a sorted set: a stranger's, until the next publish
            self.ignored["type"] += 1
            return ()
        nodes = sorted(name.decode("utf-8", "replace") for name in names[0])
        # GETRANGE bounds what a stranger's huge value can cost; one byte more than fits shows that it doesn't.
        found = await self._ask(
            self._commands(*(("GETRANGE", f"{index}:{node}", 0, REPORT_MAX_BYTES) for node in nodes))
        )
        reports = []
        for node, data in zip(nodes, found, strict=True):
            if data == b"":
                continue  # expired since the index was read
            report = decode(data, kind, node) if isinstance(data, bytes) else "type"
            if isinstance(report, str):
                self.ignored[report] += 1
            else:
                reports.append(report)
        return tuple(reports)

    async def _commands(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Several commands in one round trip; a command's error (wrong type) is its result."""
        if not commands:
            return []
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            results: list[Any] = await pipeline.execute(raise_on_error=False)
        for result in results:
            if isinstance(result, RedisError) and not str(result).startswith("WRONGTYPE"):
                raise result
        return results

    async def remove(self, kind: str, node: str) -> None:
        """See Store."""
        index = f"{self._prefix}:{kind}"
        await self._ask(self._commands(("DEL", f"{index}:{node}"), ("ZREM", index, node)))

    async def ping(self) -> float:
        """See Store."""
        started = time.monotonic()
        await self._ask(self._commands(("PING",)))
        return time.monotonic() - started

    async def hint(self) -> None:
        """See Store."""
        await self._ask(self._commands(("PUBLISH", f"{self._prefix}:{HINT}", "")))

    async def hints(self) -> AsyncIterator[None]:
        """See Store. A Cluster's client can't listen: there polling alone has to do."""
        if self.kind == "cluster":
            return
        listening = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            await self._ask(listening.subscribe(f"{self._prefix}:{HINT}"))
            while True:
                try:
                    heard = await listening.get_message(timeout=LISTEN_S)
                except FAILURES as error:
                    raise StoreUnavailable(f"{self.endpoint}: {error}") from error
                if heard is not None:
                    yield
        finally:
            with contextlib.suppress(*FAILURES):
                await listening.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it so

    async def close(self) -> None:
        """See Store."""
        await self._ask(close(self._client))
