"""The models of what a route matches. See schema.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import MaxLen, MinLen
from pydantic import AfterValidator, Field, PlainValidator

from gslb.balancing.patterns import compile_pattern, is_glob
from gslb.balancing.request import TOKEN
from gslb.config.plugins import meant
from gslb.config.values import URL_MAX, Hint, Section, host_name, refusal
from gslb.model import Condition

METHODS_MAX = 16
CONDITIONS_MAX = 16
VALUE_MAX = 1024

_PATH = re.compile(r"/[\x21\x22\x24-\x3e\x40-\x7e]*")
_METHOD = re.compile(r"[A-Z][A-Z_-]{0,31}")
_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")  # RFC 9110 §5.5
_KINDS = ("exact", "prefix", "present", "regex")


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression, checked; it must match the whole text."""

    text: str


def regex(value: object) -> str:
    """A pattern that RE2 takes."""
    if not isinstance(value, str):
        raise refusal("this is no regular expression", 'write it in quotes, as "/v[0-9]+/.*"')
    try:
        compile_pattern(value)
    except ValueError as error:
        remedy = "RE2 knows no back-references and no look-around: see docs/routing.md"
        raise refusal(str(error), remedy) from None
    return value


# ---------------------------------------------------------------- host, path, method
def _host(text: str) -> str:
    if text.startswith("*."):
        return "*." + host_name(text[2:])
    if "*" in text:
        raise refusal(f"{text!r} is not a host to match", "a wildcard is a whole first label: *.example.com")
    return host_name(text)


def _path(value: object) -> str | Regex:
    if isinstance(value, Mapping):
        if set(value) != {"regex"}:
            raise refusal("this is not a path to match", 'write a path, or {regex: "/v[0-9]+/.*"}')
        return Regex(regex(value["regex"]))
    if value == "*":
        return "*"
    if not isinstance(value, str) or len(value) > URL_MAX or not _PATH.fullmatch(value):
        raise refusal(f"{value!r} is not a path to match", "start it with /; end it with * to match all below: /api/*")
    if "***" in value:
        raise refusal(f"{value!r} is not a path to match", "write * for anything within a segment, ** for anything")
    return value


def _methods(value: object) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not 0 < len(listed) <= METHODS_MAX:
        raise refusal("this is no method", "write one, or a list of them: [GET, HEAD]")
    for one in listed:
        if not isinstance(one, str) or not _METHOD.fullmatch(one):
            raise refusal(f"{one!r} is no method", "methods are in capitals, as GET")
        if one in {"TRACE", "CONNECT"}:
            raise refusal(f"{one} is never forwarded", "remove it: such a request is answered with 405")
    return tuple(listed)


# ---------------------------------------------------------------- fields and parameters
def field_value(value: object) -> str:
    """A value as a field may have it (RFC 9110 §5.5): nothing that ends a line."""
    if not isinstance(value, str) or len(value) > VALUE_MAX or not (_VALUE.fullmatch(value) or value == ""):
        remedy = f"write text of at most {VALUE_MAX} characters, without line ends, control bytes or outer spaces"
        raise refusal("this can't be a field's value", remedy)
    return value


def field_name(name: str) -> str:
    """A field's name (RFC 9110 §5.1)."""
    if TOKEN(name) is None:
        raise refusal(f"{name!r} is no field name", "write letters, digits and hyphens")
    return name


def _asked(value: object) -> tuple[str, str]:
    """Kind and text of a condition."""
    if not isinstance(value, Mapping):
        return "exact", field_value(value)
    if len(value) != 1:
        raise refusal("this is no condition", f"write a value, or one of {{{'}, {'.join(_KINDS)}}}: …")
    ((kind, text),) = value.items()
    if kind not in _KINDS:
        raise refusal(f"unknown key {kind!r}", meant(str(kind), _KINDS))
    if kind == "present":
        if not isinstance(text, bool):
            raise refusal("this is neither true nor false", "write {present: true} or {present: false}")
        return ("present" if text else "absent"), ""
    return kind, regex(text) if kind == "regex" else field_value(text)


def _parameter(name: str) -> str:
    if not re.fullmatch(r"[!$%'()*+,./0-9:;?@A-Z\[\]^_`a-z{|}~-]{1,128}", name):
        raise refusal(f"{name!r} is no parameter's name", "write it as it stands in the query, without & and =")
    return name


Asked = Annotated[Any, PlainValidator(_asked), Hint("value, or `{prefix: …}`, `{regex: …}`, `{present: true}`")]
FieldName = Annotated[str, AfterValidator(field_name), Hint("field name")]
Headers = Annotated[dict[FieldName, Asked], MinLen(1), MaxLen(CONDITIONS_MAX)]
Query = Annotated[
    dict[Annotated[str, AfterValidator(_parameter), Hint("parameter")], Asked], MinLen(1), MaxLen(CONDITIONS_MAX)
]


class MatchSection(Section):
    """Which requests a route takes: all that is written must fit; what is left out matches all."""

    host: Annotated[str, AfterValidator(_host), Hint("DNS name, or `*.` and one")] | None = Field(
        None, description="a host name; a service's also matches by this region's `url`"
    )
    path: Annotated[Any, PlainValidator(_path), Hint("path, glob or `{regex: …}`")] = Field(
        None, description="an exact path, all below (`/api/*`), a glob (`/v*/photo`), or a regular expression"
    )
    method: Annotated[Any, PlainValidator(_methods), Hint("method, or list of them")] = Field(
        None, description="the request's method"
    )
    headers: Headers | None = Field(None, description="what fields must be like")
    query: Query | None = Field(None, description="what parameters of the query must be like, undecoded")

    @property
    def plain_path(self) -> str:
        """The path if it is exact or a prefix, "*" where any is; "" for a pattern."""
        path = self.path or "*"
        return "" if isinstance(path, Regex) or is_glob(path) else path

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What is asked of fields and parameters."""
        fields = ((name.lower(), asked) for name, asked in (self.headers or {}).items())
        return (
            *(Condition("header", name, *asked) for name, asked in fields),
            *(Condition("query", name, *asked) for name, asked in (self.query or {}).items()),
        )
