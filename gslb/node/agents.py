"""What the agents beside a region's servers say of their load: asked for by the checks' runner, told to workers.

An agent that says nothing says nothing of its server's health: what it said last ages out (links.LOADS_MAX_S).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from gslb.balancing.loads import LoadReport, parse_body
from gslb.health.agent_text import AskAgent, Said, hear
from gslb.health.check import CHECKS
from gslb.health.runner import Target
from gslb.model import Balancer, State
from gslb.units import host_port

AGENT = "agent"
SHARE_STEP = 0.05
SHARES_APART_S = 5.0


class Agents:
    """One region node's. Keys of its targets are (AGENT, pool, server id)."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[LoadReport | None, str, float]] = {}  # load, why, when
        self._news: dict[str, dict[str, LoadReport]] = {}
        self._texts: dict[tuple[str, str], tuple[Said, str, float]] = {}  # what text agents have said, why not, when
        self._text_pools: set[str] = set()
        self._shares: dict[tuple[str, str], float] = {}
        self._shared_at = -SHARES_APART_S

    def aim(self, balancer: Balancer) -> dict[Hashable, Target]:
        """Whom to ask; what gone ones said is forgotten."""
        check = CHECKS.get("http")
        targets: dict[Hashable, Target] = {}
        for pool in balancer.pools.values():
            for server in pool.servers if pool.agent is not None else ():
                assert pool.agent is not None
                agent, url = pool.agent, f"http://{host_port(server.host, pool.agent.port)}"
                asked = AskAgent(agent.send) if agent.text else check(path=agent.path)
                targets[AGENT, pool.name, server.id] = Target(
                    asked, url, agent.interval_s, agent.interval_s, agent.timeout_s
                )
        self._text_pools = {pool.name for pool in balancer.pools.values() if pool.agent is not None and pool.agent.text}
        self._texts = {
            key: said for key, said in self._texts.items() if (AGENT, *key) in targets and key[0] in self._text_pools
        }
        self._said = {key: said for key, said in self._said.items() if (AGENT, *key) in targets}
        return targets

    def result(self, key: tuple[Any, ...], ok: bool, why: str, body: bytes | None, now: float) -> None:
        """An answer, or that there was none."""
        pool, server_id = str(key[1]), str(key[2])
        if pool in self._text_pools:
            before, _, at = self._texts.get((pool, server_id), (Said(), "", now))
            said = hear(before, body) if ok and body is not None else before
            self._texts[pool, server_id] = said, "" if ok else why, now if ok else at
            return
        load, wrong = parse_body(body) if ok and body is not None else (None, 0)
        if ok and load is None:
            why = "its answer says nothing of use"
        elif wrong:
            why = f"{wrong} of its values are no numbers in their bounds"
        self._said[pool, server_id] = load, "" if load is not None and not wrong else why, now
        if load is not None:
            self._news.setdefault(pool, {})[server_id] = load

    def take(self) -> dict[str, dict[str, LoadReport]]:
        """What workers have not heard, by pool and server id; from then on it counts as told."""
        news, self._news = self._news, {}
        return news

    def states(self) -> dict[str, State]:
        """What servers are by their agents' word, by `pool/server id`."""
        found = ((f"{pool}/{server}", said.state) for (pool, server), (said, _, _) in self._texts.items())
        return {key: state for key, state in found if state is not None}

    def shares(self, now: float) -> dict[tuple[str, str], float]:
        """Shares of servers' weights that agents ask for, in steps, changed at most each SHARES_APART_S: a new Plan."""
        if now - self._shared_at >= SHARES_APART_S:
            stepped = {key: _stepped(said.share) for key, (said, _, _) in self._texts.items()}
            wanted = {key: share for key, share in stepped.items() if share != 1.0}
            if wanted != self._shares:
                self._shares, self._shared_at = wanted, now
        return self._shares

    def describe(self, now: float) -> Mapping[str, Any]:
        """For `/status`, by `pool/server id`."""
        texts = {
            f"{pool}/{server}": {"says": said.text, "problem": why, "age_s": round(now - at, 1)}
            for (pool, server), (said, why, at) in self._texts.items()
        }
        return texts | {
            f"{pool}/{server_id}": {
                "cpu": load.cpu if load else None,
                "memory": load.memory if load else None,
                "application": load.application if load else None,
                "problem": why,
                "age_s": round(now - at, 1),
            }
            for (pool, server_id), (load, why, at) in self._said.items()
        }


def _stepped(share: float) -> float:
    """To the nearest step; only nothing is nothing."""
    return max(SHARE_STEP, round(share / SHARE_STEP) * SHARE_STEP) if share else 0.0
