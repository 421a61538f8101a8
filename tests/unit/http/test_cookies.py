import http.cookies

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.request import Request
from gslb.http.cookies import cookie_set, set_cookie, without_cookie
from gslb.http.heads import parse_request
from gslb.model import Sticky

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n%bX: y\r\n\r\nCookie: gslb=body; a=b\r\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Cookie: a=1; gslb=x; b=2\r\n", b"Cookie: a=1; b=2\r\n"),
        (b"Cookie: gslb=x; b=2\r\n", b"Cookie: b=2\r\n"),
        (b"Cookie: a=1; gslb=x\r\n", b"Cookie: a=1\r\n"),
        (b"Cookie: gslb=x\r\n", b""),
        (b"cookie:gslb=x\r\n", b""),
        (b"Cookie: gslb=x; gslb=y; a=1\r\n", b"Cookie: a=1\r\n"),
        (b"Cookie: agslb=x; gslb2=z\r\n", b"Cookie: agslb=x; gslb2=z\r\n"),
        (b"Cookie: a=1\r\nCookie: gslb=x\r\n", b"Cookie: a=1\r\n"),
        (b"X-Cookie: gslb=x\r\n", b"X-Cookie: gslb=x\r\n"),
        (b"", b""),
    ],
)
def test_a_cookie_is_taken_out_and_nothing_else(before, after):
    assert without_cookie(HEAD % before, b"gslb") == HEAD % after


NAMES, VALUES = st.sampled_from([b"gslb", b"a", b"gslbx", b"x-gslb"]), st.from_regex(rb"[!-:<-~]{0,6}", fullmatch=True)
PAIRS = st.lists(st.tuples(NAMES, VALUES))


@given(PAIRS, st.sampled_from([b"; ", b";", b" ; "]))
def test_what_remains_is_a_valid_head_without_it(pairs, separator):
    line = b"Cookie: " + separator.join(name + b"=" + value for name, value in pairs) + b"\r\n" if pairs else b""
    out = without_cookie(HEAD % line, b"gslb")
    assert parse_request(out) is not None
    head = out[: out.index(b"\r\n\r\n") + 4]
    request = Request(b"GET", "a", b"/", head, b"")
    assert request.cookie(b"gslb") is None
    for name in {name for name, _ in pairs} - {b"gslb"}:
        assert request.cookie(name) is not None
    assert out.endswith(b"X: y\r\n\r\nCookie: gslb=body; a=b\r\n")


@pytest.mark.parametrize("secure", [True, False])
def test_our_cookie_as_a_client_reads_it(secure):
    line = set_cookie(Sticky(), b"abc-_", secure=secure)
    assert line.endswith(b"\r\n")
    [(name, cookie)] = http.cookies.SimpleCookie(line.decode().removeprefix("Set-Cookie: ").strip()).items()
    assert (name, cookie.value, cookie["path"]) == ("gslb", "abc-_", "/")
    assert (cookie["max-age"], cookie["samesite"]) == ("3600", "Lax")
    assert cookie["httponly"] is True
    assert bool(cookie["secure"]) is secure


def test_what_a_server_sets():
    head = b"HTTP/1.1 200 OK\r\nset-cookie: other=1\r\nSet-Cookie: SID= abc ; Path=/\r\nSet-Cookie: SIDE=2\r\n\r\n"
    assert cookie_set(head, b"SID") == b"abc"
    assert cookie_set(head, b"SIDE") == b"2"
    assert cookie_set(head, b"ID") is None
    assert cookie_set(head.replace(b" abc ", b""), b"SID") is None
