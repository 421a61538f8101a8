"""Records of sessions in the shared store: written afterwards, read by people and programs, never by a request.

`gslb:CLUSTER:session:POOL:KEY` holds JSON (region, server, at) for as long as the session lasts. The truth is
elsewhere: a cookie's, or a worker's table's. Only control writes (node/sessions.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from gslb.state.redis_client import bounded, close, connect, prefix_of, public

TIMEOUT_S = 0.5  # of one batch


class Record(NamedTuple):
    """Where a session is. `key` is its id in hexadecimal, or a hash of what it is known by; `ttl_s` its life."""

    pool: str
    key: str
    server: str
    at: int
    ttl_s: int


class RedisSessions:
    """The records of one region's sessions in one Redis."""

    def __init__(self, url: str, cluster: str, region: str, *, client: Redis | None = None) -> None:
        """`url` as in `state.redis`; `client` replaces the one made from it. Raises StateError for a bad URL."""
        self.endpoint = public(url)
        self._prefix, self._region = f"{prefix_of(url, cluster)}:session:", region
        self._client = client or connect(url, TIMEOUT_S)

    async def write(self, records: Sequence[Record]) -> None:
        """Writes a batch in one round trip. Raises StoreUnavailable."""
        await bounded(self._write(records), TIMEOUT_S, self.endpoint)

    async def _write(self, records: Sequence[Record]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for one in records:
                value = json.dumps({"region": self._region, "server": one.server, "at": one.at})
                pipeline.set(f"{self._prefix}{one.pool}:{one.key}", value, ex=max(1, one.ttl_s))
            await pipeline.execute()

    async def close(self) -> None:
        """Gives back its connections."""
        await close(self._client)
