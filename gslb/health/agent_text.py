"""What an agent says in HAProxy's words: `75%`, `ready`, `drain`, `maint`, `up`, `down#reason`, `maxconn:30`. Core.

HAProxy Configuration Manual, "agent-check": one line of ASCII, its words apart by spaces, tabs or commas, in any
order. What is not said again holds on; an agent that can't be asked has said nothing. `maxconn` is shown, not obeyed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from gslb.health.check import Asked, Exchange, Reply, Result
from gslb.model import State

LINE_MAX = 512
PERCENT_MAX = 1000
REASON_MAX = 100
_WORDS = re.compile(r"[ \t,]+")
_PERCENT = re.compile(r"(\d{1,4})%").fullmatch
_MAXCONN = re.compile(r"maxconn:(\d{1,7})").fullmatch
_DOWN = frozenset({"down", "failed", "fail", "stopped"})


@dataclass(frozen=True, slots=True)
class Said:
    """All that an agent has said so far. `share` of the server's weight; `refused`: words that mean nothing."""

    share: float = 1.0
    leaves: str = ""  # "drain" or "maint"
    down: str = ""  # the word, and why
    maxconn: int | None = None
    refused: tuple[str, ...] = ()

    @property
    def state(self) -> State | None:
        """What the server is by this; None if it is for its checks to say."""
        return State.DOWN if self.down else State.DRAINING if self.leaves else None

    @property
    def text(self) -> str:
        """For people."""
        parts = [self.down, self.leaves, f"{self.share:.0%}"]
        parts += [f"maxconn:{self.maxconn} is not obeyed"] if self.maxconn is not None else []
        parts += [f"{word!r} means nothing" for word in self.refused]
        return ", ".join(part for part in parts if part)


def hear(before: Said, body: bytes) -> Said:
    """What holds after an agent has said this line."""
    line = body[:LINE_MAX].partition(b"\n")[0].decode("ascii", "replace").strip()
    said, _, reason = line.partition("#")
    now, refused = before, []
    for word in filter(None, _WORDS.split(said.strip())):
        lower = word.lower()
        if (match := _PERCENT(lower)) and int(match[1]) <= PERCENT_MAX:
            now = replace(now, share=int(match[1]) / 100)
        elif match := _MAXCONN(lower):
            now = replace(now, maxconn=int(match[1]))
        elif lower in ("drain", "maint"):
            now = replace(now, leaves=lower)
        elif lower == "ready":
            now = replace(now, leaves="")
        elif lower == "up":
            now = replace(now, down="")
        elif lower in _DOWN:
            why = "".join(each for each in reason.strip()[:REASON_MAX] if each.isprintable())
            now = replace(now, down=f"{lower}: {why}" if why else lower)
        else:
            refused.append(word[:32])
    return replace(now, refused=tuple(refused[:8]))


@dataclass(frozen=True, slots=True)
class AskAgent:
    """How the runner asks: a connection, perhaps a word, a line. It is a check to the runner, and none to anybody."""

    name: ClassVar[str] = "agent"
    send: bytes = b""

    def request(self) -> Asked:
        """See health.check.Check."""
        return Exchange(self.send)

    def whole(self, data: bytes) -> bool:
        """A line is all."""
        return b"\n" in data or len(data) > LINE_MAX

    def judge(self, reply: Reply) -> Result:
        """Whether it has said anything."""
        fine = bool(reply.body.strip())
        return Result(fine, "" if fine else "it says nothing")
