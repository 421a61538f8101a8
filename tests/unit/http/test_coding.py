"""For whom and of what responses are compressed; the streams, by independent decoders."""

import gzip
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.request import Request
from gslb.http.coding import Compression, coded_head
from gslb.http.heads import CHUNKED
from gslb.http.responses import UNTIL_CLOSE, parse_response
from gslb.model import CompressionRule

RULE = CompressionRule(types=frozenset({"text/*", "application/json"}))


def accepted(field, codings=("zstd", "gzip")):
    line = b"" if field is None else b"Accept-Encoding: " + field + b"\r\n"
    request = Request(b"GET", "a", b"/", b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n", b"192.0.2.1")
    return Compression(CompressionRule(codings=codings)).accepted(request)


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        (None, ""), (b"", ""), (b"identity", ""), (b"br", ""), (b"gzip", "gzip"), (b"GZIP", "gzip"),
        (b"gzip, deflate, br, zstd", "zstd"), (b"gzip;q=1.0, zstd;q=0.5", "gzip"), (b"zstd;q=0, gzip", "gzip"),
        (b"*", "zstd"), (b"*;q=0.1, gzip", "gzip"), (b"gzip;q=0", ""), (b"gzip; q=0.000", ""), (b"*, zstd;q=0", "gzip"),
        (b"gzip;q=2", ""), (b"gzip;q=x", ""), (b"x-gzip", ""),
        (b"gzip ; q=0.3 , zstd ;q=0.2", "gzip"), (b",,gzip,,", "gzip"),
    ],
)  # fmt: skip
def test_the_clients_wish_rfc_9110_12_5_3(field, coding):
    assert accepted(field) == coding


def test_equals_go_by_the_order_of_the_rule():
    assert accepted(b"zstd, gzip", ("gzip", "zstd")) == "gzip"


def test_a_long_field_is_read_so_far_only():
    assert accepted(b"br, " * 100 + b"gzip") == ""


def applies(head, length=5000, rule=RULE):
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n" + head + b"\r\n"
    return Compression(rule).applies(whole, parse_response(whole), length)


@pytest.mark.parametrize(
    ("head", "length", "wanted"),
    [
        (b"Content-Type: text/html; charset=utf-8\r\n", 5000, True),
        (b"content-type:application/json\r\n", CHUNKED, True),
        (b"Content-Type: TEXT/CSS\r\n", UNTIL_CLOSE, True),
        (b"Content-Type: text/html\r\n", 1023, False),
        (b"Content-Type: image/png\r\n", 5000, False),
        (b"Content-Type: application/jsonx\r\n", 5000, False),
        (b"", 5000, False),
        (b"X: 1\r\nContent-Type: text/html\r\nContent-Encoding: br\r\n", 5000, False),
        (b"Content-Type: text/html\r\nCache-Control: max-age=1, no-transform\r\n", 5000, False),
        (b"Content-Type: text/html\r\nContent-Digest: sha-256=:x:\r\n", 5000, False),
        (b"Content-Type: text/html\r\nContent-Range: bytes 0-1/2\r\n", 5000, False),
    ],
)
def test_what_is_compressed(head, length, wanted):
    assert applies(head, length) is wanted


@pytest.mark.parametrize(("status", "wanted"), [(200, True), (404, True), (206, False), (304, False), (302, False)])
def test_only_whole_representations(status, wanted):
    head = b"HTTP/1.1 %d X\r\nContent-Length: 5000\r\nContent-Type: text/html\r\n\r\n" % status
    assert Compression(RULE).applies(head, parse_response(head), 5000) is wanted


def test_the_head_says_what_was_done():
    head = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nAccept-Ranges: bytes\r\nVary: Cookie\r\n\r\n'
    coder = Compression(RULE).coder("gzip")
    coded = coded_head(head, coder)
    assert coded == (
        b'HTTP/1.1 200 OK\r\nETag: W/"x"\r\nVary: Cookie\r\nVary: Accept-Encoding\r\nContent-Encoding: gzip\r\n\r\n'
    )
    assert coded_head(head, None) == head[:-2] + b"Vary: Accept-Encoding\r\n\r\n"
    varied = b'HTTP/1.1 200 OK\r\nVary: Cookie, Accept-Encoding\r\nETag: W/"x"\r\n\r\n'
    assert coded_head(varied, None) == varied
    assert coded_head(varied, coder).count(b"W/") == 1


def decoder(name):
    """Of an independent kind: bytes in, all that can be known of the text out."""
    if name == "gzip":
        return zlib.decompressobj(wbits=31).decompress
    return zstandard.ZstdDecompressor().decompressobj().decompress


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@given(parts=st.lists(st.lists(st.binary(max_size=300), max_size=3), max_size=6), level=st.integers(1, 9))
def test_what_is_fed_comes_out_at_once(name, parts, level):
    coder = Compression(CompressionRule(level=level)).coder(name)
    decode, whole = decoder(name), b""
    for pieces in parts:
        coded = coder.feed([memoryview(piece) for piece in pieces])
        text = decode(coded) if coded else b""
        assert text == b"".join(pieces)
        whole += coded
    whole += coder.finish()
    text = b"".join(piece for pieces in parts for piece in pieces)
    assert (gzip.decompress(whole) if name == "gzip" else decoder(name)(whole)) == text


def test_it_shrinks():
    for name in ("gzip", "zstd"):
        coder = Compression(RULE).coder(name)
        assert len(coder.feed([b"hello world " * 1000]) + coder.finish()) < 200
