"""PROXY protocol headers, both versions: what is written is read back, in pieces, and nothing beyond it is taken."""

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import HttpError
from gslb.http.proxy_protocol import V1_BYTES_MAX, V2_BODY_BYTES_MAX, Ends, Header, encode, parse_v1, parse_v2

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
PORTS = st.integers(0, 65_535)
PAIRS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)


def taken(stream: bytes, sizes=None) -> tuple[Ends | None, bytes]:
    """The header at the start of `stream`, seen in pieces of these sizes, and what was left in the socket."""
    header, at, sizes = Header(), 0, list(sizes or [])
    while header.ends is None:
        seen = stream[at : at + (sizes.pop() if sizes else 5000)]
        if not seen:
            break
        length = header.take(seen)
        assert 0 < length <= len(seen), "progress, or the loop would spin"
        at += length
    return header.ends, stream[at:]


@given(pair=PAIRS, ports=st.tuples(PORTS, PORTS), version=st.sampled_from(["v1", "v2"]), rest=st.binary(max_size=300),
       sizes=st.lists(st.integers(1, 30)))  # fmt: skip
def test_what_is_written_is_read_back_and_not_a_byte_more(pair, ports, version, rest, sizes):
    ends = Ends(str(pair[0]), ports[0], str(pair[1]), ports[1])
    assert taken(encode(version, ends) + rest, sizes) == (ends, rest)


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_wait_name_or_refuse(data):
    ends, left = None, b""
    with contextlib.suppress(HttpError):  # and nothing else may come out
        ends, left = taken(data)
    assert ends is not None or left == b""


@given(st.binary(max_size=60), st.integers(0, 255), st.integers(0, 255))
def test_no_binary_header_is_read_wrongly(body, command, family):
    data = SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body
    try:
        ends, left = taken(data + b"GET")
    except HttpError:
        return
    assert left == b"GET"
    assert ends is not None
    assert command in (0x20, 0x21)
    assert not ends.source or ipaddress.ip_address(ends.source)


# The examples of the specification, §2.1 and §2.2, and of HAProxy's own tests.
@pytest.mark.parametrize(
    ("line", "ends"),
    [
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
         Ends("255.255.255.255", 65535, "255.255.255.255", 65535)),
        (b"PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", Ends("2001:db8::1", 1, "2001:db8::2", 2)),
        (b"PROXY UNKNOWN\r\n", Ends()),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", Ends()),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", None),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", None),
        (b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", None),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", None),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", None),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", None),
        (b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", None),
        (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", None),
        (b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", None),
        (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", None),
        (b"PROXY TCP4 192.0.2.1\xff 192.0.2.2 1 2\r\n", None),
        (b"PROXY\r\n", None),
    ],
)  # fmt: skip
def test_lines(line, ends):
    if ends is None:
        with pytest.raises(HttpError):
            parse_v1(line)
    else:
        assert parse_v1(line) == ends


V4 = bytes((192, 0, 2, 1, 192, 0, 2, 2, 0, 80, 1, 187))


@pytest.mark.parametrize(
    ("command", "family", "body", "ends"),
    [
        (0x21, 0x11, V4, Ends("192.0.2.1", 80, "192.0.2.2", 443)),
        (0x21, 0x11, V4 + b"\x04\x00\x02hi", Ends("192.0.2.1", 80, "192.0.2.2", 443)),  # TLVs are passed over
        (0x20, 0x11, V4, Ends()),  # LOCAL: the proxy speaks for itself
        (0x20, 0x00, b"", Ends()),
        (0x21, 0x00, b"whatever", Ends()),
        (0x21, 0x31, bytes(216), Ends()),  # Unix sockets
        (0x21, 0x12, V4, Ends()),  # datagrams
        (0x21, 0x11, V4[:-1], None),
        (0x21, 0x21, V4, None),
        (0x22, 0x11, V4, None),
        (0x11, 0x11, V4, None),
    ],
)
def test_binary_headers(command, family, body, ends):
    data = SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body
    if ends is None:
        with pytest.raises(HttpError):
            parse_v2(data)
    else:
        assert parse_v2(data) == ends


def test_headers_are_bounded():
    assert len(encode("v1", Ends("f" * 4 + ":ffff" * 7, 65535, "f" * 4 + ":ffff" * 7, 65535))) <= V1_BYTES_MAX
    for data in (b"PROXY UNKNOWN" + b"x" * 200, SIGNATURE + b"\x21\x11" + (V2_BODY_BYTES_MAX + 1).to_bytes(2, "big")):
        with pytest.raises(HttpError, match="too long"):
            taken(data)


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\r\n\r\nGET", b"PROXIES", b"proxy TCP4", b" "]
)
def test_what_is_no_header_is_refused_at_once(first):
    with pytest.raises(HttpError) as refused:
        Header().take(first)
    assert refused.value.reason == "bad_proxy_header"


def test_addresses_of_two_families_and_none():
    mixed = Ends("192.0.2.1", 1, "2001:db8::1", 2)
    assert parse_v1(encode("v1", mixed)) == Ends("::ffff:c000:201", 1, "2001:db8::1", 2)
    for version in ("v1", "v2"):
        assert taken(encode(version, Ends()))[0] == Ends()
