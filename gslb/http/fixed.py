r"""What a route answers itself: redirects and fixed responses, as whole responses. Pure; only the proxy calls it.

A redirect is never open: its host is a configured one, or the request's where the route names its hosts (the
configuration sees to that), and a place without a host always begins with exactly one slash, since a client reads
`//other.example/` and `/\other.example/` as another host (RFC 3986 §4.2; WHATWG URL).
"""

from __future__ import annotations

import re
from http import HTTPStatus

from gslb.balancing.request import Request
from gslb.balancing.routes import name_of
from gslb.http.heads import HOST, is_target
from gslb.http.rewrite import replaced_prefix
from gslb.model import Redirect, Respond

REDIRECTS = (301, 302, 303, 307, 308)  # RFC 9110 §15.4
BODILESS = frozenset({204, 205, 304})  # RFC 9110 §15.3.5, §15.3.6, §15.4.5
_NO_LENGTH = frozenset({204, 304})
BODY_BYTES_MAX = 65_536
_PIECE = re.compile(r"\{(\w*)\}")
_PLACE = re.compile(r"(?:(https?|\{scheme\})://(\{host\}|[^/?{}]*?)(:[0-9]{1,5})?(?=[/?]|\{path\}|\Z))?(.*)").fullmatch


class Place:
    """Where a redirect leads: a template, taken apart once."""

    __slots__ = ("_kept_port", "_pieces", "absolute")

    def __init__(self, to: str) -> None:
        """Raises ValueError in words for a person."""
        found = _PLACE(to)
        scheme, host, port, rest = found.groups() if found is not None else (None, None, None, to)
        self.absolute = scheme is not None
        if self.absolute and host != "{host}" and not (host and HOST(host.encode())):
            raise ValueError(f"{to!r} names no host: write https://www.example.com{{path}}, or {{host}} in its place")
        if rest[:1] not in ("", "/", "?") and not rest.startswith("{path}"):
            raise ValueError(f"{to!r} is no place to go: start it with https://, http:// or /")
        if not self.absolute and rest[:1] not in ("/", "{"):
            raise ValueError(f"{to!r} is no place to go: start it with https://, http:// or /")
        start = f"{scheme}://{host}{port or ''}" if self.absolute else ""
        self._kept_port = scheme == "{scheme}" and port is None
        self._pieces = tuple(_PIECE.split(start + rest))  # literal, name, literal, …
        strange = set(self._pieces[1::2]) - {"scheme", "host", "path", "query"}
        misplaced = {"scheme", "host"} & set(_PIECE.split(rest)[1::2])
        if strange or misplaced:
            name = min(strange or misplaced)
            raise ValueError(f"{{{name}}} can't stand there: known are {{scheme}}://{{host}}, {{path}} and {{query}}")
        if not is_target("".join(self._pieces[::2]).encode("utf-8")):
            raise ValueError(f"{to!r} holds what no URL may")

    @property
    def names_host(self) -> bool:
        """Whether the host is the request's own."""
        return "host" in self._pieces[1::2]

    def of(self, scheme: str, authority: str, path: str, query: str) -> bytes:
        """The value of Location. All of it comes from a valid request, so it holds no line end.

        Args:
            scheme: the request's.
            authority: what the request's Host says; its port is kept where the scheme is.
            path: what `{path}` stands for; begins with a slash.
            query: without its question mark.
        """
        values = {
            "scheme": scheme,
            "host": authority if self._kept_port else name_of(authority),
            "path": path,
            "query": query,
        }
        made = ""
        for index, piece in enumerate(self._pieces):
            value = piece if index % 2 == 0 else values[piece]
            if index % 2 and piece == "query" and not value and made[-1:] in ("?", "&"):
                made = made[:-1]
            made += value
        if not self.absolute:
            made = "/" + made.lstrip("/\\")
        return made.encode("ascii")


class FixedAnswer:
    """What a route without a pool answers."""

    __slots__ = ("_body", "_place", "_prefix", "_start", "_stem", "status")

    def __init__(self, action: Redirect | Respond, route_path: str) -> None:
        """`route_path`: the route's own, exact or a prefix where a redirect has one."""
        self.status = action.status
        self._place: Place | None = None
        self._prefix: str | None = None
        self._stem = route_path.removesuffix("*")
        self._body = b""
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        if isinstance(action, Redirect):
            self._place, self._prefix = Place(action.to), action.prefix
            lines.append("Content-Length: 0")
        else:
            self._body = action.body
            if self.status not in _NO_LENGTH:
                lines.append(f"Content-Length: {len(self._body)}")
            if self._body:
                lines.append(f"Content-Type: {action.content_type}")
            lines += [f"{name}: {value}" for name, value in action.fields]
        self._start = "\r\n".join(lines).encode("latin-1") + b"\r\n"

    def reply(self, request: Request, scheme: bytes, end: bytes) -> bytes:
        """The whole response.

        Args:
            request: what is answered.
            scheme: how it came, `http` or `https`.
            end: further field lines and the empty line.
        """
        location = b""
        if self._place is not None:
            path, _, query = request.target.decode("ascii").partition("?")
            if path[:1] != "/":
                path = "/"  # `OPTIONS *`
            if self._prefix is not None:
                path = replaced_prefix(path, self._stem, self._prefix)
            location = b"Location: %b\r\n" % self._place.of(scheme.decode(), request.host, path, query)
        return b"".join((self._start, location, end, b"" if request.method == b"HEAD" else self._body))


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
