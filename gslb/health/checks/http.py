"""http: a server is up if it answers one request with an expected status and, if asked for, an expected body.

Redirects are answers, not followed (RFC 9110 §15.4 leaves that to the client): what lies behind one isn't this server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gslb.health.check import BODY_MAX_BYTES, CHECKS, DAY_S, DAYS_MAX, Reply, Request, Result

TEXT_MAX = 1024
HEADERS_MAX = 32
_RANGES = re.compile(r"\s*\d{3}(-\d{3})?\s*(,\s*\d{3}(-\d{3})?\s*)*").fullmatch
_PATH = re.compile(r"/[\x21\x22\x24-\x7e]*").fullmatch
_HOST = re.compile(r"[A-Za-z0-9._~:\[\]-]*").fullmatch
_FIELD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+:[\t\x20-\x7e]*").fullmatch
_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "upgrade", "te"})
_METHODS = ("GET", "HEAD", "OPTIONS")


@CHECKS.register("http")
@dataclass(frozen=True, slots=True)
class HttpCheck:
    """One request, judged by its status and body.

    Attributes:
        path: the target, with a query if need be.
        method: GET, HEAD or OPTIONS.
        expect: statuses that are fine: `200`, `200-299` or several of these with commas.
        host: the Host field; "" is the server's own address.
        body: text that the first 64 KiB of the body must hold; "" is any body.
        headers: fields to send, as `Name: value`.
        min_days: over TLS, the server is down if its certificate ends sooner than this.
    """

    path: str = "/"
    method: str = "GET"
    expect: str | int = "200-399"
    host: str = ""
    body: str = ""
    headers: tuple[str, ...] = ()
    min_days: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for options that can't be meant, in words for the person who wrote them."""
        if not _PATH(self.path) or len(self.path) > TEXT_MAX:
            raise ValueError(f"path {self.path!r} is not a path: write it as /health, without spaces or a fragment")
        if self.method not in _METHODS:
            raise ValueError(f"method {self.method!r} is not one of {', '.join(_METHODS)}")
        if not _RANGES(str(self.expect)):
            raise ValueError(f"expect {self.expect!r} is no list of statuses: write it as 200-299 or 200,204")
        if any(not 100 <= low <= high <= 599 for low, high in self.ranges()):
            raise ValueError(f"expect {self.expect!r}: statuses go from 100 to 599, the lower one first")
        if not _HOST(self.host) or len(self.host) > TEXT_MAX:
            raise ValueError(f"host {self.host!r} is not a host name")
        if len(self.body) > TEXT_MAX:
            raise ValueError(f"body is longer than {TEXT_MAX} characters")
        if len(self.headers) > HEADERS_MAX:
            raise ValueError(f"headers are more than {HEADERS_MAX}")
        for line in self.headers:
            if not _FIELD(line) or len(line) > TEXT_MAX:
                raise ValueError(f"headers: {line!r} is no field: write it as 'X-Probe: gslb'")
            if line.partition(":")[0].lower() in _OURS:
                raise ValueError(f"headers: {line.partition(':')[0]} is not for a check to say; `host` names the host")
        if not 0 <= self.min_days <= DAYS_MAX:
            raise ValueError(f"min_days {self.min_days} is not from 0 to {DAYS_MAX}")
        if self.body and self.method == "HEAD":
            raise ValueError("body can't be looked for with method HEAD, whose answers have none")

    def ranges(self) -> tuple[tuple[int, int], ...]:
        """`expect` as pairs of first and last status."""
        parts = (part.strip().partition("-") for part in str(self.expect).split(","))
        return tuple((int(low), int(high or low)) for low, _, high in parts)

    def request(self) -> Request | None:
        """See Check."""
        fields = {name: value.strip() for name, _, value in (line.partition(":") for line in self.headers)}
        return Request(self.method, self.path, {"Host": self.host, **fields} if self.host else fields)

    def judge(self, reply: Reply) -> Result:
        """See Check."""
        if not any(low <= reply.status <= high for low, high in self.ranges()):
            return Result(False, f"status {reply.status}, expected {self.expect}")
        if self.body and self.body.encode() not in reply.body[:BODY_MAX_BYTES]:
            return Result(False, f"status {reply.status}, but the body lacks {self.body[:40]!r}")
        if reply.expires_in_s is None:
            return Result(True, f"status {reply.status}")
        days = reply.expires_in_s / DAY_S
        if days < self.min_days:
            return Result(False, f"its certificate ends in {days:.1f} days, wanted are {self.min_days}")
        return Result(True, f"status {reply.status}, its certificate holds for {int(days)} days")
