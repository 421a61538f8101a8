"""YAML text -> plain values that know their lines. For load.py only.

YAML 1.2 core schema (yaml.org/spec/1.2.2, §10.3.2): `NO` is text, `010` is ten, `true` alone is true. ruamel.yaml scans
and parses; the values are made here from its events, because every key's line is wanted and nothing else is: no tag
is ever obeyed, keys are always text, a key written twice is an error, an anchor may not multiply what is small.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from gslb.errors import Problem

FILE_BYTES_MAX = 8 << 20
VALUES_MAX = 1_000_000  # aliases count as what they stand for
DEPTH_MAX = 24
INTEGER_DIGITS_MAX = 19
PROBLEMS_MAX = 100  # of one file

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+").fullmatch
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?").fullmatch
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)


class Table(dict[str, Any]):
    """A mapping that knows its line, and the line of each key."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class Items(list[Any]):
    """A sequence that knows its line, and the line of each item."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


@dataclass(slots=True)
class Document:
    """One file: its name for people, its content (an empty table if it can't be read), and what is wrong with it."""

    file: str
    tree: Table
    problems: list[Problem] = field(default_factory=list)

    def add(self, line: int, message: str, remedy: str = "", path: str = "", kind: str = "invalid") -> None:
        """Notes a mistake."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(self.file, line, path, message, remedy, kind))

    def blame(self, path: tuple[str | int, ...], message: str, remedy: str = "", line: int = 0) -> None:
        """Notes a mistake in what is at `path`."""
        self.add(line or self.line(*path), message, remedy, dotted(path))

    def line_of(self, word: str, *path: str | int) -> int:
        """The line where `word` is a key or a value somewhere below `path`; else the line of that."""
        here: Any = self.tree
        for part in path:
            here = here[part]
        return _find(here, word) or self.line(*path)

    def line(self, *path: str | int) -> int:
        """The line of what is at `path`, or of the nearest thing above it that is there."""
        here: Any = self.tree
        line: int = max(here.line, 1)
        for part in path:
            if isinstance(here, Table) and isinstance(part, str) and part in here:
                line, here = here.lines[part], here[part]
            elif isinstance(here, Items) and isinstance(part, int) and part < len(here):
                line, here = here.lines[part], here[part]
        return line


def dotted(path: Iterable[str | int]) -> str:
    """`edge.dns.listen[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _find(here: Any, word: str) -> int:
    """The line of `word` in a value; 0 if it isn't there."""
    if isinstance(here, Table):
        for key, value in here.items():
            if word in (key, value):
                return here.lines[key]
            if found := _find(value, word):
                return found
    elif isinstance(here, Items):
        for index, value in enumerate(here):
            if value == word:
                return here.lines[index]
            if found := _find(value, word):
                return found
    return 0


class _Broken(Exception):  # noqa: N818 - never leaves this module
    """The file can't be read on; carries line, message, remedy."""

    def __init__(self, line: int, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.line, self.message, self.remedy = line, message, remedy


def read(file: str, data: bytes) -> Document:
    """The content of one file. Never raises: what is wrong is in the document's `problems`."""
    document = Document(file, Table(1))
    try:
        text = _text(data)
        builder = _Builder(document, iter(_events(text)))
        tree = builder.document()
    except _Broken as error:
        document.add(error.line, error.message, error.remedy)
        return document
    if isinstance(tree, Table):
        document.tree = tree
    elif tree is None:
        document.add(1, "the file is empty", "write its keys, or remove the file")
    else:
        document.add(1, "the file holds no keys", "write `key: value` lines")
    return document


def _text(data: bytes) -> str:
    if len(data) > FILE_BYTES_MAX:
        raise _Broken(0, f"the file is longer than {FILE_BYTES_MAX >> 20} MiB", "split it, or remove what isn't configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _Broken(line, "the file is not UTF-8", "save it as UTF-8") from None


def _events(text: str) -> Iterator[Event]:
    """ruamel's events; whatever it stumbles over is _Broken with a line."""
    line = 1
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            line = event.start_mark.line + 1
            yield event
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(str(error.problem or error.context or "not YAML").split())
        raise _Broken(mark.line + 1 if mark else line, f"this is not YAML: {words}", _remedy(words)) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Broken(line, "this is not YAML: a control character", "remove it") from None
    except (YAMLError, ValueError, IndexError, AttributeError, TypeError, AssertionError, NotImplementedError) as error:
        # ruamel's scanner raises these, too, on odd input
        raise _Broken(line, f"this is not YAML: {error}", "look at what stands here") from None


def _remedy(words: str) -> str:
    if "\\t" in words or "tab" in words:
        return "indent with spaces, not tabs"
    if "mapping values are not allowed" in words:
        return "put text that holds ': ' in quotes, and indent alike what belongs together"
    if "alias" in words or "anchor" in words:
        return "quote text that starts with * or &"
    return "look at the indentation, quotes and brackets here and just above"


class _Builder:
    """Values from events. A depth and a count bound everything."""

    def __init__(self, document: Document, events: Iterator[Event]) -> None:
        self._document, self._events = document, events
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0

    def document(self) -> Any:
        """The only document's value."""
        tree: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Broken(event.start_mark.line + 1, "a second document begins", "one file is one document: "
                                  "remove the ---")
            elif not isinstance(event, (DocumentEndEvent, StreamEndEvent)) and documents:
                tree = self._value(event, 0)
        return tree

    def _value(self, event: Event, depth: int) -> Any:
        line = event.start_mark.line + 1
        self._count(1, line)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise _Broken(line, f"*{event.anchor} is not known here", "quote text that starts with *, or write the "
                              f"&{event.anchor} first")
            value, size = self._anchors[event.anchor]
            self._count(size, line)
            return value
        before = self._values
        if event.tag is not None and isinstance(event, (ScalarEvent, SequenceStartEvent, MappingStartEvent)):
            if event.tag != "!":
                self._document.add(line, f"the tag {event.tag} means nothing here", "remove it; quote text that starts with !")
        if isinstance(event, ScalarEvent):
            value = self._scalar(event, line)
        elif depth >= DEPTH_MAX:
            raise _Broken(line, f"more than {DEPTH_MAX} levels deep", "nothing in the configuration is nested that deep")
        elif isinstance(event, MappingStartEvent):
            value = self._table(line, depth)
        else:
            value = self._items(line, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (value, self._values - before)
        return value

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > VALUES_MAX:
            raise _Broken(line, f"more than {VALUES_MAX:,} values", "aliases count as what they stand for: use fewer")

    def _table(self, line: int, depth: int) -> Table:
        table = Table(line)
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key_line = event.start_mark.line + 1
            if not isinstance(event, ScalarEvent):
                raise _Broken(key_line, "a key is no plain word", "quote keys that start with [, { or *")
            key = event.value
            value = self._value(next(self._events), depth + 1)
            if key in table:
                self._document.add(key_line, f"the key {key!r} is there twice", f"it is on line {table.lines[key]}, too: "
                                   "remove one", key)
            elif key == "<<" and not event.style:
                self._document.add(key_line, "merge keys (<<) are not YAML 1.2", "write the keys out, or give a whole "
                                   "value by *alias")
            else:
                table[key] = value
                table.lines[key] = key_line
        return table

    def _items(self, line: int, depth: int) -> Items:
        items = Items(line)
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            items.lines.append(event.start_mark.line + 1)
            items.append(self._value(event, depth + 1))
        return items

    def _scalar(self, event: ScalarEvent, line: int) -> Any:
        text: str = event.value
        if event.style:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER(text):
            if len(text) > INTEGER_DIGITS_MAX:
                self._document.add(line, "a number that long is none that can be meant", "quote it if it is text")
                return 0
            return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
        if _FLOAT(text):
            number = float(text)
            return number if math.isfinite(number) else text
        return text
