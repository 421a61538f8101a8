"""What the agents beside a region's servers say of their load: asked for by the checks' runner, told to workers.

An agent that says nothing says nothing of its server's health: what it said last ages out (links.LOADS_MAX_S).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from gslb.balancing.loads import LoadReport, parse_body
from gslb.health.check import CHECKS
from gslb.health.runner import Target
from gslb.model import Balancer
from gslb.units import host_port

AGENT = "agent"


class Agents:
    """One region node's. Keys of its targets are (AGENT, pool, server id)."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[LoadReport | None, str, float]] = {}  # load, why, when
        self._news: dict[str, dict[str, LoadReport]] = {}

    def aim(self, balancer: Balancer) -> dict[Hashable, Target]:
        """Whom to ask; what gone ones said is forgotten."""
        check = CHECKS.get("http")
        targets: dict[Hashable, Target] = {}
        for pool in balancer.pools.values():
            for server in pool.servers if pool.agent is not None else ():
                assert pool.agent is not None
                agent, url = pool.agent, f"http://{host_port(server.host, pool.agent.port)}"
                targets[AGENT, pool.name, server.id] = Target(
                    check(path=agent.path), url, agent.interval_s, agent.interval_s, agent.timeout_s
                )
        self._said = {key: said for key, said in self._said.items() if (AGENT, *key) in targets}
        return targets

    def result(self, key: tuple[Any, ...], ok: bool, why: str, body: bytes | None, now: float) -> None:
        """An answer, or that there was none."""
        pool, server_id = str(key[1]), str(key[2])
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

    def describe(self, now: float) -> Mapping[str, Any]:
        """For `/status`, by `pool/server id`."""
        return {
            f"{pool}/{server_id}": {
                "cpu": load.cpu if load else None,
                "memory": load.memory if load else None,
                "application": load.application if load else None,
                "problem": why,
                "age_s": round(now - at, 1),
            }
            for (pool, server_id), (load, why, at) in self._said.items()
        }
