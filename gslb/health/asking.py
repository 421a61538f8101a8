"""How checks ask: by HTTP, over bare TCP, for a certificate; each on a fresh connection. Only the runner calls these.

Not by aiohttp: a check by it costs twice the CPU, and thousands of servers are checked by one process.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gslb.health.check import BODY_MAX_BYTES, Exchange, Handshake, Reply, Request
from gslb.http.chunked import ChunkedBody
from gslb.http.heads import CHUNKED
from gslb.http.proxy_protocol import Ends, encode
from gslb.http.responses import UNTIL_CLOSE, parse_response

if TYPE_CHECKING:
    from gslb.health.runner import Target

_PIECE_BYTES = 65_536


async def ask(target: Target, request: Request) -> Reply:
    """The reply to an HTTP request; no more of its body is read than a check may see.

    Raises OSError (ssl.SSLError among them) or HttpError; the caller bounds the time.
    """
    parts = urlsplit(target.url)
    reader, writer = await _open(target)
    try:
        fields = {"Host": parts.netloc, "User-Agent": "gslb-health", **request.headers, "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        path = parts.path.rstrip("/") + request.path
        writer.write(f"{request.method} {path} HTTP/1.1\r\n{lines}\r\n".encode("ascii", "replace"))
        left_s = expires_in_s(writer.transport)
        return await _reply(reader, left_s, to_head=request.method == "HEAD")
    finally:
        writer.transport.abort()


async def _open(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection as requests have it: with a PROXY header, over TLS, where the pool's servers want that.

    The header says that the proxy speaks for itself, no client.
    """
    parts = urlsplit(target.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    reader, writer = await asyncio.open_connection(host, parts.port or (443 if secure else 80))
    try:
        if target.proxy_protocol:
            writer.write(encode(target.proxy_protocol, Ends()))
        if secure:
            context = target.tls or ssl.create_default_context()
            await writer.start_tls(context, server_hostname=target.server_name or host)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def exchange(target: Target, asked: Exchange) -> Reply:
    """What a server says when it is told these bytes. Raises OSError; the caller bounds the time."""
    reader, writer = await _open(target)
    whole = target.check.whole  # type: ignore[attr-defined]  # a check with an Exchange has it
    try:
        left_s = expires_in_s(writer.transport)
        writer.write(asked.send)
        data = b""
        while not whole(data) and len(data) < BODY_MAX_BYTES:
            more = await reader.read(_PIECE_BYTES)
            if not more:
                break
            data += more
        return Reply(body=data[:BODY_MAX_BYTES], expires_in_s=left_s)
    finally:
        writer.transport.abort()


async def handshake(target: Target, asked: Handshake) -> Reply:
    """How long the certificate that a server shows is still valid. Raises OSError; the caller bounds the time."""
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    context = target.tls or ssl.create_default_context()
    name = asked.server_name or target.server_name or host
    reader, writer = await asyncio.open_connection(host, parts.port or 443)
    del reader
    try:
        if target.proxy_protocol:
            writer.write(encode(target.proxy_protocol, Ends()))
        await writer.start_tls(context, server_hostname=name)
        return Reply(expires_in_s=expires_in_s(writer.transport))
    finally:
        writer.transport.abort()


def expires_in_s(transport: asyncio.BaseTransport | None) -> float | None:
    """How long the certificate of a connection is still valid; None without TLS, or where it was not verified."""
    shown = transport.get_extra_info("peercert") if transport is not None else None
    ends = shown.get("notAfter") if shown else None
    return ssl.cert_time_to_seconds(ends) - time.time() if ends else None


async def _reply(reader: asyncio.StreamReader, left_s: float | None, *, to_head: bool) -> Reply:
    """Reads a final head, and as much of the body as a check may see."""
    data, scanned = b"", 0
    while True:
        head = parse_response(data, scanned)
        if head is not None and head.status >= 200:
            break
        if head is not None:  # an interim one (RFC 9110 §15.2)
            data, scanned = data[head.end :], 0
            continue
        scanned = len(data)
        data += await _more(reader)
    lines = (line.partition(b":") for line in data[head.line_end + 2 : head.end - 4].split(b"\r\n"))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, _, value in lines}
    rest, length = data[head.end :], head.body_length(to_head)
    body = bytearray()
    chunks = ChunkedBody("server", payload_only=True) if length == CHUNKED else None
    while True:
        if chunks is None:
            body += rest
            whole = length >= 0 and len(body) >= length
        else:
            for piece in chunks.feed(rest)[0]:
                body += piece
            whole = chunks.done
        if whole or len(body) >= BODY_MAX_BYTES:
            break
        rest = await reader.read(_PIECE_BYTES)
        if not rest and length == UNTIL_CLOSE:
            break
        if not rest:
            raise ConnectionResetError
    whole_body = bytes(body[: length if length >= 0 else None][:BODY_MAX_BYTES])
    return Reply(head.status, headers, whole_body, left_s)


async def _more(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(_PIECE_BYTES)
    if not data:
        raise ConnectionResetError
    return data
