"""The models of a balancer's pools and servers. See schema.py."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, Field, PlainValidator, Strict, model_validator

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.keys import parse_key
from gslb.balancing.request import TOKEN
from gslb.config import plugins
from gslb.config.plugins import refused
from gslb.config.schema_discovery import DiscoverSection
from gslb.config.schema_guarding import BreakerSection, OutliersSection, SlowStartSection
from gslb.config.schema_limits import LIMITS_MAX
from gslb.config.schema_listen import ServerTlsSection
from gslb.config.schema_scaling import ScalingSection
from gslb.config.values import (
    PORT_MAX,
    Hint,
    LongTime,
    Name,
    Section,
    ServerHost,
    ServerId,
    ShortTime,
    Within,
    refusal,
)
from gslb.health.check import CHECKS
from gslb.health.checks.tcp import unescaped
from gslb.units import Duration, Share, Span, host_port, parse_duration

SERVERS_MAX = 100_000
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}", re.ASCII).fullmatch
RETRY_KINDS = ("connect", "reset", "timeout")
WEIGHT_MAX = 10_000


class ServerSection(Section):
    """One backend."""

    id: ServerId | None = Field(None, description="its name in status, logs and sessions; else `host:port`")
    host: ServerHost = Field(description="where it is")
    port: Annotated[int, Ge(1), Le(PORT_MAX)] = Field(description="its port")
    weight: Annotated[int, Ge(0), Le(WEIGHT_MAX)] = Field(
        1, description="its share relative to the others; 0 takes no new requests"
    )
    max_connections: Annotated[int, Ge(0), Le(1_000_000)] = Field(
        0, description="requests it serves at once, the node's workers together; 0 is no limit"
    )
    priority: Annotated[int, Ge(0), Le(100)] = Field(
        0, description="servers of the least number that has an available one get the requests; 1 is a backup's"
    )
    zone: Name | None = Field(None, description="where it stands, for the balancer's `zone`")

    @property
    def name(self) -> str:
        """`id`, or what stands for it."""
        return self.id or host_port(self.host, self.port)


class HealthTimes(Section):
    """When a pool's servers are checked, whatever the check."""

    interval: ShortTime = Field(2.0, description="time between checks of a server; a fifth of it while in doubt")
    timeout: ShortTime = Field(1.0, description="a check without a whole answer by then has failed")
    rise: Annotated[int, Ge(1), Le(100)] = Field(2, description="successes in a row that bring a server back")
    fall: Annotated[int, Ge(1), Le(100)] = Field(3, description="failures that take a server down")
    rise_max: Annotated[int, Ge(1), Le(1000)] | None = Field(
        None, description="the most that `rise` grows to for a server that flaps; without it 8 times `rise`"
    )
    initial: Literal["unknown", "up", "down"] = Field(
        "unknown", description="what a server is until its checks decide: `unknown` and `up` get requests, `down` none"
    )


@dataclass(frozen=True, slots=True)
class Health:
    """A check and when it runs."""

    check: Any
    times: HealthTimes


def _health(value: Any) -> Health:
    if not isinstance(value, Mapping):
        raise refusal("this is no check", f"write {{type: http, path: /health}}; types: {', '.join(CHECKS.known())}")
    beside = ("type", *HealthTimes.model_fields)
    times = {key: item for key, item in value.items() if key in HealthTimes.model_fields}
    options = {key: item for key, item in value.items() if key not in beside}
    built = plugins.together(
        lambda: plugins.build(CHECKS, value.get("type"), options, name_at=("type",), options_at=(), beside=beside),
        lambda: plugins.validate(HealthTimes, times),
    )
    return Health(*built)


def _algorithm(value: Any) -> Any:
    return plugins.entry(ALGORITHMS, value)


def _sticky_by(text: str) -> str:
    kind, _, name = text.partition(":")
    if text == "cookie" or (kind == "learned" and TOKEN(name)):
        return text
    try:
        parse_key(text)
    except ValueError:
        known = "cookie, client_ip, header:NAME, query:NAME, cookie:NAME, learned:NAME"
        raise refusal(f"{text!r} is nothing a session is known by", f"known: {known}") from None
    return text


def _failback(value: Any) -> float:
    if value in ("never", "immediate"):
        return math.inf if value == "never" else 0.0
    words = value.removeprefix("after ") if isinstance(value, str) else value
    try:
        return parse_duration(words)
    except ValueError:
        raise refusal(f"{value!r} is no failback", "write never, immediate, or after 10m") from None


def _domain(text: str | None) -> str | None:
    if text is None or _DOMAIN(text.lower().removeprefix(".")):
        return text and text.lower().removeprefix(".")
    raise refusal(f"{text!r} is no domain", "write a name of at least two labels, as example.com")


def _cookie_name(text: str | None) -> str | None:
    if text is not None and TOKEN(text) is None:
        raise refusal(f"{text!r} can't be a cookie's name", "write letters, digits and hyphens")
    return text


class StickySection(Section):
    """Keeps a client on its server."""

    by: Annotated[str, AfterValidator(_sticky_by), Hint("key")] = Field(
        "cookie",
        description="what a session is known by: our own signed `cookie`; `client_ip`, `header:NAME`, `cookie:NAME`, "
        "`query:NAME`; or `learned:NAME`, a cookie that servers set",
    )
    name: Annotated[str | None, AfterValidator(_cookie_name)] = Field(
        None, description="our cookie's name; without it gslb- and the pool's"
    )
    domain: Annotated[str | None, AfterValidator(_domain)] = Field(
        None, description="whose hosts see our cookie: with it the front door sends a session to its region"
    )
    ttl: LongTime = Field(3600.0, description="how long a session lasts after its last request")
    failback: Annotated[Any, PlainValidator(_failback), Hint("`never`, `immediate` or `after 10m`")] = Field(
        "never", validate_default=True, description="when a session that had to move goes back to where it began"
    )
    same_site: Literal["Lax", "Strict", "None"] = Field("Lax", description="our cookie's SameSite")


def _retry_on(value: Any) -> frozenset[str | int]:
    known = ", ".join(RETRY_KINDS)
    if not isinstance(value, (list, tuple)):
        raise refusal("this is not a list", f"write [connect, reset, 502, 503]; known: {known}, and statuses")
    for item in value:
        if item not in RETRY_KINDS and not (type(item) is int and 500 <= item <= 599):
            raise refusal(f"{item!r} is nothing to retry on", f"known: {known}, and statuses from 500 to 599")
    return frozenset(value)


class BackoffSection(Section):
    """The pause before another try: a random part of `base`, then of twice that, of four times that, up to `max`."""

    base: Annotated[Duration, Span("0s", "10s")] = Field(0.025, description="the most before the first retry")
    max: Annotated[Duration, Span("0s", "10s")] = Field(0.25, description="the most before any")


class RetriesSection(Section):
    """When a request is tried again, on a fresh server while there is one."""

    attempts: Annotated[int, Ge(1), Le(10)] = Field(2, description="tries for one request, the first included")
    on: Annotated[frozenset[str | int], PlainValidator(_retry_on), Hint("list of failures")] = Field(
        ("connect",),
        validate_default=True,
        description="after what: `connect` (nothing was sent yet), and for idempotent requests that came whole at once "
        "`reset`, `timeout` (of `per_try`) and statuses like `503`",
    )
    budget: Share = Field(
        0.2, ge=0, le=1, description="most retries under way, as a share of the active requests; 3 are always allowed"
    )
    per_try: ShortTime | None = Field(
        None, description="bound on one try's first byte; `timeouts.first_byte` bounds them all together"
    )
    hedge_after: ShortTime | None = Field(
        None, description="a GET or HEAD without an answer by then is asked of a second server; the first answer counts"
    )
    backoff: BackoffSection = Field(BackoffSection(), description="the pause before another try")


def _agent_path(text: str) -> str:
    try:
        CHECKS.get("http")(path=text)
    except ValueError as error:
        raise refusal(str(error), "write it as /load") from None
    return text


class QueueSection(Section):
    """Where requests wait while all servers are at their `max_connections`."""

    size: Annotated[int, Ge(1), Le(100_000)] = Field(1_000, description="the most that wait, on the whole node")
    timeout: ShortTime = Field(5.0, description="one that has no server by then is answered 503")


class ConnectionsSection(Section):
    """Kept-alive connections of each worker to a server."""

    idle: Annotated[int, Ge(0), Le(4096)] = Field(256, description="the most that are kept while nobody needs them")
    warm: Annotated[int, Ge(0), Le(1024)] = Field(
        0, description="opened before a request needs one, and replaced when they end; at most `idle`"
    )
    lifetime: LongTime = Field(3600.0, description="one that is older ends after its response; up to a tenth earlier")

    @model_validator(mode="after")
    def _fits(self) -> ConnectionsSection:
        if self.warm > self.idle:
            raise refusal(f"warm {self.warm} is more than idle {self.idle}", "write warm ≤ idle")
        return self


def _sent(text: str) -> str:
    try:
        unescaped(text)
    except ValueError as error:
        raise refusal(str(error), r"write it as 'state\n'") from None
    return text


class AgentSection(Section):
    """A program beside each server that says how it is: see docs/algorithms.md."""

    type: Literal["http", "text"] = Field(
        "http", description="`http`: asked by HTTP for its load; `text`: says a line in the words of HAProxy's agents"
    )
    send: Annotated[str, AfterValidator(_sent)] = Field("", description=r"what a `text` agent is sent first: `state\n`")
    port: Annotated[int, Ge(1), Le(PORT_MAX)] = Field(description="its port, at each server's host")
    path: Annotated[str, AfterValidator(_agent_path), Hint("path")] = Field("/", description="what is asked for")
    interval: ShortTime = Field(2.0, description="time between two questions")
    timeout: ShortTime = Field(1.0, description="without a whole answer by then nothing was said")


class PoolSection(Section):
    """Servers that can stand in for each other."""

    servers: Annotated[tuple[ServerSection, ...], MaxLen(SERVERS_MAX)] = Field(
        (), description="the backends; without any, `discover` gives them"
    )
    discover: DiscoverSection | None = Field(None, description="servers that a name in the DNS gives, beside `servers`")
    algorithm: Annotated[Any, PlainValidator(_algorithm), Hint("algorithm")] = Field(
        "round_robin", validate_default=True, description="how a server is picked: a name or `{name: {options}}`"
    )
    health: Annotated[Health | None, PlainValidator(_health), Hint("check")] = Field(
        None, description="how servers are checked; without it they count as up"
    )
    retries: RetriesSection = Field(RetriesSection(), description="when a request is tried again")
    limits: Annotated[tuple[Name, ...], Strict(False), MaxLen(LIMITS_MAX)] = Field(
        (), description="limits its requests must pass"
    )
    tls: ServerTlsSection | None = Field(None, description="HTTPS to the servers, health checks too; without it HTTP")
    proxy_protocol: Literal["v1", "v2"] | None = Field(
        None,
        description="the PROXY protocol header that each connection to a server begins with; such a connection "
        "serves one request",
    )
    breaker: BreakerSection | None = Field(None, description="leaves a server alone that fails; without it none does")
    outliers: OutliersSection | None = Field(
        None, description="ejects servers that do worse than the others; without it none is"
    )
    panic_threshold: Annotated[Share, Within("0%", "100%")] = Field(
        0.0, description="with a smaller share of servers available, `panic` holds; 0% is never"
    )
    panic: Literal["all", "fail"] = Field(
        "all", description="in a panic all servers get requests (but draining ones), or none"
    )
    queue: QueueSection | None = Field(
        None, description="where requests wait while all servers are full; without it they are answered 503"
    )
    zone_preference: Annotated[Share, Within("0%", "100%")] = Field(
        1.0, description="servers of the balancer's own `zone` alone are used while such a share of them is available"
    )
    slow_start: SlowStartSection | None = Field(
        None, description="how the share of a server grows that was down or has joined; without it at once"
    )
    sticky: StickySection | None = Field(None, description="sticky sessions")
    connections: ConnectionsSection = Field(ConnectionsSection(), description="kept-alive connections to servers")
    agent: AgentSection | None = Field(
        None, description="how servers' load is asked for, for `resource` and for scaling; they may say it unasked, too"
    )
    scaling: ScalingSection | None = Field(
        None, description="when servers come and go by themselves; without it none does"
    )

    @model_validator(mode="after")
    def _has_servers(self) -> PoolSection:
        if not self.servers and self.discover is None:
            remedy = "write at least one, as servers: [{host: 10.0.0.1, port: 8080}], or discover"
            if "servers" in self.model_fields_set:
                raise refused(("servers",), refusal("is empty", remedy))
            raise refusal("this pool has no servers", remedy)
        return self
