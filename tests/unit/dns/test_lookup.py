"""Questions and replies, against dnspython's own encoding."""

import contextlib

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns.lookup import CHAIN_MAX, Target, UnusableReply, question, read

NAME = "app.example.com"


def reply(*rows, kind="A", rcode=0, number=7, name=NAME, authority=(), additional=(), flags=0):
    query = dns.message.make_query(name, kind)
    query.id = number
    made = dns.message.make_response(query)
    made.set_rcode(rcode)
    made.flags |= flags
    for section, lines in ((made.answer, rows), (made.authority, authority), (made.additional, additional)):
        section.extend(dns.rrset.from_text(*line) for line in lines)
    return made.to_wire()


def test_dnspython_reads_the_question():
    asked = dns.message.from_wire(question("_http._tcp.example.com", "SRV", 4321))
    assert asked.id == 4321
    assert asked.flags & dns.flags.RD
    assert asked.question[0].to_text() == "_http._tcp.example.com. IN SRV"
    assert asked.payload == 1232


def test_addresses_and_the_least_ttl():
    wire = reply((NAME + ".", 60, "IN", "A", "192.0.2.1", "192.0.2.2"))
    found = read(wire, NAME, "A", 7)
    assert (sorted(found.addresses), found.ttl_s, found.exists) == (["192.0.2.1", "192.0.2.2"], 60, True)


def test_names_are_compared_without_case_and_final_dots():
    wire = reply(("aPP.example.COM.", 60, "IN", "AAAA", "2001:db8::1"), kind="AAAA", name="App.Example.com")
    assert read(wire, "app.EXAMPLE.com.", "AAAA", 7).addresses == ("2001:db8::1",)


def test_aliases_are_followed_and_their_ttl_counts():
    rows = [
        (NAME + ".", 30, "IN", "CNAME", "b.example.com."),
        ("b.example.com.", 20, "IN", "CNAME", "c.example.com."),
        ("c.example.com.", 90, "IN", "A", "192.0.2.7"),
        ("other.example.com.", 1, "IN", "A", "192.0.2.9"),
    ]
    found = read(reply(*rows), NAME, "A", 7)
    assert (found.addresses, found.ttl_s) == (("192.0.2.7",), 20)


def test_a_ring_of_aliases_ends():
    rows = [(NAME + ".", 30, "IN", "CNAME", "b.example.com."), ("b.example.com.", 30, "IN", "CNAME", NAME + ".")]
    assert read(reply(*rows), NAME, "A", 7).addresses == ()
    assert CHAIN_MAX < 20


def test_targets_with_what_came_along():
    row = (NAME + ".", 60, "IN", "SRV", "10 5 8080 a.example.com.", "20 0 8081 B.example.com.", "0 0 0 .")
    glue = [("a.example.com.", 60, "IN", "A", "192.0.2.1"), ("a.example.com.", 60, "IN", "AAAA", "2001:db8::1")]
    found = read(reply(row, kind="SRV", additional=glue), NAME, "SRV", 7)
    assert sorted(found.targets, key=lambda one: one.port) == [
        Target("a.example.com", 8080, 10, 5), Target("b.example.com", 8081, 20, 0),
    ]  # fmt: skip
    assert set(found.glue["a.example.com"]) == {"192.0.2.1", "2001:db8::1"}


@pytest.mark.parametrize(("rcode", "exists"), [(dns.rcode.NOERROR, True), (dns.rcode.NXDOMAIN, False)])
def test_that_there_is_nothing_is_an_answer_with_a_ttl(rcode, exists):
    soa = ("example.com.", 600, "IN", "SOA", "ns. host. 1 2 3 4 45")
    found = read(reply(rcode=rcode, authority=[soa]), NAME, "A", 7)
    assert (found.addresses, found.ttl_s, found.exists) == ((), 45, exists)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (reply(rcode=dns.rcode.SERVFAIL), "SERVFAIL"),
        (reply(rcode=dns.rcode.REFUSED), "REFUSED"),
        (reply(number=8), "another question"),
        (reply(name="x.example.com"), "another question"),
        (reply(kind="AAAA"), "another question"),
        (question(NAME, "A", 7), "another question"),
        (b"", "malformed"),
        (reply((NAME + ".", 60, "IN", "A", "192.0.2.1"))[:-3], "malformed"),
    ],
)
def test_what_is_no_answer_says_why(wire, why):
    with pytest.raises(UnusableReply, match=why):
        read(wire, NAME, "A", 7)


def test_what_was_cut_short_says_so():
    assert read(reply(flags=dns.flags.TC), NAME, "A", 7).truncated


@given(st.data())
def test_no_bytes_bring_another_error(data):
    wire = bytearray(reply((NAME + ".", 60, "IN", "SRV", "10 5 8080 a.example.com."), kind="SRV"))
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnusableReply):
        read(bytes(wire[: data.draw(st.integers(0, len(wire)))]), NAME, "SRV", 7)
