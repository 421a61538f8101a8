"""Patterns: globs and regular expressions of the configuration, on an engine that can't be made slow. Core.

RE2 never backtracks: a match costs at most the text's length times the pattern's size (Cox, Regular Expression
Matching in the Wild, 2010), so that no path and no field that a client makes up holds a worker. It knows no
back-references and no look-around; configuration that uses them is refused. All is in bytes: one character each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import re2

PATTERN_CHARACTERS_MAX = 512
PATTERN_MEMORY_BYTES_MAX = 1 << 20  # of one compiled pattern, what it remembers while matching included
SET_MEMORY_BYTES_MAX = 16 << 20  # of all the patterns of one host

_STARS = re.compile(r"(\*+)")


def _options(memory_bytes: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = memory_bytes
    return options


def compile_pattern(text: str) -> Any:
    """A compiled regular expression with `fullmatch(bytes)` and `groups`. Raises ValueError in words for a person."""
    if len(text) > PATTERN_CHARACTERS_MAX:
        raise ValueError(f"the pattern is longer than {PATTERN_CHARACTERS_MAX} characters")
    if not text.isascii() or not text.isprintable():
        raise ValueError("the pattern holds other characters than printable ASCII")
    try:
        return re2.compile(text.encode("ascii"), _options(PATTERN_MEMORY_BYTES_MAX))
    except re2.error as error:
        said = error.args[0] if error.args else b"no reason given"
        words = said.decode("latin-1") if isinstance(said, bytes) else str(said)
        raise ValueError(f"RE2 does not take the pattern: {words}") from None


def is_glob(path: str) -> bool:
    """Whether a route's path has stars elsewhere than one at its end (which makes it a prefix)."""
    return "*" in path[:-1]


def glob_pattern(glob: str) -> str:
    """The regular expression of a glob: `*` is anything within a segment, `**` anything at all."""
    parts = (
        re.escape(part) if not part.startswith("*") else "[^/]*" if part == "*" else ".*"
        for part in _STARS.split(glob)
    )
    return "".join(parts)


class PatternSet:
    """Many patterns that are tried against a whole text in one pass: a thousand cost little more than ten."""

    __slots__ = ("_set",)

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises ValueError if one of them is no pattern, or if all together are too large."""
        self._set = re2.Set.FullMatchSet(_options(SET_MEMORY_BYTES_MAX))
        for pattern in patterns:
            compile_pattern(pattern)  # says what is wrong; the set would only say that something is
            self._set.Add(pattern.encode("ascii"))
        try:
            self._set.Compile()
        except re2.error:
            raise ValueError(f"{len(patterns)} patterns need more than {SET_MEMORY_BYTES_MAX >> 20} MiB") from None

    def matching(self, text: bytes) -> Sequence[int]:
        """The places of the patterns that match all of `text`, in no order."""
        return self._set.Match(text) or ()
