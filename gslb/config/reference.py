"""docs/configuration.md, made from the models and the plug-ins' dataclasses: `python -m gslb.config.reference`.

Deterministic, so a test compares the page in the repository with what this makes. Nothing else calls it.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gslb.balancing.algorithm import ALGORITHMS
from gslb.config.problems import bare, fields_of
from gslb.config.schema import ClusterFile, HealthTimes, ListenSection, RegionFile
from gslb.config.values import Hint, Unbuilt, Within
from gslb.health.check import CHECKS
from gslb.registry import Registry
from gslb.steering.policy import POLICIES
from gslb.units import Parsed, Span, format_duration, parse_share

PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
ITEM = {"edges": "NAME", "zones": "ZONE", "services": "HOST", "pools": "NAME"}

INTRODUCTION = """\
# Configuration

<!-- Made by `python -m gslb.config.reference` from the models. Change those, not this page. -->

A folder of YAML files (`regions/`, or the one that `--config` names): `gslb.yaml` holds what every node shares, each
other `*.yaml` is one region. The [sample](../regions/gslb.yaml) shows the words in use; this page lists all of them.

- **YAML** is read by the 1.2 rules: `NO` is Norway, `010` is ten. Keys written twice, tags and merge keys are errors;
  an alias stands for a whole value.
- **Unknown keys** are errors, and so is text where a number belongs: `"10"` is not `10`.
- **Durations** carry their unit: `500ms`, `2s`, `1m30s`, `1h`. **Percentages** their sign: `20%`.
- **Paths** start at the folder of the files.
- **Secrets** are named, not written: `{file: path}` or `{env: NAME}`.
- **Not built yet** marks words that this release knows and refuses.

`gslb check` names every mistake with its file, its line and what would be right. `gslb reload` has the running nodes
read the files again; a mistake changes nothing. What must be written is marked *required*; all else has a default.
"""

PLUGINS: tuple[tuple[str, Registry[Any], str], ...] = (
    (
        "Policies",
        POLICIES,
        "What `services.HOST.steering` chains: each goes on with what the one before left.",
    ),
    ("Algorithms", ALGORITHMS, "What `balancer.pools.NAME.algorithm` names: how a server is picked."),
    (
        "Checks",
        CHECKS,
        "What `balancer.pools.NAME.health.type` names. Its options stand beside the other keys of `health`.",
    ),
)


def reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *_file("gslb.yaml", ClusterFile), *_file("A region's file", RegionFile)]
    for title, registry, introduction in PLUGINS:
        parts += [f"## {title}\n", textwrap.fill(introduction, 120) + "\n"]
        for name, cls in registry.known().items():
            parts += _plugin(name, cls)
    return "\n".join(parts)


def main() -> None:
    """Writes the page to stdout."""
    sys.stdout.write(reference())


# ---------------------------------------------------------------- the files
def _file(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {title}\n"
    yield from _section("", model)


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    """A model's table, then the models inside it."""
    if path:
        yield f"### `{path}`\n"
    yield f"{inspect.getdoc(model)}\n"
    rows = [
        (f"`{key}`", _type(field.annotation, field.metadata), _default(field), _meaning(field))
        for key, field in model.model_fields.items()
    ]
    if model is HealthTimes:
        rows.insert(0, ("`type`", "check", "*required*", "which check; its own options stand beside these keys"))
    yield from _table(("key", "type", "default", "meaning"), rows)
    for key, field in model.model_fields.items():
        if _unbuilt(field) or key == "edges":  # whose keys are those of `edge`
            continue
        here = f"{path}.{key}" if path else key
        kind = bare(field.annotation)
        if get_origin(kind) is dict:
            yield from _inner(f"{here}.{ITEM.get(key, 'NAME')}", get_args(kind)[1])
        elif get_origin(kind) is tuple:
            yield from _inner(f"{here}[]", get_args(kind)[0])
        elif key == "health":
            yield from _inner(here, HealthTimes)
        else:
            yield from _inner(here, kind)


def _inner(path: str, kind: Any) -> Iterator[str]:
    if fields_of(kind):
        yield from _section(path, bare(kind))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    lines = [head, ("---",) * len(head), *rows]
    yield "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _unbuilt(field: FieldInfo) -> bool:
    return any(isinstance(mark, Unbuilt) for mark in field.metadata)


def _meaning(field: FieldInfo) -> str:
    words = field.description or ""
    return f"{words} (**not built yet**)" if _unbuilt(field) else words


# ---------------------------------------------------------------- types and defaults in words
def _type(annotation: Any, marks: list[Any]) -> str:
    """What a person may write, in words."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        marks = [*more, *marks]
    hint = next((mark.text for mark in marks if isinstance(mark, Hint)), None)
    if hint:
        return hint
    parsed = next((mark for mark in marks if isinstance(mark, Parsed)), None)
    if parsed:
        span = next((mark for mark in marks if isinstance(mark, Span | Within)), None)
        name = "percentage" if parsed.parse is parse_share else "duration"
        return f"{name}, {span.low} to {span.high}" if span else name
    origin, options = get_origin(annotation), [one for one in get_args(annotation) if one is not NoneType]
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in options)
    if origin is tuple:
        return f"list of {_type(options[0], [])}"
    if origin is dict:
        return f"mapping of {_type(options[0], [])} to {_type(options[1], [])}"
    if origin in {Union, UnionType}:
        return " or ".join(_type(option, marks) for option in options)
    return "mapping" if fields_of(annotation) else _bounds(PLAIN.get(annotation, "any"), marks)


def _bounds(words: str, marks: list[Any]) -> str:
    low = next((mark.ge for mark in marks if isinstance(mark, Ge)), None)
    high = next((mark.le for mark in marks if isinstance(mark, Le)), None)
    if low is None and high is None:
        return words
    return f"{words}, {_number(low)} to {_number(high)}" if high is not None else f"{words}, at least {_number(low)}"


def _number(value: Any) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    default = field.get_default(call_default_factory=True)
    if fields_of(field.annotation) and default is not None and not _unbuilt(field):
        return "as below"
    return _shown(default, next((mark for mark in field.metadata if isinstance(mark, Parsed)), None))


def _shown(value: Any, parsed: Parsed | None = None) -> str:
    """A default as it would be written."""
    if value is None:
        return "none"
    if parsed is not None:
        return f"`{value:.0%}`" if parsed.parse is parse_share else f"`{format_duration(value)}`"
    if isinstance(value, str):
        return f"`{value}`" if value else "none"
    if isinstance(value, tuple) and value and isinstance(value[0], ListenSection):
        value = [one.address for one in value]
    if isinstance(value, float):
        return f"`{value:g}`"
    text = json.dumps(value, default=str)
    return "`" + re.sub(r'"([a-z_]+)"', r"\1", text) + "`"


# ---------------------------------------------------------------- plug-ins
def _plugin(name: str, cls: type[Any]) -> Iterator[str]:
    """What the first paragraph of its module and its own docstring say, and its options."""
    yield f"### `{name}`\n"
    module = inspect.getdoc(importlib.import_module(cls.__module__)) or ""
    whole = cls in POLICIES.known().values()  # the others have pages of their own; their modules are for developers
    text = re.sub(rf"^`?{name}`?: ", "", module if whole else module.partition("\n\n")[0])
    yield text[:1].upper() + text[1:].rstrip() + "\n"
    docstring = inspect.getdoc(cls) or ""
    meanings = _attributes(docstring)
    if not meanings:
        yield docstring + "\n"
    hints = get_type_hints(cls, include_extras=True)
    rows = []
    for field in dataclasses.fields(cls):
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        marks = getattr(hints[field.name], "__metadata__", ())
        parsed = next((mark for mark in marks if isinstance(mark, Parsed)), None)
        row = (f"`{field.name}`", _type(hints[field.name], []), _shown(default, parsed))
        rows.append((*row, meanings[field.name]) if meanings else row)
    if rows:
        yield from _table(("option", "type", "default", "meaning") if meanings else ("option", "type", "default"), rows)


def _attributes(docstring: str) -> dict[str, str]:
    """The `Attributes:` of a docstring."""
    _, found, block = docstring.partition("Attributes:\n")
    if not found:
        return {}
    entries = re.findall(r"^(\w+): (.*(?:\n[ ]+.*)*)", textwrap.dedent(block), re.MULTILINE)
    return {name: " ".join(words.split()).removesuffix(".") for name, words in entries}


if __name__ == "__main__":
    main()
