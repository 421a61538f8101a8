"""Request heads: what the one expression takes, what the long way says, and that the two never disagree."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.errors import HttpError
from gslb.http.forward import is_plain
from gslb.http.heads import (
    CHUNKED,
    FIELDS_MAX,
    HEAD_BYTES_MAX,
    PLAIN_REQUEST,
    TARGET_BYTES_MAX,
    connection_options,
    parse_length,
    parse_request,
)

BROWSER = (
    b"GET /catalogue/a.html?x=1&y=%20 HTTP/1.1\r\nHost: www.example.com:8080\r\nConnection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="124"\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n'
    b"Accept: text/html,*/*;q=0.8\r\nCookie: a=b; c=d\r\nTest: 1\r\nXylophone: 1\r\nExpected: 1\r\nKeep-Calm: 1\r\n\r\n"
)


def head(*lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"".join(each + b"\r\n" for each in (line, *([host] if host else []), *lines)) + b"\r\n"


def refusal(data: bytes) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        parse_request(data)
    assert caught.value.blame == "client"
    return caught.value.status, caught.value.reason


# ---------------------------------------------------------------- the one expression
def test_a_browsers_head_is_plain():
    match = PLAIN_REQUEST(BROWSER + b"body")
    assert match is not None
    assert match.groups() == (b"GET", b"/catalogue/a.html?x=1&y=%20", b"www.example.com:8080", None)
    assert match.end() == len(BROWSER)


SPECIAL = (
    b"Connection: close",
    b"connection: keep-alive, x",
    b"Keep-Alive: 5",
    b"TE: trailers",
    b"Trailer: x",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"Transfer-Encoding: chunked",
    b"Proxy-Connection: x",
    b"Proxy-Authorization: x",
    b"Proxy-Authenticate: x",
    b"Forwarded: for=a",
    b"X-Forwarded-For: a",
    b"x-forwarded-anything: a",
    b"X-Real-IP: a",
    b"X-Request-Id: a",
    b"X_Forwarded_For: a",
    b"Content_Length: 1",
    b"Host: a",
    b"Content-Length: 1\r\nContent-Length: 1",
    b"Content-Length: +1",
    b"Content-Length:  1",
    b"Content-Length: 1234567890123456",
)


@pytest.mark.parametrize("line", SPECIAL)
@pytest.mark.parametrize("case", [bytes, bytes.lower, bytes.upper])
def test_what_needs_care_is_not_plain(line, case):
    assert PLAIN_REQUEST(head(case(line))) is None
    assert PLAIN_REQUEST(head(b"A: b", case(line), b"C: d")) is None


@pytest.mark.parametrize(
    "line", [b"TRACE / HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET * HTTP/1.1", b"GET http://a/ HTTP/1.1"]
)
def test_odd_request_lines_are_not_plain(line):
    assert PLAIN_REQUEST(head(line=line)) is None


def test_too_many_fields_are_not_plain():
    assert PLAIN_REQUEST(head(*[b"A: b"] * 90)) is not None
    assert PLAIN_REQUEST(head(*[b"A: b"] * FIELDS_MAX)) is None


# ---------------------------------------------------------------- the long way
def test_what_a_head_says():
    found = parse_request(
        b"PUT http://B.example:81/x?y HTTP/1.1\r\nHost: a\r\nConnection: Close, X-Hop,, te\r\nTE: gzip, Trailers\r\n"
        b"Transfer-Encoding:  Chunked \r\nExpect: 100-Continue\r\nX-Hop: 1\r\n\r\nbody"
    )
    assert found is not None
    assert (found.method, found.target, found.host, found.minor) == (b"PUT", b"/x?y", b"b.example:81", 1)
    assert (found.length, found.close, found.continues, found.trailers, found.absolute) == (
        CHUNKED,
        True,
        True,
        True,
        True,
    )
    assert found.options == {b"x-hop"}
    assert found.specials[3].name == b"transfer-encoding"
    assert found.specials[3].value == b"Chunked"


def test_upgrade_counts_only_if_connection_names_it():
    asked = parse_request(head(b"Connection: upgrade", b"Upgrade: WebSocket"))
    not_asked = parse_request(head(b"Upgrade: websocket"))
    old = parse_request(head(b"Connection: upgrade", b"Upgrade: websocket", line=b"GET / HTTP/1.0"))
    assert [found.upgrade for found in (asked, not_asked, old)] == [b"websocket", b"", b""]


def test_http_1_0_closes_and_needs_no_host():
    found = parse_request(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (found.host, found.close, found.minor) == (b"", True, 0)


@pytest.mark.parametrize("size", range(len(BROWSER)))
def test_every_beginning_is_incomplete(size):
    assert parse_request(BROWSER[:size]) is None
    for scanned in (0, size // 2, max(0, size - 1)):
        assert parse_request(BROWSER[:size], HEAD_BYTES_MAX, scanned) is None


def test_limits():
    assert parse_request(head(line=b"GET /" + b"a" * (TARGET_BYTES_MAX - 1) + b" HTTP/1.1")) is not None
    assert refusal(head(line=b"GET /" + b"a" * TARGET_BYTES_MAX + b" HTTP/1.1")) == (414, "target_too_long")
    assert refusal(b"GET /" + b"a" * (TARGET_BYTES_MAX + 100)) == (414, "target_too_long")
    assert parse_request(head(*[b"A: b"] * (FIELDS_MAX - 1))) is not None
    assert refusal(head(*[b"A: b"] * FIELDS_MAX)) == (431, "too_many_fields")
    assert refusal(head(b"A: " + b"b" * HEAD_BYTES_MAX)) == (431, "head_too_large")
    with pytest.raises(HttpError, match="too large"):
        parse_request(head(b"A: " + b"b" * 200), 100)


def test_what_can_never_become_a_head_is_refused_before_it_ends():
    assert refusal(b"GET / HTTP/1.1\n") == (400, "bare_line_end")
    assert refusal(b"GET / HTTP/1.1\rX") == (400, "bare_line_end")
    assert refusal(b"\x16\x03\x01") == (400, "control_byte")
    assert parse_request(b"GET / HTTP/1.1\r") is None


@pytest.mark.parametrize(
    ("value", "length"),
    [(b"0", 0), (b"007", 7), (b"9" * 15, 10**15 - 1), (b"9" * 16, None), (b"", None), (b"-1", None), (b"1_0", None)],
)
def test_lengths(value, length):
    assert parse_length(value) == length


def test_connection_options():
    assert connection_options(b" a, ,B ,") == {b"a", b"b"}
    assert connection_options(b"") == frozenset()
    assert connection_options(b"a b") is None
    assert connection_options(b"a;b") is None


# ---------------------------------------------------------------- the two agree
LINES = st.sampled_from(
    [
        *SPECIAL,
        b"Host: b",
        b"Content-Length: 5",
        b"content-length:5",
        b"Connection: keep-alive",
        b"connection:Keep-Alive",
        b"A: b",
        b"Accept:",
        b"Cookie: \xff",
        b"Hosts: a",
        b"Teapot: a",
        b"X-Forwarded: a",
        b" A: b",
        b"A : b",
        b"A",
        b"A: \x00",
        b"A: b\nC: d",
        b"A: b\rC: d",
        b"",
        b"Host:a",
        b"Host:",
        b"Host: [::1]",
    ]
)
REQUEST_LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"GET /%41 HTTP/1.1",
        b"GET /%4 HTTP/1.1",
        b"GET /# HTTP/1.1",
        b"GET * HTTP/1.1",
        b"POST /a HTTP/1.0",
        b"TRACE / HTTP/1.1",
        b"TRACES / HTTP/1.1",
        b"get / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.2",
        b"GET /\x7f HTTP/1.1",
    ]
)


@settings(max_examples=600, deadline=None)
@given(line=REQUEST_LINES, lines=st.lists(LINES, max_size=5), host=st.sampled_from([b"Host: a", b"hoSt:A:80", b""]))
def test_what_is_plain_is_what_the_long_way_calls_plain(line, lines, host):
    """The expression may take less than `parse_request` does, never more, and reads the same out of it."""
    data = head(*lines, line=line, host=host)
    match = PLAIN_REQUEST(data)
    if match is None:
        return
    found = parse_request(data)
    assert found is not None
    assert is_plain(found)
    assert not found.close
    method, target, name, length = match.groups()
    assert (found.method, found.target, found.host) == (method, target, name.lower())
    assert found.length == int(length or 0)
    assert found.end == match.end()


@settings(max_examples=600, deadline=None)
@given(data=st.binary(max_size=80), at=st.integers(0, len(BROWSER)), size=st.integers(0, 5))
def test_nothing_but_http_error_comes_out(data, at, size):
    for candidate in (data, data + b"\r\n\r\n", BROWSER[:at] + data + BROWSER[at + size :]):
        with contextlib.suppress(HttpError):
            parse_request(candidate)
