"""Pydantic's errors -> Problems with file, line and remedy; and the mending that lets checks go on. For load.py."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gslb.config.plugins import Place, meant
from gslb.config.reader import PROBLEMS_MAX, Document, Items, Table
from gslb.config.values import ERROR

SHOWN_MAX = 60

_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def report(document: Document, model: type[BaseModel], errors: Iterable[ErrorDetails]) -> None:
    """Adds a Problem for every error. An "is empty" that only follows from errors inside is left out."""
    known = list(errors)
    places = [error["loc"] for error in known]
    for error in known:
        place = error["loc"]
        if error["type"] == "too_short" and any(len(one) > len(place) and one[: len(place)] == place for one in places):
            continue
        path = _there(document, place)
        if len(document.problems) > PROBLEMS_MAX or _said(document, error, path):
            continue
        line = document.line(*path)
        if error["type"] == "missing":
            path = place
        message, remedy, kind = _words(document, model, error, path)
        document.add(line, message, remedy, path, kind)
        document.wrong.append(path)


def _said(document: Document, error: ErrorDetails, path: Place) -> bool:
    """Whether this is but another complaint of a choice between types, at the same value."""
    inside = error["type"] != "missing" and error["loc"][-1:] != ("[key]",) and path != error["loc"]
    return inside and path in document.wrong


def _there(document: Document, place: Place) -> Place:
    """The part of a place that is in the file: pydantic adds `[key]` and the names of types."""
    length = 0
    while length < len(place) and document.holder(*place[: length + 1]) != document.holder(*place[:length]):
        length += 1
    return place[:length]


# ---------------------------------------------------------------- words
def _words(document: Document, model: type[BaseModel], error: ErrorDetails, path: Place) -> tuple[str, str, str]:
    """Message, remedy and kind."""
    context: dict[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if kind == ERROR:
        return context["text"], context["remedy"], context["kind"]
    if kind == "value_error":
        message, _, remedy = str(context["error"]).partition(": ")
        return message, remedy, "invalid"
    if kind == "missing":
        return f"{path[-1]!r} is missing", f"write it: {_description(model, path)}", "invalid"
    if kind == "extra_forbidden":
        return f"unknown key {path[-1]!r}", meant(str(path[-1]), _keys(model, path[:-1])), "invalid"
    shown = _shown(document, path)
    if kind == "literal_error":
        known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        return f"{shown} is not known here", meant(str(error["input"]), known), "invalid"
    if kind in _BOUNDS:
        bound, word = _BOUNDS[kind]
        return f"{shown} is out of bounds", f"it must be {word} {context[bound]:g}", "invalid"
    message, remedy = _shapes(error, shown, lambda: _keys(model, path))
    return message, remedy, "invalid"


def _shapes(error: ErrorDetails, shown: str, keys: Callable[[], list[str]]) -> tuple[str, str]:
    """Words for values of the wrong shape."""
    value, context = error["input"], error.get("ctx", {})
    quoted = isinstance(value, str)
    match error["type"]:
        case "string_type":
            return f"{shown} is not text", "put it in quotes" if isinstance(value, int | float) else "write text"
        case "int_type" | "int_from_float":
            return f"{shown} is not a whole number", "write it without quotes" if quoted else "write a number, as 10"
        case "float_type":
            return f"{shown} is not a number", "write it without quotes" if quoted else "write a number, as 1.5"
        case "bool_type":
            return f"{shown} is neither true nor false", "write true or false, without quotes"
        case "tuple_type":
            return f"{shown} is not a list", "put its items in brackets, as [one, two]"
        case "dict_type" | "model_type":
            known = ", ".join(keys())
            return f"{shown} is not a mapping", f"known keys: {known}" if known else "write {key: value}"
        case "too_short" | "string_too_short":
            return "is empty", "write at least one"
        case "too_long" | "string_too_long":
            return "holds too much", f"at most {context['max_length']:,}"
        case _:
            return f"{shown}: {error['msg']}", ""


def _shown(document: Document, path: Place) -> str:
    """The value as the person wrote it, short; never one that may be a secret."""
    here = None if not path or path[0] == "secrets" or "redis" in path else document.at(*path)
    if isinstance(here, Table):
        return "a mapping"
    if isinstance(here, Items):
        return "a list"
    if here is None:
        return "this"
    text = str(here).lower() if isinstance(here, bool) else repr(here)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


# ---------------------------------------------------------------- what the models know
def bare(annotation: Any) -> Any:
    """A type without `Annotated` and without `| None`."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, types.UnionType} and type(None) in get_args(annotation):
            annotation = next(one for one in get_args(annotation) if one is not type(None))
        else:
            return annotation


def fields_of(annotation: Any) -> dict[str, Any]:
    """The fields of a model by key; none of what is no model."""
    kind = bare(annotation)
    return dict(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else {}


def _at(model: type[BaseModel], path: Place) -> Any:
    """The type of what is at `path`; None where the models don't say."""
    kind: Any = model
    for part in path:
        kind = bare(kind)
        if get_origin(kind) in {dict, tuple}:
            kind = get_args(kind)[get_origin(kind) is dict]
        else:
            field = fields_of(kind).get(str(part))
            kind = field.annotation if field else None
    return kind


def _keys(model: type[BaseModel], path: Place) -> list[str]:
    return sorted(fields_of(_at(model, path)))


def _description(model: type[BaseModel], path: Place) -> str:
    field = fields_of(_at(model, path[:-1])).get(str(path[-1]))
    return (field.description or "") if field else "it has no default"


# ---------------------------------------------------------------- mending
def mend(document: Document, errors: Iterable[ErrorDetails]) -> bool:
    """Takes out of the tree what the errors are about, so that the rest can be checked. False if nothing is left."""
    targets: dict[tuple[int, str | int], tuple[Table | Items, str | int]] = {}
    for error in errors:
        above = error["type"] == "missing" or error["loc"][-1:] == ("[key]",)
        found = document.holder(*(error["loc"][:-1] if above else error["loc"]))
        if found is None:
            return False
        targets[id(found[0]), found[1]] = found
    # items from the last to the first, so that the places of the others stay true
    for container, part in sorted(targets.values(), key=lambda one: one[1] if isinstance(one[1], int) else 0)[::-1]:
        container.remove_at(part)
    return True
