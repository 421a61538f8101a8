"""What to answer, as record sets: chains over zones, parents and children, what is dropped when it doesn't fit."""

from __future__ import annotations

import pytest

from gslb.dns.answers import CHAIN_MAX, fit, heads, pieces, resolve, variant_of
from gslb.dns.wire import CNAME, DS, NXDOMAIN, SOA, A, encode_name
from gslb.dns.zones import Zones
from gslb.model import Record, Zone


def zone_of(origin: str, *records: tuple[str, str, str]) -> Zone:
    return Zone(
        origin, {f"ns.{origin}": ("192.0.2.53",)}, tuple(Record(*record[:2], 60, record[2]) for record in records), 1
    )


def ask(zones: Zones, name: str, kind: int = A):
    return resolve(zones, encode_name(name), kind, 1)


def test_a_chain_goes_on_in_another_zone_of_ours():
    zones = Zones([zone_of("a", ("x.a", "CNAME", "y.b.")), zone_of("b", ("y.b", "A", "192.0.2.1"))], [])
    assert [rrset.type for rrset in ask(zones, "x.a.").answer] == [CNAME, A]
    assert ask(zones, "x.a.", CNAME).answer[0].type == CNAME


def test_a_long_chain_is_cut_at_its_bound():
    records = [(f"c{number}.a", "CNAME", f"c{number + 1}.a.") for number in range(50)]
    assert len(ask(Zones([zone_of("a", *records)], []), "c0.a.").answer) == CHAIN_MAX + 1


def test_a_chain_into_a_delegation_is_left_to_the_resolver():
    zones = Zones([zone_of("a", ("x.a", "CNAME", "host.sub.a."), ("sub.a", "NS", "ns.elsewhere."))], [])
    reply = ask(zones, "x.a.")
    assert (len(reply.answer), reply.authority, reply.authoritative) == (1, [], True)


def test_ds_of_a_child_zone_is_asked_of_the_parent_zone():
    zones = Zones([zone_of("a", ("c.a", "NS", "ns.c.a.")), zone_of("c.a")], [])
    reply = ask(zones, "c.a.", DS)
    assert reply.authority[0].owner == encode_name("a.")
    assert ask(zones, "c.a.", SOA).answer[0].owner == encode_name("c.a.")
    assert ask(Zones([zone_of("c.a")], []), "c.a.", DS).authority[0].owner == encode_name("c.a.")


def test_a_wildcard_at_the_end_of_a_chain_has_the_name_of_the_target():
    zones = Zones([zone_of("a", ("x.a", "CNAME", "Any.w.a."), ("*.w.a", "A", "192.0.2.1"))], [])
    assert ask(zones, "x.a.").answer[1].owner == encode_name("any.w.a.")


def test_an_unknown_name_in_a_chain_is_nxdomain_of_its_own_zone():
    zones = Zones([zone_of("a", ("x.a", "CNAME", "y.b.")), zone_of("b")], [])
    reply = ask(zones, "x.a.")
    assert (reply.rcode, reply.authority[0].owner) == (NXDOMAIN, encode_name("b."))


PARTS = [(0, 1, b"a" * 100), (0, 2, b"b" * 100), (1, 1, b"c" * 100), (2, 1, b"d" * 100)]


@pytest.mark.parametrize(
    ("room", "kept", "truncated"),
    [(400, 4, False), (399, 3, False), (299, 2, True), (199, 1, True), (99, 0, True), (0, 0, True)],
)
def test_whole_sets_are_dropped_from_the_end(room, kept, truncated):
    assert fit(PARTS, room) == (PARTS[:kept], truncated)


def test_a_referral_without_its_glue_is_truncated():
    assert fit(PARTS[2:], 150) == (PARTS[2:3], True)


def test_heads_count_the_opt_and_copy_rd_and_cd():
    both = variant_of(0x0110, edns=True)
    assert heads(0x0400, 1, 2, 3)[both] == bytes.fromhex("8510 0001 0001 0002 0004")
    assert heads(0x0403, 0, 1, 0)[variant_of(0, edns=False)] == bytes.fromhex("8403 0001 0000 0001 0000")


def test_the_short_way_to_a_negative_is_the_long_way():
    zones = Zones([zone_of("example.com")], [])
    name = encode_name("nx.example.com.")
    reply = resolve(zones, name, A, 1)
    [(section, count, wire)] = pieces(reply, name)
    assert (section, count, wire[:4]) == (1, 1, b"\xc0\x0f\0\6")
    assert wire.endswith(reply.authority[0].rdatas[0])
