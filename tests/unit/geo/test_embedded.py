from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.geo.embedded import RANGES, is_embedded, scope_outside, shifted, unwrap

addresses4 = st.integers(0, (1 << 32) - 1)
# anywhere, or near the ranges' edges
addresses6 = st.integers(0, (1 << 128) - 1) | st.builds(
    lambda range_, offset: max(0, range_[0] + offset), st.sampled_from(RANGES), st.integers(-(1 << 34), 1 << 113)
)


def number(text: str) -> int:
    return int(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("address", "client", "shift"),
    [
        ("2002:5102:304::1", "81.2.3.4", 16),
        ("2002:5102:304:ffff:ffff:ffff:ffff:ffff", "81.2.3.4", 16),
        ("::ffff:81.2.3.4", "81.2.3.4", 96),
        ("64:ff9b::81.2.3.4", "81.2.3.4", 96),
        ("2001:0:5ef5:79fd:0:59d:aefd:fcfb", "81.2.3.4", 128),
    ],
)
def test_the_client_inside(address: str, client: str, shift: int) -> None:
    assert is_embedded(number(address))
    assert unwrap(number(address)) == (number(client), shift)


@pytest.mark.parametrize("address", ["::", "::1", "::81.2.3.4", "2001::", "2001:0:5ef5:79fd::"])
def test_nobody_inside(address: str) -> None:
    assert is_embedded(number(address)) and unwrap(number(address)) is None


@pytest.mark.parametrize(
    "address", ["2001:1::", "2003::", "2001:db8::1", "::fffe:81.2.3.4", "64:ff9b:1::", "64:ff9b::1:0:0", "::1:0:0"]
)
def test_others_are_not_embedded(address: str) -> None:
    assert not is_embedded(number(address))


@given(addresses6)
def test_agrees_with_the_standard_library(address: int) -> None:
    value = ipaddress.IPv6Address(address)
    client = value.ipv4_mapped or value.sixtofour or (value.teredo[1] if value.teredo else None)
    if client is not None and int(client) != 0xFFFFFFFF:
        assert is_embedded(address) and (unwrap(address) or (None,))[0] == int(client)
    elif is_embedded(address) and unwrap(address) is not None:
        assert value in ipaddress.ip_network("64:ff9b::/96") or value.sixtofour


def test_scopes_are_shifted_and_bounded() -> None:
    assert [shifted(scope, shift) for scope, shift in [(0, 16), (24, 16), (32, 96), (8, 128)]] == [16, 40, 128, 128]


@given(addresses6.filter(lambda address: not is_embedded(address)))
def test_the_scope_outside_is_the_widest_that_covers_no_range(address: int) -> None:
    ranges = [ipaddress.IPv6Network(range_) for range_ in RANGES]

    def overlaps(length: int) -> bool:
        network = ipaddress.IPv6Network((address >> 128 - length << 128 - length, length))
        return any(network.overlaps(each) for each in ranges)

    scope = scope_outside(address)
    assert not overlaps(scope) and overlaps(scope - 1)
