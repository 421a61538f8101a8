"""Slices of shared limits from the region's Redis: one Lua script takes all of a batch, by Redis's own clock.

A key of a limit is one string that expires once it says nothing: of a token bucket the time at which it is full, of a
sliding window its three numbers. The arithmetic is balancing/buckets.py's and windows.py's, written down in Lua; a test
compares them. Only control uses this (node/leasing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from gslb.balancing.leases import Ask
from gslb.model import RateLimit
from gslb.state.redis_client import bounded, close, connect, prefix_of, public

TIMEOUT_S = 0.5  # of one batch; then the node counts for itself

_LEASE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local results = {}

local function bucket(key, rate, burst, want, lump, charge)
    local full = math.max(tonumber(redis.pcall('GET', key)) or 0, now) + charge / rate
    local there = math.floor(burst - (full - now) * rate + rate * 1e-6 + 1e-6)  -- a double holds Unix time so exactly
    local given = math.max(math.min(want, there), lump)
    full = full + given / rate
    redis.call('SET', key, string.format('%.6f', full), 'PX', math.ceil((full - now) * 1000) + 1)
    return given, math.max(0, full - now - burst / rate)
end

local function window(key, limit, seconds, want, lump, charge)
    local number, part = math.floor(now / seconds), now / seconds - math.floor(now / seconds)
    local previous, current = 0, 0
    local found = redis.pcall('GET', key)
    local at, before, here
    if type(found) == 'string' then at, before, here = string.match(found, '^(%d+) (%d+) (%d+)$') end
    if at then
        local gone = number - tonumber(at)
        if gone == 0 then previous, current = tonumber(before), tonumber(here)
        elseif gone == 1 then previous = tonumber(here) end
    end
    current = current + charge
    local there = math.floor(limit - previous * (1 - part) - current + 1e-6)
    local given = math.max(math.min(want, there), lump)
    current = current + given
    local value = string.format('%d %d %d', number, previous, current)
    redis.call('SET', key, value, 'PX', math.ceil((2 - part) * seconds * 1000) + 1)
    local room, wait = limit - current, 0
    if room >= 0 then
        if previous * (1 - part) > room then wait = (1 - room / previous - part) * seconds end
    else
        wait = (2 - part - limit / current) * seconds
    end
    return given, math.max(0, wait)
end

for place, key in ipairs(KEYS) do
    local base = (place - 1) * 6
    local take = ARGV[base + 1] == 'token_bucket' and bucket or window
    local one, other = tonumber(ARGV[base + 2]), tonumber(ARGV[base + 3])
    local want, lump, charge = tonumber(ARGV[base + 4]), tonumber(ARGV[base + 5]), tonumber(ARGV[base + 6])
    local given, wait = take(key, one, other, want, lump, charge)
    results[#results + 1] = string.format('%d %.6f', given, wait)
end
return results
"""


class RedisLeases:
    """The shared limits of one region in one Redis."""

    def __init__(self, url: str, cluster: str, region: str, *, client: Redis | None = None) -> None:
        """`url` as in `state.redis`; `client` replaces the one made from it. Raises StateError for a bad URL."""
        self.endpoint = public(url)
        self._prefix = f"{prefix_of(url, cluster)}:limit:{region}:".encode()
        self._client = client or connect(url, TIMEOUT_S)
        self._script = self._client.register_script(_LEASE)

    async def lease(self, asks: Sequence[tuple[RateLimit, Ask]]) -> list[tuple[int, float]]:
        """For each ask what is given, and the seconds until it may be spent. Raises StoreUnavailable."""
        keys = [self._key(limit, ask.key) for limit, ask in asks]
        arguments: list[bytes | str | float] = []
        for limit, ask in asks:
            arguments += [limit.algorithm, *_numbers(limit), ask.want, ask.lump, ask.charge]
        found: list[Any] = await bounded(self._script(keys, arguments), TIMEOUT_S, self.endpoint)
        return [(int(given), float(wait)) for given, wait in (one.split() for one in found)]

    def _key(self, limit: RateLimit, key: bytes) -> bytes:
        """A limit that was changed counts anew: what it says is part of the key."""
        said = repr((limit.count, limit.period_s, limit.burst, limit.algorithm, limit.key, limit.prefix))
        mark = blake2b(said.encode(), digest_size=4).hexdigest().encode()
        return self._prefix + limit.name.encode() + b":" + mark + b":" + key

    async def close(self) -> None:
        """Gives back its connections."""
        await close(self._client)


def _numbers(limit: RateLimit) -> tuple[float, float]:
    """What the arithmetic of a limit needs: rate and burst, or count and window."""
    if limit.algorithm == "sliding_window":
        return limit.count, limit.period_s
    return limit.count / limit.period_s, limit.burst
