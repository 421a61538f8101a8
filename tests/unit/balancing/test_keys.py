import pytest

from gslb.balancing.keys import KINDS, Key, parse_key
from gslb.balancing.request import Request

REQUEST = Request(
    b"GET",
    "www.example.com:8080",
    b"/a?id=7&none=",
    b"GET /a?id=7&none= HTTP/1.1\r\nHost: www.example.com:8080\r\nCookie: who=ann\r\nX-Shard: 3\r\n\r\n",
    b"2001:db8::1",
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("client_ip", b"2001:db8::1"),
        ("host", b"www.example.com:8080"),
        ("path", b"/a"),
        ("header:X-Shard", b"3"),
        ("header:X-Other", None),
        ("cookie:who", b"ann"),
        ("cookie:WHO", None),
        ("query:id", b"7"),
        ("query:none", None),
    ],
)
def test_a_key_is_what_it_names(text, value):
    assert parse_key(text).of(REQUEST) == value


@pytest.mark.parametrize(
    "text", ["", "ip", "client_ip:x", "header", "header:", "header:a b", "cookie:a=b", "query:" + "x" * 129]
)
def test_what_is_no_key_is_refused_with_what_would_be(text):
    with pytest.raises(ValueError, match=r"known: client_ip|is no name"):
        parse_key(text)


def test_every_kind_can_be_written():
    assert [parse_key(kind).kind for kind in KINDS] == [kind.partition(":")[0] for kind in KINDS]
    assert parse_key("header:X-A") == parse_key("header:x-a") == Key("header", b"x-a")
