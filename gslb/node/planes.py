"""What a data worker serves: an edge's DNS and front door, or a region's proxy. Both are fed Worlds, swapped whole.

A plane opens its listening sockets for traffic with the first World, never before: a worker that knows nothing must
not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from gslb.balancing.leases import Ask, Grant
from gslb.balancing.loads import LoadReport
from gslb.balancing.tallies import Counted
from gslb.dns.responder import Responder
from gslb.dns.server import TcpServer, UdpServer
from gslb.http.frontdoor import FrontDoor
from gslb.http.proxy import Proxy
from gslb.http.reporting import Report, unheard
from gslb.model import Plan, World
from gslb.node.board import Row
from gslb.node.context import NodeContext
from gslb.node.listeners import Listeners
from gslb.node.locating import Locating
from gslb.tcp.forwarder import Forwarder
from gslb.telemetry import Counters
from gslb.tls.material import Keys

AskControl = Callable[[int, tuple[Ask, ...]], bool]


def nobody_there(number: int, asks: tuple[Ask, ...]) -> bool:
    """Where asks go until somebody listens."""
    del number, asks
    return False


ShareSessions = Callable[[str, tuple[tuple[bytes, str], ...]], None]


def nobody_listens(pool: str, entries: tuple[tuple[bytes, str], ...]) -> None:
    """Where sessions are told until somebody listens."""
    del pool, entries


class Plane(Protocol):
    """The data plane of one worker. `report`, `ask` and `share` tell control: outcomes, slices, sessions."""

    report: Report
    ask: AskControl
    share: ShareSessions

    async def swap(self, world: World, cookie_secret: bytes) -> None:
        """Serves by `world` from now on; opens the sockets the first time."""

    def certify(self, keys: Keys) -> None:
        """Certificates, keys and authorities to go on with."""

    def install(self, stamp: str, tables: Mapping[Hashable, Any]) -> None:
        """Prefix tables for the geo database with this stamp are ready."""

    def counts(self, *, whole: bool) -> Mapping[str, Counted]:
        """What servers did, where it changed since the last call; all of them if `whole`."""

    def lease(self, pool: str, server: str, epoch: int, lease: int) -> None:
        """Control leases a probe of a half-open server to this worker."""

    def granted(self, number: int, grants: tuple[Grant, ...]) -> None:
        """Control's answer to an ask."""

    def remember(self, pool: str, entries: tuple[tuple[bytes, str], ...]) -> None:
        """Where another worker's sessions are."""

    def loads(self, pool: str, loads: Mapping[str, LoadReport]) -> None:
        """What agents say of servers."""

    def drain(self, *, moving: bool) -> None:
        """Takes nothing new. `moving`: another process of this node has taken over."""

    @property
    def active(self) -> int:
        """Connections still being served."""

    def close(self) -> None:
        """Drops what is left."""


class EdgePlane:
    """DNS over UDP and TCP, and the front door, over one Locator."""

    def __init__(self, context: NodeContext, index: int, row: Row) -> None:
        self._context, self._index, self._row = context, index, row
        self.report: Report = unheard
        self.ask: AskControl = nobody_there
        self.share: ShareSessions = nobody_listens
        self._plan: Plan | None = None
        self._locating = Locating(index)
        self._responder: Responder | None = None
        self._frontdoor: FrontDoor | None = None
        self._udp: list[UdpServer] = []
        self._tcp: list[TcpServer] = []
        self._http = Listeners(context, index)

    async def swap(self, world: World, cookie_secret: bytes) -> None:
        """See Plane. A new Plan makes new counters, a new Locator and so new answers; a new Status only the latter."""
        if world.plan is not self._plan:
            self._plan = world.plan
            self._locating.take(world.plan, world.plan.services)
        if self._responder is None or self._frontdoor is None:
            await self._open(world, cookie_secret)
        else:
            counters = Counters(self._row.cells, world.plan.counters)
            self._responder.swap(world, self._locating.locator, counters)
            self._frontdoor.swap(world, self._locating.locator, counters)
            self._http.swap(world.plan)

    def certify(self, keys: Keys) -> None:
        """See Plane."""
        self._http.certify(keys)

    def install(self, stamp: str, tables: Mapping[Hashable, Any]) -> None:
        """See Plane."""
        self._locating.install(stamp, tables)

    def lease(self, pool: str, server: str, epoch: int, lease: int) -> None:
        """See Plane: an edge has no servers."""

    def granted(self, number: int, grants: tuple[Grant, ...]) -> None:
        """See Plane: an edge has no limits."""

    def remember(self, pool: str, entries: tuple[tuple[bytes, str], ...]) -> None:
        """See Plane: an edge has no sessions of its own."""

    def loads(self, pool: str, loads: Mapping[str, LoadReport]) -> None:
        """See Plane: an edge has no servers."""

    async def _open(self, world: World, cookie_secret: bytes) -> None:
        """Builds the servers and starts reading from the sockets."""
        locator = self._locating.locator
        loop = asyncio.get_running_loop()
        sockets, index = self._context.sockets, self._index
        counters = Counters(self._row.cells, world.plan.counters)
        self._responder = Responder(
            world, locator, counters, node_id=self._context.node.encode(), cookie_secret=cookie_secret
        )
        self._frontdoor = FrontDoor(world, locator, counters, clock=time.monotonic)
        self._udp = [UdpServer(sock, self._responder, time.monotonic) for sock in sockets.of_worker("dns_udp", index)]
        self._tcp = [TcpServer(sock, self._responder, time.monotonic) for sock in sockets.of_worker("dns_tcp", index)]
        for udp in self._udp:
            udp.start(loop)
        for tcp in self._tcp:
            tcp.start(loop)
        door = self._frontdoor
        await self._http.open(world.plan, door.protocol, door.count, door.head_s)

    def counts(self, *, whole: bool) -> Mapping[str, Counted]:
        """See Plane: an edge has no servers."""
        del whole
        return {}

    def drain(self, *, moving: bool) -> None:
        """See Plane."""
        for udp in self._udp:
            udp.close()
        for tcp in self._tcp:
            tcp.close()
        self._http.drain()
        if self._frontdoor is not None:
            self._frontdoor.drain(moving=moving)

    @property
    def active(self) -> int:
        """See Plane."""
        return self._http.active + (self._frontdoor.active if self._frontdoor is not None else 0)

    def close(self) -> None:
        """See Plane."""
        self._http.close()
        if self._frontdoor is not None:
            self._frontdoor.close()


class RegionPlane:
    """The regional proxy."""

    def __init__(self, context: NodeContext, index: int, row: Row) -> None:
        self._context, self._index, self._row = context, index, row
        self.report: Report = unheard
        self.ask: AskControl = nobody_there
        self.share: ShareSessions = nobody_listens
        self._plan: Plan | None = None
        self._proxy: Proxy | None = None
        self._forwarder: Forwarder | None = None
        self._listeners = Listeners(context, index)
        self._locating = Locating(index)
        self._keys = Keys()

    async def swap(self, world: World, cookie_secret: bytes) -> None:
        """See Plane."""
        del cookie_secret
        if self._proxy is None:
            counters = Counters(self._row.cells, world.plan.counters)
            rows = self._context.board.rows[1:]
            proxy = self._proxy = Proxy(
                world.plan,
                counters,
                clock=time.monotonic,
                workers=max(1, self._context.workers),
                others=[row.cells for row in rows if row is not self._row],
            )
            proxy.reporter.report, proxy.limiter.ask, proxy.sharing.share = self.report, self.ask, self.share
            proxy.certify(self._keys)
            proxy.swap(world)
            head_s = proxy.balancer.timeouts.head_s
            forwarder = self._forwarder = Forwarder(lambda: proxy.pools)
            await self._listeners.open(world.plan, proxy.protocol, proxy.count_refused, head_s, forwarder)
        else:
            self._proxy.swap(world)
        if world.plan is not self._plan and self._proxy is not None and self._forwarder is not None:
            self._plan = world.plan
            self._proxy.elsewhere.locate(self._locating.take(world.plan, self._proxy.balancer.stragglers.services))
            self._forwarder.swap(world.plan, Counters(self._row.cells, world.plan.counters))
            self._listeners.swap(world.plan)

    def certify(self, keys: Keys) -> None:
        """See Plane."""
        self._keys = keys
        self._listeners.certify(keys)
        if self._proxy is not None:
            self._proxy.certify(keys)

    def install(self, stamp: str, tables: Mapping[Hashable, Any]) -> None:
        """See Plane: a region steers only its stragglers, without tables."""

    def counts(self, *, whole: bool) -> Mapping[str, Counted]:
        """See Plane."""
        return self._proxy.counts(whole=whole) if self._proxy is not None else {}

    def lease(self, pool: str, server: str, epoch: int, lease: int) -> None:
        """See Plane."""
        if self._proxy is not None:
            self._proxy.reporter.lease(pool, server, epoch, lease)

    def granted(self, number: int, grants: tuple[Grant, ...]) -> None:
        """See Plane."""
        if self._proxy is not None:
            self._proxy.limiter.granted(number, grants)

    def remember(self, pool: str, entries: tuple[tuple[bytes, str], ...]) -> None:
        """See Plane."""
        if self._proxy is not None:
            self._proxy.sharing.remember(pool, entries)

    def loads(self, pool: str, loads: Mapping[str, LoadReport]) -> None:
        """See Plane."""
        if self._proxy is not None and pool in self._proxy.pools:
            self._proxy.pools[pool].take_loads(loads, time.monotonic())

    def drain(self, *, moving: bool) -> None:
        """See Plane."""
        self._listeners.drain()
        if self._proxy is not None:
            self._proxy.drain(moving=moving)

    @property
    def active(self) -> int:
        """See Plane."""
        forwarded = self._forwarder.active if self._forwarder is not None else 0
        return self._listeners.active + forwarded + (self._proxy.active if self._proxy is not None else 0)

    def close(self) -> None:
        """See Plane."""
        self._listeners.close()
        if self._forwarder is not None:
            self._forwarder.close()
        if self._proxy is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closing under it
                self._proxy.close()
