"""What control watches: an edge watches regions, a region watches its servers. Both turn evidence into a Status.

A side decides through the pure rooms (health/regions.py, health/tracker.py); control does its I/O: probes come in
through `result`, shared reports through `heard`, and `payload` is what this node says to the others.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gslb.config.schema import Config
from gslb.health.check import Exchange
from gslb.health.runner import Target
from gslb.health.standing import Said, standing
from gslb.health.tracker import Tracker
from gslb.http.replies import region_word
from gslb.model import Balancer, HealthCheck, Plan, Pool, RegionStatus, Server, ServerTls, State, Status
from gslb.node.agents import Agents
from gslb.node.context import NodeContext
from gslb.node.own_share import OwnShare
from gslb.node.watching import Watching
from gslb.state.store import Report
from gslb.tls.contexts import HTTP, client_contexts
from gslb.tls.material import Keys
from gslb.units import host_port

FAST_SHARE = 5  # a server's fast interval is this part of its interval …
FAST_MIN_S = 0.3  # … but not below this


log = logging.getLogger("gslb.control")


class Side(Protocol):
    """An edge's or a region's part of control."""

    kind: str  # of the reports this node publishes

    def configure(self, plan: Plan, config: Config) -> None:
        """Watches what the Plan names from now on."""

    def certify(self, keys: Keys) -> None:
        """Probes with these certificates and authorities from now on."""

    def targets(self) -> Mapping[Hashable, Target]:
        """What to probe, and how."""

    def changing(self, key: Hashable) -> bool:
        """Whether this target is in doubt and is probed at the fast interval."""

    def result(self, key: Hashable, ok: bool, why: str, rtt_s: float, body: bytes | None, now: float) -> None:
        """One probe's result."""

    def heard(self, kind: str, reports: Sequence[Report], now: float) -> None:
        """Reports from the shared store."""

    def remember(self, kept: Mapping[str, Any]) -> None:
        """What `keep` gave when this node last ran."""

    def keep(self) -> dict[str, Any]:
        """What to keep on disk as last known good."""

    def regions(self, now: float, overrides: Mapping[str, tuple[State, str]]) -> Mapping[str, RegionStatus]:
        """For the Status; `overrides`: what operators have said of regions."""

    @property
    def stale(self) -> bool:
        """Whether the last judgement rests on what was known before."""

    def servers(self, forced: Mapping[str, State]) -> Mapping[str, State]:
        """For the Status: what isn't UP. `forced`: operators' words."""

    def share(self, plan: Plan, status: Status, now: float) -> float:
        """For the Status: of its clients, what this node's region can have."""

    def weights(self, now: float) -> Mapping[tuple[str, str], float]:
        """Of servers' weights, by pool and server id, the shares that their agents ask for."""

    def payload(self, status: Status) -> dict[str, Any]:
        """What this node, whose Status is this, tells the others."""

    def complete(self) -> bool:
        """Whether every target has given a first result."""

    def describe(self, now: float) -> dict[str, Any]:
        """For people: part of `/status`."""


class _Watcher:
    """What both sides do alike: they watch regions, an edge all of them, a region's node all but its own."""

    _watching: Watching

    def heard(self, kind: str, reports: Sequence[Report], now: float) -> None:
        """See Side."""
        self._watching.heard(kind, reports, now)

    def remember(self, kept: Mapping[str, Any]) -> None:
        """See Side."""
        self._watching.remember(kept)

    def keep(self) -> dict[str, Any]:
        """See Side."""
        return self._watching.keep()

    def regions(self, now: float, overrides: Mapping[str, tuple[State, str]]) -> Mapping[str, RegionStatus]:
        """See Side."""
        return self._watching.judge(now, overrides)

    @property
    def stale(self) -> bool:
        """See Side."""
        return self._watching.picture.stale


class EdgeSide(_Watcher):
    """Watches regions."""

    kind = "view"

    def __init__(self, context: NodeContext) -> None:
        self._watching = Watching(context.node)

    def configure(self, plan: Plan, config: Config) -> None:
        """See Side."""
        self._watching.configure(plan, config)

    def certify(self, keys: Keys) -> None:
        """See Side: regions are public, what this system trusts verifies them."""

    def targets(self) -> Mapping[Hashable, Target]:
        """See Side."""
        return self._watching.targets

    def changing(self, key: Hashable) -> bool:
        """See Side."""
        return self._watching.changing(str(key))

    def result(self, key: Hashable, ok: bool, why: str, rtt_s: float, body: bytes | None, now: float) -> None:
        """See Side."""
        self._watching.picture.probed(str(key), ok, why, body, now)

    def servers(self, forced: Mapping[str, State]) -> Mapping[str, State]:
        """See Side."""
        return {}

    def share(self, plan: Plan, status: Status, now: float) -> float:
        """See Side: an edge turns nobody away."""
        return 1.0

    def weights(self, now: float) -> Mapping[tuple[str, str], float]:
        """See Side: an edge has no servers."""
        return {}

    def payload(self, status: Status) -> dict[str, Any]:
        """See Side."""
        del status
        return {"regions": self._watching.view()}

    def complete(self) -> bool:
        """See Side."""
        return all(seen.ok is not None for seen in self._watching.picture.seen.values())

    def describe(self, now: float) -> dict[str, Any]:
        """See Side."""
        return self._watching.describe(now)


@dataclass(slots=True)
class Watched:
    """One server's health."""

    tracker: Tracker
    fall: int
    why: str = "not checked yet"
    at: float | None = None
    interval_s: float = field(default=2.0)


def _url(pool: Pool, server: Server, health: HealthCheck) -> str:
    """What a server is probed by."""
    scheme = "http" if pool.tls_to(server) is None else "https"
    return health.url or f"{scheme}://{host_port(server.host, server.port)}"


def _alpn(health: HealthCheck) -> str:
    """The protocol that a check speaks over TLS."""
    asked = health.check.request()
    return asked.alpn if isinstance(asked, Exchange) else HTTP


def _tracker(health: HealthCheck) -> Tracker:
    return Tracker(health.rise, health.fall, initial=State(health.initial), rise_max=health.rise_max)


class RegionSide(_Watcher):
    """Watches the servers of this region's pools, and the other regions, for its stragglers and as a witness."""

    kind = "region"

    def __init__(self, context: NodeContext) -> None:
        self._watching = Watching(context.node, context.name)
        self._own_share = OwnShare(context.board)
        self._watched: dict[str, Watched] = {}
        self._unwatched: list[str] = []
        self._draining: list[str] = []
        self._targets: dict[Hashable, Target] = {}
        self._balancer: Balancer | None = None
        self._generation = 0
        self._keys = Keys()
        self._contexts: dict[str, dict[ServerTls, ssl.SSLContext]] = {}  # by the protocol that is asked for
        self.agents = Agents()

    def configure(self, plan: Plan, config: Config) -> None:
        """See Side. A pool without a health check counts its servers as up."""
        assert plan.balancer is not None
        self._watching.configure(plan, config)
        watched: dict[str, Watched] = {}
        before = self._targets
        self._unwatched, self._draining = [], []
        self._balancer, self._generation = plan.balancer, plan.generation
        for pool in plan.balancer.pools.values():
            for server in pool.servers:
                key, health = f"{pool.name}/{server.id}", server.health or pool.health
                if server.draining:
                    self._draining.append(key)
                if health is None:
                    self._unwatched.append(key)
                    continue
                old, had = self._watched.get(key), before.get(key)
                kept = old and old.fall == health.fall and had and had.url == _url(pool, server, health)
                watched[key] = old if old and kept else Watched(_tracker(health), health.fall)
        self._watched = watched
        self._know(plan.balancer)
        self._aim(plan.balancer)

    def certify(self, keys: Keys) -> None:
        """See Side."""
        self._keys = keys
        self._contexts = {
            alpn: client_contexts(known, known, keys, log.error, alpn) for alpn, known in self._contexts.items()
        }
        if self._balancer is not None:
            self._aim(self._balancer)

    def _know(self, balancer: Balancer) -> None:
        """Makes the contexts that checks need, and keeps those that are there."""
        wanted: dict[str, set[ServerTls]] = {}
        for pool in balancer.pools.values():
            for server in pool.servers:
                health, tls = server.health or pool.health, pool.tls_to(server)
                if health is not None and tls is not None:
                    wanted.setdefault(_alpn(health), set()).add(tls)
        for alpn, all_tls in wanted.items():
            known = self._contexts.setdefault(alpn, {})
            known |= client_contexts(all_tls - known.keys(), {}, self._keys, log.error, alpn)
        self._contexts = {
            alpn: {tls: context for tls, context in known.items() if tls in wanted.get(alpn, ())}
            for alpn, known in self._contexts.items()
        }

    def _aim(self, balancer: Balancer) -> None:
        """Makes the targets."""
        self._targets = {}
        for pool in balancer.pools.values():
            for server in pool.servers:
                health = server.health or pool.health
                if health is not None:
                    self._targets[f"{pool.name}/{server.id}"] = self._target(pool, server, health)
        self._targets |= self.agents.aim(balancer) | self._watching.targets

    def _target(self, pool: Pool, server: Server, health: HealthCheck) -> Target:
        """What to probe of a server, in the way that requests go to it; an address of its own is asked plainly."""
        fast_s = max(FAST_MIN_S, health.interval_s / FAST_SHARE)
        times = health.interval_s, fast_s, health.timeout_s
        if health.url:
            return Target(health.check, health.url, *times)
        tls = pool.tls_to(server)
        context, name = (None, "") if tls is None else (self._contexts[_alpn(health)][tls], tls.server_name)
        return Target(health.check, _url(pool, server, health), *times, context, name, pool.proxy_protocol)

    def targets(self) -> Mapping[Hashable, Target]:
        """See Side."""
        return self._targets

    def changing(self, key: Hashable) -> bool:
        """See Side. A region's name has no slash, a server's key has one."""
        if key in self._watching.targets:
            return self._watching.changing(str(key))
        watched = self._watched.get(str(key))
        return watched is not None and watched.tracker.changing

    def result(self, key: Hashable, ok: bool, why: str, rtt_s: float, body: bytes | None, now: float) -> None:
        """See Side."""
        if isinstance(key, tuple):
            self.agents.result(key, ok, why, body, now)
            return
        if key in self._watching.targets:
            self._watching.picture.probed(str(key), ok, why, body, now)
            return
        watched = self._watched.get(str(key))
        if watched is not None:
            watched.tracker.observe(ok, now)
            watched.why, watched.at = why, now

    def servers(self, forced: Mapping[str, State]) -> Mapping[str, State]:
        """See Side: by the table of health/standing.py."""
        agents, draining = self.agents.states(), set(self._draining)
        found = {}
        failing = {key for key, one in self._watched.items() if one.tracker.state is not State.UP}
        for key in failing | agents.keys() | draining | forced.keys():
            watched = self._watched.get(key)
            checks = watched.tracker.state if watched is not None else State.UP
            state = standing(Said(checks, key in draining, agents.get(key), forced.get(key)))
            if state is not State.UP:
                found[key] = state
        return found

    def share(self, plan: Plan, status: Status, now: float) -> float:
        """See Side."""
        return self._own_share.look(plan, status, now)

    def weights(self, now: float) -> Mapping[tuple[str, str], float]:
        """See Side."""
        return self.agents.shares(now)

    def payload(self, status: Status) -> dict[str, Any]:
        """See Side: the same words as a data worker's `/.well-known/gslb`."""
        assert self._balancer is not None
        word: dict[str, Any] = json.loads(region_word(self._balancer, status, self._generation))
        return {**word, "regions": self._watching.view()}

    def complete(self) -> bool:
        """See Side."""
        return True  # servers not yet checked are used; only proof takes one out

    def describe(self, now: float) -> dict[str, Any]:
        """See Side."""
        rows: dict[str, Any] = {key: {"state": "up", "why": "not checked", "age_s": None} for key in self._unwatched}
        for key, one in self._watched.items():
            age_s = round(now - one.at, 3) if one.at is not None else None
            rows[key] = {"state": one.tracker.state.value, "why": one.why, "age_s": age_s}
        for key in self._draining:
            if rows[key]["state"] != State.DOWN.value:
                rows[key] |= {"state": State.DRAINING.value, "why": "in maintenance: no new requests"}
        for key, said in self.agents.describe(now).items():
            rows.get(key, {})["agent"] = said
        for key, state in self.agents.states().items():
            if key in rows and rows[key]["state"] != State.DOWN.value:
                rows[key] |= {"state": state.value, "why": f"its agent says so: {rows[key]['agent']['says']}"}
        return {"servers": rows, "share_why": self._own_share.why, **self._watching.describe(now)}
