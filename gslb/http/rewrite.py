"""What a route changes in a head that is forwarded: the target, the Host, other fields. Pure.

Works on the head as it is about to be sent, so that what `forward.py` decided stays decided: names that frame a
message, belong to one connection or say where it came from can't be edited (`UNTOUCHABLE_…`; the configuration
refuses them).
"""

from __future__ import annotations

import re

from gslb.balancing.patterns import compile_pattern
from gslb.errors import HttpError
from gslb.http.heads import TARGET_BYTES_MAX, is_target
from gslb.model import HeadEdits, Rewrite

# RFC 9110 §7.6.1 and what frames a message, RFC 9112 §6; then what the proxy itself says (forward.py).
_NEVER = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "content-length",
    }
)  # fmt: skip
UNTOUCHABLE_REQUEST = _NEVER | frozenset(
    ["expect", "host", "forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"]
)
UNTOUCHABLE_RESPONSE = _NEVER | {"date"}
_HOST_LINE = re.compile(rb"\r\nhost:[^\r\n]*", re.IGNORECASE)
_GROUP = re.compile(r"\\(.)", re.DOTALL)
_END = b"\r\n\r\n"


def canonical(name: bytes) -> bytes:
    """A field's name as it is compared: lower case, and `_` as the `-` that CGI-like servers take it for."""
    return name.lower().replace(b"_", b"-")


# ---------------------------------------------------------------- fields
class Edits:
    """Fields set, added and taken out of a head."""

    __slots__ = ("_added", "_gone")

    def __init__(self, edits: HeadEdits) -> None:
        self._gone = frozenset(canonical(name.encode("ascii")) for name in (*dict(edits.set), *edits.remove))
        lines = (f"{name}: {value}" for name, value in (*edits.set, *edits.add))
        self._added = tuple(line.encode("latin-1") for line in lines)

    def apply(self, head: bytes) -> bytes:
        """`head`, whole and valid, with the edits."""
        lines = head.split(b"\r\n")  # the last two are empty
        gone = self._gone
        kept = [line for line in lines[1:-2] if canonical(line.partition(b":")[0]) not in gone]
        return b"\r\n".join((lines[0], *kept, *self._added, b"", b""))

    def apply_to_message(self, message: bytes) -> bytes:
        """The same for a head with what there is of its body."""
        end = message.index(_END) + len(_END)
        return self.apply(message[:end]) + message[end:]


# ---------------------------------------------------------------- targets
def replaced_prefix(path: str, stem: str, prefix: str) -> str:
    """`path`, which starts with `stem`, with `prefix` in its place; exactly one `/` where they meet."""
    rest = path[len(stem) :]
    if stem.endswith("/") or prefix.endswith("/") or not stem:
        return prefix.rstrip("/") + "/" + rest.removeprefix("/")
    return prefix + rest


def parse_substitute(text: str, groups: int) -> tuple[str | int, ...]:
    """A substitute as literal texts and numbers of groups. Raises ValueError in words for a person."""
    parts: list[str | int] = []
    for index, part in enumerate(_GROUP.split(text)):
        if index % 2 == 0:
            parts.append(part)
        elif part in "123456789" and int(part) <= groups:
            parts.append(int(part))
        else:
            raise ValueError(f"\\{part} is none of the pattern's {groups} groups")
    if "\\" in "".join(part for part in parts if isinstance(part, str)):
        raise ValueError("a backslash without the number of a group")
    return tuple(parts)


class Target:
    """Makes the target for the server from the client's."""

    __slots__ = ("_parts", "_path", "_pattern", "_prefix", "_stem")

    def __init__(self, rewrite: Rewrite, route_path: str) -> None:
        """`route_path`: the route's own, exact or a prefix where `rewrite.prefix` is said."""
        self._stem, self._prefix, self._path = route_path.removesuffix("*"), rewrite.prefix, rewrite.path
        self._pattern = compile_pattern(rewrite.regex) if rewrite.regex is not None else None
        groups = self._pattern.groups if self._pattern is not None else 0
        self._parts = parse_substitute(rewrite.substitute, groups) if rewrite.regex is not None else ()

    def of(self, target: bytes) -> bytes:
        """The new target; the query stays. Raises HttpError (500) if it is none: the configuration's fault."""
        if target[:1] != b"/":
            return target  # `OPTIONS *` has no path
        path, mark, query = target.decode("ascii").partition("?")
        made = self._made(path)
        if mark:
            made += ("&" if "?" in made else "?") + query
        result = made.encode("ascii")
        if not is_target(result) or result[:1] != b"/" or len(result) > TARGET_BYTES_MAX:
            raise HttpError("the route's rewrite makes no valid target", blame="us", status=500, reason="bad_rewrite")
        return result

    def _made(self, path: str) -> str:
        if self._prefix is not None:
            return replaced_prefix(path, self._stem, self._prefix)
        if self._path is not None:
            return self._path
        assert self._pattern is not None
        found = self._pattern.fullmatch(path.encode("ascii"))
        if found is None:
            return path
        return "".join(
            part if isinstance(part, str) else (found.group(part) or b"").decode("ascii") for part in self._parts
        )


# ---------------------------------------------------------------- a request
class RequestRewrite:
    """All that one route changes in a request."""

    __slots__ = ("_edits", "_host", "_target")

    def __init__(self, target: Target | None, host: str, edits: Edits | None) -> None:
        """`host`: what the Host field says to the server; "" leaves the client's."""
        self._target, self._edits = target, edits
        self._host = b"\r\nHost: " + host.encode("ascii") if host else b""

    def apply(self, sent: bytes, target: bytes) -> bytes:
        """`sent`, a whole head and what there is of the body, as the server gets it. Raises HttpError (500).

        Args:
            sent: a head as `forward.py` makes it, its one Host field included, and what there is of the body.
            target: the target in its request line.
        """
        end = sent.index(_END) + len(_END)
        head = sent[:end]
        if self._target is not None:
            at = head.index(b" ") + 1
            head = head[:at] + self._target.of(target) + head[at + len(target) :]
        if self._host:
            head = _HOST_LINE.sub(lambda _: self._host, head, count=1)
        if self._edits is not None:
            head = self._edits.apply(head)
        return head + sent[end:]
