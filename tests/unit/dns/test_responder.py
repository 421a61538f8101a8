"""The responder, judged by dnspython: the contract of an authority, ECS, EDNS, and the fast path against the slow."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import random
import struct

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gslb.dns import deciding
from gslb.dns import responder as responder_module
from gslb.model import RegionStatus, Service, State, WhenAllDown, World
from gslb.steering.policies.failover import Failover
from gslb.steering.policies.limit import Limit
from gslb.steering.policies.nearest import Nearest
from gslb.steering.policies.weighted import Weighted

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
DE, US, IN = "4.1.2.0/24", "5.1.2.0/24", "6.1.2.0/24"  # by conftest.eighths
WIRE_NAME = b"\3www\7example\3com\0"


def raw(
    name: bytes = WIRE_NAME, kind: int = 1, flags: int = 0, opt: bytes = b"", cls: int = 1, ident: int = 7
) -> bytes:
    return struct.pack("!6H", ident, flags, 1, 0, 0, 1 if opt else 0) + name + struct.pack("!HH", kind, cls) + opt


def opt(options: bytes = b"", payload: int = 1232, flags: int = 0, version: int = 0) -> bytes:
    return b"\0" + struct.pack("!HHBBHH", 41, payload, 0, version, flags, len(options)) + options


def option(code: int, content: bytes) -> bytes:
    return struct.pack("!HH", code, len(content)) + content


# ---------------------------------------------------------------- what other GSLBs got wrong
def test_each_client_gets_the_nearest_region(small, tools):
    found = [
        tools.addresses(tools.ask(small.responder, "www.example.com", **tools.subnet(net))) for net in (DE, US, IN)
    ]
    assert found == [["192.0.2.10"], ["192.0.2.20"], ["192.0.2.30"]]


def test_aaaa_is_steered_too_and_never_to_a_region_without_one(small, tools):
    answer = tools.ask(small.responder, "www.example.com", "AAAA", **tools.subnet(IN))
    assert tools.addresses(answer) == ["2001:db8:1::10"]  # ap-south has none; eu-west is next


def test_aaaa_on_a_v4_only_name_is_nodata_with_soa_and_scope_0(tools):
    regions = tuple(dataclasses.replace(region, ipv6=()) for region in (tools.EU, tools.US))
    made = tools.make(Service("www.example.com", regions, (Nearest(),)))
    for _ in range(2):
        answer = tools.ask(made.responder, "www.example.com", "AAAA", **tools.subnet(DE))
        assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
        assert answer.authority[0].rdtype == dns.rdatatype.SOA
        assert tools.ecs(answer).scopelen == 0
        assert answer.flags & dns.flags.AA


@pytest.mark.parametrize("kind", ["SOA", "NS", "TXT", "MX", "CAA"])
def test_ordinary_types_are_answered_at_the_apex(small, tools, kind):
    answer = tools.ask(small.responder, "example.com", kind)
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.flags & dns.flags.AA
    assert answer.answer[0].rdtype == dns.rdatatype.from_text(kind)


@pytest.mark.parametrize(("name", "rcode"), [("nx.example.com", "NXDOMAIN"), ("deep.down.example.com", "NOERROR")])
def test_negatives_carry_the_soa_with_the_smaller_ttl(small, tools, name, rcode):
    answer = tools.ask(small.responder, name)
    assert answer.rcode() == dns.rcode.from_text(rcode)
    assert answer.flags & dns.flags.AA
    [soa] = answer.authority
    assert soa.rdtype == dns.rdatatype.SOA
    assert soa.name == dns.name.from_text("example.com")
    assert (soa.ttl, soa[0].minimum, soa[0].serial) == (60, 60, 2024)


def test_before_the_first_check_every_region_answers(tools):
    made = tools.make(status=tools.up(generation=0))
    assert tools.addresses(tools.ask(made.responder, "www.example.com", **tools.subnet(US))) == ["192.0.2.20"]


def test_all_down_is_never_an_empty_answer(tools):
    down = {name: RegionStatus(State.DOWN) for name in ("eu-west", "us-east", "ap-south")}
    for mode in WhenAllDown:
        fallback = ("203.0.113.9", "2001:db8::9") if mode is WhenAllDown.FALLBACK else ()
        service = Service(
            "www.example.com", (tools.EU, tools.US, tools.AP), (Nearest(),), when_all_down=mode, fallback=fallback
        )
        made = tools.make(service, status=tools.up(**down))
        for kind in ("A", "AAAA"):
            answer = tools.ask(made.responder, "www.example.com", kind, **tools.subnet(US))
            assert tools.addresses(answer)
        if fallback:
            assert tools.addresses(answer) == ["2001:db8::9"]


def test_last_good_regions_answer_when_all_are_down(tools):
    service = Service(
        "www.example.com", (tools.EU, tools.US, tools.AP), (Failover(),), when_all_down=WhenAllDown.LAST_GOOD
    )
    made = tools.make(service, status=tools.up("us-east", generation=1))
    down = {name: RegionStatus(State.DOWN) for name in made.plan.regions}
    good = {"www.example.com": ("us-east",)}
    made.responder.swap(World(made.plan, dataclasses.replace(tools.up(generation=2, **down), last_good=good)))
    assert tools.addresses(tools.ask(made.responder, "www.example.com")) == ["192.0.2.20"]


# ---------------------------------------------------------------- the rest of the contract
def test_outside_the_zones_is_refused_without_aa(small, tools):
    answer = tools.ask(small.responder, "www.example.org", use_edns=0)
    assert answer.rcode() == dns.rcode.REFUSED
    assert not answer.flags & dns.flags.AA
    assert [option.code for option in answer.options] == [dns.edns.EDECode.NOT_AUTHORITATIVE]


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_transfers_are_refused(small, kind):
    number = dns.rdatatype.from_text(kind)
    for transport in ("udp", "tcp"):
        wire = small.responder.respond(raw(b"\7example\3com\0", number), "127.0.0.1", transport, 1.0)
        assert wire[3] & 15 == dns.rcode.REFUSED


def test_a_delegation_is_a_referral_with_glue_and_without_aa(small, tools):
    answer = tools.ask(small.responder, "host.sub.example.com")
    assert answer.rcode() == dns.rcode.NOERROR
    assert not answer.flags & dns.flags.AA
    assert not answer.answer
    assert answer.authority[0].to_text() == "sub.example.com. 300 IN NS ns.sub.example.com."
    assert answer.additional[0].to_text() == "ns.sub.example.com. 300 IN A 192.0.2.99"


def test_ds_at_a_delegation_is_answered_by_the_parent(small, tools):
    answer = tools.ask(small.responder, "sub.example.com", "DS")
    assert answer.flags & dns.flags.AA
    assert answer.authority[0].rdtype == dns.rdatatype.SOA


def test_ns_comes_with_glue(small, tools):
    answer = tools.ask(small.responder, "example.com", "NS")
    assert {str(rdata) for rdata in answer.answer[0]} == {"ns1.example.com.", "ns.example.net."}
    assert {rrset[0].address for rrset in answer.additional} == {"192.0.2.53", "2001:db8::53"}


def test_cname_chains_lead_to_steered_addresses(small, tools):
    for net, address in ((DE, "192.0.2.10"), (US, "192.0.2.20")):
        for _ in range(2):
            answer = tools.ask(small.responder, "alias2.EXAMPLE.com", **tools.subnet(net))
            assert [rrset.rdtype.name for rrset in answer.answer] == ["CNAME", "CNAME", "A"]
            assert answer.answer[-1].name == dns.name.from_text("www.example.com")
            assert tools.addresses(answer) == [address]
            assert tools.ecs(answer).scopelen == 8


def test_a_chain_out_of_our_zones_or_round_ends(small, tools):
    assert len(tools.ask(small.responder, "away.example.com").answer) == 1
    answer = tools.ask(small.responder, "loop.example.com")
    assert (answer.rcode(), len(answer.answer)) == (dns.rcode.NOERROR, 2)


def test_a_chain_to_nothing_is_nxdomain_with_the_chain(small, tools):
    for _ in range(2):
        answer = tools.ask(small.responder, "dangling.example.com")  # RFC 6604
        assert (answer.rcode(), len(answer.answer)) == (dns.rcode.NXDOMAIN, 1)
        assert answer.authority[0].rdtype == dns.rdatatype.SOA
    assert small.counters.read("gslb_dns_answers_total", rcode="NXDOMAIN") == 2


def test_wildcards_answer_with_the_name_asked_and_are_steered_behind_a_cname(small, tools):
    answer = tools.ask(small.responder, "x.y.wild.example.com")
    assert answer.answer[0].to_text() == "x.y.wild.example.com. 300 IN A 192.0.2.88"
    answer = tools.ask(small.responder, "any.steer.example.com", **tools.subnet(US))
    assert tools.addresses(answer) == ["192.0.2.20"]


def test_names_under_a_wildcard_are_not_remembered(small, tools):
    for number in range(500):
        tools.ask(small.responder, f"n{number}.wild.example.com")
        tools.ask(small.responder, f"{'n' * (number % 60 + 1)}{number}.steer.example.com")
        tools.ask(small.responder, f"n{number}.example.com")
    assert len(small.responder._known) == 0
    assert len(small.responder._decider._steered) < 80  # one for each length of a name


def test_other_types_on_a_steered_name_are_nodata_or_its_records(small, tools):
    for _ in range(2):
        answer = tools.ask(small.responder, "www.example.com", "HTTPS")
        assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
        assert answer.authority[0].rdtype == dns.rdatatype.SOA
        assert len(tools.ask(small.responder, "www.example.com", "TXT").answer) == 1


def test_type_65_and_type_97_are_different_questions(small):
    """Lower-casing the packet would turn one into the other (A is 65, a is 97)."""
    respond = small.responder.respond
    for kind in (65, 97, 65, 97):
        wire = respond(raw(kind=kind), "127.0.0.1", "udp", 1.0)
        assert dns.message.from_wire(wire).question[0].rdtype == kind


def test_any_is_hinfo(small, tools):
    for name in ("www.example.com", "example.com"):
        [rrset] = tools.ask(small.responder, name, "ANY").answer
        assert rrset.to_text().endswith('HINFO "RFC8482" ""')


@pytest.mark.parametrize(
    ("name", "text"), [("version.bind", "gslb"), ("ID.server", "node-1"), ("hostname.bind", "node-1")]
)
def test_class_ch_tells_version_and_id(small, tools, name, text):
    assert tools.ask(small.responder, name, "TXT", rdclass="CH").answer[0][0].strings == (text.encode(),)


def test_other_classes_and_ch_names_are_refused(small, tools):
    assert tools.ask(small.responder, "x.bind", "TXT", rdclass="CH").rcode() == dns.rcode.REFUSED
    assert tools.ask(small.responder, "www.example.com", rdclass="HS").rcode() == dns.rcode.REFUSED


def test_rd_and_cd_are_copied_ra_ad_and_z_are_clear(small):
    for flags in (0, 0x0100, 0x0010, 0x0130, 0x01F0, 0x0600):
        wire = small.responder.respond(raw(flags=flags), "127.0.0.1", "udp", 1.0)
        assert int.from_bytes(wire[2:4], "big") == 0x8400 | flags & 0x0110


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 6, 15])
def test_other_opcodes_are_notimp(small, opcode):
    wire = small.responder.respond(raw(flags=opcode << 11 | 0x0100), "127.0.0.1", "udp", 1.0)
    answer = dns.message.from_wire(wire)
    assert (answer.rcode(), answer.opcode(), answer.id) == (dns.rcode.NOTIMP, opcode, 7)


@pytest.mark.parametrize(
    "wire",
    [
        struct.pack("!6H", 7, 0, 0, 0, 0, 0),
        struct.pack("!6H", 7, 0, 2, 0, 0, 0) + (WIRE_NAME + b"\0\1\0\1") * 2,
        raw()[:-1],
        raw() + b"x",
        raw(b"\xc0\x0c"),
        raw(b"\x41" + b"a" * 65 + b"\0"),
        raw(b"\3www"),
        raw(b"".join(b"\x3f" + b"a" * 63 for _ in range(4)) + b"\0"),
        raw(opt=opt() + opt())[:10] + b"\0\2" + raw(opt=opt() + opt())[12:],
        raw(opt=opt(option(8, b"\0\1\x18"))),
        raw(opt=opt(option(10, b"short"))),
        raw(opt=opt(option(10, b"x" * 15))),
        raw(opt=opt(option(10, b"x" * 41))),
        raw(opt=opt(b"\0\x08\0")),
        raw(opt=opt(b"\0\x08\xff\xff\0\1")),
        raw(opt=opt(option(8, b"\0\1\x18\0\1\2\3"))) + b"x",
    ],
)
def test_malformed_is_formerr(small, wire):
    for _ in range(2):
        answer = dns.message.from_wire(small.responder.respond(wire, "127.0.0.1", "udp", 1.0))
        assert (answer.rcode(), answer.id) == (dns.rcode.FORMERR, 7)


@pytest.mark.parametrize("wire", [b"", b"\0" * 11, raw(flags=0x8000), raw(flags=0xFFFF)])
def test_no_answer_to_answers_and_scraps(small, wire):
    assert small.responder.respond(wire, "127.0.0.1", "udp", 1.0) is None


def test_an_unknown_edns_version_is_badvers_with_our_version(small):
    answer = dns.message.from_wire(small.responder.respond(raw(opt=opt(version=1)), "127.0.0.1", "udp", 1.0))
    assert (answer.rcode(), answer.edns) == (dns.rcode.BADVERS, 0)


def test_unknown_options_and_flags_are_ignored(small, tools):
    for _ in range(2):
        wire = small.responder.respond(raw(opt=opt(option(65001, b"abc"), flags=0x4001)), "127.0.0.1", "udp", 1.0)
        answer = dns.message.from_wire(wire)
        assert (answer.rcode(), answer.ednsflags, list(answer.options)) == (dns.rcode.NOERROR, 0, [])
        assert tools.addresses(answer)


def test_do_is_copied_and_our_payload_told(small, tools):
    answer = tools.ask(small.responder, "www.example.com", want_dnssec=True, payload=4096)
    assert answer.ednsflags == dns.flags.DO
    assert answer.payload == 1232


def test_without_edns_there_is_none_in_the_answer(small, tools):
    for _ in range(2):
        assert tools.ask(small.responder, "www.example.com").edns == -1


def test_nsid_is_told_when_asked(small, tools):
    nsid = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")
    for _ in range(2):
        answer = tools.ask(small.responder, "www.example.com", use_edns=0, options=[nsid])
        assert [option.to_wire() for option in answer.options] == [b"node-1"]


def test_cookies_are_answered_in_the_layout_of_rfc_9018(small, tools):
    seen = set()
    for server in (b"", b"s" * 8, b"s" * 16, b"s" * 32):
        cookie = dns.edns.CookieOption(b"clientco", server)
        for source in ("127.0.0.1", "127.0.0.2"):
            answer = tools.ask(small.responder, "www.example.com", source=source, use_edns=0, options=[cookie])
            [found] = answer.options
            assert found.client == b"clientco"
            assert len(found.server) == 16
            assert found.server[:4] == b"\1\0\0\0"
            seen.add(found.server)
    assert len(seen) == 2  # one a source address


def test_a_cookies_timestamp_moves_with_the_clock(small):
    small.responder.settle("udp", 0, 1_700_000_000.0)
    wire = small.responder.respond(raw(opt=opt(option(10, b"clientco"))), "127.0.0.1", "udp", 1_700_000_001.0)
    [found] = dns.message.from_wire(wire).options
    assert int.from_bytes(found.server[4:8], "big") == 1_700_000_000


def test_the_question_is_echoed_as_it_came(small):
    name = b"\3wWw\7ExAmPlE\3CoM\0"
    wire = small.responder.respond(raw(name), "127.0.0.1", "udp", 1.0)
    assert wire[12 : 12 + len(name)] == name
    assert wire[12 + len(name) + 4 :].startswith(b"\xc0\x0c")


def test_a_zero_byte_inside_a_label_is_no_end_of_the_name(tools):
    zone = dataclasses.replace(tools.ZONE, records=())
    service = Service("a\\000b.example.com", (tools.EU,), (Failover(),))
    made = tools.make(service, zones=(zone,))
    name = b"\3a\0b\7Example\3com\0"
    for _ in range(2):
        answer = dns.message.from_wire(made.responder.respond(raw(name), "127.0.0.1", "udp", 1.0))
        assert tools.addresses(answer) == ["192.0.2.10"]
    wrong = raw(b"\3a\0b\7example\3org\0")
    assert made.responder.respond(wrong, "127.0.0.1", "udp", 1.0)[3] & 15 == dns.rcode.REFUSED


# ---------------------------------------------------------------- sizes
def test_what_does_not_fit_is_cut_with_tc_and_whole_over_tcp(small, tools):
    for kwargs in ({}, {"use_edns": 0, "payload": 512}, {"use_edns": 0, "payload": 4096}):
        for _ in range(2):
            cut = tools.ask(small.responder, "big.example.com", "TXT", **kwargs)
            assert cut.flags & dns.flags.TC
            assert not cut.answer
            whole = tools.ask(small.responder, "big.example.com", "TXT", transport="tcp", **kwargs)
            assert not whole.flags & dns.flags.TC
            assert len(whole.answer[0][0].strings) == 12
    assert small.counters.read("gslb_dns_truncated_total") == 6


def test_eight_long_addresses_under_a_long_name_fit_or_are_cut(tools):
    regions = tuple(
        dataclasses.replace(tools.EU, name=f"r{number}", ipv6=(f"2001:db8:{number}::1", f"2001:db8:{number}::2"))
        for number in range(6)
    )
    service = Service(".".join(["x" * 60] * 4) + ".com", regions, (Failover(), Limit(regions=8)))
    zone = dataclasses.replace(tools.ZONE, origin="com", nameservers={"ns.example.net": ()}, records=())
    made = tools.make(service, zones=(zone,))
    cookie = dns.edns.CookieOption(b"clientco", b"")
    for _ in range(2):
        cut = tools.ask(made.responder, service.name, "AAAA", use_edns=0, payload=512, options=[cookie])
        assert (cut.flags & dns.flags.TC, cut.answer, len(cut.options)) == (dns.flags.TC, [], 1)
        for kwargs in ({}, {"use_edns": 0, "options": [cookie]}, {"transport": "tcp", "options": [cookie]}):
            assert len(tools.addresses(tools.ask(made.responder, service.name, "AAAA", **kwargs))) == 8


# ---------------------------------------------------------------- client subnet
@pytest.mark.parametrize(
    "content",
    [
        b"\0\1\x18\x08\1\2\3",  # a scope in a query
        b"\0\1\x17\0\1\2\3",  # a bit beyond the source prefix
        b"\0\1\x21\0\1\2\3\4\5",  # longer than an address
        b"\0\1\x18\0\1\2\3\4",  # more bytes than the prefix has
        b"\0\1\x18\0\1\2",  # fewer
        b"\0\3\x18\0\1\2\3",  # no such family
        b"\0\0\x18\0\1\2\3",
        b"\0\2\x81\0" + b"\1" * 17,
        b"\0\0\0\0\0",
        b"\0\1\0",
    ],
)
def test_a_malformed_subnet_is_formerr(small, content):
    good = raw(opt=opt(option(8, b"\0\1\x18\0\4\1\2")))
    small.responder.respond(good, "127.0.0.1", "udp", 1.0)  # so that the fast path knows the shape
    for name in (WIRE_NAME, b"\7example\3com\0"):
        for kind in (1, 6):
            wire = small.responder.respond(raw(name, kind, opt=opt(option(8, content))), "127.0.0.1", "udp", 1.0)
            assert dns.message.from_wire(wire[:12] + wire[12:]).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("content", [b"\0\1\0\0", b"\0\2\0\0", b"\0\0\0\0"])
def test_source_0_is_located_by_the_resolver_with_scope_0(small, tools, content):
    for source, address in (("5.9.9.9", b"\xc0\0\2\x14"), ("4.9.9.9", b"\xc0\0\2\x0a")):
        wire = small.responder.respond(raw(opt=opt(option(8, content))), source, "udp", 1.0)
        assert wire.endswith(option(8, content))
        assert address in wire


def test_family_address_and_source_are_echoed(small, tools):
    for text in ("4.1.2.0/24", "4.1.2.3/32", "4.0.0.0/6", "2a00:1450:4000::/36", "2a00::/56", "8000::1/128", "::/1"):
        answer = tools.ask(small.responder, "www.example.com", **tools.subnet(text))
        found = tools.ecs(answer)
        assert f"{found.address}/{found.srclen}" == text


def test_static_data_and_every_negative_have_scope_0(small, tools):
    for name, kind in (("example.com", "MX"), ("nx.example.com", "A"), ("www.example.com", "HTTPS"), ("x.org", "A")):
        for _ in range(2):
            assert tools.ecs(tools.ask(small.responder, name, kind, **tools.subnet(DE))).scopelen == 0


def test_a_chain_that_looks_at_no_place_has_scope_0(tools):
    made = tools.make(Service("www.example.com", (tools.EU, tools.US), (Failover(),)))
    for net in (DE, US, "4.1.2.3/32", "2a00::/56"):
        assert tools.ecs(tools.ask(made.responder, "www.example.com", **tools.subnet(net))).scopelen == 0


@pytest.mark.parametrize(("net", "scope"), [("4.1.2.0/24", 24), ("4.0.0.0/8", 24), ("2a00::/40", 48), ("::/0", 0)])
def test_where_a_hash_decides_the_scope_is_its_unit(tools, net, scope):
    made = tools.make(Service("www.example.com", (tools.EU, tools.US), (Weighted(),)))
    for _ in range(2):
        assert tools.ecs(tools.ask(made.responder, "www.example.com", **tools.subnet(net))).scopelen == scope


def test_hashed_clients_are_shared_out_and_stay(tools):
    made = tools.make(Service("www.example.com", (tools.EU, tools.US), (Weighted({"eu-west": 3, "us-east": 1}),)))
    first = {}
    for number in range(400):
        net = f"4.{number >> 8}.{number & 255}.0/24"
        first[net] = tools.addresses(tools.ask(made.responder, "www.example.com", **tools.subnet(net)))
    assert 240 < sum(found == ["192.0.2.10"] for found in first.values()) < 360
    for net, found in first.items():
        assert tools.addresses(tools.ask(made.responder, "www.example.com", **tools.subnet(net))) == found
        host = net.replace(".0/24", ".77")  # without a subnet the source address is the client
        assert tools.addresses(tools.ask(made.responder, "www.example.com", source=host)) == found


def test_answers_taken_in_turn_have_the_scope_of_their_set(tools):
    chain = (Weighted({"eu-west": 3, "us-east": 1}, by="answer"),)
    made = tools.make(Service("www.example.com", (tools.EU, tools.US), chain))
    for kwargs in ({}, tools.subnet(DE), tools.subnet("2a00::/56")):
        answers = [tools.ask(made.responder, "www.example.com", **kwargs) for _ in range(40)]
        assert sum(tools.addresses(answer) == ["192.0.2.10"] for answer in answers) == 30
        assert {tools.ecs(answer).scopelen for answer in answers if kwargs} <= {0}


def test_a_16_of_two_classes_is_not_taken_for_one(tools):
    halves = [tools.PLACES["EU"], tools.PLACES["US"]]
    networks = [(4, block << 15, 17, halves[block & 1]) for block in range(1 << 17)]
    made = tools.make(database=tools.Places([*networks, (6, 0, 0, None)]))
    for _ in range(2):
        for net, address in (("4.1.1.0/24", "192.0.2.10"), ("4.1.200.0/24", "192.0.2.20")):
            answer = tools.ask(made.responder, "www.example.com", **tools.subnet(net))
            assert (tools.addresses(answer), tools.ecs(answer).scopelen) == ([address], 17)


def test_of_two_subnets_or_cookies_the_first_counts(small, tools):
    german, american = (option(8, b"\0\1\x18\0" + net) for net in (b"\4\1\2", b"\5\1\2"))
    one, two = (option(10, cookie) for cookie in (b"clientc1", b"clientc2"))
    for options in (german + american, german + one + american, german + american + one, one + german + two):
        for _ in range(2):
            wire = small.responder.respond(raw(opt=opt(options)), "5.5.5.5", "udp", 1.0)
            answer = dns.message.from_wire(wire)
            assert tools.addresses(answer) == ["192.0.2.10"]
            assert [found.address for found in answer.options if found.otype == 8] == ["4.1.2.0"]
            assert {found.client for found in answer.options if found.otype == 10} <= {b"clientc1"}


# ---------------------------------------------------------------- worlds
def test_a_new_status_moves_every_client_and_the_places_stay_known(small, tools):
    for kwargs in ({"source": "5.1.2.3"}, tools.subnet(US)):
        assert tools.addresses(tools.ask(small.responder, "www.example.com", **kwargs)) == ["192.0.2.20"]
    slow = small.responder.slow_calls
    down = tools.up("eu-west", "ap-south", generation=2, **{"us-east": RegionStatus(State.DOWN)})
    small.responder.swap(World(small.plan, down))
    for kwargs in ({"source": "5.1.2.3"}, tools.subnet(US)):
        assert tools.addresses(tools.ask(small.responder, "www.example.com", **kwargs)) == ["192.0.2.10"]
    assert small.responder.slow_calls == slow


def test_a_status_that_steers_nothing_new_keeps_the_answers(small, tools, monkeypatch):
    tools.ask(small.responder, "www.example.com")
    monkeypatch.setattr(deciding, "decide", lambda *_: pytest.fail("decided again"))
    counters = type(small.counters)(small.counters.cells, small.counters.slots)  # as a worker does it at every Status
    small.responder.swap(World(small.plan, dataclasses.replace(small.world.status, stale=True)), counters=counters)
    assert tools.addresses(tools.ask(small.responder, "www.example.com"))


def test_an_answer_is_decided_again_when_its_time_is_over(tools):
    moving = RegionStatus(State.UP, changes_in_s=7.0)
    made = tools.make(status=tools.up("us-east", "ap-south", **{"eu-west": moving}))
    for now in (100.0, 106.0, 107.5, 113.0, 115.0):
        for kwargs in ({}, tools.subnet(DE), tools.subnet("2a00::/56")):
            assert tools.ask(made.responder, "www.example.com", now=now, **kwargs).answer[-1].ttl == 7


def test_a_new_plan_replaces_names_and_a_bad_one_changes_nothing(small, tools):
    assert tools.addresses(tools.ask(small.responder, "mail.example.com")) == ["192.0.2.25"]
    mail = tuple(record for record in tools.ZONE.records if record.owner == "mail.example.com")
    moved = dataclasses.replace(tools.ZONE, records=(dataclasses.replace(mail[0], data="192.0.2.26"),))
    plan = dataclasses.replace(small.plan, zones={"example.com": moved})
    bad = dataclasses.replace(tools.ZONE, records=(dataclasses.replace(mail[0], data="192.0.2.999"),))
    with pytest.raises(ValueError, match=r"mail\.example\.com A: .*999"):
        small.responder.swap(World(dataclasses.replace(plan, zones={"example.com": bad}), small.world.status))
    assert tools.addresses(tools.ask(small.responder, "mail.example.com")) == ["192.0.2.25"]
    small.responder.swap(World(plan, small.world.status), small.locator, small.counters)
    assert tools.addresses(tools.ask(small.responder, "mail.example.com")) == ["192.0.2.26"]
    assert tools.ask(small.responder, "alias.example.com").rcode() == dns.rcode.NXDOMAIN


def test_what_is_remembered_is_bounded(small, tools, monkeypatch):
    monkeypatch.setattr(deciding, "CLIENTS_MAX", 50)
    monkeypatch.setattr(responder_module, "SHAPES_MAX", 20)
    respond = small.responder.respond
    for number in range(600):
        source = f"4.1.{number >> 8}.{number & 255}"
        net = bytes((number & 255, number >> 8, 3))
        for options in (b"", option(8, b"\0\1\x18\0" + net)):
            wire = respond(raw(opt=opt(options, payload=512 + number)), source, "udp", 1.0)
            assert tools.addresses(dns.message.from_wire(wire))
    steered = small.responder._decider._steered.values()
    assert sum(len(each.keys) + len(each.blocks) + len(each.ready) for each in steered) < 60
    assert sum(map(len, small.responder._known.values())) <= 20
    small.responder.settle("udp", 1200, 1.0)
    assert small.counters.read("gslb_dns_cache_evictions_total") > 1000


# ---------------------------------------------------------------- counters
def test_every_packet_is_counted_once(small, tools):
    respond = small.responder.respond
    packets = [raw(), raw(), raw(b"\2nx\7example\3com\0"), raw(b"\3org\0"), b"", raw(flags=0x8000), raw()[:-1],
               raw(flags=0x2800), raw(opt=opt(version=3)), raw(kind=15)]  # fmt: skip
    for wire in packets:
        respond(wire, "127.0.0.1", "udp", 1.0)
    small.responder.settle("udp", len(packets), 1.0)
    read = small.counters.read
    assert read("gslb_dns_queries_total", transport="udp") == len(packets)
    found = {code: read("gslb_dns_answers_total", rcode=code) for code in ("NOERROR", "NXDOMAIN", "REFUSED", "FORMERR")}
    assert found == {"NOERROR": 3, "NXDOMAIN": 1, "REFUSED": 1, "FORMERR": 1}
    assert read("gslb_dns_answers_total", rcode="NOTIMP") == read("gslb_dns_answers_total", rcode="BADVERS") == 1
    assert read("gslb_dns_dropped_total", reason="short") == read("gslb_dns_dropped_total", reason="response") == 1
    assert read("gslb_dns_answers_by_region_total", service="www.example.com", region="eu-west") == 2


# ---------------------------------------------------------------- fast path
def mixed_packets(rng: random.Random, count: int) -> list[bytes]:
    """What resolvers send: random case, subnets, cookies, DO, payload sizes."""
    packets = []
    for number in range(count):
        name = bytes(rng.choice((byte, byte ^ 32)) if 97 <= byte <= 122 else byte for byte in WIRE_NAME)
        options = []
        if rng.random() < 0.5:
            options.append(option(8, b"\0\1\x18\0" + rng.randbytes(3)))
        elif rng.random() < 0.2:
            options.append(option(8, b"\0\2\x38\0" + rng.randbytes(7)))
        if rng.random() < 0.5:
            options.append(option(10, rng.randbytes(rng.choice((8, 24)))))
        rng.shuffle(options)
        payload, flags = rng.choice((512, 1232, 4096)), rng.choice((0, 0x8000))
        tail = opt(b"".join(options), payload, flags) if options or rng.random() < 0.7 else b""
        packets.append(raw(name, rng.choice((1, 28)), rng.choice((0, 0x0100, 0x0110)), tail, ident=number))
    return packets


def test_random_case_cookies_and_subnets_stay_on_the_fast_path(small):
    rng = random.Random(3)
    for wire in mixed_packets(rng, 8000):
        small.responder.respond(wire, "127.0.0.1", "udp", 1.0)
    slow = small.responder.slow_calls
    for wire in mixed_packets(rng, 4000):
        assert small.responder.respond(wire, "127.0.0.1", "udp", 1.0)
    assert small.responder.slow_calls == slow


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize(
    "chain", [(Nearest(),), (Weighted(),), (Nearest(tie=2.0),), (Failover(), Limit(regions=3))], ids=str
)
def test_the_fast_path_says_what_the_slow_path_says(tools, chain, tables):
    service = Service("www.example.com", (tools.EU, tools.US, tools.AP), chain)
    warm, cold = (tools.make(service, tables=tables).responder for _ in range(2))
    rng = random.Random(7)
    packets = mixed_packets(rng, 600)
    packets += [wire.replace(wire[12:16], b"\5aLias", 1) for wire in packets[:200]]
    for wire in packets:
        warm.respond(wire, "6.6.6.6", "udp", 1.0)
    for wire in packets:
        fast = warm.respond(wire, "6.6.6.6", "udp", 1.0)
        slow = cold._slow(wire, "6.6.6.6", "udp", 1.0)
        assert fast[:4] == slow[:4]
        one, other = dns.message.from_wire(fast), dns.message.from_wire(slow)
        assert one.to_text() == other.to_text()
        assert fast[12 : 12 + len(WIRE_NAME)] == wire[12 : 12 + len(WIRE_NAME)]


# ---------------------------------------------------------------- properties
def _mutate(base: bytes, edits: list[tuple[int, int]], cut: int | None) -> bytes:
    wire = bytearray(base)
    for at, byte in edits:
        wire[at % len(wire)] = byte
    return bytes(wire[:cut])


MUTATED = st.builds(
    _mutate,
    st.sampled_from(mixed_packets(random.Random(1), 60)),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=6),
    st.one_of(st.none(), st.integers(0, 80)),
)


@settings(RELAXED, max_examples=800)
@given(st.one_of(MUTATED, st.binary(max_size=200)), st.sampled_from(["udp", "tcp"]))
def test_any_bytes_get_a_sound_answer_or_none(shared, tools, wire, transport):
    answer = shared.responder.respond(wire, "127.0.0.1", transport, 1.0)
    if len(wire) < 12 or wire[2] & 0x80:
        assert answer is None
    else:
        assert answer[:2] == wire[:2]
        assert answer[2] & 0x80
        assert transport == "tcp" or len(answer) <= 1232
        if answer[4:6] == b"\0\1":
            end = 12
            while answer[end]:
                end += 1 + answer[end]
            assert answer[12 : end + 5] == wire[12 : end + 5]
        dns.message.from_wire(answer)
    good = shared.responder.respond(raw(), "4.4.4.4", "udp", 1.0)
    assert tools.addresses(dns.message.from_wire(good)) == ["192.0.2.10"]


@pytest.fixture(scope="module")
def made_once():
    return {}


@pytest.fixture
def shared(made_once, tools):
    """One responder for all examples, so that what it remembers of one may hurt another."""
    return made_once.setdefault("it", tools.make())


CHAINS = [
    (Nearest(),), (Weighted(),), (Nearest(tie=2.0),), (Nearest(), Limit(regions=2)), (Nearest(tie=1.5), Weighted()),
    (Failover(),),
]  # fmt: skip
STATES = st.sampled_from([State.UP, State.UP, State.UNKNOWN, State.DRAINING, State.DOWN])


@settings(RELAXED, max_examples=80)
@given(
    st.integers(0, 2**32),
    st.sampled_from(CHAINS),
    st.tuples(STATES, STATES, STATES),
    st.sampled_from(list(WhenAllDown)),
    st.booleans(),
)
def test_every_client_inside_the_answered_scope_gets_that_answer(tools, seed, chain, states, mode, tables):
    """Invariant 11: an answer may be cached for all of its scope."""
    rng = random.Random(seed)
    places = [*tools.PLACES.values(), None]
    fours = [(rng.getrandbits(32), rng.choice((7, 16, 23, 24, 32))) for _ in range(6)]
    sixes = [(_embedding(rng) | rng.getrandbits(100), rng.choice((20, 48, 64, 128))) for _ in range(6)]
    database = tools.Places([*tools.split(4, rng, places, fours), *tools.split(6, rng, places, sixes)])
    regions = (tools.EU, tools.US, tools.AP)
    service = Service("www.example.com", regions, chain, when_all_down=mode, fallback=("203.0.113.9",))
    status = tools.up(**{region.name: RegionStatus(state) for region, state in zip(regions, states, strict=True)})
    responder = tools.make(service, status, database, tables=tables).responder
    for _ in range(12):
        bits = rng.choice((32, 32, 128))
        address = rng.choice(fours if bits == 32 else sixes)[0] ^ rng.getrandbits(rng.choice((1, 8, 12, bits)))
        length = rng.choice((1, 8, 15, 16, 20, 24, 24, 32)) if bits == 32 else rng.choice((20, 32, 48, 56, 64, 96, 128))
        address = address >> bits - length << bits - length
        kind = rng.choice(("A", "AAAA"))
        text = (ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address)(address)
        answer = tools.ask(responder, "www.example.com", kind, **tools.subnet(f"{text}/{length}"))
        said, scope = tools.addresses(answer), tools.ecs(answer).scopelen
        assert said
        start = address >> bits - scope << bits - scope
        for offset in [0, (1 << bits - scope) - 1, *(rng.getrandbits(bits - scope) for _ in range(4) if scope < bits)]:
            client = (ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address)(start | offset)
            inside = tools.ask(responder, "www.example.com", kind, **tools.subnet(f"{client}/{bits}"))
            assert tools.addresses(inside) == said, f"{client} is in {text}/{length}, scope {scope}"


def _embedding(rng: random.Random) -> int:
    """The upper bits of an IPv6 address, often of a range that embeds IPv4: 6to4, NAT64, mapped, Teredo."""
    return rng.choice((0x2002 << 112, 0x64FF9B << 96, 0xFFFF << 32, 0x20010000 << 96, rng.getrandbits(128)))


def test_a_region_without_the_family_is_never_answered_and_never_nodata(tools):
    """Negatives never depend on the client: over every state, AAAA is answered while one region has an address."""
    service = Service("www.example.com", (tools.AP, tools.EU, tools.US), (Nearest(),))  # the first has none
    for states in itertools.product(State, repeat=3):
        status = tools.up(
            **{
                name: RegionStatus(state)
                for name, state in zip(("eu-west", "us-east", "ap-south"), states, strict=True)
            }
        )
        responder = tools.make(service, status=status).responder
        for net in (DE, US, IN):
            assert tools.addresses(tools.ask(responder, "www.example.com", "AAAA", **tools.subnet(net)))
