"""The models of `gslb.yaml`: what every node shares. See schema.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, Field, PlainValidator, Strict, model_validator

from gslb.config import plugins
from gslb.config.schema_alerts import AlertsSection
from gslb.config.schema_drills import DrillSection
from gslb.config.schema_listen import ListenSection
from gslb.config.values import (
    Address,
    FilePath,
    Hint,
    HostName,
    Listen,
    LongTime,
    Name,
    Network,
    RedisUrl,
    Secret,
    Section,
    ShortTime,
    SoaTime,
    Ttl,
    Unbuilt,
    Within,
    Workers,
    host_name,
    refusal,
)
from gslb.dns.records import TYPES
from gslb.model import Policy, WhenAllDown
from gslb.steering.policy import POLICIES
from gslb.units import Share

REGIONS_MAX = 1000
SERVICES_MAX = 10_000
ZONES_MAX = 10_000
RECORDS_MAX = 100_000
CHAIN_MAX = 16
LISTENS_MAX = 64
PROXIES_MAX = 1000
REDIS_MAX = 16
NAMESERVERS_MAX = 13
NAMESERVER_ADDRESSES_MAX = 8
FALLBACK_MAX = 8
RDATA_MAX = 65_535
CONTACT_MAX = 62  # one label, and room for the dots in it


# ---------------------------------------------------------------- nodes
class StateSection(Section):
    """Where what nodes know is kept and shared."""

    redis: Annotated[tuple[RedisUrl, ...], MaxLen(REDIS_MAX)] = Field(
        (), description="URLs of the Redis servers that carry state between nodes, one per region; none keeps state in "
        "this process",
    )
    directory: FilePath = Field(
        "../.gslb", validate_default=True,
        description="folder of what a node remembers across restarts: last known good state, overrides, keys",
    )


class GeoSection(Section):
    """How clients are located."""

    database: FilePath | None = Field(
        None, description="a City or Country database in the GeoIP2 schema (GeoLite2, GeoIP2, or the one that ships); "
        "without one no client is located and `nearest` keeps the declared order",
    )


class DnsSection(Section):
    """The authoritative DNS responder of an edge."""

    listen: Annotated[tuple[Listen, ...], MaxLen(LISTENS_MAX)] = Field(
        ("127.0.0.1:5300",), description="where DNS is answered, over UDP and TCP; `0.0.0.0:53` and `[::]:53` are all "
        "addresses",
    )
    tls: Annotated[Any, Unbuilt("tls (DNS over TLS)")] = Field(None, description="DNS over TLS")


class FrontDoorSection(Section):
    """The HTTP front door of an edge: it redirects to the nearest healthy region."""

    listen: Annotated[tuple[ListenSection, ...], MaxLen(LISTENS_MAX)] = Field(
        (ListenSection(address="127.0.0.1:8080"),), description="where HTTP is answered by redirects: "
        "`address:port`, or a mapping",
    )
    trusted_proxies: Annotated[tuple[Network, ...], MaxLen(PROXIES_MAX)] = Field(
        (), description="peers whose X-Forwarded-For and Forwarded are believed"
    )


class AdminSection(Section):
    """The admin address of an edge: status, metrics, reload."""

    listen: Listen = Field("127.0.0.1:9470", description="where the admin API and `/metrics` are")
    tls: Annotated[Any, Unbuilt("tls (HTTPS)")] = Field(None, description="HTTPS")


class EdgeSection(Section):
    """One edge, or what all of them have in common."""

    workers: Workers = Field("auto", description="data processes; `auto`: one per core; 0: everything in one process")
    dns: DnsSection = Field(DnsSection(), description="the DNS responder")
    frontdoor: FrontDoorSection = Field(FrontDoorSection(), description="the HTTP front door")
    admin: AdminSection = Field(AdminSection(), description="the admin API")


class ProbeSection(Section):
    """How edges probe each region's URL."""

    interval: ShortTime = Field(1.0, description="time between probes of a region")
    fast_interval: ShortTime = Field(0.3, description="time between probes while the region's state is changing")
    timeout: ShortTime = Field(0.8, description="a probe without a whole answer by then has failed")
    fall: Annotated[int, Ge(1), Le(100)] = Field(3, description="failures that take a region down")
    rise: Annotated[int, Ge(1), Le(100)] = Field(10, description="successes in a row that bring a region back")
    withdraw_max: Annotated[Share, Within("0%", "100%")] = Field(
        0.5, description="so much of the capacity may go down at once by probes alone, where there are three regions "
        "or more; beyond it the check is the suspect: regions are held as they were, with an alarm"
    )
    hold: LongTime = Field(30.0, description="how long they are held; what they confirm themselves is believed at once")
    spill: Annotated[Share, Within("0%", "75%")] = Field(
        0.75, description="the most of a region's clients that its own word may send elsewhere, while servers are "
        "missing, requests fail or there are more than its `capacity`; 0% is none"
    )
    rise_max: Annotated[int, Ge(1), Le(1000)] | None = Field(
        None, description="the most that `rise` grows to for a region that flaps; without it 8 times `rise`"
    )
    addresses: Annotated[bool, Unbuilt("probe.addresses: true")] = Field(
        default=False, description="probe each published address by itself, and withdraw it alone"
    )


# ---------------------------------------------------------------- zones
_OWNER_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_/-]{0,61}[a-z0-9_])?")


def _owner(text: str) -> str:
    """`@`, `www`, `*.apps`, `mail.example.com.`: relative to the zone unless it ends with a dot."""
    if text == "@":
        return text
    name = text.lower()
    labels = name.removesuffix(".").split(".")
    rest = labels[1:] if labels[0] == "*" else labels
    if not name.isascii():
        host_name(text)
    if len(name) > 254 or not all(_OWNER_LABEL.fullmatch(label) for label in rest) or not name.strip("."):
        remedy = "write @ for the zone itself, www, *.apps, or a full name with its last dot: mail.example.com."
        raise refusal(f"{text!r} is not a record's name", remedy)
    return name


def _record_type(text: str) -> str:
    kind = text.upper()
    if kind == "SOA":
        remedy = "its values are the zone's contact, ttl, refresh, retry, expire and minimum"
        raise refusal("the SOA record is made from the zone", remedy)
    if kind not in TYPES:
        raise refusal(f"unknown record type {text!r}", plugins.meant(kind, TYPES))
    return kind


Owner = Annotated[str, AfterValidator(_owner), Hint("name in the zone")]


def _contact(text: str) -> str:
    local, at, domain = text.partition("@")
    plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= CONTACT_MAX
    if not plain or not local or bool(at) != bool(domain):
        raise refusal(f"{text!r} is no mail address", "write hostmaster, or hostmaster@example.com")
    if at:
        host_name(domain)
    return text


class RecordSection(Section):
    """An ordinary resource record."""

    name: Owner = Field(
        description="`@` for the zone itself, a name in the zone, or a full name with its last dot; `*` as its first "
        "label is a wildcard (RFC 4592)"
    )
    type: Annotated[str, AfterValidator(_record_type), Hint(", ".join(TYPES))] = Field(
        description="the record's type"
    )
    ttl: Ttl | None = Field(None, description="how long resolvers may keep it; else the zone's `ttl`")
    data: Annotated[str, MinLen(1), MaxLen(RDATA_MAX)] = Field(
        description="its data as in a zone file (RFC 1035 §5.1): `10 mail` for an MX"
    )


class ZoneSection(Section):
    """A zone this cluster is the authority for."""

    nameservers: Annotated[
        dict[Owner, Annotated[tuple[Address, ...], Strict(False), MaxLen(NAMESERVER_ADDRESSES_MAX)]],
        MinLen(1),
        MaxLen(NAMESERVERS_MAX),
    ] = Field(description="the zone's name servers, with the addresses of those inside the zone (glue)")
    records: Annotated[tuple[RecordSection, ...], Strict(False), MaxLen(RECORDS_MAX)] = Field(
        (), description="ordinary records; the addresses of steered names are not among them"
    )
    file: FilePath | None = Field(
        None, description="an RFC 1035 master file with more records; `records: {file: path}` says the same"
    )
    contact: Annotated[str, AfterValidator(_contact), Hint("mail address")] = Field(
        "hostmaster", description="who is responsible; without @ it is in the zone"
    )
    ttl: Ttl = Field(3600.0, description="TTL of records that name none, and of NS and SOA")
    refresh: SoaTime = Field(3600.0, description="SOA refresh")
    retry: SoaTime = Field(600.0, description="SOA retry")
    expire: SoaTime = Field(1_209_600.0, description="SOA expire")
    minimum: Ttl = Field(60.0, description="how long resolvers may keep that something is not there (RFC 2308)")
    dnssec: Annotated[Any, Unbuilt("dnssec")] = Field(None, description="DNSSEC")

    @model_validator(mode="before")
    @classmethod
    def _file_for_records(cls, value: Any) -> Any:
        """`records: {file: path}` is `file: path`. Strict(False) above: what comes out of here is no longer JSON."""
        if isinstance(value, dict) and "file" not in value:
            records = value.get("records")
            if isinstance(records, dict) and set(records) == {"file"}:
                return {**value, "records": [], "file": records["file"]}
        return value


# ---------------------------------------------------------------- services
class TtlSection(Section):
    """TTLs of a steered name's answers."""

    min: Ttl = Field(5.0, description="least TTL, used while something is changing")
    max: Ttl = Field(60.0, description="TTL while nothing is changing")


class FallbackSection(Section):
    """Literal addresses for when nothing is up."""

    fallback: Annotated[tuple[Address, ...], MinLen(1), MaxLen(FALLBACK_MAX)]


@dataclass(frozen=True, slots=True)
class AllDown:
    """What to answer when no region is up."""

    kind: WhenAllDown
    fallback: tuple[str, ...] = ()


def _all_down(value: Any) -> AllDown:
    words = [kind.value for kind in WhenAllDown if kind is not WhenAllDown.FALLBACK]
    choices = f"{plugins.meant(str(value), words)}, {{fallback: [addresses]}}"
    if isinstance(value, Mapping):
        return AllDown(WhenAllDown.FALLBACK, plugins.validate(FallbackSection, value).fallback)
    if value == WhenAllDown.FALLBACK:
        raise refusal("fallback names no address", "write {fallback: [192.0.2.80]}")
    if value not in words:
        raise refusal("this is not what to do when all is down", choices)
    return AllDown(WhenAllDown(value))


def _policy(value: Any) -> Policy:
    built: Policy = plugins.entry(POLICIES, value)
    return built


class ServiceSection(Section):
    """A host name whose answers are steered to the regions."""

    regions: Annotated[tuple[Name, ...], MinLen(1), MaxLen(REGIONS_MAX)] = Field(
        description="the regions that serve it; the first is the primary"
    )
    steering: Annotated[
        tuple[Annotated[Any, PlainValidator(_policy), Hint("policy")], ...], MinLen(1), MaxLen(CHAIN_MAX)
    ] = Field(
        ("nearest",), validate_default=True, description="the chain of policies, each a name or `{name: {options}}`"
    )
    ttl: TtlSection = Field(TtlSection(), description="bounds of the answers' TTL")
    when_all_down: Annotated[
        Any, PlainValidator(_all_down), Hint("`all`, `primary`, `last_good` or `{fallback: [addresses]}`")
    ] = Field("all", validate_default=True, description="what an answer holds when no region is up")


# ---------------------------------------------------------------- the rest
class SecretsSection(Section):
    """What only this cluster's nodes know; without it each node makes up its own at start."""

    cookie: Secret = Field(None, repr=False, description="signs session cookies; the same on every node")
    dns_cookie: Secret = Field(None, repr=False, description="keys DNS cookies (RFC 7873); the same on every edge")
    admin_token: Secret = Field(
        None, repr=False, description="bearer token that the admin API asks for; without it only loopback is served"
    )


class LogSection(Section):
    """What nodes log."""

    format: Literal["text", "json"] = Field("text", description="lines for people, or JSON for machines")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least important lines to keep")


class SafetySection(Section):
    """What no override may do without `--break-glass`."""

    keep_up: Annotated[int, Ge(1), Le(REGIONS_MAX)] | None = Field(
        None, description="so many of `of` must take new clients, by health and by operators"
    )
    of: Annotated[tuple[Name, ...], MaxLen(REGIONS_MAX)] = Field((), description="regions; without any, all of them")
    min_capacity: Annotated[Share, Within("1%", "100%")] | None = Field(
        None, description="such a share of all regions' `capacity` must"
    )

    @model_validator(mode="after")
    def _says(self) -> SafetySection:
        if self.keep_up is None and self.min_capacity is None:
            raise refusal("this rule says nothing", "write keep_up: 1, or min_capacity: 50%")
        return self


class ClusterFile(Section):
    """`gslb.yaml`: what every node shares."""

    cluster: Name = Field(description="the cluster's name; it begins every key in Redis")
    state: StateSection = Field({}, validate_default=True, description="shared and kept state")
    geo: GeoSection = Field(GeoSection(), description="locating clients")
    edge: EdgeSection = Field(EdgeSection(), description="what all edges have in common")
    edges: Annotated[dict[Name, EdgeSection], MaxLen(REGIONS_MAX)] = Field(
        {}, description="the edges by name, each with what differs from `edge`; none: any name will do"
    )
    probe: ProbeSection = Field(ProbeSection(), description="how edges probe regions")
    zones: Annotated[dict[HostName, ZoneSection], MaxLen(ZONES_MAX)] = Field({}, description="the zones by name")
    services: Annotated[dict[HostName, ServiceSection], MaxLen(SERVICES_MAX)] = Field(
        {}, description="the steered host names"
    )
    safety: Annotated[tuple[SafetySection, ...], Strict(False), MaxLen(64)] = Field(
        (), description="rules that overrides must keep to"
    )
    drills: Annotated[tuple[DrillSection, ...], Strict(False), MaxLen(64)] = Field(
        (), description="drills that `gslb drill --due` runs when their time has come"
    )
    alerts: AlertsSection = Field(AlertsSection(), description="what is told, and to whom")
    secrets: SecretsSection = Field(SecretsSection(), description="secrets, from files or the environment")
    log: LogSection = Field(LogSection(), description="logging")
