"""tcp: a server is up if it takes a connection in time, and says what is expected of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gslb.health.check import BODY_MAX_BYTES, CHECKS, Asked, Exchange, Reply, Result

TEXT_MAX = 1024
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.?)", re.DOTALL)
_NAMED = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def unescaped(text: str) -> bytes:
    r"""The bytes that a text means: `\r \n \t \0 \\` and `\xNN`, all else as UTF-8. Raises ValueError."""
    if len(text) > TEXT_MAX:
        raise ValueError(f"it is longer than {TEXT_MAX} characters")
    meant, at = bytearray(), 0
    for match in _ESCAPE.finditer(text):
        word = match[1]
        if word not in _NAMED and len(word) < 3:
            raise ValueError(rf"\{word} means nothing: write \r \n \t \0 \\ or \xNN")
        meant += text[at : match.start()].encode() + (_NAMED.get(word) or bytes.fromhex(word[1:]))
        at = match.end()
    return bytes(meant) + text[at:].encode()


@CHECKS.register("tcp")
@dataclass(frozen=True, slots=True)
class TcpCheck:
    r"""Connects, says something, waits for an answer. Without `expect` a frozen process passes: its kernel accepts.

    Attributes:
        send: what is said first, `PING\r\n`; "" is nothing.
        expect: what the first 64 KiB of the answer must hold; "" is not waited for.
    """

    send: str = ""
    expect: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for escapes that mean nothing."""
        for name in ("send", "expect"):
            try:
                unescaped(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None

    def request(self) -> Asked:
        """See Check."""
        return Exchange(unescaped(self.send)) if self.send or self.expect else None

    def whole(self, data: bytes) -> bool:
        """Whether there is nothing more to wait for."""
        return unescaped(self.expect) in data

    def judge(self, reply: Reply) -> Result:
        """See Check."""
        if not self.expect:
            return Result(True, "connected")
        if self.whole(reply.body[:BODY_MAX_BYTES]):
            return Result(True, f"it says {self.expect[:40]!r}")
        return Result(False, f"it does not say {self.expect[:40]!r} but {reply.body[:40]!r}")
