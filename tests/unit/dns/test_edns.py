"""Client subnet, cookies and OPT records, judged by dnspython."""

from __future__ import annotations

import ipaddress

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns.edns import Cookies, parse_opt, parse_options, parse_subnet
from gslb.dns.wire import parse_query
from gslb.errors import WireError


@given(st.booleans(), st.integers(0, 2**128 - 1), st.integers(0, 128), st.integers(0, 128))
def test_subnets_are_read_as_dnspython_writes_them(four, number, length, scope):
    bits = 32 if four else 128
    length, scope = min(length, bits), min(scope, bits)
    number = (number >> 128 - bits) >> bits - length << bits - length
    address = (ipaddress.IPv4Address if four else ipaddress.IPv6Address)(number)
    subnet = parse_subnet(dns.edns.ECSOption(str(address), length).to_wire())
    assert (subnet.family, subnet.source_length, subnet.address) == (4 if four else 6, length, number)
    echoed = dns.edns.option_from_wire(dns.edns.OptionType.ECS, subnet.option(scope), 4, len(subnet.wire))
    assert (ipaddress.ip_address(echoed.address), echoed.srclen, echoed.scopelen) == (address, length, scope)


def test_family_0_with_no_bits_says_nothing():
    assert parse_subnet(b"\0\0\0\0")[:3] == (0, 0, 0)


@given(st.binary(max_size=24))
def test_any_bytes_are_a_subnet_or_formerr(content):
    try:
        subnet = parse_subnet(content)
    except WireError as error:
        assert error.rcode == 1  # noqa: PT017 - both ways are fine, nothing else is
    else:
        assert subnet.wire == content
        assert content[3] == 0


def test_of_an_option_that_comes_twice_the_first_counts():
    one, two = b"\0\x0a\0\x08clientc1", b"\0\x0a\0\x08clientc2"
    assert parse_options(one + two) == (None, b"clientc1", False)


@pytest.mark.parametrize("payload", [0, 511, 512, 1232, 65535])
def test_a_payload_below_512_means_512(payload):
    query = parse_query(dns.message.make_query("a", "A", use_edns=0, payload=payload).to_wire())
    assert parse_opt(query).payload_bytes == max(payload, 512)


def test_cookies_depend_on_secret_client_address_and_time():
    found = set()
    for secret in (b"one", b"two"):
        cookies = Cookies(secret)
        for now in (0.0, 1000.0, 2000.0):
            cookies.refresh(now)
            for client in (b"clientc1", b"clientc2"):
                for source in ("127.0.0.1", "::1"):
                    found.add(cookies.option(client, source))
                    assert cookies.option(client, source) == cookies.option(client, source)
    assert len(found) == 24
    assert {len(option) for option in found} == {28}
