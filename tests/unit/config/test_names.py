"""Names inside a zone."""

import pytest

from gslb.config.names import absolute, by_zone, inside, mailbox, zone_of
from gslb.dns.wire import decode_name, encode_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("@", "example.com"),
        ("www", "www.example.com"),
        ("a.b", "a.b.example.com"),
        ("*", "*.example.com"),
        ("www.example.com.", "www.example.com"),
        ("other.net.", "other.net"),
    ],
)
def test_absolute(name, expected):
    assert absolute(name, "example.com") == expected


def test_inside_is_by_whole_labels():
    assert inside("example.com", "example.com")
    assert inside("a.example.com", "example.com")
    assert not inside("anexample.com", "example.com")
    assert not inside("com", "example.com")


def test_the_longest_zone_counts():
    origins = ["example.com", "b.example.com", "com.example"]
    assert zone_of("a.b.example.com", origins) == "b.example.com"
    assert zone_of("b.example.com", origins) == "b.example.com"
    assert zone_of("ab.example.com", origins) == "example.com"
    assert zone_of("example.net", origins) is None
    assert zone_of("example.net", []) is None


def test_names_are_sorted_into_zones():
    names = ["www.example.com", "example.com", "a.b.example.com", "elsewhere.net"]
    assert by_zone(names, ["b.example.com", "example.com"]) == {
        "b.example.com": ["a.b.example.com"],
        "example.com": ["www.example.com", "example.com"],
    }


@pytest.mark.parametrize(
    ("contact", "name"),
    [
        ("hostmaster", "hostmaster.example.com."),
        ("hostmaster@example.com", "hostmaster.example.com."),
        ("a.b@example.com", "a\\046b.example.com."),
        ("a.b@EXAMPLE.com.", "a\\046b.example.com."),
        ("ops@example.net", "ops.example.net."),
    ],
)
def test_a_mail_address_is_a_name_on_the_wire(contact, name):
    wire = encode_name(mailbox(contact, "example.com"), encode_name("example.com."))
    assert decode_name(wire) == name
