"""The models of a balancer's routes: what becomes of the requests they match. See schema.py, schema_match.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, Field, PlainValidator, Strict, model_validator

from gslb.balancing.keys import KINDS, parse_key
from gslb.balancing.patterns import compile_pattern
from gslb.balancing.split import POOLS_MAX
from gslb.config.plugins import refused
from gslb.config.schema_guarding import BreakerSection
from gslb.config.schema_limits import LIMITS_MAX
from gslb.config.schema_match import FieldName, MatchSection, field_value, regex
from gslb.config.values import PORT_MAX, URL_MAX, Hint, Name, Section, host_name, refusal
from gslb.http.fixed import BODILESS, BODY_BYTES_MAX, Place
from gslb.http.heads import HOST, is_target
from gslb.http.rewrite import UNTOUCHABLE_REQUEST, UNTOUCHABLE_RESPONSE, canonical, parse_substitute

FIELDS_MAX = 32
WEIGHT_MAX = 10_000
DESTINATIONS = ("pool", "pools", "redirect", "respond")
_BESIDE_POOLS = ("rewrite", "host", "request_headers", "response_headers", "mirror", "breaker", "compression")
_OLD = {
    "weight": ("a route has no weight", "share requests out with pools: {web: 90, canary: 10}"),
    "canary": ("a route has no canary", "share requests out with pools: {web: 90, canary: 10}"),
}

FieldValue = Annotated[str, PlainValidator(field_value), Hint("text")]
Fields = Annotated[dict[FieldName, FieldValue], MaxLen(FIELDS_MAX)]
Pattern = Annotated[str, PlainValidator(regex), Hint("RE2 expression")]


def _new_path(text: str) -> str:
    if not text.startswith("/") or len(text) > URL_MAX or not text.isascii() or not is_target(text.encode()):
        raise refusal(f"{text!r} is not a path", "start it with /, and write no spaces")
    return text


def _prefix(text: str) -> str:
    if "?" in text:
        raise refusal(f"{text!r} holds a query", "write the beginning of a path, as /new")
    return _new_path(text)


NewPath = Annotated[str, AfterValidator(_new_path), Hint("path")]
Prefix = Annotated[str, AfterValidator(_prefix), Hint("path")]


# ---------------------------------------------------------------- answers
def _to(text: str) -> str:
    if len(text) > URL_MAX:
        raise refusal("this is longer than a URL may be", f"write at most {URL_MAX} characters")
    try:
        Place(text)
    except ValueError as error:
        message, _, remedy = str(error).partition(": ")
        raise refusal(message, remedy) from None
    return text


def _redirect_host(text: str) -> str:
    if "{" in text or "*" in text:
        raise refusal(f"{text!r} is not a host", "leave it out to keep the request's")
    return host_name(text)


class RedirectSection(Section):
    """Sends the client elsewhere: `to`, or the parts that change."""

    to: Annotated[str, AfterValidator(_to), Hint("template")] | None = Field(
        None, description="the place, with `{scheme}`, `{host}`, `{path}`, `{query}`"
    )
    scheme: Literal["http", "https"] | None = Field(None, description="another scheme; its port is left out")
    host: Annotated[str, AfterValidator(_redirect_host), Hint("DNS name")] | None = Field(
        None, description="another host"
    )
    port: Annotated[int, Ge(1), Le(PORT_MAX)] | None = Field(None, description="another port")
    path: NewPath | None = Field(None, description="another path")
    prefix: Prefix | None = Field(None, description="in place of the path prefix that the route matches")
    status: Literal[301, 302, 303, 307, 308] = Field(302, description="307 and 308 keep the method and the body")

    @model_validator(mode="after")
    def _whole(self) -> RedirectSection:
        parts = ("scheme", "host", "port", "path")
        written = self.model_fields_set - {"status"}
        if not written:
            raise refusal("this redirect leads nowhere", 'write to: "https://{host}{path}?{query}", or what changes')
        if self.to is not None and written & set(parts):
            raise refusal("both `to` and parts of it", "write one of them")
        if self.prefix is not None and "{path}" not in self.place:
            raise refusal("a prefix beside another path", "write one of them")
        return self

    @property
    def place(self) -> str:
        """The template."""
        if self.to is not None:
            return self.to
        start = ""
        if self.scheme or self.host or self.port:
            port = f":{self.port}" if self.port else ""
            start = f"{self.scheme or '{scheme}'}://{self.host or '{host}'}{port}"
        path = self.path or "{path}"
        return f"{start}{path}{'&' if '?' in path else '?'}{{query}}"


class RespondSection(Section):
    """A fixed answer."""

    status: Annotated[int, Ge(200), Le(599)] = Field(200, description="the status")
    body: Annotated[str, MaxLen(BODY_BYTES_MAX)] = Field("", description="the body; at most 64 KiB")
    content_type: FieldValue = Field("text/plain; charset=utf-8", description="what the body is")
    headers: Fields = Field({}, description="further fields")

    @model_validator(mode="after")
    def _whole(self) -> RespondSection:
        if self.body and self.status in BODILESS:
            raise refusal(f"a {self.status} has no body", "leave the body out, or write another status")
        if len(self.body.encode()) > BODY_BYTES_MAX:
            raise refusal("holds too much", f"at most {BODY_BYTES_MAX:,} bytes")
        _touchable(("headers",), self.headers, UNTOUCHABLE_RESPONSE | {"content-type", "x-request-id"})
        return self


# ---------------------------------------------------------------- what is changed on the way
class RewriteSection(Section):
    """Another path for the server; the query stays."""

    prefix: Prefix | None = Field(None, description="in place of the path prefix that the route matches")
    path: NewPath | None = Field(None, description="in place of the whole path")
    regex: Pattern | None = Field(None, description="for the whole path; one that it doesn't match stays")
    substitute: Annotated[str, MaxLen(URL_MAX)] | None = Field(
        None, description="in place of what `regex` matches; `\\1` to `\\9` are its groups"
    )

    @model_validator(mode="after")
    def _whole(self) -> RewriteSection:
        if sum(one is not None for one in (self.prefix, self.path, self.regex)) != 1:
            raise refusal("this is no rewrite", "write one of prefix, path, or regex with substitute")
        if (self.regex is None) != (self.substitute is None):
            raise refusal("regex and substitute go together", 'write {regex: "/old/(.*)", substitute: "/new/\\\\1"}')
        if self.regex is not None and self.substitute is not None:
            try:
                parts = parse_substitute(self.substitute, compile_pattern(self.regex).groups)
            except ValueError as error:
                raise refused(("substitute",), refusal(str(error), "\\1 is the first group in brackets")) from None
            literal = "".join(part if isinstance(part, str) else "/" for part in parts)
            if not literal.startswith("/") or not literal.isascii() or not is_target(literal.encode()):
                raise refused(("substitute",), refusal(f"{self.substitute!r} makes no path", "start it with /"))
        return self


class HeadersSection(Section):
    """Changes of fields; `set` takes the place of what is there."""

    set: Fields = Field({}, description="fields with this one value")
    add: Fields = Field({}, description="fields beside what is there")
    remove: Annotated[tuple[FieldName, ...], Strict(False), MaxLen(FIELDS_MAX)] = Field(
        (), description="fields to take out"
    )


class MirrorSection(Section):
    """Copies of requests for another pool, whose answers nobody waits for."""

    pool: Name = Field(description="the pool that gets the copies")
    percent: Annotated[float, Ge(0.01), Le(100)] = Field(100.0, description="how many of a hundred requests")


def _touchable(place: tuple[str, ...], names: Any, untouchable: frozenset[str]) -> None:
    for index, name in enumerate(names):
        if canonical(name.encode()).decode() in untouchable:
            where = (*place, name if isinstance(names, Mapping) else index)
            remedy = "use the route's host: key" if name.lower() == "host" else "leave it out"
            raise refused(where, refusal(f"{name} is the proxy's own to say", remedy))


def _by(text: str) -> str:
    if text == "request":
        return text
    try:
        parse_key(text)
    except ValueError as error:
        raise refusal(str(error), f"write request, or one of {', '.join(KINDS)}") from None
    return text


def _forward_host(text: str) -> str:
    if not HOST(text.encode("utf-8")) or re.search(r":\Z", text):
        raise refusal(f"{text!r} is not a host", "write a name, perhaps with a port, as app.internal:8080")
    return text.lower()


_MEDIA_TYPE = re.compile(r"[a-z0-9-]{1,64}/(?:\*|[a-z0-9.+-]{1,127})").fullmatch
Weights = Annotated[
    dict[Name, Annotated[int, Ge(0), Le(WEIGHT_MAX)]], MinLen(1), MaxLen(POOLS_MAX)
]


def _media_type(text: str) -> str:
    if not _MEDIA_TYPE(text):
        raise refusal(f"{text!r} is no media type", "write one in lower case, as application/json or text/*")
    return text


MediaType = Annotated[str, AfterValidator(_media_type), Hint("media type")]


class CompressionSection(Section):
    """Content codings (RFC 9110 §8.4). Not for what mixes secrets with what a client sends (BREACH)."""

    codings: Annotated[tuple[Literal["zstd", "gzip"], ...], Strict(False), MinLen(1), MaxLen(2)] = Field(
        ("zstd", "gzip"), description="which, the one preferred of equals first"
    )
    types: Annotated[tuple[MediaType, ...], Strict(False), MinLen(1), MaxLen(64)] = Field(
        (
            "text/*", "application/json", "application/javascript", "application/xml", "application/wasm",
            "application/rss+xml", "application/atom+xml", "application/ld+json", "application/manifest+json",
            "application/problem+json", "image/svg+xml", "font/ttf", "font/otf",
        ),
        description="media types that are compressed",
    )  # fmt: skip
    min_size: Annotated[int, Ge(0), Le(1 << 30)] = Field(
        1024, description="bytes; a response that says it is shorter is not compressed"
    )
    level: Annotated[int, Ge(1), Le(9)] = Field(3, description="1 is the quickest, 9 the smallest")


class RouteSection(Section):
    """What becomes of some requests; the first match counts. Just one of pool, pools, redirect, respond."""

    match: MatchSection = Field(MatchSection(), description="which requests; `{}` is all")
    pool: Name | None = Field(None, description="the pool that serves them")
    pools: Weights | None = Field(None, description="several pools and their weights: `{web: 90, canary: 10}`")
    by: Annotated[str, AfterValidator(_by), Hint("`request` or key")] = Field(
        "request", description="how `pools` are shared out: by turns, or by a key whose requests stay together"
    )
    redirect: RedirectSection | None = Field(None, description="send the client elsewhere")
    respond: RespondSection | None = Field(None, description="a fixed answer")
    rewrite: RewriteSection | None = Field(None, description="another path for the server")
    host: Annotated[str, AfterValidator(_forward_host), Hint("host")] | None = Field(
        None, description="what the Host field says to the server; without it, what the client said"
    )
    request_headers: HeadersSection | None = Field(None, description="changes of the request's fields")
    response_headers: HeadersSection | None = Field(None, description="changes of the server's response's fields")
    mirror: MirrorSection | None = Field(None, description="copies for another pool")
    limits: Annotated[tuple[Name, ...], Strict(False), MaxLen(LIMITS_MAX)] = Field(
        (), description="limits its requests must pass"
    )
    breaker: BreakerSection | None = Field(
        None, description="answers 503 at once while too many of its requests fail; without it none is"
    )
    compression: CompressionSection | None = Field(
        None, description="compress responses for clients that ask for it; without it they pass as they are"
    )
    priority: Literal["critical", "normal", "batch"] = Field(
        "normal", description="who is refused last under too much load: see `shedding`"
    )

    @model_validator(mode="before")
    @classmethod
    def _old(cls, value: Any) -> Any:
        """Words of the design that became others."""
        if isinstance(value, Mapping):
            for key, (message, remedy) in _OLD.items():
                if key in value:
                    raise refused((key,), refusal(message, remedy))
        return value

    @model_validator(mode="after")
    def _whole(self) -> RouteSection:
        written = [key for key in DESTINATIONS if getattr(self, key) is not None]
        if len(written) != 1:
            remedy = f"write just one of {', '.join(DESTINATIONS)}"
            message = f"both {written[0]} and {written[1]}" if written else "this route leads nowhere"
            raise refusal(message, remedy)
        if written[0] in {"redirect", "respond"}:
            for key in (*_BESIDE_POOLS, "by"):
                if key in self.model_fields_set:
                    raise refused((key,), refusal(f"{key} is for routes to pools", f"leave it out beside {written[0]}"))
        elif "by" in self.model_fields_set and self.pools is None:
            raise refused(("by",), refusal("by shares several pools out", "write pools: {…}, or leave it out"))
        if self.pools is not None and not any(self.pools.values()):
            raise refused(("pools",), refusal("no pool has a weight", "give one of them a weight over 0"))
        self._check_places()
        for key, untouchable in (("request_headers", UNTOUCHABLE_REQUEST), ("response_headers", UNTOUCHABLE_RESPONSE)):
            edits = getattr(self, key)
            if edits is not None:
                for part in ("set", "add", "remove"):
                    _touchable((key, part), getattr(edits, part), untouchable)
        return self

    def _check_places(self) -> None:
        """What a redirect or a rewrite takes from the match must be there."""
        path, redirect, rewrite = self.match.plain_path, self.redirect, self.rewrite
        for key, section in (("redirect", redirect), ("rewrite", rewrite)):
            if section is not None and section.prefix is not None and not path:
                raise refused((key, "prefix"), refusal("a pattern has no prefix", "use regex and substitute, or path"))
        if redirect is None:
            return
        place = Place(redirect.place)
        if place.names_host and self.match.host is None:
            remedy = "name the host in match, or write the new host out"
            raise refused(("redirect",), refusal("this would redirect to any host a client names", remedy))
        if not place.absolute and redirect.prefix is None and redirect.place in {"{path}", "{path}?{query}"}:
            raise refused(("redirect",), refusal("this leads to where the request is", "write what changes"))
