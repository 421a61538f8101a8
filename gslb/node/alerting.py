"""Control's part in alerts: looks once a second, keeps what fires over a restart, holds what is silenced, tells.

What an alert is says health/alerts.py; what is worth one, alert_facts.py; how receivers are told, notifying.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from gslb.config.schema import Config
from gslb.config.schema_alerts import RulesSection
from gslb.errors import ChangeRefused, StateError
from gslb.health.alerts import Alerts, Event, Fact, headline
from gslb.node.context import NodeContext
from gslb.node.notifying import Receiver

LOOK_S = 1.0
KEEP_EVERY_LOOKS = 60  # ages on disk are refreshed so often
SILENCES_MAX = 32
HELD_MAX = 1000
VERSION = 1  # of the message

log = logging.getLogger("gslb.alerts")


@dataclass(frozen=True, slots=True)
class Silence:
    """Rules that match `rule` tell nobody until `until_ms` (Unix milliseconds)."""

    rule: str
    until_ms: int
    why: str
    author: str


class Alerting:
    """One node's. All methods belong to control's loop."""

    def __init__(
        self, context: NodeContext, config: Callable[[], Config], facts: Callable[[RulesSection, float], list[Fact]]
    ) -> None:
        self._context, self._config, self._facts = context, config, facts
        self._alerts = Alerts(config().cluster)
        self._silences: list[Silence] = []
        self._held: dict[str, Event] = {}  # by fingerprint, what was silenced
        self._receivers: dict[str, Receiver] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looks = 0
        kept = context.directory.kept("alerts")
        self._alerts.remember(kept.get("alerts"), time.monotonic())
        for row in kept.get("silences", ()):
            if isinstance(row, dict) and row.keys() == {"rule", "until_ms", "why", "author"}:
                self._silences.append(Silence(**row))

    async def run(self) -> None:
        """Looks until it is cancelled."""
        try:
            while True:
                self.look(time.monotonic())
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._tasks.values():
                task.cancel()

    def look(self, now: float) -> None:
        """One look: what changed is kept and told."""
        said = self._config().alerts
        self._connect()
        rules = said.compiled()
        events = self._alerts.look(self._facts(said.rules, now), rules, now)
        for one in events:
            level = logging.WARNING if one.status == "resolved" else logging.ERROR
            log.log(level, "alert %s: %s", one.status, one.text, extra={"rule": one.rule, "subject": one.subject})
        told = self._unsilenced(events, int(time.time() * 1000))
        for name, receiver in self._receivers.items():
            mine = [one for one in told if not rules[one.rule].receivers or name in rules[one.rule].receivers]
            if mine:
                receiver.take(self._message(mine))
        self._looks += 1
        if events or self._looks % KEEP_EVERY_LOOKS == 0:
            self._keep()

    def _connect(self) -> None:
        """A receiver for each that the configuration names; those that stay keep their queue."""
        wanted = self._config().alerts.receivers
        for name in [name for name, one in self._receivers.items() if wanted.get(name) != one.said]:
            self._tasks.pop(name).cancel()
            del self._receivers[name]
        for name, said in wanted.items():
            if name not in self._receivers:
                self._receivers[name] = Receiver(name, said, self._context.config_directory)
                self._tasks[name] = asyncio.create_task(self._receivers[name].run())

    def _message(self, events: Iterable[Event]) -> dict[str, Any]:
        """What receivers get: docs/alerts.md."""
        told = list(events)
        return {
            "version": VERSION,
            "cluster": self._config().cluster,
            "node": self._context.node,
            "subject": headline(told),
            "alerts": [asdict(one) for one in told],
        }

    # ------------------------------------------------------------ silence
    def _unsilenced(self, events: Iterable[Event], now_ms: int) -> list[Event]:
        """What may be told now: the rest is held, and told when the silence ends if it still matters then."""
        ended = [one for one in self._silences if one.until_ms <= now_ms]
        if ended:
            self._silences = [one for one in self._silences if one.until_ms > now_ms]
            self._keep()
        told = []
        for one in events:
            before = self._held.get(one.fingerprint)
            if not self._is_silenced(one.rule):
                told.append(one)
            elif one.status == "resolved" and before is not None and before.status == "firing":
                del self._held[one.fingerprint]  # nobody has heard of it
            elif len(self._held) < HELD_MAX:
                self._held[one.fingerprint] = one
        free = [key for key, one in self._held.items() if not self._is_silenced(one.rule)]
        return [*(self._held.pop(key) for key in free), *told]

    def _is_silenced(self, rule: str) -> bool:
        return any(fnmatchcase(rule, one.rule) for one in self._silences)

    def silence(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Begins a silence, or ends those of exactly this rule with `for_s` 0. Raises ChangeRefused."""
        rule, for_s = words["rule"], words["for_s"]
        if not any(fnmatchcase(name, rule) for name in RulesSection.model_fields):
            known = ", ".join(RulesSection.model_fields)
            raise ChangeRefused(f"no rule is called {rule!r}; known: {known}, and * for all", 404, "rule")
        rest = [one for one in self._silences if one.rule != rule]
        if for_s and len(rest) >= SILENCES_MAX:
            raise ChangeRefused(f"there are {SILENCES_MAX} silences already", 409, "rule")
        until_ms = int((time.time() + for_s) * 1000)
        self._silences = rest
        if for_s:
            self._silences.append(Silence(rule, until_ms, words["why"], words["author"]))
        log.warning("alerts %s are silenced for %g s", rule, for_s, extra={"why": words["why"]})
        self._keep()
        return {"silenced_until_ms": until_ms if for_s else 0}

    def _keep(self) -> None:
        rows = {"alerts": self._alerts.keep(time.monotonic()), "silences": [asdict(one) for one in self._silences]}
        try:
            self._context.directory.keep("alerts", rows)
        except StateError as error:
            log.warning("alerts can't be kept over a restart", extra={"why": str(error)})

    # ------------------------------------------------------------ shown
    def describe(self) -> dict[str, Any]:
        """For `/alerts` and `/status`."""
        now_ms = int(time.time() * 1000)
        return {
            "alerts": self._alerts.describe(self._config().alerts.compiled(), time.monotonic()),
            "silences": [
                {"rule": one.rule, "ends_in_s": round((one.until_ms - now_ms) / 1000, 1), "why": one.why,
                 "author": one.author}
                for one in self._silences
            ],
            "receivers": {name: one.describe() for name, one in self._receivers.items()},
        }  # fmt: skip

    def gauge(self, put: Callable[..., None]) -> None:
        """Sets the metrics."""
        for one in self._alerts.describe(self._config().alerts.compiled(), time.monotonic()):
            put("gslb_alert_firing", one["state"] != "pending", rule=one["rule"], subject=one["subject"])
        put("gslb_alerts_silenced", len(self._silences))
        for name, receiver in self._receivers.items():
            for result in ("told", "failed", "dropped"):
                put("gslb_alert_notifications_total", getattr(receiver, result), receiver=name, result=result)
