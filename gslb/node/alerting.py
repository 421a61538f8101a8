"""Control's part in alerts: looks once a second, keeps what fires over a restart, holds what is silenced, tells.

What an alert is says health/alerts.py; what is worth one, alert_facts.py; what is silenced, health/silences.py; which
node tells, health/turns.py; how receivers are told, notifying.py.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from gslb.config.schema import Config
from gslb.config.schema_alerts import RulesSection
from gslb.errors import ChangeRefused, StateError
from gslb.health.alerts import Alerts, Event, Fact, headline
from gslb.health.silences import Silences
from gslb.health.turns import TOLD_MAX, Turns, key
from gslb.node.alert_facts import SEEN_BY_ALL_EDGES
from gslb.node.context import NodeContext
from gslb.node.notifying import Receiver
from gslb.node.overriding import now_ms
from gslb.state.store import Report

LOOK_S = 1.0
KEEP_EVERY_LOOKS = 60  # ages on disk are refreshed so often
HELD_MAX = 1000
TOLD_MAX_BYTES = 8192  # of silences in one report; the newest first
VERSION = 1  # of the message

log = logging.getLogger("gslb.alerts")


class Alerting:
    """One node's. All methods belong to control's loop."""

    def __init__(
        self, context: NodeContext, config: Callable[[], Config], facts: Callable[[RulesSection, float], list[Fact]]
    ) -> None:
        self._context, self._config, self._facts = context, config, facts
        self._alerts = Alerts(config().cluster)
        self._silences = Silences(context.node)
        self._turns = Turns(context.node)
        self._held: dict[str, Event] = {}  # by fingerprint, what was silenced
        self._receivers: dict[str, Receiver] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looks = 0
        kept = context.directory.kept("alerts")
        self._alerts.remember(kept.get("alerts"), time.monotonic())
        silences = kept.get("silences")
        self._silences.merge(silences if isinstance(silences, list) else (), now_ms())

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
        told = [one for one in self._unsilenced(events, now_ms()) if one.rule in rules]  # a reload may end a rule
        due: dict[str, list[Event]] = {name: [] for name in self._receivers}
        for name, one in itertools.product(self._receivers, told):
            if rules[one.rule].receivers and name not in rules[one.rule].receivers:
                continue
            if self._context.role == "edge" and one.rule in SEEN_BY_ALL_EDGES:
                self._turns.wait(name, one, now)
            else:
                due[name].append(one)
        for name, one in self._turns.due(now):
            if name in due:
                due[name].append(one)
        for name, mine in due.items():
            if mine:
                self._receivers[name].take(self._message(mine))
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
                arrived = partial(self._arrived, name)
                self._receivers[name] = Receiver(name, said, self._context.config_directory, arrived)
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

    # ------------------------------------------------------------ among nodes
    def _arrived(self, receiver: str, message: Mapping[str, Any]) -> None:
        """A receiver took a message."""
        events = (Event(**one) for one in message["alerts"])
        self._turns.tell((key(receiver, one) for one in events if one.rule in SEEN_BY_ALL_EDGES), time.monotonic())

    def said(self) -> dict[str, Any]:
        """What other nodes are told, for this node's report."""
        told = self._turns.told(time.monotonic()) if self._context.role == "edge" else []
        parts = {"silences": self._silences.rows(TOLD_MAX_BYTES), "told": told}
        return {name: part for name, part in parts.items() if part}

    def heard(self, kind: str, reports: Iterable[Report], now: float) -> None:
        """What other nodes say in their reports."""
        news = False
        for report in reports:
            if report.node == self._context.node:
                continue
            told, silences = report.payload.get("told", ()), report.payload.get("silences")
            if kind == "view":
                words = told[:TOLD_MAX] if isinstance(told, list) else ()
                self._turns.hear(report.node, report.order, (one for one in words if isinstance(one, str)), now)
            if isinstance(silences, list):
                news = self._silences.merge(silences, now_ms()) or news
        if news:
            log.info("silences were told by other nodes: %d hold", len(self._silences.holding(now_ms())))
            self._keep()

    # ------------------------------------------------------------ silence
    def _unsilenced(self, events: Iterable[Event], at_ms: int) -> list[Event]:
        """What may be told now: the rest is held, and told when the silence ends if it still matters then."""
        told = []
        for one in events:
            before = self._held.get(one.fingerprint)
            if not self._silences.covers(one.rule, at_ms):
                told.append(one)
            elif one.status == "resolved" and before is not None and before.status == "firing":
                del self._held[one.fingerprint]  # nobody has heard of it
            elif len(self._held) < HELD_MAX:
                self._held[one.fingerprint] = one
        free = [key for key, one in self._held.items() if not self._silences.covers(one.rule, at_ms)]
        return [*(self._held.pop(key) for key in free), *told]

    def silence(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Begins a silence, or ends those of exactly this rule with `for_s` 0. Raises ChangeRefused."""
        rule, for_s = words["rule"], words["for_s"]
        if not any(fnmatchcase(name, rule) for name in RulesSection.model_fields):
            known = ", ".join(RulesSection.model_fields)
            raise ChangeRefused(f"no rule is called {rule!r}; known: {known}, and * for all", 404, "rule")
        at_ms = now_ms()
        until_ms = at_ms + int(for_s * 1000) if for_s else 0
        try:
            self._silences.say(rule, until_ms, why=words["why"], author=words["author"], now_ms=at_ms)
        except ValueError as error:
            raise ChangeRefused(str(error), 409, "rule") from None
        log.warning("alerts %s are silenced for %g s", rule, for_s, extra={"why": words["why"]})
        self._keep()
        return {"silenced_until_ms": until_ms}

    def _keep(self) -> None:
        rows = {"alerts": self._alerts.keep(time.monotonic()), "silences": self._silences.rows()}
        try:
            self._context.directory.keep("alerts", rows)
        except StateError as error:
            log.warning("alerts can't be kept over a restart", extra={"why": str(error)})

    # ------------------------------------------------------------ shown
    def describe(self) -> dict[str, Any]:
        """For `/alerts` and `/status`."""
        at_ms = now_ms()
        return {
            "alerts": self._alerts.describe(self._config().alerts.compiled(), time.monotonic()),
            "silences": [
                {"rule": one.rule, "ends_in_s": round((one.until_ms - at_ms) / 1000, 1), "why": one.why,
                 "author": one.author}
                for one in self._silences.holding(at_ms)
            ],
            "receivers": {name: one.describe() for name, one in self._receivers.items()},
        }  # fmt: skip

    def gauge(self, put: Callable[..., None]) -> None:
        """Sets the metrics."""
        for one in self._alerts.describe(self._config().alerts.compiled(), time.monotonic()):
            put("gslb_alert_firing", one["state"] != "pending", rule=one["rule"], subject=one["subject"])
        put("gslb_alerts_silenced", len(self._silences.holding(now_ms())))
        for name, receiver in self._receivers.items():
            for result in ("told", "failed", "dropped"):
                put("gslb_alert_notifications_total", getattr(receiver, result), receiver=name, result=result)
