"""What of a head is forwarded: lines left out, lines added, nothing between them touched."""

from __future__ import annotations

import pytest

from gslb.errors import HttpError
from gslb.http.forward import (
    Peer,
    believed_request_id,
    is_plain,
    plain_suffix,
    request_head,
    response_head,
    switch_head,
    upgrades,
)
from gslb.http.heads import CHUNKED, parse_request
from gslb.http.responses import UNTIL_CLOSE, parse_response

PEER = Peer(b"192.0.2.9", False)
TRUSTED = Peer(b"2001:db8::9", True)


def forwarded(data: bytes, peer: Peer = PEER) -> list[bytes]:
    """The lines of the head that a server gets."""
    found = parse_request(data)
    assert found is not None
    out = request_head(data, found, peer, b"default.example", b"id-1")
    assert out.endswith(b"\r\n\r\n")
    again = parse_request(out)  # what we send is valid by our own rules
    assert again is not None
    assert (again.length, again.target, again.minor) == (found.length, found.target, 1)
    return out.split(b"\r\n")[:-2]


def test_the_suffix_of_a_plain_request_says_what_the_long_way_says():
    data = b"GET / HTTP/1.1\r\nHost: a.example:80\r\nA: b\r\n\r\n"
    for peer in (PEER, TRUSTED, Peer(b"::1", False, b"https")):
        suffix = plain_suffix(peer, b"a.example:80", b"id-")
        assert data[:-2] + suffix + b"1\r\n\r\n" == b"\r\n".join([*forwarded(data, peer), b"", b""])


def test_order_and_bytes_of_what_stays_are_kept():
    data = b"GET / HTTP/1.1\r\nB:  x \r\nHost: a\r\nConnection: close\r\nA: \xff\t\r\nKeep-Alive: 1\r\nb: y\r\n\r\n"
    assert forwarded(data)[:5] == [b"GET / HTTP/1.1", b"B:  x ", b"Host: a", b"A: \xff\t", b"b: y"]


def test_an_absolute_target_replaces_host():
    lines = forwarded(b"GET http://b.example:81/x HTTP/1.1\r\nA: b\r\nHost: a.example\r\n\r\n")
    assert lines[:3] == [b"GET /x HTTP/1.1", b"Host: b.example:81", b"A: b"]
    assert b"X-Forwarded-Host: b.example:81" in lines


def test_http_1_0_is_forwarded_as_1_1_with_a_host():
    assert forwarded(b"GET / HTTP/1.0\r\nA: b\r\n\r\n")[:3] == [b"GET / HTTP/1.1", b"Host: default.example", b"A: b"]


def test_framing_is_said_anew():
    lines = forwarded(b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:CHUNKED\r\nTrailer: X-Sum\r\n\r\n")
    assert lines[2:4] == [b"Trailer: X-Sum", b"Transfer-Encoding: chunked"]
    assert b"Trailer: X-Sum" not in forwarded(b"GET / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\n\r\n")


def test_te_is_said_anew_only_for_trailers():
    assert b"TE: trailers" not in forwarded(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: te\r\nTE: gzip\r\n\r\n")
    lines = forwarded(b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n\r\n")
    assert lines[2:4] == [b"TE: trailers", b"Connection: TE"]


def test_fields_that_connection_names_are_left_out_whatever_their_case():
    lines = forwarded(
        b"GET / HTTP/1.1\r\nHost: a\r\nx-HOP: 1\r\nConnection: X-Hop, cookie\r\nCookie: a\r\nA: b\r\n\r\n"
    )
    assert lines[:3] == [b"GET / HTTP/1.1", b"Host: a", b"A: b"]


def test_ipv6_is_quoted_in_forwarded():
    lines = forwarded(b"GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", Peer(b"2001:db8::1", False))
    assert b'Forwarded: for="[2001:db8::1]";host="a:80";proto=http' in lines
    assert b"X-Forwarded-For: 2001:db8::1" in lines


CLAIMS = (
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: b\r\nForwarded: for=b\r\nX-Forwarded-Proto: https\r\n"
    b"X-Real-IP: b\r\n\r\n"
)


def test_claims_are_replaced_or_extended():
    lines = forwarded(CLAIMS)
    assert b"X-Forwarded-For: 192.0.2.9" in lines
    assert b"X-Forwarded-Proto: http" in lines
    assert b"X-Real-IP: b" not in lines
    lines = forwarded(CLAIMS, TRUSTED)
    assert b"X-Forwarded-For: b, 2001:db8::9" in lines
    assert b"X-Forwarded-Proto: https" in lines
    assert b'Forwarded: for=b, for="[2001:db8::9]";host=a;proto=http' in lines
    assert b"X-Real-IP: b" in lines


@pytest.mark.parametrize(
    ("value", "believed"), [(b"abc", b"abc"), (b"a b", None), (b"", None), (b"a" * 129, None), (b"\xff", None)]
)
def test_a_request_id_is_believed_from_a_trusted_proxy_if_it_is_one(value, believed):
    found = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: " + value + b"\r\n\r\n")
    assert believed_request_id(found, TRUSTED) == believed
    assert believed_request_id(found, PEER) is None


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, b\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", False),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", False),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", False),
    ],
)
def test_what_may_be_forwarded_as_it_came(data, plain):
    assert is_plain(parse_request(data)) is plain


# ---------------------------------------------------------------- responses
def answered(data: bytes, length: int | None, close: bool = False) -> list[bytes]:
    out = response_head(data, parse_response(data), length, close, b"now")
    assert parse_response(out) is not None
    return out.split(b"\r\n")[:-2]


def test_a_response_loses_its_hop_and_gains_a_date():
    data = (
        b"HTTP/1.0 200 Fine\r\nConnection: keep-alive, a\r\nA: 1\r\nKeep-Alive: 5\r\nB: 2\r\nContent-Length: 2\r\n\r\n"
    )
    assert answered(data, 2) == [b"HTTP/1.1 200 Fine", b"B: 2", b"Content-Length: 2", b"Date: now"]
    assert answered(data, 2, close=True)[-1] == b"Connection: close"


def test_a_servers_own_date_stays():
    assert answered(b"HTTP/1.1 200 OK\r\nDate: then\r\n\r\n", UNTIL_CLOSE) == [b"HTTP/1.1 200 OK", b"Date: then"]


def test_framing_for_the_client():
    chunked = b"HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\nTrailer: y\r\n\r\n"
    assert answered(chunked, CHUNKED)[2:] == [b"Trailer: y", b"Transfer-Encoding: chunked"]
    assert answered(chunked, UNTIL_CLOSE) == [b"HTTP/1.1 200 OK", b"Date: x"]
    bare = b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\n"
    assert answered(bare, CHUNKED)[2:] == [b"Transfer-Encoding: chunked"]
    assert answered(bare, None)[2:] == []


@pytest.mark.parametrize("status", [103, 204])
def test_no_framing_where_there_must_be_none(status):
    for field in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
        lines = answered(b"HTTP/1.1 %d X\r\nDate: x\r\n%b\r\n\r\n" % (status, field), None)
        assert lines == [b"HTTP/1.1 %d X" % status, b"Date: x"]


def test_a_304_keeps_the_length_it_speaks_of():
    assert b"Content-Length: 5" in answered(b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", None)


ASKS = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
ALLOWED = frozenset({b"websocket", b"chat/2"})


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        (ASKS % b"websocket" + b"\r\n", b"websocket"),
        (ASKS % b"h2c, Chat/2 ,WebSocket" + b"\r\n", b"chat/2, websocket"),
        (ASKS % b"h2c" + b"\r\n", b""),
        (ASKS % b"websocket" + b"Content-Length: 3\r\n\r\n", b""),
        (ASKS % b"websocket" + b"Transfer-Encoding: chunked\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", b""),
    ],
)
def test_only_protocols_that_may_be_switched_to_are_offered(asked, offered):
    head = parse_request(asked)
    assert upgrades(head, ALLOWED) == offered
    out = request_head(asked, head, PEER, b"a", b"1", offered)
    assert parse_request(out).upgrade == offered


def test_the_server_may_switch_to_what_was_offered_only():
    data = b"HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nConnection: upgrade, X-Hop\r\nX-Hop: 1\r\nX-Keep: 2\r\n\r\nmore"
    head = parse_response(data)
    out = switch_head(data, head, b"chat/2, websocket")
    assert out == b"HTTP/1.1 101 X\r\nX-Keep: 2\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    for offered in (b"", b"chat/2", b"web"):
        with pytest.raises(HttpError, match="not asked for"):
            switch_head(data, head, offered)
