import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.buckets import TokenBucket
from gslb.balancing.limits import KEY_BYTES_MAX, Counted, Whose, meter_of, network, short
from gslb.balancing.request import Request
from gslb.balancing.windows import SlidingWindow
from gslb.model import RateLimit


def request(address: bytes = b"192.0.2.1", fields: bytes = b"", target: bytes = b"/a?token=t") -> Request:
    return Request(b"GET", "www.example.com", target, b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n", address)


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("all", request(), b"*"),
        ("route", request(), b"r1"),
        ("client_ip", request(), b"192.0.2.1"),
        ("client_ip", request(b"2001:db8:1:2:3::4"), b"2001:db8:1:2::/64"),
        ("host", request(), b"www.example.com"),
        ("path", request(), b"/a"),
        ("query:token", request(), b"t"),
        ("header:X-Key", request(fields=b"X-Key: k\r\n"), b"k"),
        ("header:X-Key", request(), b""),
        ("cookie:sid", request(fields=b"Cookie: sid=s\r\n"), b"s"),
    ],
)
def test_whose_request_it_is(text, asked, expected):
    assert Whose(text, 64).of(asked, b"r1") == expected


@pytest.mark.parametrize("text", ["colour", "header:", "header:a b", "route:x"])
def test_keys_that_are_none(text):
    with pytest.raises(ValueError, match=r"is no key|is no name"):
        Whose(text, 64)


@given(st.binary(max_size=300))
def test_a_key_costs_the_same_whatever_a_client_sends(key):
    assert len(short(key)) <= KEY_BYTES_MAX
    assert short(key) == key or len(key) > KEY_BYTES_MAX


def test_networks():
    assert network(b"2001:db8::1", 48) == b"2001:db8::/48"
    assert network(b"nonsense:", 48) == b"nonsense:"


def test_meters():
    assert meter_of(RateLimit("a", "all", 120, 60.0, 5)) == TokenBucket(2.0, 5)
    assert meter_of(RateLimit("a", "all", 120, 60.0, 5, "sliding_window")) == SlidingWindow(120, 60.0)


def test_each_key_counts_by_itself():
    counted = Counted(TokenBucket(1.0, 2.0))
    assert [counted.admit(b"a", 0.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]
    assert counted.admit(b"b", 0.0) == 0.0
    assert counted.left(b"a", 0.0)[0] == 0
    assert counted.left(b"new", 0.0) == (2, 0.0)


def test_the_table_is_bounded_and_forgets_who_was_away_longest():
    counted = Counted(TokenBucket(1.0, 1.0), keys_max=3)
    for key in (b"a", b"b", b"c"):
        counted.admit(key, 0.0)
    counted.admit(b"a", 0.0)  # refused, but used
    counted.admit(b"d", 0.0)
    assert len(counted) == 3
    assert counted.admit(b"a", 0.0) > 0.0
    assert counted.admit(b"b", 0.0) == 0.0  # forgotten: full again


def test_slices_come_from_the_same_bucket():
    counted = Counted(TokenBucket(10.0, 10.0))
    assert counted.lease(b"a", 6, 1, 0, 0.0) == (6, 0.0)
    assert [counted.admit(b"a", 0.0) for _ in range(5)][-1] > 0.0
