from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.request import Request

HEAD = (
    b"GET /a/b?x=1&y=&x=2 HTTP/1.1\r\nHost: www.example.com\r\nCookie: a=1; session=abc ;b=2\r\nX-User:  ann \r\n"
    b"Cookie: late=9\r\nx-user: bob\r\nX-Empty:\r\n\r\n"
)
REQUEST = Request(b"GET", "www.example.com", b"/a/b?x=1&y=&x=2", HEAD, b"192.0.2.1")


def test_a_path_is_the_target_without_its_query():
    assert REQUEST.path == b"/a/b"
    assert Request(b"GET", "x", b"/plain", b"", b"").path == b"/plain"


def test_a_query_parameter_is_the_first_of_its_name():
    assert REQUEST.query(b"x") == b"1"
    assert REQUEST.query(b"y") == b""
    assert REQUEST.query(b"a") is None
    assert Request(b"GET", "x", b"/x=1", b"", b"").query(b"x") is None


def test_a_field_is_found_in_any_case_and_its_lines_are_joined():
    assert REQUEST.header(b"x-user") == b"ann, bob"
    assert REQUEST.header(b"X-EMPTY") == b""
    assert REQUEST.header(b"user") is None
    assert REQUEST.header(b"get /a/b?x=1&y=&x=2 http/1.1\r\nhost") is None


def test_a_cookie_is_found_by_its_whole_name_in_any_cookie_line():
    assert [REQUEST.cookie(name) for name in (b"a", b"session", b"b", b"late")] == [b"1", b"abc", b"2", b"9"]
    assert REQUEST.cookie(b"ession") is None
    assert REQUEST.cookie(b"A") is None  # cookie names have a case (RFC 6265 §5.3)


NAMES, VALUES = (st.from_regex(one, fullmatch=True) for one in (r"[A-Za-z.*+-]{1,8}", r"[!-:<-~]{0,9}"))


@given(st.dictionaries(NAMES, VALUES))
def test_every_cookie_of_a_line_is_found(cookies):
    line = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()
    request = Request(b"GET", "x", b"/", b"GET / HTTP/1.1\r\nCookie: " + line + b"\r\n\r\n", b"")
    for name, value in cookies.items():
        assert request.cookie(name.encode()) == value.encode()
