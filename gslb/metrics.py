"""Every metric's definition: its name, labels and series. telemetry.py counts by them.

A data worker's series follow from the Plan (`each`); what only control knows has none of its own there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gslb.model import Plan

OTHER = "other"
Labels = tuple[str, ...]


def _edge(plan: Plan) -> Iterable[Labels]:
    return ((),) if plan.balancer is None else ()


def _region(plan: Plan) -> Iterable[Labels]:
    return ((),) if plan.balancer is not None else ()


def _pools(plan: Plan) -> Iterable[Labels]:
    """A region's pools, and those of other regions for its stragglers."""
    if plan.balancer is None:
        return ()
    return ((name,) for name in sorted({*plan.balancer.pools, *plan.balancer.stragglers.pools}))


def _bounded_servers(plan: Plan) -> Iterable[Labels]:
    """Servers with max_connections, and of pools that bound loads: workers count them together."""
    pools = plan.balancer.pools.values() if plan.balancer is not None else ()
    return (
        (pool.name, server.id) for pool in pools for server in pool.servers
        if server.max_connections or pool.bounds_loads
    )  # fmt: skip


def _bounded_pools(plan: Plan) -> Iterable[Labels]:
    pools = plan.balancer.pools.values() if plan.balancer is not None else ()
    return ((pool.name,) for pool in pools if pool.bounds_loads)


def _queued_pools(plan: Plan) -> Iterable[Labels]:
    pools = plan.balancer.pools.values() if plan.balancer is not None else ()
    return ((pool.name,) for pool in pools if pool.queue is not None)


def _tcp_pools(plan: Plan) -> Iterable[Labels]:
    return ((name,) for name in sorted({one.pool for one in plan.listeners if one.pool}))


def _limits(plan: Plan) -> Iterable[Labels]:
    if plan.balancer is None:
        return ()
    limits = plan.balancer.limits
    return ((name,) for name in (*limits.names, *(("shedding",) if limits.shedding is not None else ())))


def _rates(plan: Plan) -> Iterable[Labels]:
    return ((name,) for name in plan.balancer.limits.rates) if plan.balancer is not None else ()


def _gates(plan: Plan) -> Iterable[Labels]:
    return ((name,) for name in plan.balancer.limits.concurrency) if plan.balancer is not None else ()


def _adaptive(plan: Plan) -> Iterable[Labels]:
    if plan.balancer is None:
        return ()
    return ((name,) for name, limit in plan.balancer.limits.concurrency.items() if limit.adaptive is not None)


def _answers(plan: Plan) -> Iterable[Labels]:
    services = sorted(plan.services) if plan.balancer is None else ()
    return ((service, region.name) for service in services for region in plan.services[service].regions)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A worker's series are `each(plan)` (the leading labels) times `values` (of the last label).

    `by`: who knows it, a worker (a cell each series) or control (`Gauges`). `bounds`: a histogram's, in seconds.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()
    values: Labels = ()
    each: Callable[[Plan], Iterable[Labels]] = _edge
    by: Literal["worker", "control"] = "worker"
    bounds: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Cells of one series: a histogram has one a bucket, one for +Inf and one for the sum in microseconds."""
        return len(self.bounds) + 2 if self.bounds else 1

    def series(self, plan: Plan) -> Iterator[Labels]:
        """The label values of every series that `plan` names."""
        for head in self.each(plan):
            for tail in self.values or (None,):
                yield head if tail is None else (*head, tail)


def _control(
    name: str, kind: Literal["counter", "gauge"], text: str, labels: Labels = (), values: Labels = ()
) -> Metric:
    return Metric(name, kind, text, labels, values, by="control")


RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "BADVERS", "BADCOOKIE")
DROPS = ("response", "short", "malformed", "send_failed", "overload", "error")
CODES = (
    "200", "301", "302", "307", "308", "400", "404", "405", "408", "413", "414", "417", "421", "429", "431", "500",
    "501", "503", "505",
)  # fmt: skip
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
UPSTREAM_ERRORS = (
    "connect", "connect_timeout", "first_byte_timeout", "idle_timeout", "reset", "bad_response", "truncated",
    "status", "total_timeout", "no_server", "tls", "queue_full", "queue_timeout",
)  # fmt: skip
LOAD_REPORTS = ("ok", "wrong")
LIMITED = ("rate_limited", "concurrency_limited", "overloaded")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MIRRORED = ("answered", "failed", "too_large", "busy", "no_server")
STATES = ("up", "unknown", "draining", "down")
IGNORED = ("size", "json", "schema", "name", "number", "shape", "type")
GATES = ("closed", "open", "half_open", "ejected")

_ALL = (
    # ---------------------------------------------------------------- an edge's DNS
    Metric("gslb_dns_queries_total", "counter", "DNS queries received.", ("transport",), ("udp", "tcp", "tls")),
    Metric("gslb_dns_answers_total", "counter", "DNS answers sent.", ("rcode",), RCODES),
    Metric("gslb_dns_slow_path_total", "counter", "DNS queries that were parsed in full: no ready answer fitted."),
    Metric("gslb_dns_dropped_total", "counter", "DNS packets that got no answer.", ("reason",), DROPS),
    Metric("gslb_dns_truncated_total", "counter", "DNS answers over UDP that were cut short (TC)."),
    Metric("gslb_dns_answers_by_region_total", "counter", "Steered DNS answers by the region that they lead to.",
           ("service", "region"), each=_answers),
    Metric("gslb_dns_cache_entries", "gauge", "Ready DNS answers held."),
    Metric("gslb_dns_cache_evictions_total", "counter", "Ready DNS answers dropped to stay within the bound."),
    Metric("gslb_dns_tcp_connections", "gauge", "Open DNS connections over TCP."),
    # ---------------------------------------------------------------- an edge's front door
    Metric("gslb_frontdoor_requests_total", "counter", "Front door requests by the status answered.", ("code",), CODES),
    Metric("gslb_frontdoor_redirects_total", "counter", "Front door redirects by the region that they lead to.",
           ("service", "region"), each=_answers),
    Metric("gslb_frontdoor_active_connections", "gauge", "Open client connections of the front door."),
    # ---------------------------------------------------------------- a region's proxy
    Metric("gslb_http_requests_total", "counter", "Proxied requests by the class of the status answered.",
           ("pool", "code"), CLASSES, _pools),
    Metric("gslb_http_refused_total", "counter", "Requests answered before a pool was chosen.", ("code",), CODES,
           each=_region),
    Metric("gslb_http_upstream_errors_total", "counter", "Attempts at a server that failed.",
           ("pool", "reason"), UPSTREAM_ERRORS, _pools),
    Metric("gslb_http_retries_total", "counter", "Requests that were tried again on another server.",
           ("pool",), each=_pools),
    Metric("gslb_http_hedges_total", "counter", "Requests that were asked of a second server, and those it won.",
           ("pool", "result"), ("sent", "won"), _pools),
    Metric("gslb_http_load_reports_total", "counter",
           "Load reports in responses; wrong: with a value, or all of it, that could not be used.",
           ("pool", "result"), LOAD_REPORTS, _pools),
    Metric("gslb_http_mirrored_requests_total", "counter", "Copies of requests for a mirror, by what became of them.",
           ("result",), MIRRORED, _region),
    Metric("gslb_stragglers_total", "counter",
           "Requests that came while the region drained or had no server for them, by what became of them.",
           ("result",), ("proxied", "redirected", "nowhere", "second_hop"), _region),
    Metric("gslb_http_queued_total", "counter", "Requests that waited for a place at a server.",
           ("pool", "result"), ("served", "timeout", "full"), _pools),
    Metric("gslb_server_places_taken", "gauge", "Requests running on servers with max_connections or bounded loads.",
           ("pool", "server"), each=_bounded_servers),
    Metric("gslb_pool_places_taken", "gauge", "Requests running on the usable servers of a pool that bounds loads.",
           ("pool",), each=_bounded_pools),
    Metric("gslb_http_queue_waiting", "gauge", "Requests that wait for a place at a server.",
           ("pool",), each=_queued_pools),
    Metric("gslb_http_connections_total", "counter", "Client connections accepted.", each=_region),
    Metric("gslb_http_upstream_connections_total", "counter", "Connections opened to servers.",
           ("pool",), each=_pools),
    Metric("gslb_http_active_connections", "gauge", "Open client connections.", each=_region),
    Metric("gslb_http_active_requests", "gauge", "Requests being served.", each=_region),
    Metric("gslb_http_tunnels", "gauge", "Open WebSockets and other upgraded connections.", each=_region),
    Metric("gslb_http_received_bytes_total", "counter", "Bytes received from clients.", each=_region),
    Metric("gslb_http_sent_bytes_total", "counter", "Bytes sent to clients.", each=_region),
    Metric("gslb_http_request_seconds", "histogram", "Time from a request's head to the end of its response.",
           ("pool",), each=_pools, bounds=SECONDS),
    # ---------------------------------------------------------------- a region's limits
    Metric("gslb_http_limited_total", "counter", "Requests refused by a limit; `shedding` is the event loop's lag.",
           ("limit", "reason"), LIMITED, _limits),
    Metric("gslb_limit_running", "gauge", "Requests that hold a place of a limit of concurrency.",
           ("limit",), each=_gates),
    Metric("gslb_limit_concurrency", "gauge", "Places that an adaptive limit of concurrency has found.",
           ("limit",), each=_adaptive),
    Metric("gslb_limit_keys", "gauge", "Keys that the workers remember of a rate limit.", ("limit",), each=_rates),
    Metric("gslb_http_loop_lag_microseconds", "gauge", "How late the workers' event loops run, added up.",
           each=_region),
    # ---------------------------------------------------------------- what control knows
    _control("gslb_build_info", "gauge", "Always 1; the labels say what runs.", ("version", "python", "role", "node")),
    _control("gslb_start_time_seconds", "gauge", "When control started, in Unix time."),
    _control("gslb_region_up", "gauge", "1 if the region is up in this node's judgement.", ("region",)),
    _control("gslb_region_state", "gauge", "1 for the state that the region is in, else 0.",
             ("region", "state"), STATES),
    _control("gslb_region_share", "gauge", "Of the region's clients, the share that it can have.", ("region",)),
    _control("gslb_own_share", "gauge", "Of its clients, the share that this node says its region can have."),
    _control("gslb_region_state_age_seconds", "gauge", "Age of this node's own last probe of the region.", ("region",)),
    _control("gslb_service_regions_up", "gauge", "Regions of the service that are up; 0 is fail open.", ("service",)),
    _control("gslb_server_up", "gauge", "1 if the server is in use.", ("pool", "server")),
    _control("gslb_server_active_requests", "gauge", "Requests running on the server.", ("pool", "server")),
    _control("gslb_server_requests_total", "counter", "Tries at the server that are over.", ("pool", "server")),
    _control("gslb_server_failed_total", "counter", "Tries at the server without a whole answer, or with a 5xx.",
             ("pool", "server")),
    _control("gslb_server_response_seconds_total", "counter", "Time of all answers of the server together.",
             ("pool", "server")),
    _control("gslb_registry_ok", "gauge", "1 if the registry of servers can be read and written."),
    _control("gslb_registry_rows", "gauge", "Servers that were registered or changed at run time."),
    _control("gslb_registry_changes_total", "counter", "Changes of servers at run time.", ("result",),
             ("ok", "refused")),
    Metric("gslb_tcp_connections_total", "counter", "TCP connections by what became of them.", ("pool", "result"),
           ("ok", "connect_failed", "no_server"), each=_tcp_pools),
    Metric("gslb_tcp_active_connections", "gauge", "TCP connections that are open.", ("pool",), each=_tcp_pools),
    Metric("gslb_tcp_received_bytes_total", "counter", "Bytes from TCP clients.", ("pool",), each=_tcp_pools),
    Metric("gslb_tcp_sent_bytes_total", "counter", "Bytes to TCP clients.", ("pool",), each=_tcp_pools),
    _control("gslb_discovery_ok", "gauge", "1 if the pool's name in the DNS could be resolved.", ("pool",)),
    _control("gslb_discovery_servers", "gauge", "Servers that the DNS gives the pool.", ("pool",)),
    _control("gslb_overrides", "gauge", "Operators' words that hold.", ("action",),
             ("drain", "up", "down", "weight")),
    _control("gslb_overrides_refused_total", "counter", "Overrides that make no sense, or are of the future."),
    _control("gslb_scaling_events_total", "counter", "Servers that were to come, to go, to be ended.",
             ("pool", "action", "result")),
    _control("gslb_registry_set_aside_total", "counter", "Corrupt registry files that were set aside."),
    _control("gslb_breaker_state", "gauge", "1 for what stands between the server and requests, else 0.",
             ("pool", "server", "state"), GATES),
    _control("gslb_breaker_opened_total", "counter", "How often the server's breaker opened.", ("pool", "server")),
    _control("gslb_outlier_ejections_total", "counter", "Servers ejected as outliers of their pool.", ("pool",)),
    _control("gslb_pool_panic", "gauge", "1 while fewer servers are available than the panic threshold.", ("pool",)),
    _control("gslb_health_checks_total", "counter", "Health checks made.", ("target", "result"), ("ok", "failed")),
    _control("gslb_store_up", "gauge", "1 if the shared store answers.", ("endpoint",)),
    _control("gslb_store_lag_seconds", "gauge", "Time since the shared store last answered.", ("endpoint",)),
    _control("gslb_store_round_trip_seconds", "gauge", "Duration of the last exchange with the shared store.",
             ("endpoint",)),
    _control("gslb_store_failures_total", "counter", "Exchanges with the shared store that failed.", ("endpoint",)),
    _control("gslb_store_ignored_total", "counter", "Values in the shared store that are of no use, by what is wrong.",
             ("endpoint", "reason"), IGNORED),
    _control("gslb_limit_shared_ok", "gauge", "1 if the limit is shared over Redis now, 0 if it is but the node's.",
             ("limit",)),
    _control("gslb_limit_slices_total", "counter", "Slices that control gave to the workers.", ("limit", "source"),
             ("node", "redis")),
    _control("gslb_isolated", "gauge", "1 while this node sees no region and goes on with the last good state."),
    _control("gslb_regions_held", "gauge", "Regions held as they were, since too much failed at once."),
    _control("gslb_alert_firing", "gauge", "1 for an alert that fires, 0 for one that is pending.",
             ("rule", "subject")),
    _control("gslb_alerts_silenced", "gauge", "Silences in force."),
    _control("gslb_alert_notifications_total", "counter", "Notifications of alerts by what became of them.",
             ("receiver", "result"), ("told", "failed", "dropped")),
    _control("gslb_suspect_observers", "gauge",
             "Observers that see nothing up while others do: their views don't count."),
    _control("gslb_state_stale", "gauge", "1 while the state is last known good from disk, not fresh."),
    _control("gslb_plan_generation", "gauge", "Generation of the Plan in force."),
    _control("gslb_status_generation", "gauge", "Generation of the Status in force."),
    _control("gslb_config_reloads_total", "counter", "Reloads of the configuration.", ("result",), ("ok", "refused")),
    _control("gslb_geo_database_ok", "gauge", "1 if the configured GeoIP file could be read when it last changed."),
    _control("gslb_tls_certificate_expiry_seconds", "gauge", "When the certificate in use ends, in Unix time.",
             ("listener", "certificate")),
    _control("gslb_checked_certificate_expiry_seconds", "gauge",
             "How long the certificate is still valid that a checked server, or a region, showed last.", ("target",)),
    _control("gslb_tls_certificates_ok", "gauge", "1 if the certificates, keys and authorities could all be used when "
             "they last changed; else the ones before serve on."),
    _control("gslb_worker_up", "gauge", "1 if the process serves.", ("role", "index")),
    _control("gslb_worker_restarts_total", "counter", "Processes of this node that were replaced.",
             ("role", "reason"), ("exited", "hung")),
    _control("gslb_process_resident_memory_bytes", "gauge", "Resident memory.", ("role", "index")),
    _control("gslb_process_cpu_seconds_total", "counter", "CPU time, user and system.", ("role", "index")),
    _control("gslb_process_open_fds", "gauge", "Open file descriptors.", ("role", "index")),
)  # fmt: skip
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
