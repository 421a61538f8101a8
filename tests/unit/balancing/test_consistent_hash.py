import zlib
from bisect import bisect_left
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithms.consistent_hash import POINTS_PER_WEIGHT, ConsistentHash, points_of
from gslb.model import Server


def servers(*weights: int) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))


def ketama(key: bytes, pool: tuple[Server, ...]) -> str:
    """ngx_http_upstream_hash_module.c, written down anew: all points in one sorted list."""
    ring = []
    for server in pool:
        previous = 0
        for _ in range(160 * server.weight):
            crc = zlib.crc32(f"{server.host}\0{server.port}".encode() + previous.to_bytes(4, "little"))
            ring.append((crc, server.id))
            previous = crc
    ring.sort()
    at = bisect_left(ring, (zlib.crc32(key), ""))
    return ring[at % len(ring)][1]


def test_points_are_ketamas():
    previous, expected = 0, []
    for _ in range(4):
        previous = zlib.crc32(b"127.0.0.1\x009001" + previous.to_bytes(4, "little"))
        expected.append(previous)
    assert points_of(b"127.0.0.1\x009001", 4) == expected


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.lists(st.binary(min_size=1, max_size=20), max_size=30))
def test_the_same_server_as_nginx(weights, keys):
    pool = servers(*weights)
    picker = ConsistentHash(balance_factor=0.0).build(pool)
    assert [picker.pick(key, 0.0, ()).id for key in keys] == [ketama(key, pool) for key in keys]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=30), st.data())
def test_the_ring_after_changes_is_the_ring_made_anew(keys, data):
    picker = ConsistentHash(balance_factor=0.0).build(servers(1, 1))
    for _ in range(3):
        weights = data.draw(st.lists(st.integers(0, 3), min_size=2, max_size=5).filter(any))
        pool = tuple(one for one in servers(*weights) if one.weight)
        picker.place(pool)
        picker.update(pool)
        anew = ConsistentHash(balance_factor=0.0).build(pool)
        assert [picker.pick(key, 0.0, ()) for key in keys] == [anew.pick(key, 0.0, ()) for key in keys]


def test_two_servers_at_one_address_have_points_of_their_own():
    one = Server("a", "127.0.0.1", 9000)
    picker = ConsistentHash(balance_factor=0.0).build((one, replace(one, id="b")))
    counts = [picker.pick(b"%d" % i, 0.0, ()).id for i in range(4_000)]
    assert counts.count("a") == pytest.approx(2_000, rel=0.2)


def test_the_ring_is_bounded():
    picker = ConsistentHash(points_max=POINTS_PER_WEIGHT * 4).build(servers(*[5] * 20))
    assert len(picker._ring) <= POINTS_PER_WEIGHT * 4
    assert {picker.pick(b"%d" % i, 0.0, ()).id for i in range(5_000)} == {f"s{i}" for i in range(20)}


def test_an_ipv6_server_is_named_as_in_an_authority():
    pool = (Server("a", "::1", 9000), Server("b", "127.0.0.1", 9000))
    picker = ConsistentHash(balance_factor=0.0).build(pool)
    ring = sorted((point, name) for name, host in (("a", b"[::1]"), ("b", b"127.0.0.1")) for point in points_of(
        host + b"\x009000", 160))  # fmt: skip
    key = b"some key"
    assert picker.pick(key, 0.0, ()).id == ring[bisect_left(ring, (zlib.crc32(key), "")) % len(ring)][1]
