"""Silences: rules of alerts that tell nobody for a while, as operators said it to any node. Core.

Nodes tell each other; the newest word on a rule wins (newest.py). One that was ended stays as a tombstone for a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from gslb.health.newest import Newest, Stamp, read_stamp

SILENCES_MAX = 32  # of a cluster, tombstones among them
TEXT_MAX, RULE_MAX = 300, 64
TOMBSTONE_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Silence:
    """Rules that match `rule` tell nobody until `until_ms` (Unix milliseconds); 0: it was ended."""

    rule: str
    until_ms: int
    why: str
    author: str
    stamp: Stamp

    @property
    def key(self) -> str:
        """See newest.Word."""
        return self.rule


class Silences(Newest[Silence]):
    """Everything said of silences, by rule."""

    def __init__(self, node: str) -> None:
        super().__init__(node, SILENCES_MAX, _read)

    def say(self, rule: str, until_ms: int, *, why: str, author: str, now_ms: int) -> None:
        """Begins a silence of `rule`, or ends it with `until_ms` 0. Raises ValueError if there is no room."""
        self.forget(now_ms)
        if not self.has_room(rule):
            raise ValueError(f"there are {SILENCES_MAX} silences already: end some")
        self.known[rule] = Silence(rule, until_ms, why[:TEXT_MAX], author[:TEXT_MAX], self.tick(now_ms))

    def forget(self, now_ms: int) -> None:
        """Drops what ended a day ago."""
        for rule, one in list(self.known.items()):
            if max(one.until_ms, one.stamp[0]) + TOMBSTONE_MS < now_ms:
                del self.known[rule]

    def holding(self, now_ms: int) -> list[Silence]:
        """Those in force, the oldest first."""
        return sorted((one for one in self.known.values() if one.until_ms > now_ms), key=lambda one: one.stamp)

    def covers(self, rule: str, now_ms: int) -> bool:
        """Whether alerts of `rule` tell nobody now."""
        return any(fnmatchcase(rule, one.rule) for one in self.holding(now_ms))


def _read(row: Mapping[str, Any]) -> Silence | None:
    """A row of another node's; None if it is none."""
    rule, until_ms, stamp = row.get("rule"), row.get("until_ms"), read_stamp(row)
    why, author = row.get("why"), row.get("author")
    if stamp is None or type(until_ms) is not int or not 0 <= until_ms < 2**53:
        return None
    if not isinstance(rule, str) or not 0 < len(rule) <= RULE_MAX:
        return None
    if not isinstance(why, str) or not isinstance(author, str) or max(len(why), len(author)) > TEXT_MAX:
        return None
    return Silence(rule, until_ms, why, author, stamp)
