"""The models of alerts: rules with their bounds, and who is told. See schema.py; what they mean is docs/alerts.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, Field, Strict, model_validator

from gslb.config.schema_scaling import Word
from gslb.config.values import Hint, HookUrl, LongTime, Name, Secret, Section, ShortTime, Within, refusal
from gslb.health.alerts import Rule
from gslb.units import Duration, Share, Span

RECEIVERS_MAX = 32
RECIPIENTS_MAX = 32
Wait = Annotated[Duration, Span("0s", "7d")]


def _mailbox(text: str) -> str:
    local, at, domain = text.partition("@")
    if not (at and local and domain and text.isascii() and text.isprintable() and not set(" <>,;\"'") & set(text)):
        raise refusal(f"{text!r} is no mail address", "write ops@example.com")
    return text


def _server(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 65_536):
        raise refusal(f"{text!r} is no mail server", "write host:port, as smtp.example.com:587")
    return text


Mailbox = Annotated[str, AfterValidator(_mailbox), Hint("mail address")]


# ---------------------------------------------------------------- who is told
class EmailSection(Section):
    """By mail."""

    server: Annotated[str, AfterValidator(_server), Hint("host:port")] = Field(description="the SMTP server")
    tls: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is secured")
    user: str | None = Field(None, description="who logs in there; without it nobody does")
    password: Secret = Field(None, repr=False, description="with which password")
    sender: Mailbox = Field(description="who the mail is from")
    to: Annotated[tuple[Mailbox, ...], MinLen(1), MaxLen(RECIPIENTS_MAX)] = Field(description="who gets it")


class ReceiverSection(Section):
    """Who is told: one of the three."""

    webhook: HookUrl | None = Field(None, description="URL that is sent a POST with a JSON body")
    token: Secret = Field(None, repr=False, description="sent to it as `Authorization: Bearer`")
    exec: Annotated[tuple[Word, ...], MinLen(1), MaxLen(64)] | None = Field(
        None, description="command and its words, run without a shell, with the JSON on its standard input"
    )
    email: EmailSection | None = Field(None, description="mail")
    timeout: ShortTime = Field(10.0, description="a try that isn't done by then has failed; there are three")

    @model_validator(mode="after")
    def _one(self) -> ReceiverSection:
        if sum(way is not None for way in (self.webhook, self.exec, self.email)) != 1:
            raise refusal("a receiver is a webhook, a command or mail", "write one of webhook, exec and email")
        return self


# ---------------------------------------------------------------- rules
class RuleSection(Section):
    """What all rules have."""

    enabled: bool = Field(default=True, description="false: it is not looked at")
    wait: Wait = Field(0.0, alias="for", description="how long it must hold before it fires")
    keep: Wait = Field(30.0, description="how long it must be gone before it is resolved")
    severity: Literal["info", "warning", "critical"] = Field("warning", description="told with it")
    receivers: Annotated[tuple[Name, ...], Strict(False), MaxLen(RECEIVERS_MAX)] = Field(
        (), description="who is told; without any, all"
    )


class CriticalSection(RuleSection):
    """A rule that is critical unless said otherwise."""

    severity: Literal["info", "warning", "critical"] = Field("critical", description="told with it")


class SplitSection(RuleSection):
    """Observers disagree for longer than a failover takes."""

    wait: Wait = Field(30.0, alias="for", description="how long it must hold before it fires")


class ErrorRateSection(RuleSection):
    """Too many answers of a pool are 5xx."""

    wait: Wait = Field(30.0, alias="for", description="how long it must hold before it fires")
    above: Annotated[Share, Within("0.1%", "100%")] = Field(0.05, description="share of the answers of a minute")
    requests: Annotated[float, Ge(0), Le(1e6)] = Field(1.0, description="a second; with fewer nothing is said")


class LatencySection(RuleSection):
    """A pool's answers take too long."""

    wait: Wait = Field(60.0, alias="for", description="how long it must hold before it fires")
    above: ShortTime = Field(5.0, description="of the percentile over a minute")
    percentile: Literal["p50", "p95", "p99"] = Field("p99", description="which one")
    requests: Annotated[float, Ge(0), Le(1e6)] = Field(1.0, description="a second; with fewer nothing is said")


class ExpirySection(RuleSection):
    """A certificate ends soon: a listener's, or one that a check has seen."""

    days: Annotated[int, Ge(1), Le(365)] = Field(14, description="sooner than this")


class CapacitySection(RuleSection):
    """Too little is left: of a region's servers (said by its nodes), of the regions' capacity (said by edges)."""

    wait: Wait = Field(15.0, alias="for", description="how long it must hold before it fires")
    below: Annotated[Share, Within("1%", "100%")] = Field(0.5, description="of the weights, or of the capacity")


class FlappingSection(RuleSection):
    """A region or a server changes its state again and again."""

    changes: Annotated[int, Ge(2), Le(100)] = Field(4, description="so often within ten minutes")


class StoreSection(RuleSection):
    """An endpoint of the shared store is away."""

    wait: Wait = Field(30.0, alias="for", description="how long it must hold before it fires")


class RulesSection(Section):
    """Every rule; what isn't written has its defaults."""

    region_lost: CriticalSection = Field(CriticalSection(), description="a region is down; edges say it")
    region_held: CriticalSection = Field(
        CriticalSection(), description="a region is held as it was, since too much fails at once"
    )
    quorum_split: SplitSection = Field(SplitSection(), description="fresh observers disagree about a region")
    isolated: CriticalSection = Field(CriticalSection(), description="this node sees nothing up, and nobody else does")
    stale_state: RuleSection = Field(RuleSection(), description="this node goes by what was known before")
    store_lost: StoreSection = Field(StoreSection(), description="a shared store's endpoint is away")
    error_rate: ErrorRateSection = Field(ErrorRateSection(), description="a pool's answers are errors")
    latency: LatencySection = Field(LatencySection(), description="a pool's answers are slow")
    certificate_expiry: ExpirySection = Field(ExpirySection(), description="a certificate ends soon")
    capacity_short: CapacitySection = Field(CapacitySection(), description="too little capacity is left")
    flapping: FlappingSection = Field(FlappingSection(), description="a state changes again and again")
    config_refused: RuleSection = Field(RuleSection(), description="the last reload was refused")
    process_replaced: RuleSection = Field(
        RuleSection(), description="a process of this node died or hung, and was replaced in the last ten minutes"
    )


class AlertsSection(Section):
    """What is worth telling, and who is told."""

    receivers: Annotated[dict[Name, ReceiverSection], MaxLen(RECEIVERS_MAX)] = Field(
        {}, description="who is told, by name; without any, alerts are in `gslb alerts`, the status and the metrics"
    )
    rules: RulesSection = Field(RulesSection(), description="when")
    repeat: LongTime = Field(14_400.0, description="what still fires is told again so often")

    @model_validator(mode="after")
    def _known(self) -> AlertsSection:
        for name in RulesSection.model_fields:
            for receiver in getattr(self.rules, name).receivers:
                if receiver not in self.receivers:
                    known = ", ".join(self.receivers) or "none"
                    raise refusal(f"rule {name}: there is no receiver {receiver!r}", f"known: {known}")
        return self

    def compiled(self) -> Mapping[str, Rule]:
        """The rules that are looked at, as health/alerts.py wants them."""
        sections: dict[str, RuleSection] = {name: getattr(self.rules, name) for name in RulesSection.model_fields}
        return {
            name: Rule(one.wait, one.keep, one.severity, one.receivers, self.repeat)
            for name, one in sections.items()
            if one.enabled
        }
