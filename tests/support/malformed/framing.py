"""Requests whose framing is wrong or could be read in two ways: RFC 9112 §6, RFC 9110 §8.6."""

from __future__ import annotations

from tests.support.malformed.rows import CHUNKED, H, Rows, get, post

FRAMING: Rows = {
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
    "length and coding in HTTP/1.0": (
        b"POST / HTTP/1.0\r\n" + H + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400, "length_and_coding",
        "9112 §6.1",
    ),
    "length is a comma": (post(b"Content-Length: ,\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length in quotes": (post(b'Content-Length: "5"\r\n', b"hello"), 400, "bad_length", "9110 §8.6"),
    "length with a comment": (post(b"Content-Length: 5 (five)\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length with a parameter": (post(b"Content-Length: 5;q=1\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length with an exponent": (post(b"Content-Length: 1e1\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length with an underscore within": (post(b"Content-Length: 1_0\r\n", b"hello"), 400, "bad_length", "9110 §8.6"),
    "length folded": (post(b"Content-Length:\r\n 5\r\n", b"hello"), 400, "obs_fold", "9112 §5.2"),
    "length with NUL": (post(b"Content-Length: 5\x00\r\n", b"hello"), 400, "control_byte", "9110 §5.5"),
    "length with vertical tab": (post(b"Content-Length:\x0b5\r\n", b"hello"), 400, "control_byte", "9110 §5.5"),
    "length with CR": (post(b"Content-Length: 5\rX: y\r\n", b"hello"), 400, "bare_line_end", "9112 §2.2"),
    "length with tab before the colon": (
        post(b"Content-Length\t: 5\r\n", b"hello"), 400, "space_before_colon", "9112 §5.1",
    ),
    "length behind an indented line": (
        post(b" Content-Length: 5\r\n", b"hello"), 400, "obs_fold", "9112 §5.2",
    ),
    "length twice, once in other case": (
        post(b"Content-Length: 5\r\ncontent-length: 0\r\n", b"hello"), 400, "doubled_field", "9112 §6.3",
    ),
    "length beside its alias": (
        post(b"Content-Length: 5\r\nContent_Length: 0\r\n", b"hello"), 400, "field_alias", "smuggling, CGI names",
    ),
    "length of GET twice": (
        get(b"Content-Length: 5\r\nContent-Length: 5\r\n"), 400, "doubled_field", "9110 §8.6",
    ),
    "length of GET beside a coding": (
        get(b"Content-Length: 5\r\n" + CHUNKED), 400, "length_and_coding", "9112 §6.1",
    ),
    "coding beside its alias": (
        post(CHUNKED + b"Transfer_Encoding: identity\r\n", b"0\r\n\r\n"), 400, "field_alias", "smuggling",
    ),
    "coding with a trailing comma": (post(b"Transfer-Encoding: chunked,\r\n"), 400, "unknown_coding", "9112 §6.1"),
    "coding behind an empty element": (
        post(b"Transfer-Encoding: , chunked\r\n"), 501, "unknown_coding", "9110 §5.6.1",
    ),
    "coding with a space within": (post(b"Transfer-Encoding: chun ked\r\n"), 400, "unknown_coding", "9112 §7"),
    "coding with a line break in it": (post(b"Transfer-Encoding: chu\r\nnked\r\n"), 400, "bad_field", "9112 §5"),
    "coding with NUL": (post(b"Transfer-Encoding: chunked\x00\r\n"), 400, "control_byte", "9110 §5.5"),
    "coding with form feed": (post(b"Transfer-Encoding: chunked\x0c\r\n"), 400, "control_byte", "9110 §5.5"),
    "coding with a byte over 127": (post(b"Transfer-Encoding: chunked\xa0\r\n"), 400, "unknown_coding", "9112 §6.1"),
    "coding behind bare LF": (post(b"X: y\nTransfer-Encoding: chunked\r\n"), 400, "bare_line_end", "9112 §2.2"),
    "coding behind bare CR": (post(b"X: y\rTransfer-Encoding: chunked\r\n"), 400, "bare_line_end", "9112 §2.2"),
    "coding named by Connection": (
        post(b"Connection: Transfer-Encoding\r\n" + CHUNKED, b"0\r\n\r\n"), 400, "bad_connection", "9110 §7.6.1",
    ),
    "coding gzip, with a length": (
        post(b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", b"hello"), 400, "length_and_coding", "9112 §6.1",
    ),
    "coding identity, with a length": (
        post(b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", b"hello"), 400, "length_and_coding", "9112 §6.1",
    ),
    "coding empty, with a length": (
        post(b"Transfer-Encoding:\r\nContent-Length: 5\r\n", b"hello"), 400, "length_and_coding", "9112 §6.1",
    ),
    "coding in two fields, identity first": (
        post(b"Transfer-Encoding: identity\r\n" + CHUNKED, b"0\r\n\r\n"), 400, "doubled_field", "9112 §6.1",
    ),
    "expectation twice": (
        post(b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 3\r\n", b"abc"), 400, "doubled_field",
        "9110 §5.3",
    ),
    "expectation beside another": (
        post(b"Expect: 100-continue, tea\r\nContent-Length: 3\r\n", b"abc"), 417, "bad_expect", "9110 §10.1.1",
    ),
    "expectation named by Connection": (
        post(b"Connection: Expect\r\nExpect: 100-continue\r\nContent-Length: 3\r\n", b"abc"), 400, "bad_connection",
        "9110 §7.6.1",
    ),
}  # fmt: skip
