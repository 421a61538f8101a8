"""Chunked requests that are wrong from the first chunk on: RFC 9112 §7.1."""

from __future__ import annotations

from tests.support.malformed.rows import CHUNKED, Rows, post

CHUNKS: Rows = {
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
    "chunk size of NUL": (post(CHUNKED, b"\x005\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size in quotes": (post(CHUNKED, b'"5"\r\nhello\r\n0\r\n\r\n'), 400, "bad_chunk", "9112 §7.1"),
    "chunk size with a comma": (post(CHUNKED, b"5,\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size with a tab": (post(CHUNKED, b"5\t\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size h": (post(CHUNKED, b"5h\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size in other digits": (
        post(CHUNKED, "٥\r\nhello\r\n0\r\n\r\n".encode()), 400, "bad_chunk", "9112 §7.1",
    ),
    "chunk size of many zeros": (
        post(CHUNKED, b"0" * 40 + b"5\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1",
    ),
    "chunk size folded": (post(CHUNKED, b"5\r\n \r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk size with two CRs": (post(CHUNKED, b"5\r\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk ends with nothing": (post(CHUNKED, b"5\r\nhello0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "chunk ends with LF CR": (post(CHUNKED, b"5\r\nhello\n\r0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1"),
    "second chunk size not hex": (
        post(CHUNKED, b"1\r\na\r\nzz\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1",
    ),
    "second chunk negative": (
        post(CHUNKED, b"1\r\na\r\n-1\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1",
    ),
    "second chunk too short": (
        post(CHUNKED, b"1\r\na\r\n6\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1",
    ),
    "extension in the last chunk with LF": (
        post(CHUNKED, b"5\r\nhello\r\n0;a\nb\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.1",
    ),
    "extension with bare CR": (post(CHUNKED, b"5;a\rb\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.1"),
    "extension with a space in its name": (
        post(CHUNKED, b"5;a b\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.1",
    ),
    "extension empty": (post(CHUNKED, b"5;\r\nhello\r\n0\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.1"),
    "trailer without a name": (post(CHUNKED, b"0\r\n: a\r\n\r\n"), 400, "bad_chunk", "9112 §7.1.2"),
    "trailer with a space before the colon": (
        post(CHUNKED, b"0\r\nX : a\r\n\r\n"), 400, "bad_chunk", "9112 §5.1",
    ),
    "trailer with NUL": (post(CHUNKED, b"0\r\nX: a\x00\r\n\r\n"), 400, "bad_chunk", "9110 §5.5"),
    "trailer with bare CR": (post(CHUNKED, b"0\r\nX: a\rY: b\r\n\r\n"), 400, "bad_chunk", "9112 §2.2"),
    "trailer indented": (post(CHUNKED, b"0\r\n X: a\r\n\r\n"), 400, "bad_chunk", "9112 §5.2"),
    "too many trailers": (post(CHUNKED, b"0\r\n" + b"X: a\r\n" * 200 + b"\r\n"), 400, "bad_chunk", "6585 §5"),
    "a request in place of a chunk": (
        post(CHUNKED, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "bad_chunk", "9112 §7.1",
    ),
}  # fmt: skip
