"""What of a head is forwarded, what is left out, what is added (RFC 9110 §7.6). Pure; only the proxy calls it.

Requests: hop-by-hop fields go, X-Forwarded-*, Forwarded, Via and X-Request-Id are added, or extended where a trusted
proxy sent them. Responses: hop-by-hop fields go, framing is said anew where it changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gslb.http.heads import CHUNKED, Field, RequestHead
from gslb.http.responses import ResponseHead, bad_response

VIA = b"1.1 gslb"
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}").fullmatch
_NEVER = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te upgrade x-gslb-hop".split(),
)
_REPLACED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id"})


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a client's connection: its address as text, whether its word is believed."""

    address: bytes
    trusted: bool
    scheme: bytes = b"http"


# ---------------------------------------------------------------- requests
def is_plain(head: RequestHead) -> bool:
    """Whether the head may be forwarded as it came, with only `plain_suffix` added: true of most requests."""
    if head.absolute or head.minor != 1 or head.close or head.options:
        return False
    for name, value, _, _ in head.specials:
        if name in (b"host", b"content-length"):
            continue
        if name == b"connection" and value.lower() == b"keep-alive":
            continue  # what we would say ourselves
        if name == b"transfer-encoding" and value == b"chunked":
            continue
        return False
    return True


def plain_suffix(peer: Peer, host: bytes, id_prefix: bytes) -> bytes:
    """What follows the field lines of a plain request, up to where the request's own number goes."""
    return _forwarding(peer, host, {}) + b"X-Request-Id: " + id_prefix


def request_head(
    data: bytes, head: RequestHead, peer: Peer, default_host: bytes, request_id: bytes, upgrade: bytes = b""
) -> bytes:
    """The head to send to a server, whatever the client's was like.

    `default_host` stands in for the Host that an HTTP/1.0 client need not send; `upgrade` lists the protocols that the
    server may switch to.
    """
    dropped = [field for field in head.specials if _is_dropped(field.name, head, peer)]
    believed: dict[bytes, bytes] = {}
    if peer.trusted:
        for name, value, _, _ in dropped:
            if name in _REPLACED:
                believed[name] = believed[name] + b", " + value if name in believed else value
    lines = [head.method + b" " + head.target + b" HTTP/1.1\r\n"]
    host = head.host or default_host
    if head.absolute or not head.host:
        lines.append(b"Host: " + host + b"\r\n")
    lines += _kept_lines(data, data.index(b"\r\n") + 2, head.end - 2, dropped, head.options)
    if head.trailers:
        lines.append(b"TE: trailers\r\nConnection: TE\r\n")
    if upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n")
    if head.length == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    lines.append(_forwarding(peer, host, believed))
    lines.append(b"X-Request-Id: " + request_id + b"\r\n\r\n")
    return b"".join(lines)


def believed_request_id(head: RequestHead, peer: Peer) -> bytes | None:
    """The id that a trusted proxy gave the request, if it is one that may be repeated in a field."""
    if peer.trusted:
        for field in head.specials:
            if field.name == b"x-request-id" and _REQUEST_ID(field.value):
                return field.value
    return None


def _is_dropped(name: bytes, head: RequestHead, peer: Peer) -> bool:
    """Whether a special field's line is left out (what is said anew is left out first)."""
    if name in _NEVER or name in _REPLACED or name == b"transfer-encoding" or b"_" in name:
        return True
    if name == b"host":
        return head.absolute
    if name == b"expect":
        return not head.continues
    if name == b"trailer":
        return head.length != CHUNKED
    return not peer.trusted and name != b"content-length"  # x-real-ip, other x-forwarded-*


def _forwarding(peer: Peer, host: bytes, believed: dict[bytes, bytes]) -> bytes:
    """The lines that say where the request comes from (RFC 7239, and the X- fields that came before it)."""
    node = b'"[' + peer.address + b']"' if b":" in peer.address else peer.address
    element = b"for=%b;host=%b;proto=%b" % (node, b'"' + host + b'"' if b":" in host else host, peer.scheme)
    chain = believed[b"x-forwarded-for"] + b", " if b"x-forwarded-for" in believed else b""
    elements = believed[b"forwarded"] + b", " if b"forwarded" in believed else b""
    return b"".join(
        (
            b"X-Forwarded-For: ", chain, peer.address,
            b"\r\nX-Forwarded-Proto: ", believed.get(b"x-forwarded-proto", peer.scheme),
            b"\r\nX-Forwarded-Host: ", believed.get(b"x-forwarded-host", host),
            b"\r\nForwarded: ", elements, element,
            b"\r\nVia: ", VIA, b"\r\n",
        )
    )  # fmt: skip


def _kept_lines(data: bytes, start: int, end: int, dropped: list[Field], options: frozenset[bytes]) -> list[bytes]:
    """The field lines of data[start:end] without the dropped ones and without those that Connection names."""
    pieces = []
    for field in dropped:
        pieces.append(data[start : field.start])
        start = field.end
    pieces.append(data[start:end])
    if not options:
        return pieces
    lines = b"".join(pieces).split(b"\r\n")[:-1]
    return [line + b"\r\n" for line in lines if line.partition(b":")[0].lower() not in options]


# ---------------------------------------------------------------- switching protocols
def upgrades(head: RequestHead, allowed: frozenset[bytes]) -> bytes:
    """The protocols that the client asks for and the server may switch to (RFC 9110 §7.8); b"" if it may to none.

    A request with a body is served without: nobody could tell where the body ends and the new protocol begins.
    """
    if not head.upgrade or head.length != 0:
        return b""
    asked = (protocol.strip(b" \t") for protocol in head.upgrade.split(b","))
    return b", ".join(protocol for protocol in asked if protocol in allowed)


def switch_head(data: bytes, head: ResponseHead, offered: bytes) -> bytes:
    """The 101 to send to the client. Raises HttpError (502) if the server switches to what it was not offered."""
    if not head.upgrade or head.upgrade not in offered.split(b", "):
        raise bad_response("the server switches to a protocol that was not asked for")
    fields = response_head(data, head, None, False, b"")[:-2]
    return fields + b"Connection: Upgrade\r\nUpgrade: " + head.upgrade + b"\r\n\r\n"


# ---------------------------------------------------------------- responses
def response_head(data: bytes, head: ResponseHead, length: int | None, close: bool, date: bytes) -> bytes:
    """The head to send to the client.

    `length` says how the body will be framed for it: CHUNKED, a number of bytes, UNTIL_CLOSE, or None where no body
    follows and the server's own fields are repeated (HEAD, 304). `date` is added if the server sent none.
    """
    no_length = head.status < 200 or head.status == 204  # RFC 9110 §8.6: must not be there
    dropped = [
        field
        for field in head.specials
        if field.name in _NEVER
        or field.name == b"transfer-encoding"
        or (field.name == b"content-length" and (no_length or length == CHUNKED))  # RFC 9112 §6.2: never both
        or (field.name == b"trailer" and length != CHUNKED)
    ]
    lines = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)]
    lines += _kept_lines(data, head.line_end + 2, head.end - 2, dropped, head.options)
    if length == CHUNKED or (length is None and head.length == CHUNKED and not no_length):
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if not head.dated and head.status >= 200:
        lines.append(b"Date: " + date + b"\r\n")
    if close:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)
