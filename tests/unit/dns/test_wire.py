"""Names, queries and compression, judged by dnspython."""

from __future__ import annotations

import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns.wire import CNAME, NS, Composer, RRset, decode_name, encode_name, parse_query, suffixes
from gslb.errors import WireError

LABELS = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8)


def wire_of(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


@given(LABELS)
def test_names_go_to_text_and_back_as_dnspython_has_them(labels):
    wire = wire_of(labels)
    text = decode_name(wire)
    assert encode_name(text) == wire
    assert dns.name.from_text(text).to_wire() == wire


def test_relative_names_and_the_origin():
    origin = encode_name("example.com.")
    assert encode_name("@", origin) == origin
    assert encode_name("Www", origin) == b"\3Www\7example\3com\0"
    assert encode_name(".", origin) == b"\0"


@pytest.mark.parametrize("text", ["", "a..b", ".a", "x" * 64, "x." * 128, "é", "a\\300b"])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(ValueError, match=r"name|byte"):
        encode_name(text)


def test_suffixes_are_the_name_and_its_ancestors():
    assert list(suffixes(b"\3www\3com\0")) == [b"\3www\3com\0", b"\3com\0", b"\0"]


@given(LABELS, st.integers(1, 65535))
def test_a_query_is_read(labels, kind):
    wire = b"\1\2\1\0\0\1\0\0\0\0\0\0" + wire_of(labels) + kind.to_bytes(2, "big") + b"\0\1"
    query = parse_query(wire)
    assert (query.name, query.type, query.cls, query.opt) == (wire_of(labels).lower(), kind, 1, None)
    assert query.question == wire[12:]


def test_an_opt_record_is_found_behind_others():
    query = dns.message.make_query("example.com", "A", use_edns=0, payload=1400, want_dnssec=True)
    query.find_rrset(query.additional, dns.name.from_text("x.example.com"), 1, 1, create=True)
    wire = query.to_wire()
    assert parse_query(wire).opt == (1400, 0x8000, b"")


@pytest.mark.parametrize(("at", "number", "rcode"), [(2, 0x28, 4), (5, 2, 1), (5, 0, 1), (7, 1, 1), (11, 33, 1)])
def test_what_is_no_query_says_what_to_answer(at, number, rcode):
    wire = bytearray(dns.message.make_query("example.com", "A").to_wire())
    wire[at] = number
    with pytest.raises(WireError) as caught:
        parse_query(bytes(wire))
    assert caught.value.rcode == rcode


@given(st.lists(st.lists(st.sampled_from([b"a", b"bb", b"Www", b"x" * 30]), min_size=1, max_size=6), max_size=30))
def test_compressed_records_are_what_dnspython_reads(names):
    question = b"\3www\2bb\1a\0"
    composer = Composer(question)
    rrsets = [
        RRset(wire_of(name).lower(), NS if at % 2 else CNAME, at, (wire_of(name),)) for at, name in enumerate(names)
    ]
    tail = b"".join(composer.rrset(rrset) for rrset in rrsets)
    wire = b"\0\1\x84\0\0\1" + len(names).to_bytes(2, "big") + bytes(4) + question + b"\0\1\0\1" + tail
    assert len(wire) == composer.at
    read = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert [(rrset.name, rrset.ttl, rrset[0].target) for rrset in read.answer] == [
        (dns.name.from_text(decode_name(rrset.owner)), rrset.ttl_s, dns.name.from_text(decode_name(rrset.rdatas[0])))
        for rrset in rrsets
    ]
    if len(names) > 1:
        assert len(wire) < 21 + sum(2 * len(wire_of(name)) + 10 for name in names) + 12
