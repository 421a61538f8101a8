"""How the tables' messages are written."""

from __future__ import annotations

H = b"Host: a.example\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

Rows = dict[str, tuple[bytes, int, str, str]]  # name -> request, status, reason code, where the rule stands


def get(fields: bytes = b"", target: bytes = b"/", version: bytes = b"HTTP/1.1", host: bytes = H) -> bytes:
    """A GET."""
    return b"GET " + target + b" " + version + b"\r\n" + host + fields + b"\r\n"


def post(fields: bytes, body: bytes = b"", host: bytes = H) -> bytes:
    """A POST."""
    return b"POST / HTTP/1.1\r\n" + host + fields + b"\r\n" + body


def line(request_line: bytes) -> bytes:
    """A request by its line."""
    return request_line + b"\r\n" + H + b"\r\n"
