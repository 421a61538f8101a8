"""Records and master files, judged by dnspython's reader."""

from __future__ import annotations

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns.records import parse_master_file, parse_record
from gslb.dns.wire import decode_name
from gslb.model import Record

GOOD = [
    ("A", "192.0.2.1"), ("AAAA", "2001:db8::1"), ("AAAA", "::ffff:192.0.2.1"), ("MX", "10 mail"),
    ("MX", "0 mail.example.net."), ("CNAME", "@"), ("CNAME", "Other.Example.net."), ("NS", "ns1"), ("PTR", "host"),
    ("TXT", '"v=spf1 -all"'), ("TXT", 'one "two three" four'), ("TXT", r'"a\"b\\c\065"'), ("TXT", '""'),
    ("SRV", "0 5 5060 sip"), ("CAA", '0 issue "ca.example; account=1"'), ("CAA", '128 iodef "mailto:a@b.example"'),
    ("NAPTR", '100 10 "u" "sip+E2U" "!^.*$!sip:info@example.com!" .'),
    ("SSHFP", "1 1 aabbccdd00112233445566778899aabbccddeeff"),
    ("TLSA", "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
]  # fmt: skip
ORIGIN = dns.name.from_text("example.com")


@pytest.mark.parametrize(("kind", "data"), GOOD)
def test_rdata_is_what_dnspython_makes_of_it(kind, data):
    rr = parse_record(Record("Www.Example.com", kind, 60, data), "example.com")
    judge = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), data, origin=ORIGIN, relativize=False)
    assert rr.rdata.lower() == judge.to_wire().lower()
    assert (decode_name(rr.owner), rr.type, rr.ttl_s) == ("www.example.com.", judge.rdtype, 60)


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        ("A", "192.0.2", "192.0.2"), ("A", "192.0.2.1 192.0.2.2", "1 field"), ("A", "", "field"),
        ("AAAA", "192.0.2.1", "192.0.2.1"), ("MX", "mail", "2 fields"), ("MX", "70000 mail", "70000"),
        ("MX", "ten mail", "ten"), ("CNAME", "a..b", "empty label"), ("CNAME", "x" * 64, "longer than 63"),
        ("TXT", "v=DKIM1; p=x", "double quotes"), ("TXT", '"open', "double quotes"), ("TXT", "x" * 256, "over 255"),
        ("SRV", "0 5 sip", "4 fields"), ("CAA", "999 issue x", "CAA"), ("TLSA", "3 1 1 zz", "TLSA"),
        ("BOGUS", "x", "known: A, AAAA"), ("A", "192.0.2.1 ; mine", "double quotes"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(kind, data, says):
    with pytest.raises(ValueError, match=says.replace(".", r"\.")) as caught:
        parse_record(Record("www.example.com", kind, 60, data), "example.com")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ttl_s", [-1, 2**31])
def test_a_ttl_has_31_bits(ttl_s):
    with pytest.raises(ValueError, match="TTL"):
        parse_record(Record("www.example.com", "A", ttl_s, "192.0.2.1"), "example.com")


@given(
    st.sampled_from(["A", "AAAA", "MX", "TXT", "SRV", "CAA", "NAPTR", "SSHFP", "TLSA", "CNAME"]), st.text(max_size=60)
)
def test_any_text_is_a_record_or_a_value_error(kind, data):
    try:
        rr = parse_record(Record("www.example.com", kind, 60, data), "example.com")
    except ValueError as error:
        assert str(error)  # noqa: PT017 - both ways are fine, nothing else is
    else:
        dns.rdata.from_wire(1, rr.type, rr.rdata, 0, len(rr.rdata))


FILE = r"""
; a zone as people write it
$TTL 1h
@       IN SOA ns1 hostmaster ( 2024010101 ; serial
                7200 3600
                1209600 300 )
        NS      ns1
        NS      ns2.example.net.
        IN MX   10 mail
        300 TXT "one;two" ( "three"
                            four ) ; five
ns1     A       192.0.2.53
www 1d IN A     192.0.2.1
www IN 90 AAAA  2001:db8::1
$ORIGIN sub.example.com.
@       CNAME   www.example.com.
_sip._tcp SRV   0 5 5060 host
$ORIGIN deeper
host    A       192.0.2.7
*       TXT     "wild \" card"
a\.b    A       192.0.2.8
"""


def test_a_master_file_is_what_dnspython_reads():
    ours = {
        (rr.owner, rr.type, rr.ttl_s, rr.rdata.lower())
        for rr in (parse_record(record, "example.com") for record in parse_master_file(FILE, "example.com"))
    }
    judge = dns.zone.from_text(FILE, "example.com", relativize=False, check_origin=False)
    theirs = {
        (name.to_wire().lower(), rdata.rdtype, ttl, rdata.to_wire().lower())
        for name, ttl, rdata in judge.iterate_rdatas()
        if rdata.rdtype != dns.rdatatype.SOA
    }
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("@ A 192.0.2.1\nwww A 192.0.2.300", 2, "192.0.2.300"),
        ("\n\n  A 192.0.2.1", 3, "no owner"),
        ("@ A 192.0.2.1\n\nx TXT ( a\n b", 3, "other half"),
        ("@ A 192.0.2.1 )", 1, "other half"),
        ('@ TXT "open', 1, "other half"),
        ("$INCLUDE other.zone", 1, "only \\$ORIGIN"),
        ("@ CH TXT x", 1, "class CH"),
        ("www.example.org. A 192.0.2.1", 1, "outside"),
        ("x\\.example.com. A 192.0.2.1", 1, "outside"),
        ("@ WKS x", 1, "unknown record type 'WKS'"),
        ("@ 60", 1, "without a type"),
        ("www SOA a b 1 2 3 4 5", 1, "SOA"),
        ("$TTL soon", 1, "not a TTL"),
    ],
)
def test_a_mistake_in_a_file_names_its_line(text, line, says):
    with pytest.raises(ValueError, match=rf"^line {line}: .*{says}"):
        parse_master_file(text, "example.com")


@given(st.text(alphabet='ab.@ \n\t;"()\\$0123456789AINTXORGL', max_size=120))
def test_any_file_is_read_or_refused(text):
    try:
        records = parse_master_file(text, "example.com")
    except ValueError as error:
        assert str(error).startswith("line ")  # noqa: PT017 - both ways are fine, nothing else is
    else:
        assert all(record.owner.endswith("example.com") for record in records)
