"""Compiled zones: what can stand in one, RFC 4592's own example, glue and delegations."""

from __future__ import annotations

import dataclasses

import pytest

from gslb.dns.wire import AAAA, MX, NS, SOA, SRV, TXT, A, encode_name
from gslb.dns.zones import Zones, compile_zone
from gslb.model import Record, Service, Zone
from gslb.steering.policies.failover import Failover


def zone_of(*records: tuple[str, str, str], origin: str = "example", **nameservers: tuple[str, ...]) -> Zone:
    return Zone(origin, nameservers, tuple(Record(owner, kind, 3600, data) for owner, kind, data in records), serial=1)


RFC_4592 = zone_of(
    ("*.example", "TXT", '"this is a wildcard"'),
    ("*.example", "MX", "10 host1.example."),
    ("sub.*.example", "TXT", '"this is not a wildcard"'),
    ("host1.example", "A", "192.0.2.1"),
    ("_ssh._tcp.host1.example", "SRV", "0 0 22 host1"),
    ("_ssh._tcp.host2.example", "SRV", "0 0 22 host1"),
    ("subdel.example", "NS", "ns.example.com."),
)


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [  # RFC 4592 §2.2.1, in its order: synthesised …
        ("host3.example.", MX, True), ("host3.example.", A, False), ("foo.bar.example.", TXT, True),
        # … and not: these exist, or their closest encloser does and has no wildcard
        ("host1.example.", MX, False), ("sub.*.example.", MX, False), ("_telnet._tcp.host1.example.", SRV, None),
        ("host.subdel.example.", A, None), ("ghost.*.example.", MX, None), ("*.example.", MX, True),
        ("_tcp.host1.example.", SRV, False), ("host2.example.", MX, False),
    ],
)  # fmt: skip
def test_wildcards_by_the_example_of_rfc_4592(name, kind, found):
    zone = compile_zone(RFC_4592, {})
    wire = encode_name(name)
    node = zone.node(wire) if zone.cut(wire) is None else None
    assert (kind in node.rrsets if node is not None else None) is found  # False is NODATA, None NXDOMAIN or a referral


def test_a_delegation_holds_for_all_below_and_the_topmost_counts():
    zone = compile_zone(zone_of(("a.example", "NS", "ns"), ("b.a.example", "NS", "ns2")), {})
    for name in ("a.example.", "x.a.example.", "x.b.a.example."):
        assert zone.cut(encode_name(name)).owner == encode_name("a.example.")
    assert zone.cut(encode_name("example.")) is None
    assert zone.cut(encode_name("xa.example.")) is None


def test_apex_and_glue_come_from_the_nameservers():
    zone = compile_zone(
        Zone("example", {"ns1.example": ("192.0.2.1", "2001:db8::1"), "ns.other": ("192.0.2.2",)}, (), serial=7), {}
    )
    apex = zone.nodes[b"\7example\0"].rrsets
    assert set(apex[NS].rdatas) == {b"\3ns1\7example\0", b"\2ns\5other\0"}
    assert set(zone.nodes[b"\3ns1\7example\0"].rrsets) == {A, AAAA}
    assert encode_name("ns.other.") not in zone.nodes
    assert apex[SOA].rdatas[0].startswith(b"\3ns1\7example\0\x0ahostmaster\7example\0\0\0\0\7")


def test_a_negative_lives_as_long_as_the_smaller_of_soa_and_minimum():
    for ttl_s, minimum_s in ((3600, 60), (30, 60)):
        zone = compile_zone(dataclasses.replace(zone_of(), ttl_s=ttl_s, minimum_s=minimum_s), {})
        assert zone.negative.ttl_s == 30 if ttl_s == 30 else 60


def test_records_of_one_set_share_the_smallest_ttl_and_double_ones_go():
    records = tuple(
        Record("www.example", "A", ttl_s, data)
        for ttl_s, data in ((60, "192.0.2.1"), (30, "192.0.2.2"), (9, "192.0.2.1"))
    )
    rrset = compile_zone(Zone("example", {}, records, serial=1), {}).nodes[b"\3www\7example\0"].rrsets[A]
    assert (rrset.ttl_s, len(rrset.rdatas)) == (30, 2)


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([("a.example", "CNAME", "b"), ("a.example", "A", "192.0.2.1")], "a.example: a CNAME stands alone"),
        ([("a.example", "CNAME", "b"), ("a.example", "CNAME", "c")], "stands alone"),
        ([("example", "CNAME", "b")], "stands alone"),
        ([("www.example", "CNAME", "b")], "stands alone"),
        ([("www.example", "A", "192.0.2.1")], "is a service"),
        ([("www.example", "NS", "ns")], "below a delegation"),
        ([("a.other", "A", "192.0.2.1")], "a.other A: it is outside the zone example"),
        ([("a.example", "A", "x")], "a.example A: "),
    ],
)
def test_what_cannot_stand_together_is_refused(tools, records, says):
    service = Service("www.example", (tools.EU,), (Failover(),))
    with pytest.raises(ValueError, match=says):
        Zones([zone_of(*records)], [service])


def test_the_zone_with_the_longest_name_is_found():
    zones = Zones([zone_of(), zone_of(origin="sub.example")], [])
    assert zones.find(encode_name("a.sub.example.")).origin == encode_name("sub.example.")
    assert zones.find(encode_name("asub.example.")).origin == encode_name("example.")
    assert zones.find(encode_name("other.")) is None
