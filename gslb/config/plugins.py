"""From the words of a plug-in (`nearest`, `{weighted: {by: answer}}`) to its frozen dataclass.

Options are validated from the dataclass's own fields, so a new policy, algorithm or check needs no line here. Used by
the models of this room; the registries are the only thing it knows of the rooms they belong to.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from gslb.config.values import ERROR, refusal
from gslb.errors import UnknownName
from gslb.registry import Registry

KNOWN_SHOWN_MAX = 20

Place = tuple[str | int, ...]


@functools.cache
def adapter_of(cls: Any) -> TypeAdapter[Any]:
    """What pydantic makes of a type, made once."""
    return TypeAdapter(cls)


def option_names(cls: type[Any]) -> tuple[str, ...]:
    """The options of a plug-in."""
    return tuple(field.name for field in dataclasses.fields(cls))


def meant(word: str, known: Iterable[str]) -> str:
    """`did you mean 'nearest'? known: …`."""
    names = sorted(known)
    if not names:
        return "there are none"
    close = difflib.get_close_matches(word, names, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    more = ", …" if len(names) > KNOWN_SHOWN_MAX else ""
    return f"{hint}known: {', '.join(names[:KNOWN_SHOWN_MAX])}{more}"


# ---------------------------------------------------------------- errors from inside
def refused(place: Place, error: PydanticCustomError) -> ValidationError:
    """A refusal of what is at `place` of the value under validation."""
    return ValidationError.from_exception_data("value", [InitErrorDetails(type=error, loc=place, input=None)])


def moved(error: ValidationError, prefix: Place) -> list[InitErrorDetails]:
    """The errors of a value inside, with their places seen from outside."""
    details: list[InitErrorDetails] = []
    for item in error.errors(include_url=False):
        context: dict[str, Any] = item.get("ctx", {})
        kind = PydanticCustomError(ERROR, "{text}", context) if item["type"] == ERROR else item["type"]
        details.append(InitErrorDetails(type=kind, loc=(*prefix, *item["loc"]), input=item["input"], ctx=context))
    return details


def together(*attempts: Callable[[], Any]) -> list[Any]:
    """The results of all attempts, or the errors of all that failed as one ValidationError."""
    results: list[Any] = []
    details: list[InitErrorDetails] = []
    for attempt in attempts:
        try:
            results.append(attempt())
        except ValidationError as error:
            details += moved(error, ())
    if details:
        raise ValidationError.from_exception_data("value", details)
    return results


# ---------------------------------------------------------------- building
def validate(cls: Any, value: Any) -> Any:
    """`value` as a `cls`, by JSON's idea of types: no text is a number, no number a truth."""
    return adapter_of(cls).validate_json(json.dumps(value), strict=True)


def build(
    registry: Registry[Any], name: Any, options: Any, *, name_at: Place, options_at: Place, beside: Iterable[str] = ()
) -> Any:
    """The plug-in called `name` with these options. Raises ValidationError.

    Args:
        registry: where to find it.
        name: what the file says.
        options: what the file says.
        name_at: where the name is, seen from the value under validation.
        options_at: where the options are.
        beside: keys that stand beside the options, for the did-you-mean.
    """
    if not isinstance(name, str):
        raise refused(name_at, refusal(f"this names no {registry.kind}", f"known: {', '.join(registry.known())}"))
    try:
        cls = registry.get(name)
    except UnknownName as error:
        message, _, remedy = str(error).partition("; ")
        raise refused(name_at, refusal(message, remedy)) from None
    known = option_names(cls)
    if not isinstance(options, Mapping):
        remedy = f"write {{{name}: {{option: value}}}}; known: {', '.join(known)}" if known else f"{name} has none"
        raise refused(options_at, refusal("these are no options", remedy))

    def strange(key: str) -> None:
        raise refused((key,), refusal(f"unknown key {key!r}", meant(key, (*known, *beside))))

    def values() -> Any:
        return validate(cls, {key: value for key, value in options.items() if key in known})

    try:
        return together(values, *(functools.partial(strange, key) for key in options if key not in known))[0]
    except ValidationError as error:
        raise ValidationError.from_exception_data("value", moved(error, options_at)) from None


def entry(registry: Registry[Any], value: Any) -> Any:
    """A plug-in from `name` or `{name: {options}}`. Raises ValidationError or a refusal."""
    if isinstance(value, str):
        return build(registry, value, {}, name_at=(), options_at=())
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, options),) = value.items()
        return build(registry, name, {} if options is None else options, name_at=(name,), options_at=(name,))
    remedy = f"write a name, or {{name: {{option: value}}}}; known: {', '.join(registry.known())}"
    raise refusal(f"this names no {registry.kind}", remedy)
