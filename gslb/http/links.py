"""What one worker keeps of a pool: whose turn it is, the connections to each server, and where it is counted.

`Link` holds the connections to one address, `PoolLinks` one pool, `Way` a route to one. Only the proxy and
its connections use them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from gslb.balancing.exchange import Budget
from gslb.balancing.keys import Key, parse_key
from gslb.balancing.loads import LoadReport
from gslb.balancing.places import ALL, Places
from gslb.balancing.pool import PoolState
from gslb.balancing.sticky import CookieSticking, KeySticking
from gslb.balancing.tallies import Said, new_tallies
from gslb.http.actions import compile_actions
from gslb.http.coding import Compression
from gslb.http.hedging import Hedges
from gslb.http.queueing import Waiting
from gslb.metrics import CLASSES, LOAD_REPORTS, SECONDS, UPSTREAM_ERRORS
from gslb.model import Connections
from gslb.telemetry import Counters

if TYPE_CHECKING:
    from gslb.balancing.route_breaker import RouteBreaker
    from gslb.http.limiting import Limiter
    from gslb.http.reporting import Watch
    from gslb.http.upstream import Upstream
    from gslb.model import Plan, Pool, Route, ServerTls, Status

DEFAULT = Connections()
CONNECTIONS_PER_SERVER_MAX = 4_096
LOADS_MAX_S = 30.0  # what a server said of its load before that is not told any more
MICROSECONDS = 1_000_000


class Link:
    """The connections of one worker to one server's address. A Link outlives Worlds as long as its server does."""

    __slots__ = (
        "host", "idle", "idle_max", "open", "port", "proxy_protocol", "reports", "retired", "rule", "tls", "warm_from"
    )

    def __init__(
        self, host: str, port: int, tls: ServerTls | None = None, proxy_protocol: str = "", reports: bool = False,
        rule: Connections = DEFAULT,
    ) -> None:  # fmt: skip
        """One server's address and how it is talked to.

        `proxy_protocol` names one client to the server: such a connection serves one request and is never kept.
        `reports`: its connections look for load reports (upstream.ReportingUpstream).
        """
        self.host, self.port, self.tls, self.proxy_protocol = host, port, tls, proxy_protocol
        self.reports, self.rule = reports, rule
        self.idle_max = 0 if proxy_protocol else rule.idle
        self.warm_from = 0.0  # not before then is another connection opened ahead of its use
        self.idle: list[Upstream] = []  # last used last: taking the last keeps few connections warm
        self.open = 0  # idle, busy and connecting
        self.retired = False

    def retire(self) -> None:
        """The server is gone from the plan: idle connections end now, busy ones after their response."""
        self.retired = True
        for upstream in tuple(self.idle):
            upstream.abort()

    def keep(self, upstream: Upstream, until: float) -> None:
        """Takes a connection that has nothing to do, unless there are enough."""
        if self.retired or len(self.idle) >= self.idle_max or until > upstream.last:
            upstream.abort()
        else:
            upstream.idle_until = until
            self.idle.append(upstream)

    def sweep(self, now: float) -> None:
        """Closes connections that were idle for too long; the oldest come first."""
        while self.idle and self.idle[0].idle_until < now:
            self.idle[0].abort()


class PoolLinks:
    """One pool: which server is next, the connections to each, and its counters."""

    __slots__ = (
        "active", "budget", "cells", "classes", "connects", "ended", "errors", "hedges", "hedges_sent",
        "hedges_won", "key", "links", "loads", "pick", "places", "queue", "queued", "report", "reported", "retries",
        "seconds", "started", "state", "sticking", "tallies", "try_by", "watch",
    )  # fmt: skip

    def __init__(self, state: PoolState, counters: Counters, places: Places) -> None:
        self.state = state
        self.pick, self.started, self.ended = state.pick, state.started, state.ended  # bound once, for the hot path
        self.links: dict[str, Link] = {}  # by server id
        self.tallies = new_tallies()  # what each server did; outlives plans
        self.loads: dict[str, tuple[LoadReport, float]] = {}  # what servers say of themselves, and when
        self.active = 0  # requests that have a server; counted by the proxy's sweep
        self.budget = Budget(state.pool.retries.budget)
        self.hedges: Hedges | None = None
        self.queue: Waiting | None = None
        self.places = places
        self.sticking: CookieSticking | KeySticking | None = None
        self.try_by = 0.0  # the deadline of a try that starts now; set by the proxy's sweep
        self.watch: Watch | None = None  # hears how each request ends, where that decides anything
        self.key: Key | None = None  # what the algorithm hashes of a request, if it looks at any
        self.count_into(counters)

    def update(
        self, pool: Pool, status: Status, links: dict[str, Link], counters: Counters, plan: Plan, now: float
    ) -> None:
        """Takes a new Plan's pool."""
        bounded = [server.id for server in pool.servers if server.max_connections or pool.bounds_loads]
        cells = {one: counters.own("gslb_server_places_taken", pool=pool.name, server=one) for one in bounded}
        if pool.bounds_loads:
            cells[ALL] = counters.own("gslb_pool_places_taken", pool=pool.name)
        self.places.update({one: cell for one, cell in cells.items() if cell is not None})
        self.state.update(pool, status.servers, status.breakers, now)
        self.state.count_in(self.places)
        self.links = links
        self.loads = {one: load for one, load in self.loads.items() if one in links}
        self.budget.share = pool.retries.budget
        if not pool.retries.hedge_s:
            self.hedges = None
        elif self.hedges is None:
            self.hedges = Hedges(self)
        if pool.queue is None and not self.queue:  # those that wait are still served
            self.queue, self.pick, self.ended = None, self.state.pick, self.state.ended
        elif pool.queue is not None and self.queue is None:
            self.queue = Waiting(self, self.places)
            self.pick, self.ended = self.queue.pick, self.queue.ended  # instead of a test for every request
        if self.queue is not None:
            self.queue.count_in(counters)
        self._stick(pool, plan)
        self.report = self.state.report
        text = getattr(pool.algorithm, "key", None)
        self.key = parse_key(text) if text is not None else None
        self.count_into(counters)

    def _stick(self, pool: Pool, plan: Plan) -> None:
        """What is known of sessions is kept while their rules stay."""
        sticky, now = pool.sticky, self.sticking
        if sticky is None:
            self.sticking = None
        elif sticky.by == "cookie":
            region = plan.balancer.region if plan.balancer is not None else ""
            wanted = sticky, plan.session_secret, region
            if not isinstance(now, CookieSticking) or (now.sticky, now.secret, now.region) != wanted:
                now = self.sticking = CookieSticking(*wanted)
            now.update(pool.name, pool.servers)
        elif not isinstance(now, KeySticking) or now.sticky != sticky:
            self.sticking = KeySticking(sticky)

    def take_loads(self, loads: Mapping[str, LoadReport], now: float) -> None:
        """What agents say of servers; of those that are not here any more nothing is kept."""
        for server_id in loads.keys() & self.links.keys():
            self.loads[server_id] = loads[server_id], now
            if self.report is not None:
                self.report(server_id, loads[server_id], now)

    def said(self, now: float) -> dict[str, Said]:
        """What servers said of themselves lately."""
        return {one: (load.cpu, load.memory) for one, (load, at) in self.loads.items() if now - at < LOADS_MAX_S}

    def count_into(self, counters: Counters) -> None:
        """Looks the pool's series up; a new plan may have moved them."""
        name = self.state.pool.name
        self.cells = counters.cells
        self.classes = {  # by the first digit of a status as it stands in the head: "2" is 50
            ord(code[0]): counters.index("gslb_http_requests_total", pool=name, code=code) for code in CLASSES
        }
        self.errors = {
            reason: counters.index("gslb_http_upstream_errors_total", pool=name, reason=reason)
            for reason in UPSTREAM_ERRORS
        }
        self.reported = {
            result: counters.index("gslb_http_load_reports_total", pool=name, result=result) for result in LOAD_REPORTS
        }
        self.retries = counters.index("gslb_http_retries_total", pool=name)
        self.hedges_sent = counters.index("gslb_http_hedges_total", pool=name, result="sent")
        self.hedges_won = counters.index("gslb_http_hedges_total", pool=name, result="won")
        self.queued = {
            result: counters.index("gslb_http_queued_total", pool=name, result=result)
            for result in ("served", "timeout", "full")
        }
        self.connects = counters.index("gslb_http_upstream_connections_total", pool=name)
        self.seconds = counters.index("gslb_http_request_seconds", pool=name)

    def answered(self, digit: int, seconds: float) -> None:
        """Counts a response by its status's first digit (as a byte) and the time it took."""
        cells, first = self.cells, self.seconds
        cells[self.classes[digit]] += 1
        cells[first + bisect_left(SECONDS, seconds)] += 1
        cells[first + len(SECONDS) + 1] += int(seconds * MICROSECONDS)

    def failed(self, reason: str) -> None:
        """Counts a try that failed."""
        self.cells[self.errors[reason]] += 1


class Way:
    """A route and the pool behind it, as one worker dispatches by it."""

    __slots__ = ("actions", "breaker", "careful", "compression", "guard", "pool", "rich", "route", "ruled", "shared")

    def __init__(
        self, route: Route, pools: Mapping[str, PoolLinks], limiter: Limiter, breaker: RouteBreaker | None = None
    ) -> None:
        self.route, self.breaker = route, breaker
        self.actions = actions = compile_actions(route)
        behind = [pools[name] for name in route.pools]
        self.pool = cast("PoolLinks", behind[0] if behind else None)  # None where the route answers: that is rich
        alone = behind[0].state.pool.limits if len(behind) == 1 else ()
        self.guard = limiter.guard(route, alone)
        shared = {one.state.pool.name: limiter.guard_of(route, one.state.pool.limits) for one in behind}
        self.shared = shared if len(behind) > 1 and any(guard.needed for guard in shared.values()) else {}
        # Some rule looks at every response's head …
        self.compression = Compression(route.compression) if route.compression is not None else None
        self.careful = (
            (actions is not None and actions.response is not None) or self.compression is not None
            or any(map(_careful, behind))
        )  # fmt: skip
        # … or into the request …
        self.ruled = (
            self.careful or not behind or actions is not None or route.conditional or self.guard.needed
            or breaker is not None or bool(self.shared) or any(map(_rich, behind))
        )  # fmt: skip
        self.rich = self.ruled  # … or, under too much load, whether it may go on


def _careful(pool: PoolLinks) -> bool:
    learns = isinstance(pool.sticking, KeySticking) and bool(pool.sticking.learned)
    return learns or bool(pool.state.pool.retries.statuses)


def _rich(pool: PoolLinks) -> bool:
    return any(rule is not None for rule in (pool.key, pool.hedges, pool.sticking))
