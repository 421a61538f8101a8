"""Metrics: names by Prometheus's rules, slots that never move, sums over workers, read back by Prometheus's parser."""

import re
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gslb import telemetry
from gslb.metrics import METRICS, SECONDS
from gslb.model import Balancer, Location, Plan, Pool, Region, Service
from gslb.telemetry import MAX_SERIES, Collector, Counters, Gauges, SeriesTable, local_counters

ROOT = Path(__file__).resolve().parents[2]


def region(name):
    return Region(name, Location(0, 0), ("192.0.2.1",), (), f"http://{name}.example")


def edge_plan(services):
    made = {name: Service(name, tuple(map(region, regions)), ()) for name, regions in services.items()}
    return Plan("test", 1, {}, made, {})


def region_plan(*pools):
    return Plan("test", 1, {}, {}, {}, balancer=Balancer("here", (), {name: Pool(name, (), None) for name in pools}))


def cells():
    return array("q", bytes(8 * MAX_SERIES))


def scraped(*rows, series, gauges=None):
    text = Collector(lambda: rows, series, gauges or Gauges()).render().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# ---------------------------------------------------------------- names
@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_names_follow_the_rules_of_prometheus(metric):
    assert re.fullmatch(r"gslb_[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|kib|kilobytes|percent|count|sum|bucket)(_|$)", metric.name)
    assert (metric.kind == "histogram") == bool(metric.bounds)
    assert metric.help.endswith(".")
    assert "|" not in metric.help
    for label in metric.labels:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", label)
        assert label not in {"le", "quantile", "instance", "job"}
    assert not metric.values or metric.labels


def test_the_reference_is_what_the_definitions_say():
    assert (ROOT / "docs/metrics.md").read_text() == telemetry.reference()


def test_histograms_fit_the_scratch_cells():
    assert all(metric.width <= telemetry.SCRATCH_CELLS for metric in METRICS.values())
    assert all(metric.bounds in {(), SECONDS} for metric in METRICS.values())


# ---------------------------------------------------------------- slots
def used(slots):
    taken = []
    for key, slot in slots.items():
        taken += range(slot, slot + METRICS[key.split("\t")[0]].width)
    return taken


names = st.lists(st.text('abc.-\t"', min_size=1, max_size=4), max_size=6, unique=True)


@given(st.lists(st.one_of(names.map(lambda n: region_plan(*n)),
                          names.map(lambda n: edge_plan({name: ["r1", "r2"] for name in n}))), max_size=6),
       st.integers(0, 5))
def test_slots_never_move_nor_overlap_and_a_restart_goes_on_with_them(plans, restart_at):
    table, known = SeriesTable(), {}
    for number, plan in enumerate(plans):
        if number == restart_at:
            table = SeriesTable(table.slots)
        slots = table.assign(plan)
        assert known.items() <= slots.items()
        taken = used(slots)
        assert len(taken) == len(set(taken))
        assert min(taken) >= telemetry.SCRATCH_CELLS
        assert slots == table.assign(plan)
        known = dict(slots)


def test_slots_are_the_same_for_the_same_plans():
    one, other = SeriesTable(), SeriesTable()
    for plan in region_plan("b", "a"), region_plan("c"):
        assert one.assign(plan) == other.assign(plan)


def test_a_full_table_counts_as_other(monkeypatch):
    monkeypatch.setattr(telemetry, "MAX_SERIES", 6000)
    table = SeriesTable()
    slots = table.assign(region_plan(*(f"pool-{number}" for number in range(200))))
    assert max(used(slots)) < 6000
    counters = Counters(cells(), slots)
    kept, over = counters.index("gslb_http_retries_total", pool="pool-0"), counters.index(
        "gslb_http_connections_total")
    last = counters.index("gslb_http_request_seconds", pool="pool-199")
    other = counters.index("gslb_http_request_seconds", pool="nobody")
    assert last == other
    assert len({kept, over, other, 0}) == 4
    counters.observe(last, 0.1)
    assert scraped(counters.cells, series=table)["gslb_http_request_seconds_count", (("pool", "other"),)] == 1


# ---------------------------------------------------------------- counting
def test_an_unknown_metric_or_label_is_a_key_error():
    counters = local_counters(region_plan("web"))
    for name, labels in [
        ("gslb_nothing_total", {}),
        ("gslb_http_retries_total", {}),
        ("gslb_http_retries_total", {"pool": "web", "code": "2xx"}),
        ("gslb_region_up", {"region": "eu"}),
    ]:
        with pytest.raises(KeyError):
            counters.index(name, **labels)
    for name, labels in [("gslb_region_up", {}), ("gslb_http_retries_total", {"pool": "web"})]:
        with pytest.raises(KeyError):
            Gauges().set(name, 1, **labels)


def test_a_label_value_that_nobody_planned_counts_as_other():
    plan = edge_plan({"www.example.com": ["eu"]})
    table = SeriesTable()
    counters = Counters(cells(), table.assign(plan))
    counters.add(counters.index("gslb_frontdoor_requests_total", code=302))
    counters.add(counters.index("gslb_frontdoor_requests_total", code=418), 2)
    found = scraped(counters.cells, series=table)
    assert found["gslb_frontdoor_requests_total", (("code", "302"),)] == 1
    assert found["gslb_frontdoor_requests_total", (("code", "other"),)] == 2
    assert ("gslb_dns_answers_total", (("rcode", "other"),)) not in found


def test_without_a_plan_everything_lands_in_the_scratch_cells():
    counters = Counters(array("q", bytes(8 * telemetry.SCRATCH_CELLS)), {})
    counters.cells[counters.index("gslb_dns_slow_path_total")] += 1
    counters.observe(counters.index("gslb_http_request_seconds", pool="web"), 99.0)
    assert sum(counters.cells) > 0


def test_a_scrape_sums_the_workers_and_adds_what_control_knows():
    table = SeriesTable()
    slots = table.assign(edge_plan({"www.example.com": ["eu", "us"]}))
    workers = [Counters(memoryview(bytearray(8 * MAX_SERIES)).cast("q"), slots) for _ in range(3)]
    for number, worker in enumerate(workers):
        worker.cells[worker.index("gslb_dns_queries_total", transport="udp")] += number + 1
        worker.cells[worker.index("gslb_dns_answers_by_region_total", service="www.example.com", region="us")] += 5
    gauges = Gauges()
    gauges.set("gslb_region_up", 1, region="eu")
    gauges.set("gslb_config_reloads_total", 4, result="ok")
    found = scraped(*(worker.cells for worker in workers), series=table, gauges=gauges)
    assert found["gslb_dns_queries_total", (("transport", "udp"),)] == 6
    assert found["gslb_dns_queries_total", (("transport", "tcp"),)] == 0
    key = ("region", "us"), ("service", "www.example.com")
    assert found["gslb_dns_answers_by_region_total", key] == 15
    assert found["gslb_region_up", (("region", "eu"),)] == 1
    assert found["gslb_config_reloads_total", (("result", "ok"),)] == 4
    assert not any(name.startswith("gslb_http_") for name, _ in found)
    gauges.clear()
    assert ("gslb_region_up", (("region", "eu"),)) not in scraped(series=table, gauges=gauges)


@given(st.lists(st.floats(0, 100), max_size=40))
def test_a_histogram_is_what_prometheus_expects(observed):
    table = SeriesTable()
    counters = Counters(cells(), table.assign(region_plan("web")))
    index = counters.index("gslb_http_request_seconds", pool="web")
    for seconds in observed:
        counters.observe(index, seconds)
    found = scraped(counters.cells, series=table)
    for bound in SECONDS:
        le = ("le", str(bound)), ("pool", "web")
        assert found["gslb_http_request_seconds_bucket", le] == sum(seconds <= bound for seconds in observed)
    assert found["gslb_http_request_seconds_bucket", (("le", "+Inf"), ("pool", "web"))] == len(observed)
    assert found["gslb_http_request_seconds_count", (("pool", "web"),)] == len(observed)
    assert found["gslb_http_request_seconds_sum", (("pool", "web"),)] == pytest.approx(sum(observed), abs=1e-4)


def test_a_label_with_a_quote_or_a_tab_can_be_scraped():
    table = SeriesTable()
    counters = Counters(cells(), table.assign(region_plan('a"b\tc\nd')))
    counters.add(counters.index("gslb_http_retries_total", pool='a"b\tc\nd'))
    assert scraped(counters.cells, series=table)["gslb_http_retries_total", (("pool", 'a"b c\nd'),)] == 1


def test_gauges_are_bounded(monkeypatch):
    monkeypatch.setattr(telemetry, "MAX_OBSERVED", 3)
    gauges = Gauges()
    for number in range(9):
        gauges.set("gslb_region_up", 1, region=f"r{number}")
    assert len(gauges.values) == 3


def test_a_series_of_its_own_is_told_from_other():
    counters = local_counters(edge_plan({"www.example.com": ["eu"]}))
    name = "gslb_dns_queries_total"
    assert counters.own(name, transport="udp") == counters.index(name, transport="udp")
    assert counters.own(name, transport="pigeon") is None
