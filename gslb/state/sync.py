"""Keeps control in touch with the shared store: says what this node has to say, hears the others, survives any loss.

One loop for each endpoint, so that one that is frozen does not slow down the others; any one alive is enough. A report
may reach its reader from several of them: its order says whether it is news. Only control runs this.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gslb.errors import StateError, StoreUnavailable
from gslb.state.memory import MemoryStore
from gslb.state.store import KINDS, NUMBER_MAX, Report, Store

INTERVAL_S = 0.5
REPORT_TTL_S = 15.0
EXCHANGE_MAX_S = 2.0  # of one whole round; a store bounds each of its exchanges by less
BACKOFF_MAX_S = 1.0
HINTS_APART_S = 0.05  # a flood of hints makes no more than so many rounds
LISTEN_AGAIN_S = 1.0
FAREWELL_MAX_S = 0.5
ENDPOINTS_MAX = 64

log = logging.getLogger("gslb.state")


def open_store(urls: Sequence[str], cluster: str) -> tuple[Store, ...]:
    """The shared store's endpoints: one a URL; without any, one in this process. Raises StateError for a bad URL."""
    if len(urls) > ENDPOINTS_MAX:
        raise StateError(f"{len(urls)} store URLs are over the bound of {ENDPOINTS_MAX}")
    if not urls:
        return (MemoryStore(time.monotonic),)
    from gslb.state.redis import RedisStore  # noqa: PLC0415 - 0.15 s of a start that may not need it

    return tuple(RedisStore(url, cluster) for url in dict.fromkeys(urls))


@dataclass(slots=True)
class Endpoint:
    """One endpoint and how it goes."""

    store: Store
    up: bool | None = None  # None: not tried yet
    why: str = "not asked yet"
    answered_at: float | None = None
    round_trip_s: float = 0.0
    failures: int = 0
    hinted: asyncio.Event = field(default_factory=asyncio.Event)
    told: str = ""  # of what was published last, all but its numbers


class Sync:
    """Publishes this node's report and reads everybody's, each `interval_s`, at every endpoint."""

    def __init__(
        self,
        stores: Sequence[Store],
        *,
        kind: str,
        node: str,
        incarnation: int,
        payload: Callable[[], Mapping[str, Any]],
        on_reports: Callable[[str, tuple[Report, ...], float], None],
        clock: Callable[[], float],
        interval_s: float = INTERVAL_S,
        raise_incarnation: Callable[[int], int] | None = None,
    ) -> None:
        """`payload` is asked before each publication; `on_reports(kind, reports, now)` gets all of a kind.

        `raise_incarnation(at_least)` keeps a greater incarnation if the store knows a newer report of this node
        than any of this process: the state directory was lost.
        """
        self.incarnation = incarnation
        self._endpoints = tuple(Endpoint(store) for store in stores)
        self._kind, self._node, self._payload, self._on_reports = kind, node, payload, on_reports
        self._clock, self._interval_s = clock, interval_s
        self._raise = raise_incarnation or (lambda at_least: at_least + 1)
        self._sequence = itertools.count(1)

    async def run(self) -> None:
        """Runs until it is cancelled; no loss of a store ends it."""
        async with asyncio.TaskGroup() as group:
            for endpoint in self._endpoints:
                group.create_task(self._keep(endpoint))
                group.create_task(self._listen(endpoint))

    async def _keep(self, endpoint: Endpoint) -> None:
        """Talks to one endpoint again and again; to one that is away, not more often than every BACKOFF_MAX_S."""
        pause_s = self._interval_s
        while True:
            started = self._clock()
            try:
                async with asyncio.timeout(EXCHANGE_MAX_S):
                    await self._exchange(endpoint)
            except TimeoutError:
                self._failed(endpoint, f"no answer within {EXCHANGE_MAX_S:g} s")
            except StateError as error:
                self._failed(endpoint, str(error))
            else:
                self._answered(endpoint, started)
            pause_s = self._interval_s if endpoint.up else min(pause_s * 2, BACKOFF_MAX_S)
            await asyncio.sleep(min(pause_s, HINTS_APART_S))
            left_s = pause_s - (self._clock() - started)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left_s)):
                    await endpoint.hinted.wait()
            endpoint.hinted.clear()

    async def _listen(self, endpoint: Endpoint) -> None:
        """Has `_keep` read at once when somebody hints; a hint that is lost costs nothing but time."""
        while True:
            with contextlib.suppress(StateError):
                async for _ in endpoint.store.hints():
                    endpoint.hinted.set()
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def _exchange(self, endpoint: Endpoint) -> None:
        """One round: publish, hint if that says something new, then read every kind."""
        store = endpoint.store
        report = Report(self._kind, self._node, self.incarnation, next(self._sequence), self._payload())
        held = await store.publish(report, REPORT_TTL_S)
        told = repr(report.payload)
        if told != endpoint.told:
            endpoint.told = told
            await store.hint()
        if held > report.order and held[0] >= self.incarnation:
            await self._overtake(store, held[0])
        for kind in KINDS:
            self._on_reports(kind, await store.read(kind), self._clock())

    async def _overtake(self, store: Store, incarnation: int) -> None:
        """The store believes a newer report of this node: from the next round on, ours is the newer one."""
        if incarnation >= NUMBER_MAX:  # nothing is greater: no node of ours counts that far
            await store.remove(self._kind, self._node)
            return
        self.incarnation = self._raise(incarnation)
        log.warning(
            "%s knew a newer report of %s than ours; our incarnation is %d now",
            store.endpoint,
            self._node,
            self.incarnation,
            extra={"why": "the state directory was lost, or two nodes have this name"},
        )

    def _failed(self, endpoint: Endpoint, why: str) -> None:
        if endpoint.up is not False:
            log.warning("the shared store is away; going on without it", extra={"why": why})
        endpoint.up, endpoint.why = False, why
        endpoint.failures += 1

    def _answered(self, endpoint: Endpoint, started: float) -> None:
        if endpoint.up is False:
            log.warning("the shared store %s is back", endpoint.store.endpoint)
        endpoint.up, endpoint.why = True, ""
        endpoint.answered_at = self._clock()
        endpoint.round_trip_s = endpoint.answered_at - started

    def endpoints(self) -> list[dict[str, Any]]:
        """How each endpoint goes, for `/status` and the metrics."""
        now = self._clock()
        return [
            {
                "endpoint": one.store.endpoint,
                "kind": one.store.kind,
                "up": bool(one.up),
                "why": one.why,
                "age_s": round(now - one.answered_at, 3) if one.answered_at is not None else None,
                "round_trip_s": round(one.round_trip_s, 6),
                "failures": one.failures,
                "ignored": dict(one.store.ignored),
            }
            for one in self._endpoints
        ]

    async def close(self, *, farewell: bool = True) -> None:
        """Lets go in a bounded time, with `farewell` after taking back this node's report. After `run` has ended."""

        async def leave(endpoint: Endpoint) -> None:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(FAREWELL_MAX_S):
                    if endpoint.up and farewell:
                        await endpoint.store.remove(self._kind, self._node)
            with contextlib.suppress(StoreUnavailable):
                await endpoint.store.close()

        await asyncio.gather(*(leave(endpoint) for endpoint in self._endpoints))
