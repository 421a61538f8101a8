"""The kinds of values that people write in configuration: addresses, names, listen lines, paths, secrets.

Each is an annotated type whose validator turns the text into its canonical form or refuses it with a remedy. Used by
the models of this room only. What has to be read from outside (files, the environment) comes through `Surroundings`,
so that the models themselves touch nothing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, PlainValidator, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gslb.units import Duration, Span, parse_share

PORT_MAX = 65_535
WORKERS_MAX = 64
NAME_MAX = 63
HOST_NAME_MAX = 253
URL_MAX = 2048
PATH_MAX = 1024

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_SERVER_ID = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\]\[-]*")

ERROR = "gslb"


def refusal(text: str, remedy: str = "", kind: str = "invalid") -> PydanticCustomError:
    """The error by which a validator refuses a value; its words reach the person unchanged."""
    return PydanticCustomError(ERROR, "{text}", {"text": text, "remedy": remedy, "kind": kind})


class Section(BaseModel):
    """What all models share: unknown keys are errors, values are what they are in JSON, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Surroundings(Protocol):
    """What validators may ask of the world around the files."""

    def resolve(self, path: str) -> Path:
        """A path as written in the files: relative ones start at the files' own folder."""

    def read_secret(self, path: Path) -> str:
        """The text of a small file. Raises ValueError in words for a person."""

    def variable(self, name: str) -> str | None:
        """A variable of the environment."""


# ---------------------------------------------------------------- marks
@dataclass(frozen=True, slots=True)
class Hint:
    """Says in the generated reference what kind of value this is."""

    text: str


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """Marks a key whose grammar stands but which this release doesn't have: writing it is refused in those words."""

    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The grammar first, then the refusal."""
        def refuse(value: Any) -> Any:
            if value is None or value is False:
                return value
            raise refusal(f"not built yet: {self.what}", "leave this key out", "unbuilt")

        return core_schema.no_info_after_validator_function(refuse, handler(source))


# ---------------------------------------------------------------- durations
@dataclass(frozen=True, slots=True)
class Within:
    """Bounds of a percentage, as people write them."""

    low: str
    high: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks what the percentage's parser gave."""

        def check(value: float) -> float:
            if not parse_share(self.low) <= value <= parse_share(self.high):
                raise refusal("is out of bounds", f"write a percentage from {self.low} to {self.high}")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))


ShortTime = Annotated[Duration, Span("10ms", "1h")]
LongTime = Annotated[Duration, Span("10ms", "1d")]
Ttl = Annotated[Duration, Span("0s", "7d", whole=True)]
SoaTime = Annotated[Duration, Span("1s", "60d", whole=True)]


# ---------------------------------------------------------------- names
def _named(text: str) -> str:
    if len(text) > NAME_MAX or not _NAME.fullmatch(text):
        raise refusal(f"{text!r} can't be a name", f"use letters, digits, '-', '_' and '.', at most {NAME_MAX} of them")
    return text


def _server_id(text: str) -> str:
    if len(text) > NAME_MAX or not _SERVER_ID.fullmatch(text):
        raise refusal(f"{text!r} can't be a server's id", f"use letters, digits, '-', '_', '.', at most {NAME_MAX}")
    return text


def host_name(text: str) -> str:
    """A DNS name in lower case without its last dot (RFC 1123 §2.1, with the `_` of RFC 8552)."""
    name = text.lower().removesuffix(".")
    if not name.isascii():
        try:
            remedy = f"write it as DNS has it: {name.encode('idna').decode()}"
        except UnicodeError:
            remedy = "write it as DNS has it, in its xn-- form"
        raise refusal(f"{text!r} holds letters that DNS has not", remedy)
    if not name or len(name) > HOST_NAME_MAX or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise refusal(f"{text!r} is not a DNS name", "write letters, digits and '-' with dots, as www.example.com")
    return name


def _server_host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if text.startswith("[") or ":" in text or text.replace(".", "").isdigit():
        raise refusal(f"{text!r} is not a host", "write an IP address without brackets or port, or a host name")
    return host_name(text)


Name = Annotated[str, AfterValidator(_named), Hint("name")]
ServerId = Annotated[str, AfterValidator(_server_id), Hint("name")]
HostName = Annotated[str, AfterValidator(host_name), Hint("DNS name")]
ServerHost = Annotated[str, AfterValidator(_server_host), Hint("IP address or host name")]


# ---------------------------------------------------------------- addresses
def _address(text: str) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise refusal(f"{text!r} is not an IP address", "write it as 192.0.2.10 or 2001:db8::10") from None
    if isinstance(found, ipaddress.IPv6Address) and (found.scope_id or found.ipv4_mapped):
        raise refusal(f"{text!r} is an address of another kind", "write a plain IPv4 or IPv6 address")
    return str(found)


def _published(text: str) -> str:
    found = ipaddress.ip_address(_address(text))
    if found.is_unspecified or found.is_multicast:
        raise refusal(f"{text!r} is no address of one host", "write the address that clients connect to")
    return str(found)


def network(text: str) -> str:
    """A network, or an address, in its canonical form."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        remedy = f"the network is {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        remedy = "write it as 10.0.0.0/8, 192.0.2.1 or 2001:db8::/32"
    raise refusal(f"{text!r} is not a network", remedy)


def listen_address(text: str) -> str:
    """`address:port` in its canonical form."""
    remedy = "write address and port, as 127.0.0.1:53 or [::1]:53"
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        if host == "localhost":
            remedy = f"write the address: 127.0.0.1:{port}"
        elif colon and not host:
            remedy = f"to listen on all addresses write 0.0.0.0:{port} and [::]:{port}"
        raise refusal(f"{text!r} is no address to listen on", remedy) from None
    if bracketed != (address.version == 6) or "%" in host:
        raise refusal(f"{text!r} is no address to listen on", remedy)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= PORT_MAX):
        raise refusal(f"{text!r} names no port", f"ports go from 1 to {PORT_MAX}")
    return f"[{address}]:{int(port)}" if bracketed else f"{address}:{int(port)}"


Address = Annotated[str, AfterValidator(_published), Hint("IP address")]
Network = Annotated[str, AfterValidator(network), Hint("network or address")]
Listen = Annotated[str, AfterValidator(listen_address), Hint("address:port")]


# ---------------------------------------------------------------- URLs and paths
def url(text: str) -> str:
    """Scheme, host and perhaps a port, in canonical form."""
    remedy = "write http:// or https://, a host and perhaps a port, as http://eu.example.com or http://192.0.2.1:8080"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise refusal(f"{text!r} is not a URL", remedy) from None
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if scheme not in {"http", "https"} or not host or len(text) > URL_MAX:
        raise refusal(f"{text!r} is not an http or https URL", remedy)
    if parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment or port == 0:
        raise refusal(f"{text!r} says more than scheme, host and port", remedy)
    try:
        shown = str(ipaddress.ip_address(host))
        shown = f"[{shown}]" if ":" in shown else shown
    except ValueError:
        shown = _server_host(host)
    default = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{shown}" + (f":{port}" if port not in {None, default} else "")


def _hook_url(text: str) -> str:
    """Any path and query; a user or a secret in it would be shown with the configuration."""
    try:
        parts = urlsplit(text)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and len(text) <= URL_MAX
    except ValueError:
        fine = False
    if not fine or parts.username is not None or parts.fragment or not text.isascii() or not text.isprintable():
        raise refusal(f"{text!r} is not an http or https URL to call", "write it as https://scaler.example.com/hook")
    return text


REDIS_URL = re.compile(
    r"unix://[^?#]*/[^?#]+.*|rediss?://[^/?#]+[^#]*|redis\+sentinel://[^/?#]+/[^/?#]+(/\d+)?(\?[^#]*)?"
    r"|redis\+cluster://[^/?#]+(/0?)?(\?[^#]*)?"
).fullmatch


def _redis_url(text: str) -> str:
    fine = len(text) <= URL_MAX and REDIS_URL(text) is not None
    try:
        parts = urlsplit(text)
        fine = fine and ("," in parts.netloc or parts.port != 0)
    except ValueError:
        fine = False
    if not fine:
        # the text may hold a password: it is not repeated
        known = "redis://127.0.0.1:6379/0, rediss://…, unix:///path, redis+sentinel://host:26379,host:26379/NAME, "
        raise refusal("this is not the URL of a Redis", f"write it as {known}or redis+cluster://host:6379,host:6379")
    return text


def surroundings(info: ValidationInfo) -> Surroundings:
    """What `load` gave the models to look around with."""
    return cast("Surroundings", info.context)


def _path(text: str, info: ValidationInfo) -> str:
    if not text or len(text) > PATH_MAX or "\0" in text:
        raise refusal("this is not a path", "write the path of a file, from this file's folder")
    return str(surroundings(info).resolve(text))


Url = Annotated[str, AfterValidator(url), Hint("URL")]
HookUrl = Annotated[str, AfterValidator(_hook_url), Hint("URL")]
RedisUrl = Annotated[str, AfterValidator(_redis_url), Hint("URL")]
FilePath = Annotated[str, AfterValidator(_path), Hint("path")]


# ---------------------------------------------------------------- choices between shapes
def _workers(value: object) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WORKERS_MAX:
        return value
    raise refusal(f"{value!r} is no number of workers", f"write auto, or a number from 0 to {WORKERS_MAX}")


def _secret(value: object, info: ValidationInfo) -> str:
    remedy = "write {file: path} or {env: NAME}: secrets themselves don't belong into these files"
    if not isinstance(value, dict) or len(value) != 1:
        raise refusal("says not where the secret is", remedy)
    ((kind, where),) = value.items()
    if kind not in {"file", "env"} or not isinstance(where, str) or not 0 < len(where) <= PATH_MAX or "\0" in where:
        raise refusal("says not where the secret is", remedy)
    around = surroundings(info)
    if kind == "file":
        try:
            text = around.read_secret(around.resolve(where))
        except ValueError as error:
            raise refusal(str(error), "write the secret into that file, or name another one") from None
    else:
        text = around.variable(where) or ""
    if not text.strip():
        what = f"the file {where} is empty" if kind == "file" else f"the variable {where} is not set"
        raise refusal(what, "set it, or leave the secret out to have one made up at start (each node its own)")
    return text.strip()


Workers = Annotated[Any, PlainValidator(_workers), Hint("`auto` or number")]
Secret = Annotated[str | None, PlainValidator(_secret), Hint("`{file: path}` or `{env: NAME}`")]
