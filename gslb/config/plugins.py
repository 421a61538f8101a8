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

Location = tuple[str | int, ...]


@functools.cache
def adapter_of(cls: type[Any]) -> TypeAdapter[Any]:
    """pydantic's view of a type, made once."""
    return TypeAdapter(cls)


def option_names(cls: type[Any]) -> tuple[str, ...]:
    """The options of a plug-in."""
    return tuple(field.name for field in dataclasses.fields(cls))


def moved(error: ValidationError, prefix: Location) -> list[InitErrorDetails]:
    """The errors of a value inside, with their places seen from outside."""
    details: list[InitErrorDetails] = []
    for item in error.errors(include_url=False):
        context: dict[str, Any] = item.get("ctx", {})
        kind: str | PydanticCustomError = item["type"]
        if kind == ERROR:
            kind = PydanticCustomError(ERROR, "{text}", context)
        details.append(InitErrorDetails(type=kind, loc=(*prefix, *item["loc"]), input=item["input"], ctx=context))
    return details


def unknown_keys(keys: Iterable[str], known: Iterable[str]) -> list[InitErrorDetails]:
    """An error for each of `keys` that isn't `known`."""
    names = tuple(known)
    return [
        InitErrorDetails(type=unknown_key(key, names), loc=(key,), input=None) for key in keys if key not in names
    ]


def unknown_key(key: str, known: Iterable[str]) -> PydanticCustomError:
    """`unknown key 'by'`, with what it may have meant."""
    return refusal(f"unknown key {key!r}", meant(key, known))


def meant(word: str, known: Iterable[str]) -> str:
    """`did you mean 'nearest'? known: …`."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names)}" if names else "there are none"


def together(*attempts: Callable[[], Any]) -> list[Any]:
    """The results of all attempts, or the errors of all that failed as one ValidationError."""
    results, details = [], []
    for attempt in attempts:
        try:
            results.append(attempt())
        except ValidationError as error:
            details += moved(error, ())
    if details:
        raise ValidationError.from_exception_data("configuration", details)
    return results


def validate(cls: type[Any], value: Any, prefix: Location = ()) -> Any:
    """`value` as a `cls`, by JSON's idea of types: no text is a number, no number a truth."""
    try:
        return adapter_of(cls).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise ValidationError.from_exception_data("options", moved(error, prefix)) from None


def build(
    registry: Registry[Any], name: Any, options: Any, prefix: Location = (), also: Iterable[str] = ()
) -> Any:
    """The plug-in called `name` with these options. `also`: keys that stand beside them, for the did-you-mean.

    Raises ValidationError, or PydanticCustomError for an unknown name: its words are UnknownName's.
    """
    if not isinstance(name, str):
        raise refusal(f"{name!r} is no name of a {registry.kind}", f"known: {', '.join(registry.known())}")
    try:
        cls = registry.get(name)
    except UnknownName as error:
        text, _, remedy = str(error).partition("; ")
        raise refusal(text, remedy) from None
    if not isinstance(options, Mapping):
        words = f"write them as {{{name}: {{option: value}}}}; known: {', '.join(option_names(cls)) or 'none'}"
        raise ValidationError.from_exception_data(
            name, [InitErrorDetails(type=refusal("these are no options", words), loc=prefix, input=None)]
        )
    known = option_names(cls)
    strange = unknown_keys(options, (*known, *also))

    def names() -> None:
        if strange:
            raise ValidationError.from_exception_data(name, strange)

    def values() -> Any:
        return validate(cls, {key: value for key, value in options.items() if key in known})

    try:
        return together(names, values)[1]
    except ValidationError as error:
        raise ValidationError.from_exception_data(name, moved(error, prefix)) from None


def entry(registry: Registry[Any], value: Any) -> Any:
    """A plug-in from `name` or `{name: {options}}`."""
    if isinstance(value, str):
        return build(registry, value, {})
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, options),) = value.items()
        return build(registry, name, {} if options is None else options, (name,))
    raise refusal(f"this is no {registry.kind}", f"write a name, or {{name: {{option: value}}}}; known: "
                  f"{', '.join(registry.known())}")
