"""Requests at the edge of what is allowed, and what of them the backend must see."""

from __future__ import annotations

from tests.support.malformed.rows import CHUNKED, H, get, line, post

# name -> request, the request line that the backend must see
ALLOWED: dict[str, tuple[bytes, str]] = {
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
    "asterisk of OPTIONS with a length": (
        b"OPTIONS * HTTP/1.1\r\n" + H + b"Content-Length: 0\r\n\r\n", "OPTIONS * HTTP/1.1",
    ),
    "dot segments": (get(target=b"/a/../b/./c"), "GET /a/../b/./c HTTP/1.1"),
    "dot segments above the root": (get(target=b"/../a"), "GET /../a HTTP/1.1"),
    "encoded dot segments": (get(target=b"/%2e%2e/a"), "GET /%2e%2e/a HTTP/1.1"),
    "encoded slash": (get(target=b"/a%2Fb"), "GET /a%2Fb HTTP/1.1"),
    "encoded line end": (get(target=b"/a%0d%0aX:%20y"), "GET /a%0d%0aX:%20y HTTP/1.1"),
    "two slashes": (get(target=b"//a.example//b"), "GET //a.example//b HTTP/1.1"),
    "query of question marks": (get(target=b"/??a?b"), "GET /??a?b HTTP/1.1"),
    "target of a URL in the query": (get(target=b"/?u=http://b.example/"), "GET /?u=http://b.example/ HTTP/1.1"),
    "absolute-form in capitals": (get(target=b"HTTP://A.EXAMPLE/"), "GET / HTTP/1.1"),
    "absolute-form with another Host": (get(target=b"http://b.example/"), "GET / HTTP/1.1"),
    "absolute-form in HTTP/1.0": (get(target=b"http://b.example/", version=b"HTTP/1.0", host=b""), "GET / HTTP/1.1"),
    "Host with an empty port": (get(host=b"Host: a.example:\r\n"), "GET / HTTP/1.1"),
    "Host with a trailing dot": (get(host=b"Host: a.example.\r\n"), "GET / HTTP/1.1"),
    "Host with an underscore": (get(host=b"Host: a_b.example\r\n"), "GET / HTTP/1.1"),
    "Host in capitals": (get(host=b"HOST: A.EXAMPLE\r\n"), "GET / HTTP/1.1"),
    "tabs around a value": (get(b"X:\t a \t\r\n"), "GET / HTTP/1.1"),
    "tab within a value": (get(b"X: a\tb\r\n"), "GET / HTTP/1.1"),
    "odd but valid name": (get(b"!#$%&'*+-.^_`|~9: a\r\n"), "GET / HTTP/1.1"),
    "value of colons": (get(b"X: :a:b:\r\n"), "GET / HTTP/1.1"),
    "connection with empty elements": (get(b"Connection: , ,keep-alive,\r\n"), "GET / HTTP/1.1"),
    "connection names a field that is not there": (get(b"Connection: x-gone\r\n"), "GET / HTTP/1.1"),
    "version 1.9": (get(version=b"HTTP/1.9"), "GET / HTTP/1.1"),
    "method with a hyphen": (line(b"VERSION-CONTROL / HTTP/1.1"), "VERSION-CONTROL / HTTP/1.1"),
    "length with a tab": (post(b"Content-Length:\t5\r\n", b"hello"), "POST / HTTP/1.1"),
    "length with zeros": (post(b"Content-Length: 005\r\n", b"hello"), "POST / HTTP/1.1"),
    "length in other case": (post(b"cONTENT-lENGTH: 5\r\n", b"hello"), "POST / HTTP/1.1"),
    "length of GET": (get(b"Content-Length: 5\r\n") + b"hello", "GET / HTTP/1.1"),
    "no length of POST": (post(b""), "POST / HTTP/1.1"),
    "coding in capitals": (post(b"Transfer-Encoding: CHUNKED\r\n", b"5\r\nhello\r\n0\r\n\r\n"), "POST / HTTP/1.1"),
    "coding of GET": (get(CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n", "GET / HTTP/1.1"),
    "chunk size in capitals": (post(CHUNKED, b"A\r\nhellohello\r\n0\r\n\r\n"), "POST / HTTP/1.1"),
    "chunk size with zeros": (post(CHUNKED, b"005\r\nhello\r\n000\r\n\r\n"), "POST / HTTP/1.1"),
    "chunk extensions": (post(CHUNKED, b'5;a;b=c;d="e;\\"f"\r\nhello\r\n0;z\r\n\r\n'), "POST / HTTP/1.1"),
    "trailers that may pass": (post(CHUNKED, b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "POST / HTTP/1.1"),
    "trailers that frame": (
        post(CHUNKED, b"5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n"), "POST / HTTP/1.1",
    ),
    "trailers that route": (post(CHUNKED, b"5\r\nhello\r\n0\r\nHost: b.example\r\n\r\n"), "POST / HTTP/1.1"),
    "a waiting client": (post(b"Expect: 100-Continue\r\nContent-Length: 5\r\n", b"hello"), "POST / HTTP/1.1"),
}  # fmt: skip
# of ALLOWED: the body that the backend must see; all others have none
BODIES = {
    name: b"hellohello" if name == "chunk size in capitals" else b"hello"
    for name, (request, _) in ALLOWED.items()
    if b"hello" in request
}
