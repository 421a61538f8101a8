"""The models of servers that the DNS gives. See schema.py."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, Field, Strict, model_validator

from gslb.config.values import PORT_MAX, Hint, LongTime, Section, ShortTime, listen_address, refusal

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch  # with the underscores of RFC 8552


def _resolver(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return listen_address(text)
    return f"[{address}]:53" if address.version == 6 else f"{address}:53"


def _dns_name(text: str) -> str:
    name = text.lower().removesuffix(".")
    if not _DNS_NAME(name) or len(name) > 253:
        raise refusal(f"{text!r} is no name in the DNS", "write it in full, as app.example.com or _http._tcp.a.example")
    return name


Resolver = Annotated[str, AfterValidator(_resolver), Hint("address, perhaps with a port")]
DnsName = Annotated[str, AfterValidator(_dns_name), Hint("DNS name")]


class DiscoverSection(Section):
    """Servers by DNS. What is found stays when the name can't be resolved: see docs/discovery.md."""

    name: DnsName = Field(description="the name, fully qualified; of SRV as `_http._tcp.app.example.com`")
    type: Literal["A", "AAAA", "SRV"] = Field("A", description="which records; SRV brings port, weight and priority")
    port: Annotated[int, Ge(1), Le(PORT_MAX)] | None = Field(None, description="the servers' port, for A and AAAA")
    resolvers: Annotated[tuple[Resolver, ...], Strict(False), MaxLen(8)] = Field(
        (), description="whom to ask, in order: `10.0.0.2` or `10.0.0.2:5353`; without any, the system's resolvers"
    )
    min_interval: ShortTime = Field(5.0, description="asked again after the records' TTL, but not sooner …")
    max_interval: LongTime = Field(300.0, description="… nor later")

    @model_validator(mode="after")
    def _fits(self) -> DiscoverSection:
        if (self.port is None) != (self.type == "SRV"):
            raise refusal("A and AAAA need a port, SRV brings it", "write port: 8080, or leave it out beside SRV")
        if self.min_interval > self.max_interval:
            raise refusal("min_interval is more than max_interval", "write the lesser first")
        return self
