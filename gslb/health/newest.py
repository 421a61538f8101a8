"""A table of words that nodes tell each other: on each key the newest wins, everywhere. Core; overrides and silences.

Newer is by a hybrid logical clock (Kulkarni et al., OPODIS 2014): its time goes on with this host's, never behind what
was heard, so that a word said after another was heard is the newer one whatever the clocks say. Words from far in the
future are refused: their clock is wrong, and would win for ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Generic, Protocol, TypeVar

AHEAD_MAX_MS = 300_000

Stamp = tuple[int, int, str]  # milliseconds of Unix time, a count within them, the node


class Word(Protocol):
    """A frozen dataclass: what is said on a key, and when."""

    @property
    def key(self) -> Hashable:
        """What there is but one word on."""

    @property
    def stamp(self) -> Stamp:
        """When it was said, and by which node."""


T = TypeVar("T", bound=Word)


class Newest(Generic[T]):
    """The words of one kind. `now_ms` is Unix time in milliseconds: an end must mean the same on every node."""

    def __init__(self, node: str, most: int, read: Callable[[Mapping[str, Any]], T | None]) -> None:
        """`most`: how many keys there may be. `read` makes a word of another node's row; None if it is none."""
        self._node, self._most, self._read = node, most, read
        self._last: Stamp = (0, 0, node)
        self.known: dict[Hashable, T] = {}
        self.refused = 0  # words of the future, or malformed

    def has_room(self, key: Hashable) -> bool:
        """Whether a word on `key` can be kept."""
        return key in self.known or len(self.known) < self._most

    def tick(self, now_ms: int) -> Stamp:
        """The stamp of a word that is said now: newer than every one before, and than all that were heard."""
        last_ms, count, _ = self._last
        self._last = (now_ms, 0, self._node) if now_ms > last_ms else (last_ms, count + 1, self._node)
        return self._last

    def merge(self, rows: Iterable[Any], now_ms: int) -> bool:
        """Takes what another node (or the disk) says; True if something is news."""
        news = False
        for row in list(rows)[: 2 * self._most]:
            said = self._read(row) if isinstance(row, Mapping) else None
            if said is None or said.stamp[0] > now_ms + AHEAD_MAX_MS:
                self.refused += 1
                continue
            known = self.known.get(said.key)
            if not self.has_room(said.key) or (known is not None and known.stamp >= said.stamp):
                continue
            self.known[said.key] = said
            self._last = max(self._last, (*said.stamp[:2], self._node))
            news = True
        return news

    def rows(self, most_bytes: int | None = None) -> list[dict[str, Any]]:
        """All of it for the disk; for other nodes the newest first, within `most_bytes` of JSON."""
        newest_first = sorted(self.known.values(), key=lambda one: one.stamp, reverse=True)
        rows = [asdict(one) for one in newest_first]  # type: ignore[call-overload]  # a dataclass, as Word says
        if most_bytes is None:
            return rows
        told, size = [], 0
        for row in rows:
            size += len(json.dumps(row))
            if size > most_bytes:
                break
            told.append(row)
        return told


def read_stamp(row: Mapping[str, Any]) -> Stamp | None:
    """The stamp in a row; None if it is none."""
    stamp = row.get("stamp")
    if not isinstance(stamp, list | tuple) or len(stamp) != 3:
        return None
    ms, count, node = stamp
    numbers = all(type(one) is int and 0 <= one < 2**53 for one in (ms, count))
    return (ms, count, node) if numbers and isinstance(node, str) and len(node) <= 255 else None
