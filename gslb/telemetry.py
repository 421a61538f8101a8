"""Every metric's definition, counters that cost an integer add, and the collector that sums the workers.

A data worker counts into its own row of shared memory (node/board.py): it looks a series up once, by `Counters.index`
when it takes a Plan, and then does `cells[i] += 1`. Control gives every series its slot (`SeriesTable.assign`, kept in
`Plan.counters`), sums the rows when it is scraped and adds what only control knows (`Gauges`). Any shell may import
this module; it loads prometheus_client only in the process that renders.
"""

from __future__ import annotations

import bisect
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gslb.model import Plan

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

MAX_SERIES = 65_536  # cells of a board row; beyond it a new series counts as its metric's "other"
MAX_OBSERVED = 65_536  # series that control sets; more are left out
SCRATCH_CELLS = 32  # the first cells take what no Plan names, so that `index` always has somewhere to point at
OTHER = "other"
_MICROSECONDS = 1_000_000

Labels = tuple[str, ...]
Cells = MutableSequence[int] | memoryview


def _edge(plan: Plan) -> Iterable[Labels]:
    return ((),) if plan.balancer is None else ()


def _region(plan: Plan) -> Iterable[Labels]:
    return ((),) if plan.balancer is not None else ()


def _pools(plan: Plan) -> Iterable[Labels]:
    return ((name,) for name in sorted(plan.balancer.pools)) if plan.balancer is not None else ()


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
    "200", "301", "302", "307", "308", "400", "404", "405", "408", "413", "414", "417", "421", "431", "500", "501",
    "503", "505",
)  # fmt: skip
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
UPSTREAM_ERRORS = (
    "connect", "connect_timeout", "first_byte_timeout", "idle_timeout", "reset", "bad_response", "truncated",
    "status", "total_timeout", "no_server", "tls",
)  # fmt: skip
LOAD_REPORTS = ("ok", "wrong")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MIRRORED = ("answered", "failed", "too_large", "busy", "no_server")
STATES = ("up", "unknown", "draining", "down")
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
    Metric("gslb_http_request_seconds", "histogram", "Time from a request's head to the end of its response.",
           ("pool",), each=_pools, bounds=SECONDS),
    Metric("gslb_http_connections_total", "counter", "Client connections accepted.", each=_region),
    Metric("gslb_http_upstream_connections_total", "counter", "Connections opened to servers.",
           ("pool",), each=_pools),
    Metric("gslb_http_active_connections", "gauge", "Open client connections.", each=_region),
    Metric("gslb_http_active_requests", "gauge", "Requests being served.", each=_region),
    Metric("gslb_http_tunnels", "gauge", "Open WebSockets and other upgraded connections.", each=_region),
    Metric("gslb_http_received_bytes_total", "counter", "Bytes received from clients.", each=_region),
    Metric("gslb_http_sent_bytes_total", "counter", "Bytes sent to clients.", each=_region),
    # ---------------------------------------------------------------- what control knows
    _control("gslb_build_info", "gauge", "Always 1; the labels say what runs.", ("version", "python", "role", "node")),
    _control("gslb_start_time_seconds", "gauge", "When control started, in Unix time."),
    _control("gslb_region_up", "gauge", "1 if the region is up in this node's judgement.", ("region",)),
    _control("gslb_region_state", "gauge", "1 for the state that the region is in, else 0.",
             ("region", "state"), STATES),
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
    _control("gslb_store_ignored_total", "counter", "Values in the shared store that are of no use.", ("endpoint",)),
    _control("gslb_isolated", "gauge", "1 while this node sees no region and goes on with the last good state."),
    _control("gslb_state_stale", "gauge", "1 while the state is last known good from disk, not fresh."),
    _control("gslb_plan_generation", "gauge", "Generation of the Plan in force."),
    _control("gslb_status_generation", "gauge", "Generation of the Status in force."),
    _control("gslb_config_reloads_total", "counter", "Reloads of the configuration.", ("result",), ("ok", "refused")),
    _control("gslb_geo_database_ok", "gauge", "1 if the configured GeoIP file could be read when it last changed."),
    _control("gslb_tls_certificate_expiry_seconds", "gauge", "When the certificate in use ends, in Unix time.",
             ("listener", "certificate")),
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


def _key(name: str, values: Iterable[str]) -> str:
    """A series as text: the metric's name and its label values, tabs between."""
    return "\t".join((name, *(value.replace("\t", " ") for value in values)))


class SeriesTable:
    """Slots of all worker series ever planned. Append only: a slot never moves, so that old and new Plans agree."""

    def __init__(self, slots: Mapping[str, int] | None = None) -> None:
        """Goes on from `slots`, as `slots` gave them before; from the start without."""
        self.slots: Mapping[str, int] = dict(slots or {})
        ends = (slot + METRICS[key.split("\t", 1)[0]].width for key, slot in self.slots.items())
        self._free = max(ends, default=SCRATCH_CELLS)

    def assign(self, plan: Plan) -> Mapping[str, int]:
        """Every series of every Plan so far and of `plan` → slot. Within MAX_SERIES; the rest counts as "other"."""
        slots = dict(self.slots)
        worker_metrics = [metric for metric in _ALL if metric.by == "worker"]
        for metric in worker_metrics:  # first of all, so that "other" is always there
            if metric.labels:
                self._add(slots, metric, (OTHER,) * len(metric.labels))
        for metric in worker_metrics:
            for values in metric.series(plan):
                self._add(slots, metric, values)
        self.slots = slots
        return slots

    def _add(self, slots: dict[str, int], metric: Metric, values: Labels) -> None:
        key = _key(metric.name, values)
        if key not in slots and self._free + metric.width <= MAX_SERIES:
            slots[key] = self._free
            self._free += metric.width


class Counters:
    """One worker's counters over its own cells (64-bit integers).

    On a hot path: `i = counters.index("gslb_dns_queries_total", transport="udp")` once, then `counters.cells[i] += 1`.
    A gauge's cell is set, and set once at the start: the row may be that of a worker which died.
    """

    __slots__ = ("cells", "slots")

    def __init__(self, cells: Cells, slots: Mapping[str, int]) -> None:
        self.cells, self.slots = cells, slots

    def index(self, name: str, **labels: object) -> int:
        """The cell of a series (a histogram's first). One without a slot counts as the metric's "other".

        Raises KeyError for a metric that is not defined, or not with these labels.
        """
        metric = METRICS[name]
        if metric.by != "worker" or labels.keys() != set(metric.labels):
            raise KeyError(f"{name} is a {metric.by}'s metric with the labels {metric.labels}, not {tuple(labels)}")
        slot = self.slots.get(_key(name, (str(labels[label]) for label in metric.labels)))
        if slot is None:
            slot = self.slots.get(_key(name, (OTHER,) * len(metric.labels)), 0)
        return slot if slot + metric.width <= len(self.cells) else 0

    def add(self, index: int, n: int = 1) -> None:
        """Adds `n` to a cell."""
        self.cells[index] += n

    def observe(self, index: int, seconds: float) -> None:
        """Counts `seconds` into the histogram whose first cell is `index` (all have the bounds SECONDS)."""
        cells = self.cells
        cells[index + bisect.bisect_left(SECONDS, seconds)] += 1
        cells[index + len(SECONDS) + 1] += int(seconds * _MICROSECONDS)

    def read(self, name: str, **labels: object) -> int:
        """The value of a series; for tests and people."""
        return self.cells[self.index(name, **labels)]


def local_counters(plan: Plan) -> Counters:
    """Counters of `plan` in memory of their own: for tests and tools."""
    return Counters(array("q", bytes(8 * MAX_SERIES)), SeriesTable().assign(plan))


class Gauges:
    """What only control knows, gauges and its own totals: set before each scrape."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, Labels], float] = {}

    def clear(self) -> None:
        """Forgets all: what is not set again is gone, as a region that left the configuration."""
        self.values.clear()

    def set(self, name: str, value: float, **labels: object) -> None:
        """Sets one series. Raises KeyError for a metric that is not defined, or not with these labels."""
        metric = METRICS[name]
        if metric.by != "control" or labels.keys() != set(metric.labels):
            raise KeyError(f"{name} is a {metric.by}'s metric with the labels {metric.labels}, not {tuple(labels)}")
        key = name, tuple(str(labels[label]) for label in metric.labels)
        if key in self.values or len(self.values) < MAX_OBSERVED:
            self.values[key] = float(value)


class Collector:
    """Sums the workers' rows and adds control's gauges, as Prometheus text."""

    def __init__(self, rows: Callable[[], Sequence[Cells]], series: SeriesTable, gauges: Gauges) -> None:
        """`rows` gives every process's cells at the moment of a scrape."""
        self._rows, self._series, self._gauges = rows, series, gauges

    def render(self) -> bytes:
        """The Prometheus text exposition, format 0.0.4."""
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - not in a data worker

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Family]:
        """What prometheus_client asks a custom collector for: each metric that has a series, once."""
        found: dict[str, list[tuple[Labels, list[float]]]] = {}
        rows = self._rows()
        for key, slot in self._series.slots.items():
            name, *values = key.split("\t")
            metric = METRICS[name]
            cells = [float(sum(row[slot + i] for row in rows)) for i in range(metric.width)]
            if any(cells) or OTHER not in values:  # an "other" that nobody used would only puzzle
                found.setdefault(name, []).append((tuple(values), cells))
        for (name, labels), value in self._gauges.values.items():
            found.setdefault(name, []).append((labels, [value]))
        for name, series in found.items():
            yield _family(METRICS[name], series)


def _family(metric: Metric, series: Iterable[tuple[Labels, list[float]]]) -> Family:
    """One metric with its series, as prometheus_client wants them."""
    from prometheus_client.core import (  # noqa: PLC0415 - not in a data worker
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, (*counts, total_us) in series:
            names = (*(str(bound) for bound in metric.bounds), "+Inf")
            sums = [sum(counts[: i + 1]) for i in range(len(counts))]
            histogram.add_metric(labels, list(zip(names, sums, strict=True)), total_us / _MICROSECONDS)
        return histogram
    family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
        metric.name, metric.help, labels=metric.labels
    )
    for labels, (value,) in series:
        family.add_metric(labels, value)
    return family


def reference() -> str:
    """docs/metrics.md, from the definitions."""
    lines = [
        "# Metrics",
        "",
        "At `/metrics` on a node's admin address, summed over its workers. Made from `gslb/telemetry.py` by",
        "`python -m gslb.telemetry > docs/metrics.md`; a test compares.",
        "",
        "| metric | type | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for metric in _ALL:
        labels = [f"`{label}`" for label in metric.labels]
        if metric.values:
            labels[-1] += f" ({', '.join(metric.values)})"
        lines.append(f"| `{metric.name}` | {metric.kind} | {' '.join(labels)} | {metric.help} |")
    lines += [
        "",
        f'A label that no Plan knows, or one beyond the bound of {MAX_SERIES} cells a process, counts as "{OTHER}".',
        f"The buckets of a histogram end at {', '.join(f'{bound:g}' for bound in SECONDS)} seconds.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
