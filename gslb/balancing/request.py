"""What a rule may ask of a request: host, path, query, fields, cookies, the client's address. Core.

Nothing is parsed ahead: a question looks into the head's bytes when it is asked, and each expression is compiled once
a name. Routes, keys, sessions and limits ask; the proxy makes one Request for a request that has such a rule.
"""

from __future__ import annotations

import re
from functools import lru_cache

NAMES_MAX = 1024  # expressions kept; names come from the configuration

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}").fullmatch  # RFC 9110 §5.6.2: field and cookie names


@lru_cache(NAMES_MAX)
def _field(name: bytes) -> re.Pattern[bytes]:
    """The lines of one field in a validated head."""
    return re.compile(rb"\n" + re.escape(name) + rb":[ \t]*([^\r\n]*?)[ \t]*\r", re.IGNORECASE)


@lru_cache(NAMES_MAX)
def _pair(name: bytes, separator: bytes) -> re.Pattern[bytes]:
    """One `name=value` of a list that `separator` divides."""
    return re.compile(rb"(?:^|" + separator + rb")[ \t]*" + re.escape(name) + rb"=([^" + separator + rb"]*)")


class Request:
    """One request, as rules see it."""

    __slots__ = ("address", "head", "host", "method", "target")

    def __init__(self, method: bytes, host: str, target: bytes, head: bytes, address: bytes) -> None:
        """The parts of a valid request.

        Args:
            method: as it came, in upper case.
            host: the authority in lower case, with its port if it came with one.
            target: origin-form, or `*`.
            head: the whole head, request line and the empty line at its end included.
            address: the client's address as canonical text, trusted proxies looked through.
        """
        self.method, self.host, self.target, self.head, self.address = method, host, target, head, address

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]

    def query(self, name: bytes) -> bytes | None:
        """The first value of a query parameter as it came, undecoded; None if it isn't there."""
        found = _pair(name, b"&").search(self.target.partition(b"?")[2])
        return found[1] if found else None

    def header(self, name: bytes) -> bytes | None:
        """A field's value by its name in any case, several lines joined (RFC 9110 §5.3); None if it isn't there."""
        found = _field(name).findall(self.head)
        return b", ".join(found) if found else None

    def cookie(self, name: bytes) -> bytes | None:
        """The first value of a cookie (RFC 6265 §4.2); None if it isn't there."""
        for line in _field(b"cookie").findall(self.head):
            found = _pair(name, b";").search(line)
            if found:
                value: bytes = found[1].strip(b" \t")
                return value
        return None
