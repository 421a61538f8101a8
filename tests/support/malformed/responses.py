"""Servers' answers that break HTTP: bad heads (502, nothing of them passes) and bodies that end or go wrong later.

RFC 9112 §2 to §8, RFC 9110 §5, §7.6.1, §8.6, §15.
"""

from __future__ import annotations

from tests.support.malformed.rows import CHUNKED

DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def reply(fields: bytes = b"", body: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return line + b"\r\n" + DATE + fields + b"\r\n" + body


# name -> what the server sends, where the rule stands
BAD_HEADS: dict[str, tuple[bytes, str]] = {
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "9112 §4"),
    "HTTP/0.9": (b"<html>hello</html>", "9112 §4"),
    "HTTP/2": (b"HTTP/2.0 200 OK\r\n\r\n", "9112 §2.3"),
    "no code": (b"HTTP/1.1 OK\r\n\r\n", "9112 §4"),
    "code of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "9112 §4"),
    "code of four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", "9112 §4"),
    "code 600": (b"HTTP/1.1 600 What\r\n\r\n", "9112 §4"),
    "code 000": (b"HTTP/1.1 000 What\r\n\r\n", "9112 §4"),
    "control byte in the reason": (b"HTTP/1.1 200 O\x00K\r\n\r\n", "9112 §4"),
    "bare LF": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\nHTTP/1.1 200 OK\r\n\r\n", "9112 §2.2"),
    "bare CR in a value": (reply(b"X: a\rb\r\n"), "9112 §2.2"),
    "obs-fold": (reply(b"X: a\r\n b\r\n"), "9112 §5.2"),
    "space before a colon": (reply(b"Content-Length : 2\r\n", b"ok"), "9112 §5.1"),
    "no colon": (reply(b"nonsense\r\n"), "9112 §5"),
    "NUL in a value": (reply(b"X: a\x00\r\n"), "9110 §5.5"),
    "length and coding": (reply(b"Content-Length: 2\r\n" + CHUNKED, b"0\r\n\r\n"), "9110 §8.6"),
    "coding and length": (reply(CHUNKED + b"Content-Length: 2\r\n", b"0\r\n\r\n"), "9112 §6.3"),
    "two lengths": (reply(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"ok"), "9110 §8.6"),
    "two equal lengths": (reply(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"ok"), "9110 §8.6"),
    "length +2": (reply(b"Content-Length: +2\r\n", b"ok"), "9110 §8.6"),
    "length 2, 2": (reply(b"Content-Length: 2, 2\r\n", b"ok"), "9110 §8.6"),
    "length empty": (reply(b"Content-Length:\r\n", b"ok"), "9110 §8.6"),
    "length negative": (reply(b"Content-Length: -1\r\n", b"ok"), "9110 §8.6"),
    "two codings": (reply(CHUNKED + CHUNKED, b"0\r\n\r\n"), "9112 §6.1"),
    "coding gzip": (reply(b"Transfer-Encoding: gzip\r\n", b"ok"), "9112 §6.1"),
    "coding gzip, chunked": (reply(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), "9112 §6.1"),
    "coding in HTTP/1.0": (reply(CHUNKED, b"0\r\n\r\n", b"HTTP/1.0 200 OK"), "9112 §6.1"),
    "connection names the length": (
        reply(b"Connection: content-length\r\nContent-Length: 2\r\n", b"ok"), "9110 §7.6.1",
    ),
    "switching unasked": (reply(b"Upgrade: websocket\r\n", line=b"HTTP/1.1 101 Switching Protocols"), "9110 §15.2.2"),
    "head too large": (reply(b"X: " + b"a" * 60_000 + b"\r\n"), "6585 §5"),
    "too many fields": (reply(b"X: a\r\n" * 200 + b"Content-Length: 2\r\n", b"ok"), "6585 §5"),
    "endless interim responses": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50, "9110 §15.2"),
    "code negative": (b"HTTP/1.1 -20 OK\r\n\r\n", "9112 §4"),
    "code with letters": (b"HTTP/1.1 2OO OK\r\n\r\n", "9112 §4"),
    "code 099": (b"HTTP/1.1 099 OK\r\n\r\n", "9112 §4"),
    "tab before the code": (b"HTTP/1.1\t200 OK\r\n\r\n", "9112 §4"),
    "two spaces before the code": (b"HTTP/1.1  200 OK\r\n\r\n", "9112 §4"),
    "space before the version": (b" HTTP/1.1 200 OK\r\n\r\n", "9112 §4"),
    "version in lower case": (b"http/1.1 200 OK\r\n\r\n", "9112 §2.3"),
    "version 1.2": (b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", "9112 §2.3"),
    "line break before the head": (b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "9112 §2.2"),
    "bare CR in the reason": (b"HTTP/1.1 200 O\rK\r\n\r\n", "9112 §2.2"),
    "DEL in the reason": (b"HTTP/1.1 200 O\x7fK\r\n\r\n", "9112 §4"),
    "NUL in a name": (reply(b"X\x00: a\r\n"), "9110 §5.1"),
    "control byte in a value": (reply(b"X: a\x1b[0m\r\n"), "9110 §5.5"),
    "space in a name": (reply(b"X Y: a\r\n"), "9110 §5.1"),
    "name empty": (reply(b": a\r\n"), "9110 §5.1"),
    "byte over 127 in a name": (reply(b"X\xe9: a\r\n"), "9110 §5.1"),
    "bare LF between fields": (reply(b"X: a\nY: b\r\n"), "9112 §2.2"),
    "bare LF ends the head": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\nHTTP/1.1 200 OK\r\n\r\n", "9112 §2.2"),
    "obs-fold of the length": (reply(b"Content-Length:\r\n 2\r\n", b"ok"), "9112 §5.2"),
    "space before the coding's colon": (reply(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), "9112 §5.1"),
    "length 0x2": (reply(b"Content-Length: 0x2\r\n", b"ok"), "9110 §8.6"),
    "length with a unit": (reply(b"Content-Length: 2 bytes\r\n", b"ok"), "9110 §8.6"),
    "length beyond any body": (reply(b"Content-Length: 99999999999999999999\r\n", b"ok"), "9110 §8.6"),
    "length twice in other case": (reply(b"Content-Length: 2\r\ncontent-length: 2\r\n", b"ok"), "9110 §8.6"),
    "coding empty": (reply(b"Transfer-Encoding:\r\n", b"ok"), "9112 §6.1"),
    "coding identity": (reply(b"Transfer-Encoding: identity\r\n", b"ok"), "9112 §6.1"),
    "coding chunked, gzip": (reply(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"), "9112 §6.1"),
    "coding chunked twice in a field": (reply(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), "9112 §6.1"),
    "coding with a parameter": (reply(b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n"), "9112 §6.1"),
    "coding in quotes": (reply(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), "9112 §6.1"),
    "connection names the coding": (reply(b"Connection: transfer-encoding\r\n" + CHUNKED, b"0\r\n\r\n"), "9110 §7.6.1"),
    "connection is no list": (reply(b"Connection: a b\r\nContent-Length: 2\r\n", b"ok"), "9110 §7.6.1"),
    "switching without an upgrade": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "9110 §15.2.2"),
    "a request": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "9112 §4"),
    "a bad head behind an interim one": (
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX : a\r\n\r\n", "9110 §15.2",
    ),
    "an interim head that is bad": (b"HTTP/1.1 103 Early Hints\r\nX : a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "9110 §15.2"),
}  # fmt: skip

# each begins well
TRUNCATED: dict[str, tuple[bytes, str]] = {
    "length": (reply(b"Content-Length: 10\r\n", b"hello"), "9112 §8"),
    "length, no byte": (reply(b"Content-Length: 10\r\n"), "9112 §8"),
    "chunked, within a chunk": (reply(CHUNKED, b"a\r\nhello"), "9112 §7.1"),
    "chunked, between chunks": (reply(CHUNKED, b"5\r\nhello\r\n"), "9112 §7.1"),
    "chunked, within the size": (reply(CHUNKED, b"5\r\nhello\r\n1"), "9112 §7.1"),
    "chunked, before the last line": (reply(CHUNKED, b"5\r\nhello\r\n0\r\n"), "9112 §7.1.2"),
    "chunked, bad size": (reply(CHUNKED, b"5\r\nhello\r\nxyz\r\n"), "9112 §7.1"),
    "chunked, bad end": (reply(CHUNKED, b"5\r\nhelloXX0\r\n\r\n"), "9112 §7.1"),
    "chunked, bad trailer": (reply(CHUNKED, b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n"), "9112 §7.1.2"),
    "length beyond the end, large": (reply(b"Content-Length: 1000000\r\n", b"h" * 100_000), "9112 §8"),
    "chunked, no byte": (reply(CHUNKED), "9112 §7.1"),
    "chunked, size negative": (reply(CHUNKED, b"5\r\nhello\r\n-1\r\n"), "9112 §7.1"),
    "chunked, size with LF": (reply(CHUNKED, b"5\r\nhello\r\n5\nhello\r\n0\r\n\r\n"), "9112 §7.1"),
    "chunked, size too large": (reply(CHUNKED, b"5\r\nhello\r\n" + b"f" * 17 + b"\r\nx"), "9112 §7.1"),
    "chunked, size with space": (reply(CHUNKED, b"5\r\nhello\r\n5 \r\nhello\r\n0\r\n\r\n"), "9112 §7.1"),
    "chunked, extension with LF": (reply(CHUNKED, b"5\r\nhello\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"), "9112 §7.1.1"),
    "chunked, extension too long": (
        reply(CHUNKED, b"5\r\nhello\r\n5;a=" + b"b" * 3_000 + b"\r\nhello\r\n0\r\n\r\n"), "9112 §7.1.1",
    ),
    "chunked, chunk too long": (reply(CHUNKED, b"5\r\nhello\r\n4\r\nhello\r\n0\r\n\r\n"), "9112 §7.1"),
    "chunked, trailer with bare CR": (reply(CHUNKED, b"5\r\nhello\r\n0\r\nX: a\rb\r\n\r\n"), "9112 §7.1.2"),
    "chunked, trailer folded": (reply(CHUNKED, b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"), "9112 §7.1.2"),
    "chunked, trailers too large": (
        reply(CHUNKED, b"5\r\nhello\r\n0\r\nX: " + b"a" * 9_000 + b"\r\n\r\n"), "9112 §7.1.2",
    ),
}  # fmt: skip
