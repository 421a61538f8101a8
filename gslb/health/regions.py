"""What one observer knows of every region: its own probes, the regions' own words, its peers' views. Pure.

Control feeds it probe results and shared reports and asks for a judgement; the precedence itself is quorum.py's. It
keeps the last judgement made while it could see anything, which is what counts again when it sees nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gslb.health.quorum import Freshness, OwnWord, judge
from gslb.health.share import LEAST
from gslb.health.tracker import Tracker
from gslb.health.withholding import Withholding
from gslb.model import RegionStatus, State

BODY_MAX_BYTES = 4096
PEERS_MAX = 256
FRESH_S = 3.0
BLINDING_S = 5.0  # within which all regions of a blind node go down
BLIND_MIN_S = 4.5  # shorter than that it may be luck in a network that loses half of everything
SURE = 5  # successes in a row until one that was blind calls a region up; meanwhile what others see counts
SILENT_MAX_S = 120.0  # a region that was not heard for longer has not fallen silent now
_BEST_FIRST = tuple(State).index


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """How regions are probed, in seconds and checks."""

    interval_s: float = 1.0
    fast_interval_s: float = 0.3
    timeout_s: float = 0.8
    rise: int = 10
    fall: int = 3
    rise_max: int | None = None  # None: 8 times `rise`
    withdraw_max: float = 0.5  # of the capacity, that probes alone may take away at once
    hold_s: float = 30.0  # for how long more than that is held
    spill: float = 0.75  # the most of a region's clients that its own word may send elsewhere


@dataclass(slots=True)
class Seen:
    """What our probes say of one region."""

    tracker: Tracker
    ok: bool | None = None
    at: float = 0.0
    why: str = "not probed yet"


@dataclass(slots=True)
class Word:
    """One source's last own word of a region, and when it arrived by our clock."""

    word: OwnWord
    at: float
    share: float = 1.0  # of the region's clients, what it can have


@dataclass(frozen=True, slots=True)
class View:
    """What one observer's probes see. Observers at one `vantage` (a region's nodes) share their network: one vote."""

    vantage: str
    states: Mapping[str, State]


@dataclass(slots=True)
class Regions:
    """The picture. `node` is this observer's name; peers' views under that name are not counted twice.

    `vantage`: where this observer stands, "" is a place of its own; as a region's node it does not watch that region.
    """

    node: str
    options: ProbeOptions
    vantage: str = ""
    seen: dict[str, Seen] = field(default_factory=dict)
    words: dict[str, dict[str, Word]] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    freshness: Freshness = field(default_factory=lambda: Freshness(FRESH_S))
    good: dict[str, State] = field(default_factory=dict)
    judged: dict[str, State] = field(default_factory=dict)  # the last judgement, before anything was held
    isolated: bool = False
    split: tuple[str, ...] = ()  # regions that some see up and others down
    _isolated_at: float = 0.0
    suspects: tuple[str, ...] = ()  # vantages that see nothing up while others do: their views don't count
    withholding: Withholding = field(default_factory=Withholding)
    capacities: Mapping[str, float] = field(default_factory=dict)  # of regions, in requests a second
    stale: bool = False  # the last judgement rests, for some region, on what was known before

    def remember(self, states: Mapping[str, State]) -> None:
        """What was last known good when this node stopped: it counts until there is fresh evidence."""
        self.good = {name: state for name, state in states.items() if name in self.seen}

    def configure(
        self, names: Sequence[str], options: ProbeOptions, capacities: Mapping[str, float] | None = None
    ) -> None:
        """Watches exactly `names`; what is known of those that stay is kept."""
        self.capacities = capacities or {}
        self.withholding.withdraw_max, self.withholding.hold_s = options.withdraw_max, options.hold_s
        limits = (options.rise, options.fall, options.rise_max)
        fresh = limits != (self.options.rise, self.options.fall, self.options.rise_max)
        self.options = options
        self.seen = {
            name: self.seen[name] if name in self.seen and not fresh else Seen(_tracker(options))
            for name in names
        }
        for known in (self.words, self.good):
            for name in known.keys() - set(names):
                del known[name]

    # ------------------------------------------------------------ evidence in
    def probed(self, name: str, ok: bool, why: str, body: bytes | None, now: float) -> None:
        """One probe's result. A good reply carries the region's own word."""
        seen = self.seen.get(name)
        if seen is None:
            return
        seen.tracker.observe(ok, now)
        seen.ok, seen.at, seen.why = ok, now, why
        if ok and body:
            said = own_word(body)
            if said is not None:
                self.words.setdefault(name, {})["probe"] = Word(said[0], now, said[1])

    def heard(self, node: str, incarnation: int, sequence: int, payload: Mapping[str, Any], now: float) -> None:
        """A region node's heartbeat from the shared store: its own word, and its view of the other regions."""
        name, state = payload.get("region"), payload.get("state")
        if not isinstance(name, str) or node == self.node:
            return
        if not self.freshness.seen(f"region {node}", incarnation, sequence, now):
            return
        self._look(node, name, payload, now, {name})
        if name not in self.seen:
            return
        words = self.words.setdefault(name, {})
        if isinstance(state, str) and state in set(OwnWord) and (node in words or len(words) < PEERS_MAX):
            words[node] = Word(OwnWord(state), now, _share(payload))

    def viewed(self, node: str, incarnation: int, sequence: int, payload: Mapping[str, Any], now: float) -> None:
        """Another observer's view of all regions from the shared store."""
        if node != self.node and self.freshness.seen(f"view {node}", incarnation, sequence, now):
            self._look(node, node, payload, now, set())

    def _look(self, node: str, vantage: str, payload: Mapping[str, Any], now: float, but: set[str]) -> None:
        """Takes an observer's view; of the oldest there is one less if there are too many."""
        states = payload.get("regions")
        if not isinstance(states, Mapping):
            return
        if node not in self.views and len(self.views) >= PEERS_MAX:
            del self.views[max(self.views, key=lambda one: self._age_s(one, now))]
        known = set(State)
        self.views[node] = View(vantage, {
            str(name): State(word) for name, word in states.items()
            if isinstance(word, str) and word in known and name not in but
        })  # fmt: skip

    def _age_s(self, node: str, now: float) -> float:
        """Seconds since `node` last said anything new, of either kind."""
        ages = (self.freshness.age_s(f"{kind} {node}", now) for kind in ("view", "region"))
        return min((age for age in ages if age is not None), default=math.inf)

    # ------------------------------------------------------------ judgement out
    def own_view(self) -> dict[str, State]:
        """What our own probes alone say, as peers get it."""
        return {name: seen.tracker.state for name, seen in self.seen.items() if seen.ok is not None}

    def word(self, name: str, now: float) -> OwnWord | None:
        """The region's fresh word. Several nodes of one region: the best of them counts, since it can serve.

        What a probe of ours has brought counts no longer than our probes see the region: it is the same witness.
        """
        seen = self.seen.get(name)
        lost = seen is not None and seen.tracker.state is State.DOWN
        fresh = [
            word.word for source, word in self.words.get(name, {}).items()
            if now - word.at <= FRESH_S and not (lost and source == "probe")
        ]  # fmt: skip
        return min(fresh, key=tuple(OwnWord).index) if fresh else None

    def share(self, name: str, now: float) -> float:
        """Of its clients, what the region can have by its fresh word, never under LEAST: the mean of its nodes'."""
        fresh = {source: word.share for source, word in self.words.get(name, {}).items() if now - word.at <= FRESH_S}
        nodes = [share for source, share in fresh.items() if source != "probe"] or list(fresh.values())
        return max(LEAST, 1.0 - self.options.spill, sum(nodes) / len(nodes)) if nodes else 1.0

    def judge(
        self, now: float, overrides: Mapping[str, tuple[State, str]] | None = None
    ) -> dict[str, RegionStatus]:
        """Every region's status by the precedence of quorum.py, all from one look; `overrides` are operators' words."""
        vantages = self._vantages(now)
        mine = self.vantage or self.node
        probed = [seen.ok for seen in self.seen.values()]
        blind = bool(probed) and not any(ok is None or ok for ok in probed)
        some_up = any(State.UP in states.values() for vantage, states in vantages.items() if vantage != mine)
        if self._blinded(blind and not some_up, now):
            vantages = self._vantages(now)
        self.stale = self.isolated
        found: dict[str, RegionStatus] = {}
        seen_as = {name: {states.get(name) for states in vantages.values()} for name in self.seen}
        self.split = tuple(name for name, views in seen_as.items() if {State.UP, State.DOWN} <= views)
        for name, seen in self.seen.items():
            views = {vantage: states[name] for vantage, states in vantages.items() if name in states}
            word = self.word(name, now)
            silent = word is None and all(state is State.UNKNOWN for state in views.values())
            self.stale = self.stale or (silent and name in self.good)
            judged = judge(
                override=(overrides or {}).get(name),
                own_word=word,
                views=views,
                isolated=self.isolated,
                last_good=self.good.get(name),
                changes_in_s=seen.tracker.changes_in(self.options.fast_interval_s),
                before=self.judged.get(name),
                recovering=seen.tracker.recovering,
            )
            share = 1.0 if judged.forced else self.share(name, now)
            if share < 1.0:
                judged = replace(judged, share=share, why=f"{judged.why}; it can have {share:.0%} of its clients")
            found[name] = judged
        self.judged = {name: one.state for name, one in found.items()}
        confirmed = {name: self._confirmed(name, now) for name in found}
        found = self.withholding.hold(found, self.capacities, confirmed, now)
        for name, one in found.items():
            if not (one.forced or one.state is State.UNKNOWN):
                self.good[name] = one.state
        return found

    def _blinded(self, isolated: bool, now: float) -> bool:
        """Notes isolation; True if it ends. What was seen to go down in it is forgotten then: it was evidence about me.

        A blind node's regions go down one after another, some before it knows that it is blind. A moment in which all
        probes happen to fail is none.
        """
        if isolated and not self.isolated:
            self._isolated_at = now
        elif self.isolated and not isolated and now - self._isolated_at > BLIND_MIN_S:  # before, peers' views count
            for seen in self.seen.values():
                if seen.tracker.state is State.DOWN and seen.tracker.since >= self._isolated_at - BLINDING_S:
                    seen.tracker = _tracker(self.options, first=SURE)
        ended, self.isolated = self.isolated and not isolated, isolated
        return ended

    def _vantages(self, now: float) -> dict[str, dict[str, State]]:
        """What is seen from each vantage whose word counts: fresh views, this observer's own among them.

        Of several observers at one vantage the best view counts: they share what lies between. Suspects have no vote.
        """
        found: dict[str, dict[str, State]] = {}
        mine = View(self.vantage or self.node, self.own_view())
        for view in (mine, *(view for node, view in self.views.items() if self._age_s(node, now) <= FRESH_S)):
            merged = found.setdefault(view.vantage, {})
            for name, state in view.states.items():
                if state is not State.UNKNOWN:
                    merged[name] = min(merged.get(name, state), state, key=_BEST_FIRST)
        self.suspects = _suspects(found)
        return {vantage: states for vantage, states in found.items() if vantage not in self.suspects}

    def _confirmed(self, name: str, now: float) -> bool:
        """Whether a region's own words bear out that it is down: it says so, or its nodes have fallen silent."""
        if self.word(name, now) is OwnWord.NO_SERVERS:
            return True
        ages = [now - word.at for source, word in self.words.get(name, {}).items() if source != "probe"]
        return bool(ages) and FRESH_S < min(ages) < SILENT_MAX_S

    def evidence(self, now: float) -> dict[str, dict[str, Any]]:
        """What each region's status rests on, with ages in seconds, for people."""
        found: dict[str, dict[str, Any]] = {}
        for name, seen in self.seen.items():
            age_s = round(now - seen.at, 3) if seen.ok is not None else None
            rows: dict[str, Any] = {"probe": {"says": f"{seen.tracker.state.value}: {seen.why}", "age_s": age_s}}
            for source, word in self.words.get(name, {}).items():
                rows[f"own word ({source})"] = {"says": word.word.value, "age_s": round(now - word.at, 3)}
            for node, view in self.views.items():
                if name in view.states:
                    age_s = self._age_s(node, now)
                    unused = " (stale)" if age_s > FRESH_S else ""
                    unused = " (sees nothing up: not counted)" if view.vantage in self.suspects else unused
                    rows[f"view of {node}"] = {"says": view.states[name].value + unused, "age_s": round(age_s, 3)}
            found[name] = rows
        return found


def _suspects(views: Mapping[str, Mapping[str, State]]) -> tuple[str, ...]:
    """The vantages that see two or more regions and none of them up, while another sees half of them up.

    Where most are blind, that other one must see all of theirs up, but for its own region: else it may be luck in a
    network that loses much.
    """
    blind = sorted(
        vantage for vantage, states in views.items()
        if len(states) > 1 and all(state is State.DOWN for state in states.values())
    )  # fmt: skip
    most, theirs = 2 * len(blind) > len(views), {name for vantage in blind for name in views[vantage]}
    for vantage, states in views.items():
        up = {name for name, state in states.items() if state is State.UP}
        if (theirs - {vantage} <= up) if most else (2 * len(up) >= len(states) > 0):
            return tuple(blind)
    return ()


def _tracker(options: ProbeOptions, first: int = 1) -> Tracker:
    return Tracker(options.rise, options.fall, rise_max=options.rise_max, first=min(first, options.rise))


def own_word(body: bytes) -> tuple[OwnWord, float] | None:
    """The state in a reply of `/.well-known/gslb`, and the share of its clients; None if it isn't ours."""
    try:
        found = json.loads(body[:BODY_MAX_BYTES])
        return OwnWord(found["state"]), _share(found)
    except (ValueError, KeyError, TypeError):
        return None


def _share(payload: Mapping[str, Any]) -> float:
    """The share in a region's word, in quarters; 1 if there is none that can be one."""
    share = payload.get("share", 1.0)
    sane = type(share) in (int, float) and LEAST <= share <= 1.0
    return round(share / LEAST) * LEAST if sane else 1.0
