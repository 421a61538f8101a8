"""Requests that break HTTP: each with the rule it breaks and the verdict; nothing of them reaches the backend."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.proxying import FAST, one_response, parsed, plan_of, pool_of, talk, until

H = b"Host: a.example\r\n"


def get(fields: bytes = b"", target: bytes = b"/", version: bytes = b"HTTP/1.1", host: bytes = H) -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + host + fields + b"\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\n" + H + fields + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"

# Each row: request, status, reason code, where the rule stands.
REFUSED = {
    # ---- framing: Content-Length and Transfer-Encoding
    "length and coding": (post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"), 400, "length_and_coding", "9112 §6"),
    "coding and length": (post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), 400, "length_and_coding", "9112 §6"),
    "unequal lengths": (post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hell"), 400, "doubled_field", "9112 §6"),
    "equal lengths": (post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), 400, "doubled_field", "9110 §8.6"),
    "length +5": (post(b"Content-Length: +5\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length -5": (post(b"Content-Length: -5\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length 0x5": (post(b"Content-Length: 0x5\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length 5, 5": (post(b"Content-Length: 5, 5\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length empty": (post(b"Content-Length: \r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length 5.0": (post(b"Content-Length: 5.0\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length 5 5": (post(b"Content-Length: 5 5\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length in other digits": (post("Content-Length: ٥\r\n".encode(), b"hello"), 400, "bad_length", "9110 §8.6"),
    "length beyond any body": (post(b"Content-Length: 99999999999999999999\r\n"), 400, "bad_length", "9110 §8.6"),
    "length with underscore": (post(b"Content_Length: 5\r\n", b"hello"), 400, "field_alias", "smuggling, CGI names"),
    "coding with underscore": (post(b"Transfer_Encoding: chunked\r\n", b"0\r\n\r\n"), 400, "field_alias", "smuggling"),
    "coding identity": (post(b"Transfer-Encoding: identity\r\n"), 400, "unknown_coding", "9112 §6.1"),
    "coding not final": (post(b"Transfer-Encoding: chunked, gzip\r\n"), 400, "unknown_coding", "9112 §6.1"),
    "coding gzip alone": (post(b"Transfer-Encoding: gzip\r\n"), 400, "unknown_coding", "9112 §6.1"),
    "coding unknown": (post(b"Transfer-Encoding: gzip, chunked\r\n"), 501, "unknown_coding", "9112 §6.1"),
    "coding twice": (post(b"Transfer-Encoding: chunked, chunked\r\n"), 501, "unknown_coding", "9112 §7.1"),
    "coding in two fields": (post(CHUNKED + CHUNKED, b"0\r\n\r\n"), 400, "doubled_field", "9112 §6.1"),
    "coding quoted": (post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), 400, "unknown_coding", "9112 §6.1"),
    "coding xchunked": (post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 501, "unknown_coding", "9112 §6.1"),
    "coding with parameter": (post(b"Transfer-Encoding: chunked;a=b\r\n"), 400, "unknown_coding", "9112 §7"),
    "coding empty": (post(b"Transfer-Encoding: \r\n"), 400, "unknown_coding", "9112 §6.1"),
    "coding with vertical tab": (post(b"Transfer-Encoding: \x0bchunked\r\n"), 400, "control_byte", "9110 §5.5"),
    "coding with HTTP/1.0": (
        b"POST / HTTP/1.0\r\n" + H + CHUNKED + b"\r\n0\r\n\r\n", 400, "coding_in_1_0", "9112 §6.1",
    ),
    # ---- lines and fields
    "bare LF lines": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bare_line_end", "9112 §2.2"),
    "bare LF in fields": (b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", 400, "bare_line_end", "9112 §2.2"),
    "bare CR in a value": (get(b"X: a\rb\r\n"), 400, "bare_line_end", "9112 §2.2"),
    "bare CR before a name": (get(b"\rX: a\r\n"), 400, "bare_line_end", "9112 §2.2"),
    "bare CR ends the head": (b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", 400, "bare_line_end", "9112 §2.2"),
    "obs-fold": (get(b"X: a\r\n b\r\n"), 400, "obs_fold", "9112 §5.2"),
    "obs-fold with tab": (get(b"X: a\r\n\tb\r\n"), 400, "obs_fold", "9112 §5.2"),
    "obs-fold of the coding": (post(b"Transfer-Encoding:\r\n chunked\r\n"), 400, "obs_fold", "9112 §5.2"),
    "space before the first field": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "obs_fold", "9112 §2.2"),
    "space before the colon": (get(b"X : a\r\n"), 400, "space_before_colon", "9112 §5.1"),
    "space before length's colon": (post(b"Content-Length : 5\r\n", b"hello"), 400, "space_before_colon", "9112 §5.1"),
    "tab before the colon": (get(b"X\t: a\r\n"), 400, "space_before_colon", "9112 §5.1"),
    "no colon": (get(b"nonsense\r\n"), 400, "bad_field", "9112 §5"),
    "empty name": (get(b": a\r\n"), 400, "bad_field", "9112 §5"),
    "space in a name": (get(b"X Y: a\r\n"), 400, "bad_field", "9110 §5.1"),
    "quote in a name": (get(b'X"Y: a\r\n'), 400, "bad_field", "9110 §5.1"),
    "byte over 127 in a name": (get(b"X\xe9: a\r\n"), 400, "bad_field", "9110 §5.1"),
    "NUL in a value": (get(b"X: a\x00b\r\n"), 400, "control_byte", "9110 §5.5"),
    "NUL in a name": (get(b"X\x00: a\r\n"), 400, "control_byte", "9110 §5.1"),
    "control byte in a value": (get(b"X: a\x1bb\r\n"), 400, "control_byte", "9110 §5.5"),
    "DEL in a value": (get(b"X: a\x7f\r\n"), 400, "control_byte", "9110 §5.5"),
    "connection names Host": (get(b"Connection: close, host\r\n"), 400, "bad_connection", "9110 §7.6.1"),
    "connection names the length": (
        post(b"Connection: Content-Length\r\nContent-Length: 5\r\n", b"hello"), 400, "bad_connection", "9110 §7.6.1",
    ),
    "connection is no list": (get(b"Connection: a b\r\n"), 400, "bad_connection", "9110 §7.6.1"),
    # ---- Host
    "no Host": (get(host=b""), 400, "missing_host", "9112 §3.2"),
    "two Hosts": (get(b"Host: b.example\r\n"), 400, "doubled_field", "9112 §3.2"),
    "two equal Hosts": (get(H), 400, "doubled_field", "9112 §3.2"),
    "Host empty": (get(host=b"Host:\r\n"), 400, "bad_host", "9112 §3.2"),
    "Host with a path": (get(host=b"Host: a/b\r\n"), 400, "bad_host", "9112 §3.2"),
    "Host with user": (get(host=b"Host: me@a\r\n"), 400, "bad_host", "9112 §3.2"),
    "Host with a space": (get(host=b"Host: a b\r\n"), 400, "bad_host", "9112 §3.2"),
    "Host with two ports": (get(host=b"Host: a:80:90\r\n"), 400, "bad_host", "9112 §3.2"),
    "Host with port of letters": (get(host=b"Host: a:http\r\n"), 400, "bad_host", "9112 §3.2"),
    "Host list": (get(host=b"Host: a, b\r\n"), 400, "bad_host", "9112 §3.2"),
    "Host bracket open": (get(host=b"Host: [::1\r\n"), 400, "bad_host", "9112 §3.2"),
    # ---- request line
    "space in the target": (get(target=b"/a b"), 400, "bad_target", "9112 §3.2"),
    "fragment": (get(target=b"/a#b"), 400, "bad_target", "9112 §3.2"),
    "target without slash": (get(target=b"a"), 400, "bad_target", "9112 §3.2"),
    "authority-form of GET": (get(target=b"a.example:80"), 400, "bad_target", "9112 §3.2.3"),
    "asterisk of GET": (get(target=b"*"), 400, "bad_target", "9112 §3.2.4"),
    "absolute-form with user": (get(target=b"http://me@a.example/"), 400, "bad_target", "9110 §4.2.4"),
    "absolute-form without host": (get(target=b"http:///a"), 400, "bad_target", "9110 §4.2.1"),
    "absolute-form of ftp": (get(target=b"ftp://a.example/"), 400, "bad_target", "9112 §3.2.2"),
    "absolute-form of https": (get(target=b"https://a.example/"), 421, "misdirected", "9110 §7.4"),
    "NUL in the target": (get(target=b"/a\x00"), 400, "control_byte", "9112 §3"),
    "encoded NUL": (get(target=b"/a%00b"), 400, "bad_target", "3986 §7.3"),
    "bad escape": (get(target=b"/a%zz"), 400, "bad_target", "3986 §2.1"),
    "cut escape": (get(target=b"/a%4"), 400, "bad_target", "3986 §2.1"),
    "byte over 127 in the target": (get(target=b"/caf\xc3\xa9"), 400, "bad_target", "3986 §2"),
    "tab in the request line": (b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n", 400, "bad_request_line", "9112 §3"),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + H + b"\r\n", 400, "bad_target", "9112 §3"),
    "space after the version": (b"GET / HTTP/1.1 \r\n" + H + b"\r\n", 400, "bad_target", "9112 §3"),
    "space first": (b" GET / HTTP/1.1\r\n" + H + b"\r\n", 400, "bad_target", "9112 §3"),
    "no version": (b"GET /\r\n" + H + b"\r\n", 400, "bad_request_line", "9112 §3"),
    "http in lower case": (get(version=b"http/1.1"), 400, "bad_request_line", "9112 §2.3"),
    "version 1.10": (get(version=b"HTTP/1.10"), 400, "bad_request_line", "9112 §2.3"),
    "version 2": (get(version=b"HTTP/2.0"), 505, "bad_version", "9110 §15.6.6"),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "bad_version", "9113 §3.4"),
    "version 0.9": (get(version=b"HTTP/0.9"), 505, "bad_version", "9110 §15.6.6"),
    "method with a colon": (b"GE:T / HTTP/1.1\r\n" + H + b"\r\n", 400, "bad_request_line", "9110 §9.1"),
    "method in lower case": (b"get / HTTP/1.1\r\n" + H + b"\r\n", 501, "unknown_method", "9110 §9.1"),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "control_byte", "9112 §3"),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + H + b"\r\n", 405, "method_not_allowed", "9110 §9.3.8"),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, "method_not_allowed", "9110 §9.3.6"),
    "expectation": (post(b"Expect: tea\r\nContent-Length: 3\r\n", b"abc"), 417, "bad_expect", "9110 §10.1.1"),
    # ---- limits
    "target too long": (get(target=b"/" + b"a" * 9_000), 414, "target_too_long", "9110 §15.5.15"),
    "line without end": (b"GET /" + b"a" * 40_000, 414, "target_too_long", "9110 §15.5.15"),
    "head too large": (get(b"X: " + b"a" * 40_000 + b"\r\n"), 431, "head_too_large", "6585 §5"),
    "head without end": (b"GET / HTTP/1.1\r\n" + b"X-Y: abc\r\n" * 5_000, 431, "head_too_large", "6585 §5"),
    "too many fields": (get(b"X: a\r\n" * 200), 431, "too_many_fields", "6585 §5"),
    # ---- chunked bodies that are wrong from the first chunk on
    "chunk size empty": (post(CHUNKED, b"\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size not hex": (post(CHUNKED, b"xyz\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size 0x5": (post(CHUNKED, b"0x5\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size +5": (post(CHUNKED, b"+5\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size -5": (post(CHUNKED, b"-5\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size 5_0": (post(CHUNKED, b"5_0\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size with space": (post(CHUNKED, b"5 \r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size after space": (post(CHUNKED, b" 5\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size of 2^64": (post(CHUNKED, b"10000000000000005\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size with LF": (post(CHUNKED, b"5\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size with CR": (post(CHUNKED, b"5\rhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk too long": (post(CHUNKED, b"4\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk too short": (post(CHUNKED, b"6\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk ends with LF": (post(CHUNKED, b"5\r\nhello\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk ends with CR": (post(CHUNKED, b"5\r\nhello\r0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "extension too long": (post(CHUNKED, b"5;a=" + b"b" * 2_000 + b"\r\nhello\r\n"), 400, "bad_chunk", "9112 §7.1.1"),
    "extension without name": (post(CHUNKED, b"5;=a\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.1"),
    "extension with LF": (post(CHUNKED, b"5;a\nb\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.1"),
    "extension with an open quote": (post(CHUNKED, b'5;a="\r\nhello\r\n0\r\n\r\n'), 400, "bad_chunk", "9112 §7.1.1"),
    "extension with NUL": (post(CHUNKED, b"5;a=\x00\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.1"),
    "trailer without colon": (post(CHUNKED, b"0\r\nnonsense\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.2"),
    "trailer with LF": (post(CHUNKED, b"0\r\nX: 1\nY: 2\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.2"),
    "trailer folded": (post(CHUNKED, b"0\r\nX: 1\r\n 2\r\n\r\n"), 400, "bad_chunk", "9112 §5.2"),
    "trailer too large": (post(CHUNKED, b"0\r\nX: " + b"a" * 9_000 + b"\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.2"),
    "last chunk with LF": (post(CHUNKED, b"0\n\n"), 400, "bad_chunk", "9112 §7.1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_request_is_answered_closed_and_never_forwarded(name, start, backend):
    request, status, reason, _source = REFUSED[name]
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reply = await talk(running.port, request + get(b"X-Smuggled: 1\r\n"))
    response = parsed(reply, "GET")
    assert (response.status, response.getheader("X-Gslb-Error")) == (status, reason)
    assert response.getheader("Connection") == "close"
    assert response.getheader("Content-Type") == "application/json"
    assert reply.count(b"\r\nDate: ") == 1  # what stood behind it is not taken for a request
    assert server.connections == 0
    assert server.heads == []
    assert running.count("gslb_http_refused_total", code=str(status)) == 1


@pytest.mark.parametrize("name", [name for name, row in REFUSED.items() if len(row[0]) < 2_000])
async def test_the_verdict_does_not_hang_on_how_the_bytes_arrive(name, start, backend):
    """Byte by byte the same status; a body that turns out wrong later must not have been passed off as whole."""
    request, status, _reason, _source = REFUSED[name]
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        for byte in request:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    reply = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert parsed(reply).status == status
    assert server.bodies == []


async def test_a_bad_chunk_behind_good_ones_breaks_the_request_off(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(post(CHUNKED, b"5\r\nhello\r\n"))
    await until(lambda: server.heads != [])
    writer.write(b"zz\r\nhello\r\n0\r\n\r\n" + get())
    status, fields, _ = await one_response(reader)
    assert (status, fields["x-gslb-error"]) == (400, "bad_chunk")
    assert await reader.read() == b""
    writer.close()
    await until(lambda: not server.writers)
    assert (len(server.heads), server.bodies) == (1, [])


async def test_a_slow_head_is_408_and_an_idle_connection_just_closes(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server]), timeouts=FAST))
    slow, idle = await asyncio.gather(talk(running.port, b"GET / HTTP/1.1\r\nHost: a"), talk(running.port, b""))
    assert parsed(slow).status == 408
    assert parsed(slow).getheader("X-Gslb-Error") == "request_timeout"
    assert idle == b""


async def test_a_slow_body_is_408(start, backend):
    server = await backend()
    running = await start(plan_of(pool_of([server]), timeouts=FAST))
    reply = await talk(running.port, post(b"Content-Length: 10\r\n", b"hello"))
    assert parsed(reply).status == 408
    assert server.bodies == []


async def test_dripping_a_head_does_not_extend_its_time(start, backend):
    running = await start(plan_of(pool_of([await backend()]), timeouts=FAST))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET / HTTP/1.1\r\n")

    async def drip() -> None:
        while True:
            writer.write(b"X: a\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        status, _, _ = await one_response(reader)
        assert status == 408
    finally:
        dripping.cancel()
        writer.close()


# Requests at the edge of what is allowed, and what of them the backend must see.
ACCEPTED = {
    "empty lines first": (b"\r\n\r\n\r\n" + get(), "GET / HTTP/1.1"),
    "empty line first": (b"\r\n" + get(), "GET / HTTP/1.1"),
    "absolute-form": (get(target=b"http://other.example:81/a?b"), "GET /a?b HTTP/1.1"),
    "absolute-form without path": (get(target=b"http://other.example"), "GET / HTTP/1.1"),
    "absolute-form with query alone": (get(target=b"HTTP://other.example?b"), "GET /?b HTTP/1.1"),
    "asterisk of OPTIONS": (b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", "OPTIONS * HTTP/1.1"),
    "absolute asterisk": (b"OPTIONS http://other.example HTTP/1.1\r\n" + H + b"\r\n", "OPTIONS * HTTP/1.1"),
    "version 1.0": (get(version=b"HTTP/1.0", host=b""), "GET / HTTP/1.1"),
    "version 1.5": (get(version=b"HTTP/1.5"), "GET / HTTP/1.1"),
    "odd but harmless target": (get(target=b'/{a|b}[c]"^`<>\\'), 'GET /{a|b}[c]"^`<>\\ HTTP/1.1'),
    "method nobody knows": (b"PURGE /x HTTP/1.1\r\n" + H + b"\r\n", "PURGE /x HTTP/1.1"),
    "IPv6 host": (get(host=b"Host: [::1]:80\r\n"), "GET / HTTP/1.1"),
    "no space after colons": (b"GET / HTTP/1.1\r\nHost:a\r\nX:\r\n\r\n", "GET / HTTP/1.1"),
    "bytes over 127 in a value": (get(b"X: caf\xe9\r\n"), "GET / HTTP/1.1"),
    "longest target": (get(target=b"/" + b"a" * 8_191), "GET /" + "a" * 8_191 + " HTTP/1.1"),
    "h2c is not taken up": (
        get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), "GET / HTTP/1.1",
    ),
    "HTTP/1.0 expectations are none": (b"GET / HTTP/1.0\r\nExpect: tea\r\n\r\n", "GET / HTTP/1.1"),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
async def test_a_request_at_the_edge_is_served(name, start, backend):
    request, line = ACCEPTED[name]
    server = await backend()
    running = await start(plan_of(pool_of([server])))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(request)
    status, _, body = await one_response(reader)
    writer.close()
    assert (status, body) == (200, b"ok")
    assert server.heads[0].decode("latin-1").split("\r\n")[0] == line
    assert b"h2c" not in server.heads[0]
    assert b"HTTP2" not in server.heads[0]
    if b"other.example" in request:
        expected = b"Host: other.example:81\r\n" if b":81" in request else b"Host: other.example\r\n"
        assert expected in server.heads[0]
        assert server.heads[0].count(b"\nHost:") == 1
