"""From facts to alerts: pending, firing, resolved, each told once. Pure; control's alerting asks it once a second.

                 the fact holds            for `for_s`
     (nothing) ───────────────> pending ─────────────────> firing ──┐ told again each `repeat_s`
         ^                         │                         │  ^ ──┘
         └─── the fact is gone ────┘                         │  │ the fact is back
                                                             v  │
     (nothing) <──────────────── resolved <───────────── quiet ─┘
                                            for `keep_s`

A fact is one rule and one subject (a region, a pool, a certificate); every pair has a state of its own. What was firing
when the node stopped goes on firing when it starts: nobody is told twice, nor forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

ALERTS_MAX = 1000  # facts at once; beyond it the rest is one alert's text
TEXT_MAX = 300
_SHOWN = 160


class Stage(StrEnum):
    """Where an alert is."""

    PENDING = "pending"
    FIRING = "firing"
    QUIET = "quiet"  # its fact is gone, but not for long enough


@dataclass(frozen=True, slots=True)
class Rule:
    """How a fact becomes an alert, in seconds. `receivers` () is all of them."""

    for_s: float = 0.0
    keep_s: float = 30.0
    severity: str = "warning"
    receivers: tuple[str, ...] = ()
    repeat_s: float = 14_400.0


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that holds now."""

    rule: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """What a receiver is told: an alert is "firing", still (`again`), or "resolved" after `lasted_s`."""

    status: str
    rule: str
    subject: str
    text: str
    severity: str
    fingerprint: str
    lasted_s: float
    again: bool = False


@dataclass(slots=True)
class _Alert:
    stage: Stage
    since: float  # of this stage
    began: float  # when the fact was first seen
    text: str
    told_at: float = 0.0


class Alerts:
    """One node's. `now` is seconds on a clock that does not jump."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._alerts: dict[tuple[str, str], _Alert] = {}

    def look(self, facts: Iterable[Fact], rules: Mapping[str, Rule], now: float) -> list[Event]:
        """Takes all facts that hold now; what is to be told. A fact without a rule is none."""
        holding = {(one.rule, one.subject): one.text[:TEXT_MAX] for one in facts if one.rule in rules}
        while len(holding) > ALERTS_MAX:
            holding.popitem()
        events = []
        for key in [key for key in self._alerts if key[0] not in rules]:
            del self._alerts[key]
        for key, text in holding.items():
            alert = self._alerts.setdefault(key, _Alert(Stage.PENDING, now, now, text))
            alert.text = text
            if alert.stage is Stage.QUIET:
                alert.stage, alert.since = Stage.FIRING, now
            rule = rules[key[0]]
            if alert.stage is Stage.PENDING and now - alert.since >= rule.for_s:
                alert.stage, alert.since, alert.told_at = Stage.FIRING, now, now
                events.append(self._event("firing", key, alert, rule, now))
            elif alert.stage is Stage.FIRING and now - alert.told_at >= rule.repeat_s:
                alert.told_at = now
                events.append(self._event("firing", key, alert, rule, now, again=True))
        for key in [key for key in self._alerts if key not in holding]:
            alert, rule = self._alerts[key], rules[key[0]]
            if alert.stage is Stage.PENDING:
                del self._alerts[key]
                continue
            if alert.stage is Stage.FIRING:
                alert.stage, alert.since = Stage.QUIET, now
            if now - alert.since >= rule.keep_s:
                events.append(self._event("resolved", key, alert, rule, now))
                del self._alerts[key]
        return events

    def _event(
        self, status: str, key: tuple[str, str], alert: _Alert, rule: Rule, now: float, *, again: bool = False
    ) -> Event:
        lasted_s = round(now - alert.began, 1)
        return Event(status, *key, alert.text, rule.severity, self.fingerprint(*key), lasted_s, again)

    def fingerprint(self, rule: str, subject: str) -> str:
        """The same for the same thing on every node of the cluster, so that receivers can tell what they know."""
        return hashlib.blake2b(f"{self._cluster}\n{rule}\n{subject}".encode(), digest_size=8).hexdigest()

    def describe(self, rules: Mapping[str, Rule], now: float) -> list[dict[str, Any]]:
        """Every alert, for people: what is firing first, the oldest first."""
        rank = {Stage.FIRING: 0, Stage.QUIET: 1, Stage.PENDING: 2}
        rows = sorted(self._alerts.items(), key=lambda item: (rank[item[1].stage], item[1].began))
        return [
            {
                "state": alert.stage.value, "rule": rule, "subject": subject, "text": alert.text,
                "severity": rules[rule].severity if rule in rules else "",
                "for_s": round(now - alert.began, 1), "fingerprint": self.fingerprint(rule, subject),
            }
            for (rule, subject), alert in rows
        ]  # fmt: skip

    # ------------------------------------------------------------ over a restart
    def keep(self, now: float) -> list[dict[str, Any]]:
        """What fires, in ages: clocks of this kind begin anew with a machine."""
        return [
            {"rule": rule, "subject": subject, "text": one.text, "age_s": now - one.began, "told_s": now - one.told_at}
            for (rule, subject), one in self._alerts.items()
            if one.stage is not Stage.PENDING
        ]

    def remember(self, rows: Any, now: float) -> None:
        """What fired when the node stopped; what can't be read is left out."""
        for row in rows if isinstance(rows, list) else ():
            try:
                rule, subject, text = (str(row[name]) for name in ("rule", "subject", "text"))
                age_s, told_s = float(row["age_s"]), float(row["told_s"])
            except (KeyError, TypeError, ValueError):
                continue
            if len(self._alerts) < ALERTS_MAX and 0 <= told_s <= age_s:
                began = now - age_s
                self._alerts[rule, subject] = _Alert(Stage.FIRING, now, began, text[:TEXT_MAX], now - told_s)


def headline(events: Iterable[Event]) -> str:
    """Some events in a line, as a mail's subject."""
    told = list(events)
    status = "firing" if any(one.status == "firing" for one in told) else "resolved"
    names = ", ".join(dict.fromkeys(f"{one.rule} {one.subject}" for one in told))
    return f"{status}: {names}"[:_SHOWN]
