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
_WORDS: dict[str, bool | None] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)


class Table(dict[str, Any]):
    """A mapping that knows its line, and the line of each key."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def put(self, key: str, value: Any, line: int) -> None:
        """Sets a key with its line."""
        self[key] = value
        self.lines[key] = line

    def remove_at(self, part: str | int) -> None:
        """Takes a key out."""
        del self[str(part)], self.lines[str(part)]


class Items(list[Any]):
    """A sequence that knows its line, and the line of each item."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []

    def remove_at(self, part: str | int) -> None:
        """Takes an item out."""
        del self[int(part)], self.lines[int(part)]


def dotted(path: Iterable[str | int]) -> str:
    """`edge.dns.listen[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(slots=True)
class Document:
    """One file: its name for people, its content (an empty table if it can't be read), and what is wrong with it."""

    file: str
    tree: Table
    problems: list[Problem] = field(default_factory=list)
    wrong: list[tuple[str | int, ...]] = field(default_factory=list)  # paths of values that no model took

    def add(
        self, line: int, message: str, remedy: str = "", path: tuple[str | int, ...] = (), kind: str = "invalid"
    ) -> None:
        """Notes a mistake."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(self.file, line, dotted(path), message, remedy, kind))
        elif len(self.problems) == PROBLEMS_MAX:
            words = f"there are more than {PROBLEMS_MAX} mistakes in this file"
            self.problems.append(Problem(self.file, 0, "", words, "mend these first"))

    def blame(self, path: tuple[str | int, ...], message: str, remedy: str = "", line: int = 0) -> None:
        """Notes a mistake in what is at `path`, unless it may only follow from a `wrong` value inside or above."""
        if not any(one[: len(path)] == path or path[: len(one)] == one for one in self.wrong):
            self.add(line or self.line(*path), message, remedy, path)

    def doubts(self, path: tuple[str | int, ...]) -> bool:
        """Whether something inside of what is at `path` is `wrong`."""
        return any(one[: len(path)] == path for one in self.wrong)

    def holder(self, *path: str | int) -> tuple[Table | Items, str | int] | None:
        """What holds the last thing on the way down `path` that is there, and its key or index; None: not even one."""
        here: Any = self.tree
        found: tuple[Table | Items, str | int] | None = None
        for part in path:
            if isinstance(here, Table) and part in here:
                found, here = (here, part), here[str(part)]
            elif isinstance(here, Items) and isinstance(part, int) and part < len(here):
                found, here = (here, part), here[part]
            else:
                break
        return found

    def at(self, *path: str | int) -> Any:
        """What is at `path`, or the last thing on the way that is there."""
        found = self.holder(*path)
        return found[0][found[1]] if found else self.tree  # type: ignore[index]  # holder's pairs fit each other

    def line(self, *path: str | int) -> int:
        """The line of what is at `path`, or of the last thing on the way that is there."""
        found = self.holder(*path)
        if found is None:
            return max(self.tree.line, 1)
        return found[0].lines[found[1]]  # type: ignore[index]  # holder's pairs fit each other

    def line_of(self, word: str, *path: str | int) -> int:
        """The line where `word` is a key or a value somewhere below `path`; else the line of that."""
        return _find(self.at(*path), word) or self.line(*path)


def _find(here: Any, word: str) -> int:
    """The line of `word` in a value; 0 if it isn't there."""
    if isinstance(here, Table):
        pairs: Iterable[tuple[Any, int]] = ((here[key], here.lines[key]) for key in here)
        if word in here:
            return here.lines[word]
    elif isinstance(here, Items):
        pairs = zip(here, here.lines, strict=True)
    else:
        return 0
    for value, line in pairs:
        if found := line if value == word else _find(value, word):
            return found
    return 0


class _Broken(Exception):
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
        raise _Broken(0, f"the file is longer than {FILE_BYTES_MAX >> 20} MiB", "remove what isn't configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _Broken(line, "the file is not UTF-8", "save it as UTF-8") from None


def _events(text: str) -> Iterator[Event]:
    """The events of ruamel; whatever it stumbles over is _Broken with a line."""
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
    except (YAMLError, ValueError) as error:  # ValueError: "\U00110000", which is no character
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
                    remedy = "one file is one document: remove the ---"
                    raise _Broken(event.start_mark.line + 1, "a second document begins", remedy)
            elif not isinstance(event, (DocumentEndEvent, StreamEndEvent)) and documents:
                tree = self._value(event, 0)
        return tree

    def _value(self, event: Event, depth: int) -> Any:
        line = event.start_mark.line + 1
        self._count(1, line)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                remedy = f"quote text that starts with *, or write the &{event.anchor} first"
                raise _Broken(line, f"*{event.anchor} is not known here", remedy)
            value, size = self._anchors[event.anchor]
            self._count(size, line)
            return value
        before = self._values
        tag = getattr(event, "tag", None)
        if tag not in {None, "!"}:
            self._document.add(line, f"the tag {tag} means nothing here", "remove it; quote text that starts with !")
        if isinstance(event, ScalarEvent):
            value = self._scalar(event, line)
        elif depth >= DEPTH_MAX:
            raise _Broken(line, f"more than {DEPTH_MAX} levels deep", "nothing in the configuration is that deep")
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
            key = self._text(event.value, key_line)
            value = self._value(next(self._events), depth + 1)
            if key in table:
                remedy = f"it is on line {table.lines[key]}, too: remove one"
                self._document.add(key_line, f"the key {key!r} is there twice", remedy)
            elif key == "<<" and not event.style:
                remedy = "write the keys out, or give a whole value by *alias"
                self._document.add(key_line, "merge keys (<<) are not YAML 1.2", remedy)
            else:
                table.put(key, value, key_line)
        return table

    def _items(self, line: int, depth: int) -> Items:
        items = Items(line)
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            items.lines.append(event.start_mark.line + 1)
            items.append(self._value(event, depth + 1))
        return items

    def _text(self, text: str, line: int) -> str:
        r"""Text as it is; `"\ud800"`, half of a character, is told and left out."""
        if text.isascii():
            return text
        whole = text.encode(errors="ignore").decode()
        if whole != text:
            self._document.add(line, "half of a character", "write the character itself")
        return whole

    def _scalar(self, event: ScalarEvent, line: int) -> Any:
        text = self._text(event.value, line)
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
