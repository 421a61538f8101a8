"""The room's counters land in the cells that telemetry names."""

from __future__ import annotations

from gslb.dns.counting import Tally
from gslb.telemetry import local_counters


def test_a_batch_is_noerror_but_for_what_was_counted_otherwise(small):
    counters = local_counters(small.plan)
    tally = Tally(counters)
    for rcode in (0, 3, 3, 5):
        tally.answered(rcode)
    tally.dropped("short")
    tally.settle("tcp", 10, 42)
    tally.settle("udp", 2, 42)
    read = counters.read
    assert [read("gslb_dns_answers_total", rcode=code) for code in ("NOERROR", "NXDOMAIN", "REFUSED")] == [8, 2, 1]
    assert [read("gslb_dns_queries_total", transport=which) for which in ("tcp", "udp")] == [10, 2]
    assert read("gslb_dns_cache_entries") == 42


def test_gauges_are_set_anew_in_the_row_of_a_worker_that_died(small):
    counters = local_counters(small.plan)
    counters.cells[counters.index("gslb_dns_tcp_connections")] = 99
    tally = Tally(counters)
    assert counters.read("gslb_dns_tcp_connections") == 0
    tally.connected(1)
    other = local_counters(small.plan)
    tally.count_into(other)
    assert other.read("gslb_dns_tcp_connections") == 1
