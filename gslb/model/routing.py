"""Which requests go where: a balancer's routes and what they do. Everybody imports these from `gslb.model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gslb.model.guarding import BreakerRule
from gslb.model.limits import Priority


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing asked of a request: of a field (`name` in lower case) or of a query parameter.

    `text` is the value, its beginning or a regular expression for all of it; nothing for `present` and `absent`.
    """

    source: Literal["header", "query"]
    name: str
    kind: Literal["exact", "present", "absent", "prefix", "regex"]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """Shares requests out to several pools by weight, over 0 each.

    `key`: a key of requests that stay together; "" is by turns.
    """

    weights: tuple[tuple[str, int], ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere. `to` holds `{scheme}`, `{host}`, `{path}` and `{query}`; `/…` is the same place.

    `prefix`: what takes the place of the route's own path prefix in `{path}`; None leaves the path.
    """

    to: str
    status: int = 302
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Respond:
    """A fixed answer. `fields` as they are sent, in order."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    r"""Another path for the server: one of `prefix` (for the route's own), `path`, or `regex` with `substitute`.

    `substitute` names the groups of `regex` as `\1` to `\9`; a path that `regex` doesn't match stays as it is.
    """

    prefix: str | None = None
    path: str | None = None
    regex: str | None = None
    substitute: str = ""


@dataclass(frozen=True, slots=True)
class HeadEdits:
    """Fields to set (in place of any), to add, to take out."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of `percent` of the requests, whose answer nobody waits for."""

    pool: str
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class CompressionRule:
    """How responses are compressed: `codings` in the order in which they are preferred, for media types like `text/*`.

    A response that is known to be shorter than `min_bytes` is not.
    """

    codings: tuple[str, ...] = ("zstd", "gzip")
    types: frozenset[str] = frozenset()
    min_bytes: int = 1024
    level: int = 3


@dataclass(frozen=True, slots=True)
class Route:
    """Which requests, and what becomes of them: `pool`, or `action` in its place.

    `hosts` () is any; `*.` at the start of one stands for one or more labels. `path` "" is any, a last `*` makes it a
    prefix, other stars make it a glob; `pattern` is a regular expression for the whole path in its place. `methods` ()
    is any.
    """

    pool: str = ""
    hosts: tuple[str, ...] = ()
    path: str = ""
    pattern: str = ""
    methods: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    action: Split | Redirect | Respond | None = None
    rewrite: Rewrite | None = None
    forward_host: str = ""
    request_fields: HeadEdits | None = None
    response_fields: HeadEdits | None = None
    mirror: Mirror | None = None
    limits: tuple[str, ...] = ()  # names of limits that its requests must pass
    priority: Priority = "normal"
    breaker: BreakerRule | None = None
    compression: CompressionRule | None = None

    @property
    def conditional(self) -> bool:
        """Whether it asks for more of a request than host and path."""
        return bool(self.methods or self.conditions)

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools whose servers answer for it."""
        if isinstance(self.action, Split):
            return tuple(name for name, _ in self.action.weights)
        return (self.pool,) if self.action is None else ()

    @property
    def takes_any(self) -> bool:
        """Whether it takes every request to its hosts."""
        return self.path in ("", "*", "/*") and not self.pattern and not self.conditional
