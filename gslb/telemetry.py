"""Counters that cost an integer add, and the collector that sums the workers; the metrics are metrics.py's.

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
from typing import TYPE_CHECKING

from gslb.metrics import METRICS, OTHER, SECONDS, Labels, Metric
from gslb.model import Plan

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

MAX_SERIES = 65_536  # cells of a board row; beyond it a new series counts as its metric's "other"
MAX_OBSERVED = 65_536  # series that control sets; more are left out
SCRATCH_CELLS = 32  # the first cells take what no Plan names, so that `index` always has somewhere to point at
_MICROSECONDS = 1_000_000

Cells = MutableSequence[int] | memoryview


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
        worker_metrics = [metric for metric in METRICS.values() if metric.by == "worker"]
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

    def own(self, name: str, **labels: object) -> int | None:
        """The cell of a series that has one to itself; None where it counts as "other"."""
        own = self.index(name, **labels)
        return own if own != self.index(name, **dict.fromkeys(labels, OTHER)) else None

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
    for metric in METRICS.values():
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
