"""pydantic's errors -> Problems with file, line and remedy; and the mending that lets checks go on. For load.py."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gslb.config.plugins import meant
from gslb.config.reader import Document, Items, Table, dotted
from gslb.config.values import ERROR

SHOWN_MAX = 60

Path = tuple[str | int, ...]


def report(document: Document, model: type[BaseModel], errors: Iterable[ErrorDetails]) -> None:
    """Adds a Problem for every error. An "is too short" that only follows from errors inside is left out."""
    known = list(errors)
    places = [error["loc"] for error in known]
    for error in known:
        place = error["loc"]
        if error["type"] == "too_short" and any(len(one) > len(place) and one[: len(place)] == place for one in places):
            continue
        path = place[:-1] if place and place[-1] == "[key]" else place
        above = path[:-1] if error["type"] == "missing" else path
        message, remedy, kind = _words(document, model, error, path)
        document.add(document.line(*above), message, remedy, dotted(path), kind)


# ---------------------------------------------------------------- words
def _words(document: Document, model: type[BaseModel], error: ErrorDetails, path: Path) -> tuple[str, str, str]:
    """Message, remedy and kind."""
    context: dict[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if kind == ERROR:
        return context["text"], context["remedy"], context["kind"]
    if kind == "value_error":
        message, _, remedy = str(context["error"]).partition(": ")
        return message, remedy, "invalid"
    shown = _shown(document, path)
    if kind == "missing":
        return f"{path[-1]!r} is missing", f"write it: {_description(model, path)}", "invalid"
    if kind == "extra_forbidden":
        return f"unknown key {path[-1]!r}", meant(str(path[-1]), _keys(model, path[:-1])), "invalid"
    if kind == "literal_error":
        known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        return f"{shown} is not known here", meant(str(error["input"]), known), "invalid"
    bounds = {"greater_than_equal": "ge", "less_than_equal": "le", "greater_than": "gt", "less_than": "lt"}
    if kind in bounds:
        word = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}[bounds[kind]]
        return f"{shown} is out of bounds", f"it must be {word} {context[bounds[kind]]:g}", "invalid"
    message, remedy = _shapes(kind, shown, error, _keys(model, path))
    return message, remedy, "invalid"


def _shapes(kind: str, shown: str, error: ErrorDetails, keys: Iterable[str]) -> tuple[str, str]:
    """Words for values of the wrong shape."""
    value, context = error["input"], error.get("ctx", {})
    quoted = isinstance(value, str)
    match kind:
        case "string_type":
            return f"{shown} is not text", "put it in quotes" if isinstance(value, (int, float)) else "write text"
        case "int_type" | "int_from_float" | "int_parsing":
            return f"{shown} is not a whole number", "write it without quotes" if quoted else "write a number, as 10"
        case "float_type" | "float_parsing":
            return f"{shown} is not a number", "write it without quotes" if quoted else "write a number, as 1.5"
        case "bool_type" | "bool_parsing":
            return f"{shown} is neither true nor false", "write true or false, without quotes"
        case "tuple_type" | "list_type":
            return f"{shown} is not a list", "put its items in brackets, as [one, two]"
        case "dict_type" | "model_type" | "model_attributes_type":
            known = ", ".join(keys)
            return f"{shown} is not a mapping", f"known keys: {known}" if known else "write {key: value}"
        case "too_short" | "string_too_short":
            return "is empty", "write at least one"
        case "too_long" | "string_too_long":
            return "holds too much", f"at most {context['max_length']:,}"
        case _:
            return f"{shown}: {error['msg']}", ""


def _shown(document: Document, path: Path) -> str:
    """The value as the person wrote it, short; never a secret."""
    if not path or path[0] == "secrets" or "redis" in path:
        return "this"
    here: Any = document.tree
    for part in path:
        here = here[part] if part in here or (isinstance(here, Items) and isinstance(part, int)) else None
        if here is None:
            return "this"
    if isinstance(here, (Table, Items)):
        return "a mapping" if isinstance(here, Table) else "a list"
    text = {True: "true", False: "false"}.get(here, repr(here)) if isinstance(here, bool) else repr(here)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


# ---------------------------------------------------------------- what the models know
def inner(annotation: Any, part: str | int) -> Any:
    """The type of what is at `part` of a value of this type; None where the models don't say."""
    kind = bare(annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return field.annotation if field else None
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    if get_origin(kind) is tuple:
        return get_args(kind)[0]
    return None


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


def _at(model: type[BaseModel], path: Path) -> Any:
    kind: Any = model
    for part in path:
        kind = inner(kind, part)
    return bare(kind)


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    kind = _at(model, path)
    return sorted(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _description(model: type[BaseModel], path: Path) -> str:
    kind = _at(model, path[:-1])
    known = isinstance(kind, type) and issubclass(kind, BaseModel)
    return (kind.model_fields[str(path[-1])].description or "") if known else "it has no default"


# ---------------------------------------------------------------- mending
def mend(tree: Table, errors: Iterable[ErrorDetails]) -> bool:
    """Takes out of the tree what the errors are about, so that the rest can be checked. False if nothing is left."""
    targets: dict[tuple[int, str | int], tuple[Table | Items, str | int]] = {}
    for error in errors:
        path = error["loc"][:-1] if error["type"] == "missing" or error["loc"][-1:] == ("[key]",) else error["loc"]
        found: tuple[Table | Items, str | int] | None = None
        here: Any = tree
        for part in path:
            if isinstance(here, Table) and isinstance(part, str) and part in here:
                found, here = (here, part), here[part]
            elif isinstance(here, Items) and isinstance(part, int) and part < len(here):
                found, here = (here, part), here[part]
        if found is None:
            return False
        targets[id(found[0]), found[1]] = found
    # items from the last to the first, so that the places of the others stay true
    for container, part in sorted(targets.values(), key=lambda one: one[1] if isinstance(one[1], int) else 0, reverse=True):
        del container[part]  # type: ignore[arg-type]  # a Table's part is text, an Items' a number
        del container.lines[part]  # type: ignore[arg-type]  # as above
    return True
