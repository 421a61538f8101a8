"""A key: what of a request a hash, a session or a limit goes by. Core.

Written in configuration as `client_ip`, `host`, `path`, `header:NAME`, `cookie:NAME` or `query:NAME`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gslb.balancing.request import TOKEN, Request

KINDS = ("client_ip", "host", "path", "header:NAME", "cookie:NAME", "query:NAME")


@dataclass(frozen=True, slots=True)
class Key:
    """One kind of key; `name` is a field's, a cookie's or a parameter's."""

    kind: str
    name: bytes = b""

    def of(self, request: Request) -> bytes | None:
        """The key of this request; None if it has none, or an empty one."""
        match self.kind:
            case "client_ip":
                return request.address
            case "host":
                return request.host.encode("ascii", "replace")
            case "path":
                return request.path
            case "header":
                return request.header(self.name) or None
            case "cookie":
                return request.cookie(self.name) or None
        return request.query(self.name) or None


def parse_key(text: str) -> Key:
    """The key that `text` names. Raises ValueError in words for the person who wrote it."""
    kind, colon, name = text.partition(":")
    known = kind + (":NAME" if colon else "")
    if known not in KINDS:
        raise ValueError(f"{text!r} is no key; known: {', '.join(KINDS)}")
    if colon and TOKEN(name) is None:
        raise ValueError(f"{name!r} in {text!r} is no name: write letters, digits and hyphens")
    return Key(kind, name.lower().encode() if kind == "header" else name.encode())
