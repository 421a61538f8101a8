"""What operators have said instead of health: drain, force up or down; and weights, beside that. Core.

An override names a target (`region`, `region/pool`, `region/pool/server` or `service@region`, each part with `*` and
`?`), who said it, why, and until when. Nodes tell each other all of them and keep the newest word on each target
(newest.py). One that was taken back stays as a tombstone until everybody has heard it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gslb.health.newest import Newest, Stamp, read_stamp
from gslb.model import State

OVERRIDES_MAX = 100  # of a cluster, tombstones among them
TEXT_MAX = 300
TOMBSTONE_MS = 7 * 86_400_000
STATES = {"drain": State.DRAINING, "up": State.UP, "down": State.DOWN}
WEIGHT = "weight:"  # and a percentage, or "auto"
PERCENT_MAX = 1000
_WEIGHT = re.compile(r"weight:(\d{1,4}(?:\.\d{1,2})?)").fullmatch
_PART = r"[A-Za-z0-9_.*?:\[\]-]{1,253}"
_TARGET = re.compile(rf"{_PART}(?:/{_PART}){{0,2}}|{_PART}@{_PART}").fullmatch


@dataclass(frozen=True, slots=True)
class Override:
    """One word. `expires_ms` 0 is never; `broke_glass`: it went past a safety rule.

    `action` is one of STATES, or "weight:50" (percent); "auto" and "weight:auto" are tombstones. Of a target there is
    one word of each kind: they hold beside each other.
    """

    target: str
    action: str
    why: str
    author: str
    stamp: Stamp
    expires_ms: int = 0
    broke_glass: bool = False

    def holds(self, now_ms: int) -> bool:
        """Whether it is to be obeyed now."""
        return (self.action in STATES or self.weight is not None) and not 0 < self.expires_ms <= now_ms

    @property
    def weight(self) -> float | None:
        """The weight said, 1.0 is all of it; None if this says nothing of it."""
        match = _WEIGHT(self.action)
        return float(match[1]) / 100 if match is not None and float(match[1]) <= PERCENT_MAX else None

    @property
    def key(self) -> tuple[str, bool]:
        """What there is but one word of: a target, and whether it is about its weight."""
        return self.target, self.action.startswith(WEIGHT)

    @property
    def text(self) -> str:
        """For people: who and why."""
        return f"{self.why} ({self.author})" if self.why else self.author


def parse_target(text: str) -> str:
    """The target, checked. Raises ValueError in words for the person who wrote it."""
    if not _TARGET(text):
        raise ValueError(f"{text!r} is no target: write region, region/pool, region/pool/server or service@region")
    return text


class Overrides(Newest[Override]):
    """Everything said, by target."""

    def __init__(self, node: str) -> None:
        super().__init__(node, OVERRIDES_MAX, _read)

    def say(
        self, target: str, action: str, *, why: str, author: str, now_ms: int, expires_ms: int = 0,
        broke_glass: bool = False,
    ) -> Override:
        """The newest word on `target` ("auto" and "weight:auto" take back). Raises ValueError if there is no room."""
        key = parse_target(target), action.startswith(WEIGHT)
        if not self.has_room(key):
            raise ValueError(f"there are {OVERRIDES_MAX} overrides already: take some back")
        said = Override(
            target, action, why[:TEXT_MAX], author[:TEXT_MAX], self.tick(now_ms), expires_ms, broke_glass
        )
        self.known[key] = said
        return said

    def forget(self, now_ms: int) -> bool:
        """Drops what nobody needs any more: old tombstones, and words that expired as long ago."""
        old = [
            key for key, one in self.known.items()
            if not one.holds(now_ms) and max(one.stamp[0], one.expires_ms) + TOMBSTONE_MS < now_ms
        ]  # fmt: skip
        for key in old:
            del self.known[key]
        return bool(old)

    # ------------------------------------------------------------ what follows
    def holding(self, now_ms: int) -> list[Override]:
        """Those to be obeyed, the newest last."""
        return sorted((one for one in self.known.values() if one.holds(now_ms)), key=lambda one: one.stamp)

    def states(self, now_ms: int) -> list[Override]:
        """Those of them that are about a state."""
        return [one for one in self.holding(now_ms) if one.action in STATES]

    def weights(self, now_ms: int) -> list[Override]:
        """Those of them that are about a weight."""
        return [one for one in self.holding(now_ms) if one.weight is not None]

    def of_region(self, region: str, now_ms: int) -> Override | None:
        """The word on a whole region."""
        return newest(self.states(now_ms), region)

    def of_service(self, service: str, region: str, now_ms: int) -> Override | None:
        """The word on a service in a region."""
        return newest(self.states(now_ms), f"{service}@{region}")

    def of_server(self, region: str, pool: str, server: str, now_ms: int) -> Override | None:
        """The word on a server: its own, else its pool's."""
        held = self.states(now_ms)
        return newest(held, f"{region}/{pool}/{server}") or newest(held, f"{region}/{pool}")


def newest(held: Iterable[Override], name: str) -> Override | None:
    """The last of those that speak of exactly such a thing as `name` (a region, a pool, a server, a service there)."""
    found = None
    for one in held:
        if _matches(one.target, name):
            found = one
    return found


def _matches(pattern: str, name: str) -> bool:
    """Part by part: a star is not a slash."""
    separator = "@" if "@" in pattern else "/"
    parts, given = name.split(separator), pattern.split(separator)
    if len(parts) != len(given) or ("@" in name) != ("@" in pattern):
        return False
    return all(_pattern(one).fullmatch(part) for one, part in zip(given, parts, strict=True))


@lru_cache(4 * OVERRIDES_MAX)
def _pattern(text: str) -> re.Pattern[str]:
    """Only `*` and `?` stand for more than themselves: brackets are an address's."""
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."))


def _read(row: Mapping[str, Any]) -> Override | None:
    """A row of another node's; None if it is none."""
    stamp = read_stamp(row)
    try:
        said = Override(
            target=parse_target(row["target"]), action=row["action"], why=row["why"], author=row["author"],
            stamp=stamp or (0, 0, ""), expires_ms=row["expires_ms"], broke_glass=row["broke_glass"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None
    fine = stamp is not None and type(said.expires_ms) is int and 0 <= said.expires_ms < 2**53
    fine = fine and type(said.broke_glass) is bool
    fine = fine and all(isinstance(one, str) and len(one) <= TEXT_MAX for one in (said.why, said.author))
    known = isinstance(said.action, str) and (
        said.action in {*STATES, "auto", f"{WEIGHT}auto"} or said.weight is not None
    )
    return said if fine and known else None


# ---------------------------------------------------------------- rules that no override may break
@dataclass(frozen=True, slots=True)
class SafetyRule:
    """At least `keep_up` of the regions `of`, and `capacity` (a share) of all regions' capacity, stay in use."""

    keep_up: int = 0
    of: tuple[str, ...] = ()
    capacity: float = 0.0


def broken(rules: Iterable[SafetyRule], capacities: Mapping[str, float], out: Mapping[str, str]) -> str:
    """What would be wrong with these regions `out` of use (region -> why); "" if no rule minds.

    Args:
        rules: the cluster's.
        capacities: of every region, in requests a second.
        out: regions that take no new clients, by an override or by health.
    """
    for rule in rules:
        left = [region for region in rule.of if region not in out]
        if rule.keep_up and len(left) < rule.keep_up:
            gone = ", ".join(f"{region} ({out[region]})" for region in rule.of if region in out)
            return f"at least {rule.keep_up} of {', '.join(rule.of)} must stay up; out would be {gone}"
        total = sum(capacities.values())
        remains = sum(capacity for region, capacity in capacities.items() if region not in out)
        if rule.capacity and total and remains < rule.capacity * total:
            return f"{remains / total:.0%} of the capacity would be left, at least {rule.capacity:.0%} must be"
    return ""

