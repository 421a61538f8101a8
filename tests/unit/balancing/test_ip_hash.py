import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.ip_hash import NGINX_WEIGHT_MAX, IpHash, octets_of
from gslb.model import Server


def servers(count: int, weight: int = 1) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i in range(count))


def nginx(octets, weights: list[int], down=()) -> int:
    """ngx_http_upstream_ip_hash_module.c, written down anew."""
    value = 89
    for _ in range(20):
        for octet in octets:
            value = (value * 113 + octet) % 6271
        point, index = value % sum(weights), 0
        while point >= weights[index]:
            point -= weights[index]
            index += 1
        if index not in down:
            return index
    raise AssertionError("nginx would take turns from here")


@given(st.ip_addresses(v=4), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_the_same_server_as_nginx(address, weights):
    pool = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))
    picker = IpHash().build(pool)
    expected = nginx(address.packed[:3], weights)
    assert picker.pick(str(address).encode(), 0.0, ()).id == f"s{expected}"


@given(st.ip_addresses(v=6))
def test_all_octets_of_ipv6(address):
    expected = nginx(address.packed, [1] * 7)
    assert IpHash().build(servers(7)).pick(str(address).encode(), 0.0, ()).id == f"s{expected}"


@given(st.ip_addresses(v=4), st.integers(0, 4))
def test_a_server_that_is_down_passes_on_as_nginx(address, down):
    picker = IpHash().build(servers(5))
    picker.place(servers(5))
    picker.update(tuple(one for i, one in enumerate(servers(5)) if i != down))
    expected = nginx(address.packed[:3], [1] * 5, {down})
    assert picker.pick(str(address).encode(), 0.0, ()).id == f"s{expected}"


@given(st.integers(0, 255), st.integers(0, 255))
def test_the_last_octet_does_not_count(one, other):
    picker = IpHash().build(servers(9))
    assert picker.pick(b"192.0.2.%d" % one, 0.0, ()) is picker.pick(b"192.0.2.%d" % other, 0.0, ())


def test_above_nginx_s_weights_shares_are_even():
    pool = servers(5, NGINX_WEIGHT_MAX)
    picker = IpHash().build(pool)
    counts = [0] * 5
    for number in range(20_000):
        counts[int(picker.pick(str(ipaddress.IPv4Address(number << 8)).encode(), 0.0, ()).id[1:])] += 1
    assert all(count == pytest.approx(4_000, rel=0.1) for count in counts)


@pytest.mark.parametrize(
    ("address", "octets"),
    [
        (b"192.0.2.7", (192, 0, 2)),
        (b"::1", bytes(15) + b"\1"),
        (b"not-an-address", b"not-an-address"),
        (b"1.2.3.x", (1, 2, 3)),
        (b"a.b.c.d", b"a.b.c.d"),
        (b"a:b:c", b"a:b:c"),
    ],
)
def test_octets(address, octets):
    assert octets_of(address) == octets
