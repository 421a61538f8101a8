from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.http.forwarded import client_address, parse_address, parse_networks
from gslb.http.heads import Field

PROXY = ip_address("10.0.0.1")
TRUSTED = parse_networks(["10.0.0.0/8", "fd00::/8"])


def fields(*pairs: tuple[str, str]) -> tuple[Field, ...]:
    return tuple(Field(name.encode(), value.encode(), 0, 0) for name, value in pairs)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_addresses_as_they_are_written(text, address):
    assert parse_address(text) == ip_address(address)


@given(st.text(max_size=30))
def test_anything_else_is_none_not_an_error(text):
    found = parse_address(text)
    assert found is None or found.version in (4, 6)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([], "10.0.0.1"),
        ([("x-forwarded-for", "192.0.2.1")], "192.0.2.1"),
        ([("x-forwarded-for", "203.0.113.9, 192.0.2.1, 10.0.0.2")], "192.0.2.1"),
        ([("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.1")], "192.0.2.1"),
        ([("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
        ([("x-forwarded-for", "192.0.2.1, unknown")], "10.0.0.1"),
        ([("x-forwarded-for", "192.0.2.1, unknown, 10.0.0.2")], "10.0.0.2"),
        ([("x-forwarded-for", " ")], "10.0.0.1"),
        ([("forwarded", "for=192.0.2.1;proto=https")], "192.0.2.1"),
        ([("forwarded", 'for=203.0.113.9, For="[2001:db8::1]:80";by=10.0.0.1')], "2001:db8::1"),
        ([("forwarded", "proto=http;for=_hidden")], "10.0.0.1"),
        ([("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "192.0.2.1")], "192.0.2.1"),
    ],
)
def test_the_rightmost_address_that_is_not_trusted(headers, client):
    assert client_address(fields(*headers), PROXY, TRUSTED) == ip_address(client)


def test_an_untrusted_peer_is_not_believed():
    peer = ip_address("198.51.100.7")
    assert client_address(fields(("x-forwarded-for", "192.0.2.1")), peer, TRUSTED) == peer


def test_a_long_list_is_read_from_the_right_only():
    listed = ", ".join(["192.0.2.1"] + ["10.0.0.2"] * 1000)
    assert client_address(fields(("x-forwarded-for", listed)), PROXY, TRUSTED) == ip_address("10.0.0.2")


def test_networks_that_are_none_are_left_out():
    assert len(parse_networks(["10.0.0.0/8", "nonsense", "10.1.2.3/8", "::1"])) == 3
