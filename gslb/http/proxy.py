"""The regional HTTP/1.1 proxy: what its connections share, new Worlds, connecting, the sweep, draining.

A data worker makes one `Proxy` inside its event loop and gives `protocol` to `create_server`. The requests themselves
are `client.py` (client's side) and `upstream.py` (server's side); what is forwarded is `forward.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import random
import ssl
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

from gslb.balancing.places import Places
from gslb.balancing.pool import PoolState
from gslb.balancing.ruled import compile_routes
from gslb.balancing.tallies import Counted, Telling
from gslb.http.client import Client
from gslb.http.connecting import Connecting
from gslb.http.elsewhere import Elsewhere
from gslb.http.endpoint import DRAIN_IDLE_S, TUNNEL, Endpoint
from gslb.http.forward import Peer
from gslb.http.forwarded import NOBODY, client_address, is_trusted, parse_address, parse_networks
from gslb.http.heads import PLAIN_HEAD_BYTES_MAX, Field
from gslb.http.limiting import Limiter
from gslb.http.links import Link, PoolLinks, Way
from gslb.http.mirror import Mirrors
from gslb.http.replies import region_word
from gslb.http.reporting import Reporter
from gslb.http.sharing import Sharing
from gslb.http.warming import keep_warm
from gslb.metrics import CODES
from gslb.model import Balancer, Connections, Plan, Pool, Status, World
from gslb.telemetry import Cells, Counters
from gslb.tls.contexts import client_contexts
from gslb.tls.material import Keys

if TYPE_CHECKING:
    from gslb.model import ServerTls

log = logging.getLogger("gslb.worker")

Address = tuple[str, int, "ServerTls | None", str, bool, Connections]  # what makes a Link

CLIENTS_MAX = 65_536
SWEEP_INTERVAL_S = 0.25  # how coarse timeouts are


class Proxy:
    """One worker's proxy. Everything here happens in its event loop."""

    def __init__(
        self,
        plan: Plan,
        counters: Counters,
        *,
        clock: Callable[[], float] = time.monotonic,
        workers: int = 1,
        others: Sequence[Cells] = (),
    ) -> None:
        """Needs a running event loop.

        Args:
            plan: with a balancer.
            counters: of this worker.
            clock: monotonic seconds.
            workers: of the node; they share its limits.
            others: the other workers' cells.
        """
        self._wall_clock = time.time  # dates of session cookies, which cross nodes
        assert plan.balancer is not None
        self.loop = asyncio.get_running_loop()
        self._cells, self._slots, self._others = counters.cells, counters.slots, others
        self.received = self.sent = 0  # bytes, from and to clients, not yet in the counters
        self.clock = clock
        self.chance = random.random  # jitter: not cryptography
        self.clients: set[Client] = set()
        self.pools: dict[str, PoolLinks] = {}
        self._away: dict[str, PoolLinks] = {}  # other regions, in place of servers
        self.draining = self._moving = False
        self.number = 0  # of the last request; with the prefix it is the request's id
        self.id_prefix = os.urandom(6).hex().encode() + b"-"
        self.limiter = Limiter(clock, workers, others, self.loop.call_later)
        self._ways: list[Way] = []
        self._sweep_due = 0.0
        self._links: dict[Address, Link] = {}
        self._keys = Keys()
        self._contexts: dict[ServerTls, ssl.SSLContext] = {}
        self.mirrors = Mirrors(self.loop, self.context_to)
        self._connecting = Connecting(self)
        self.connect = self._connecting.connect
        self._telling = Telling()
        self.elsewhere = Elsewhere()
        self.sharing = Sharing(self.loop, lambda: self.pools, self._wall_clock)
        self.reporter = Reporter(self.loop, clock)
        self._world = World(plan, Status())
        self.swap(self._world)
        self._sweep()

    # ------------------------------------------------------------ worlds
    def swap(self, world: World) -> None:
        """Serves by `world` from now on. Connections and counts of servers that stay are kept."""
        balancer = world.plan.balancer
        assert balancer is not None
        if world.plan is not self._world.plan or not self.pools:
            self._plan(world.plan, balancer, world.status)
        else:
            status, now = world.status, self.clock()
            for pool in self.pools.values():
                pool.state.update(pool.state.pool, status.servers, status.breakers, now)
            self.reporter.update(status.breakers)
        self._stray(world)
        self._world = world
        self._say()

    def _plan(self, plan: Plan, balancer: Balancer, status: Status) -> None:
        """Takes a new plan: routes, pools, who is trusted."""
        self.balancer = balancer
        self.plain_head_max = min(PLAIN_HEAD_BYTES_MAX, balancer.max_head_bytes)
        self._count_into(Counters(self._cells, plan.counters or self._slots))
        region = plan.regions.get(balancer.region)
        self.default_host = region.authority.encode() if region is not None else b"localhost"
        self.upgrades = frozenset(token.encode() for token in balancer.upgrades)
        self._trusted = parse_networks(balancer.trusted_proxies)
        links: dict[Address, Link] = {}
        wanted = balancer.server_tls
        if wanted != self._contexts.keys():
            new = client_contexts(wanted - self._contexts.keys(), {}, self._keys, log.error)
            self._contexts = {tls: new.get(tls) or self._contexts[tls] for tls in wanted}
        pools: dict[str, PoolLinks] = {}
        for name, pool in balancer.pools.items():
            pools[name] = self._pool(pool, status, links, plan, self.pools)
        known = self._away
        self._away = {
            name: self._pool(pool, Status(), links, plan, known) for name, pool in balancer.stragglers.pools.items()
        }
        for address, link in self._links.items():
            if address not in links:
                link.retire()
        self._links, self.pools = links, pools
        breakers = self.reporter.route_breakers(balancer.routes)
        self.reporter.configure(pools, breakers, status.breakers)
        self.limiter.plan(balancer, Counters(self._cells, plan.counters or self._slots))
        both = zip(balancer.routes, breakers, strict=True)
        self._ways = [Way(route, pools, self.limiter, breaker) for route, breaker in both]
        router = compile_routes(balancer.routes, self._ways)
        self.find, self.choose = router.find, router.choose
        self._shed()
        self._tick()

    def _stray(self, world: World) -> None:
        """What goes to other regions goes by this World; while this one drains, that is everything."""
        elsewhere, counters = self.elsewhere, Counters(self._cells, world.plan.counters or self._slots)
        elsewhere.swap(world, self._away, counters)
        if elsewhere.draining:
            self._say_last()
        states, now = elsewhere.states(world), self.clock()
        for pool in self._away.values():
            pool.state.update(pool.state.pool, states, {}, now)
        self._shed()

    def _pool(
        self, pool: Pool, status: Status, links: dict[Address, Link], plan: Plan, before: dict[str, PoolLinks]
    ) -> PoolLinks:
        """The pool as it was, brought up to date, or a new one.

        Pools that share a server share its connections, if they talk to it alike.
        """
        way = pool.proxy_protocol, pool.wants_reports, pool.connections
        addresses: dict[str, Link] = {}
        for server in pool.servers:
            address = (server.host, server.port, pool.tls_to(server), *way)
            if address not in links:
                links[address] = self._links.get(address) or Link(*address)
            addresses[server.id] = links[address]
        counters = Counters(self._cells, plan.counters or self._slots)
        places = Places(self._cells, self._others)
        known = before.get(pool.name) or PoolLinks(PoolState(pool, status.servers), counters, places)
        known.update(pool, status, addresses, counters, plan, self.clock())
        return known

    def _count_into(self, counters: Counters) -> None:
        """Looks the proxy's own series up."""
        index = counters.index
        self.mirrors.count_into(counters)
        self._refused = {int(code): index("gslb_http_refused_total", code=code) for code in CODES}
        self._refused_other = index("gslb_http_refused_total", code="other")
        self._connections = index("gslb_http_connections_total")
        gauges = ("gslb_http_active_connections", "gslb_http_active_requests", "gslb_http_tunnels")
        self._active = [index(name) for name in gauges]
        self._bytes = index("gslb_http_received_bytes_total"), index("gslb_http_sent_bytes_total")

    def count_refused(self, status: int) -> None:
        """Counts a request that was answered before a pool was chosen."""
        self._cells[self._refused.get(status, self._refused_other)] += 1

    def _say(self) -> None:
        """Makes the bytes of the region's own word."""
        world = self._world
        leaving = self.draining and not self._moving
        self.word = region_word(self.balancer, world.status, world.plan.generation, leaving)

    # ------------------------------------------------------------ clients
    def protocol(self, scheme: bytes = b"http", source: str = "") -> asyncio.Protocol:
        """A protocol for one client connection: the factory for `loop.create_server`. See Endpoint."""
        return Client(self, scheme, source)

    def admit(self, client: Endpoint) -> bool:
        """Whether there is room for one more connection."""
        if len(self.clients) >= CLIENTS_MAX:
            return False
        self.clients.add(cast("Client", client))
        self._cells[self._connections] += 1
        return True

    def leave(self, client: Endpoint) -> None:
        """A connection is gone."""
        self.clients.discard(cast("Client", client))

    def peer(self, address: str, scheme: bytes = b"http") -> Peer:
        """Who a socket's peer is, and whether its forwarding fields are believed."""
        parsed = parse_address(address) or NOBODY
        return Peer(str(parsed).encode(), is_trusted(parsed, self._trusted), scheme)

    def client_address(self, peer: Peer, specials: Sequence[Field]) -> bytes:
        """The client's address as canonical text, trusted proxies looked through."""
        address = parse_address(peer.address.decode()) or NOBODY
        return str(client_address(specials, address, self._trusted)).encode()

    @property
    def active(self) -> int:
        """Client connections that are open."""
        return len(self.clients)

    # ------------------------------------------------------------ servers
    def certify(self, keys: Keys) -> None:
        """Connects to servers with these certificates and authorities from now on."""
        self._keys = keys
        self._contexts = client_contexts(self._contexts, self._contexts, keys, log.error)

    def context_to(self, tls: ServerTls) -> ssl.SSLContext | None:
        """How TLS is spoken to servers."""
        return self._contexts.get(tls)

    def counts(self, *, whole: bool) -> dict[str, Counted]:
        """What servers did, where it changed since the last call; all of them if `whole`. See Telling."""
        if whole:
            self._telling.forget()
        pools, now = self.pools.items(), self.clock()
        return self._telling.changes(
            (name, one.tallies, one.state.running, one.links, one.said(now)) for name, one in pools
        )

    # ------------------------------------------------------------ time
    def _limit(self, now: float) -> None:
        """Lets the limits see how late the sweep came."""
        due, self._sweep_due = self._sweep_due, now + SWEEP_INTERVAL_S
        self.limiter.tick(now, now - due if due else 0.0)
        if self.limiter.overload.active != self._shedding:
            self._shed()

    def _shed(self) -> None:
        """Under too much load every request is looked at, else only those that have a rule."""
        self._shedding = self.limiter.overload.active
        for way in self._ways:
            way.rich = way.ruled or self._shedding or self.elsewhere.draining

    def _tick(self) -> None:
        """The deadlines that anything which starts now gets: made here once, not once a request."""
        timeouts = self.balancer.timeouts
        self.now = now = self.clock()
        self.wall_s = int(self._wall_clock())
        self.head_by = now + timeouts.head_s
        self.first_byte_by = now + timeouts.first_byte_s
        self.idle_by = now + timeouts.idle_s
        self.tunnel_by = now + timeouts.tunnel_s
        self.keepalive_by = now + timeouts.keepalive_s
        for pool in (*self.pools.values(), *self._away.values()):
            pool.try_by = now + (pool.state.pool.retries.per_try_s or timeouts.first_byte_s)
        self.date = formatdate(usegmt=True).encode()

    def _sweep(self) -> None:
        """Ends what is past its deadline: one coarse timer for the worker instead of one per request."""
        self._timer = self.loop.call_later(SWEEP_INTERVAL_S, self._sweep)
        self._tick()
        now, requests, tunnels = self.now, 0, 0
        self._limit(now)
        late: list[Callable[[], None]] = []
        began_by = now - (self.balancer.timeouts.total_s or math.inf)
        if self.draining or self.elsewhere.draining:
            self._say_last()
        pools = (*self.pools.values(), *self._away.values())
        for pool in pools:
            pool.active = 0
        for client in self.clients:
            if client.phase == TUNNEL:
                tunnels += 1
            elif client.server is not None and client.pool is not None:
                requests += 1
                client.pool.active += 1
                if client.started < began_by:
                    late.append(client.expire_whole)
                    continue
            if client.deadline < now:
                late.append(client.expire)
        for expire in late:
            expire()
        for link in self._links.values():
            link.sweep(now)
        for pool in pools:
            back = pool.state.sweep(now)
            if pool.watch is not None:
                pool.watch.forget(back)
            if pool.queue is not None:
                pool.queue.look()
        keep_warm(self.pools.values(), self.connect, now)
        self.reporter.sweep(now)
        self._publish(len(self.clients), requests, tunnels)

    def _publish(self, *active: int) -> None:
        """Moves what is counted in passing to the shared counters; `active`: connections, requests, tunnels."""
        cells = self._cells
        for index, value in zip(self._active, active, strict=True):
            cells[index] = value
        cells[self._bytes[0]] += self.received
        cells[self._bytes[1]] += self.sent
        self.received = self.sent = 0

    # ------------------------------------------------------------ the end
    def drain(self, *, moving: bool = False) -> None:
        """Every connection gets one more response, then it closes; an idle one soon without.

        `moving`: to another process of this node, so the region's word stays as it is.
        """
        self.draining, self._moving = True, moving
        self._say()
        self._say_last()

    def _say_last(self) -> None:
        idle_by = self.clock() + DRAIN_IDLE_S
        for client in self.clients:
            client.drain(idle_by)

    def close(self) -> None:
        """Drops what is left."""
        self._timer.cancel()
        self.reporter.close()
        self._connecting.close()
        self.mirrors.close()
        for client in tuple(self.clients):
            with contextlib.suppress(RuntimeError):  # the loop may be closing already
                client.transport.abort()
        for link in self._links.values():
            link.retire()
