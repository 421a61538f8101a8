"""Response heads: what the one expression takes, what the long way says, and that the two never disagree."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.errors import HttpError
from gslb.http.heads import CHUNKED, HEAD_BYTES_MAX
from gslb.http.responses import PLAIN_RESPONSE, UNTIL_CLOSE, parse_response

NGINX = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 20:51:23 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 62\r\nConnection: keep-alive\r\n\r\n"
)


def head(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"".join(each + b"\r\n" for each in (line, *lines)) + b"\r\n"


def test_an_ordinary_head_is_plain():
    match = PLAIN_RESPONSE(NGINX + b"body")
    assert (match[1], match[2], match[4]) == (b"200", b"62", None)
    assert match.end() == len(NGINX)
    assert PLAIN_RESPONSE(head(b"Date: x", b"Transfer-Encoding: chunked"))[4] == b"chunked"


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 1"],  # no Date
        [b"Date: x"],  # ends with the connection
        [b"Date: x", b"Content-Length: 1", b"Content-Length: 1"],
        [b"Date: x", b"Content-Length: 1", b"Transfer-Encoding: chunked"],
        [b"Date: x", b"Transfer-Encoding: chunked", b"Content-Length: 1"],
        [b"Date: x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Date: x", b"Content-Length: 1", b"Connection: close"],
        [b"Date: x", b"Content-Length: 1", b"Keep-Alive: timeout=5"],
        [b"Date: x", b"Content-Length: 1", b"Upgrade: h2"],
        [b"Date: x", b"Content-Length: 1", b"Trailer: x"],
        [b"Date: x", b"Content-Length: 1", b"Proxy-Authenticate: x"],
        [b"Date: x", b"Content-Length: -1"],
        [b"Date: x", b"Content-Length: 1", b"A : b"],
    ],
)
def test_what_needs_care_is_not_plain(lines):
    assert PLAIN_RESPONSE(head(*lines)) is None


@pytest.mark.parametrize(
    "line", [b"HTTP/1.0 200 OK", b"HTTP/1.1 204 X", b"HTTP/1.1 304 X", b"HTTP/1.1 100 X", b"HTTP/1.1 200"]
)
def test_odd_status_lines_are_not_plain(line):
    assert PLAIN_RESPONSE(head(b"Date: x", b"Content-Length: 0", line=line)) is None


def test_what_a_head_says():
    found = parse_response(head(b"Connection: X-Hop", b"content-length: 7", line=b"HTTP/1.0 404 Not Found"))
    assert (found.status, found.minor, found.reason, found.length) == (404, 0, b"Not Found", 7)
    assert (found.close, found.dated, found.options) == (True, False, {b"x-hop"})
    assert parse_response(head(b"Connection: keep-alive", line=b"HTTP/1.0 200")).close is False
    assert parse_response(head()).length == UNTIL_CLOSE


@pytest.mark.parametrize(
    ("line", "to_head", "length"),
    [
        (b"HTTP/1.1 200 OK", False, 7),
        (b"HTTP/1.1 200 OK", True, 0),
        (b"HTTP/1.1 103 X", False, 0),
        (b"HTTP/1.1 204 X", False, 0),
        (b"HTTP/1.1 304 X", False, 0),
        (b"HTTP/1.1 205 X", False, 7),
    ],
)
def test_the_length_of_the_body_in_fact(line, to_head, length):
    assert parse_response(head(b"Content-Length: 7", line=line)).body_length(to_head) == length


def test_chunked_and_until_close():
    assert parse_response(head(b"Transfer-Encoding: Chunked")).body_length(False) == CHUNKED
    assert parse_response(head()).body_length(False) == UNTIL_CLOSE


@pytest.mark.parametrize("size", range(len(NGINX)))
def test_every_beginning_is_incomplete(size):
    assert parse_response(NGINX[:size]) is None
    assert parse_response(NGINX[:size], size // 2) is None


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0",
        b"HTTP/2",
        b"\r\n\r\n",
        head(line=b"HTTP/1.1 99 X"),
        head(line=b"HTTP/1.1 600 X"),
        head(b"A: \x00"),
        head(b"Content-Length: 1, 1"),
        head(b"Content-Length: 1", b"Content-Length: 1"),
        head(b"Transfer-Encoding: gzip"),
        head(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK"),
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000,
        head(b"A: " + b"b" * HEAD_BYTES_MAX),
    ],
)
def test_a_bad_head_is_the_servers_fault(data):
    with pytest.raises(HttpError) as caught:
        parse_response(data)
    assert (caught.value.blame, caught.value.status, caught.value.reason) == ("server", 502, "bad_response")


LINES = st.sampled_from(
    [
        b"Date: x",
        b"date:x",
        b"Content-Length: 5",
        b"content-length:5",
        b"Content-Length: +5",
        b"Transfer-Encoding: chunked",
        b"transfer-encoding: Chunked",
        b"Transfer_Encoding: chunked",
        b"Connection: keep-alive",
        b"Connection: close",
        b"A: b",
        b"Keep-Alive: 5",
        b"Dated: 5",
        b"Tea: 5",
        b"Upgraded: 1",
        b"A : b",
        b" A: b",
        b"A: \x01",
        b"Connection: content-length",
    ]
)
STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.1 204 X", b"HTTP/1.0 200 OK", b"HTTP/1.1 200 \x00"]
)


@settings(max_examples=600, deadline=None)
@given(line=STATUS_LINES, lines=st.lists(LINES, max_size=5))
def test_what_is_plain_is_what_the_long_way_calls_plain(line, lines):
    data = head(*lines, line=line)
    match = PLAIN_RESPONSE(data)
    if match is None:
        return
    found = parse_response(data)
    assert found is not None
    assert (found.status, found.minor, found.close, found.dated) == (int(match[1]), 1, False, True)
    assert found.body_length(False) == (CHUNKED if match[2] is None else int(match[2]))
    assert found.end == match.end()
    assert {field.name for field in found.specials} <= {b"date", b"content-length", b"transfer-encoding", b"connection"}


@settings(max_examples=600, deadline=None)
@given(data=st.binary(max_size=60), at=st.integers(0, len(NGINX)), size=st.integers(0, 5))
def test_nothing_but_http_error_comes_out(data, at, size):
    for candidate in (data, data + b"\r\n\r\n", NGINX[:at] + data + NGINX[at + size :]):
        with contextlib.suppress(HttpError):
            parse_response(candidate)
