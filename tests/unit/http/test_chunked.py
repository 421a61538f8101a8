"""The chunked coding: any split of the bytes gives the same, judged by the standard library's reader."""

from __future__ import annotations

import contextlib
import http.client
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.errors import HttpError
from gslb.http.chunked import SIZE_LINE_BYTES_MAX, TRAILER_BYTES_MAX, ChunkedBody


def decoded(framed: bytes) -> bytes:
    """The payload, as http.client reads it."""

    class Socket:
        def makefile(self, *_args: object) -> io.BytesIO:
            return io.BytesIO(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed)

    response = http.client.HTTPResponse(Socket())  # type: ignore[arg-type]  # only makefile is used
    response.begin()
    return response.read()


def run(data: bytes, cuts: list[int], payload_only: bool = False) -> tuple[bytes, int, bool]:
    """Feeds `data` cut at `cuts`; returns what was forwarded, how much was used, whether it is done."""
    body = ChunkedBody("client", payload_only)
    out, used, start = b"", 0, 0
    for cut in [*sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]:
        if body.done:
            break
        pieces, took = body.feed(data[start:cut])
        out += b"".join(pieces)
        used += took
        assert body.done or took == cut - start
        start = cut
    return out, used, body.done


EXTENSIONS = [b"", b";a", b";a=b", b' ; a = "b;\\"c"']


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A chunked body with extensions and trailers, and its payload."""
    framed, payload = b"", b""
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(chunk)
        framed += size + draw(st.sampled_from(EXTENSIONS)) + b"\r\n"
        framed += chunk + b"\r\n"
        payload += chunk
    trailers = draw(st.sampled_from([b"", b"X-Sum: 1\r\n", b"X-Sum: 1\r\nContent-Length: 5\r\nHost: b\r\n"]))
    return framed + draw(st.sampled_from([b"0", b"000", b"0;x"])) + b"\r\n" + trailers + b"\r\n", payload


@settings(max_examples=400, deadline=None)
@given(
    body=bodies(), rest=st.sampled_from([b"", b"GET / HTTP/1.1\r\n"]), cuts=st.lists(st.integers(1, 300), max_size=12)
)
def test_any_split_passes_the_same_payload(body, rest, cuts):
    framed, payload = body
    out, used, done = run(framed + rest, cuts)
    assert (used, done) == (len(framed), True)
    assert decoded(out) == payload
    assert b";" not in out.replace(payload, b"") or b";" in payload  # extensions are left out
    assert b"Content-Length" not in out or b"Content-Length" in payload  # which Hypothesis takes from this file
    assert (b"X-Sum: 1\r\n" in framed) == out.endswith(b"X-Sum: 1\r\n\r\n")
    bare, used, done = run(framed + rest, cuts, payload_only=True)
    assert (bare, used, done) == (payload, len(framed), True)


@settings(max_examples=100, deadline=None)
@given(body=bodies())
def test_byte_by_byte(body):
    framed, payload = body
    out, used, done = run(framed, list(range(len(framed))))
    assert (decoded(out), used, done) == (payload, len(framed), True)


def test_what_came_is_forwarded_without_a_copy():
    data = b"5\r\nhello\r\n6\r\n world\r\n"
    pieces, _ = ChunkedBody("client").feed(data)
    assert len(pieces) == 1
    assert pieces[0].obj is data


def test_a_chunk_end_is_not_held_back():
    """A reader of events must see the whole chunk before the next one is there."""
    body = ChunkedBody("server")
    assert b"".join(body.feed(b"5\r\nhello\r\n")[0]) == b"5\r\nhello\r\n"


BAD = [
    b"\r\n",
    b"g\r\n",
    b"0x5\r\n",
    b"+5\r\n",
    b" 5\r\n",
    b"5 \r\n",
    b"5\n",
    b"5\rx",
    b"1234567890abcdef\r\n",
    b"5;\r\n",
    b"5;=\r\n",
    b"5;a=\x00\r\n",
    b'5;a="\r\n',
    b"5\r\nhelloX",
    b"5\r\nhello\n",
    b"5\r\nhello\rX",
    b"0\r\nnonsense\r\n\r\n",
    b"0\r\n a: b\r\n\r\n",
    b"0\r\na : b\r\n\r\n",
    b"0\r\na: b\nc: d\r\n\r\n",
    b"0\r\n\n",
    b"-0\r\n",
    b"5,\r\n",
    b"5;a=" + b"b" * SIZE_LINE_BYTES_MAX + b"\r\n",
    b"5;a=" + b"b" * (SIZE_LINE_BYTES_MAX + 1),
    b"0\r\na: " + b"b" * TRAILER_BYTES_MAX + b"\r\n\r\n",
    b"0\r\na: " + b"b" * (TRAILER_BYTES_MAX + 1),
    b"0\r\n" + b"a: b\r\n" * 200 + b"\r\n",
]


@pytest.mark.parametrize("data", BAD)
@pytest.mark.parametrize("before", [b"", b"3\r\nabc\r\n"])
@pytest.mark.parametrize("blame", ["client", "server"])
def test_what_is_not_by_the_book_is_refused(data, before, blame):
    for cuts in ([], list(range(len(before + data)))):
        body = ChunkedBody(blame)
        whole = before + data
        with pytest.raises(HttpError) as caught:  # noqa: PT012 - which of the pieces raises is not the point
            for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
                if start < end:
                    body.feed(whole[start:end])
        assert (caught.value.status, caught.value.reason) == ({"client": 400, "server": 502}[blame], "bad_chunk")
        assert caught.value.blame == blame


@settings(max_examples=600, deadline=None)
@given(data=st.binary(max_size=60), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_nothing_but_http_error_comes_out(data, cuts):
    with contextlib.suppress(HttpError):
        run(b"5\r\nhello\r\n" + data, cuts)
