"""Control's discovery of servers by DNS: asks for each pool's name as often as its TTL says, and keeps what is found.

A name that can't be resolved, or has no records, changes nothing: the servers that were known stay, health checks say
which of them are of use, and status and metrics say what is wrong. What was found is on disk, so that a node which
starts while the DNS is away has servers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gslb.balancing.discovery import SERVERS_MAX, of_addresses, of_targets
from gslb.errors import StateError
from gslb.model import Discovery, Plan, Server
from gslb.node.context import NodeContext
from gslb.node.resolving import NoReply, ask, system_resolvers

RETRY_S = 5.0  # after a name that could not be resolved
TARGETS_MAX = 100  # of one SRV name, whose addresses are asked for

log = logging.getLogger("gslb.discovery")


@dataclass(slots=True)
class Known:
    """What is known of one pool's name."""

    servers: tuple[Server, ...] = ()
    ttl_s: float = 0.0
    found_at: float | None = None  # monotonic
    problem: str = "not resolved yet"


class Discovering:
    """One region node's. All methods belong to control's loop."""

    def __init__(self, context: NodeContext, applied: Callable[[], None]) -> None:
        """`applied` is told that some pool has other servers than before."""
        self._context, self._applied = context, applied
        self._rules: dict[str, Discovery] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.known: dict[str, Known] = {}
        self._remember()

    @property
    def found(self) -> dict[str, tuple[Server, ...]]:
        """The servers by pool."""
        return {name: one.servers for name, one in self.known.items() if one.servers}

    # ------------------------------------------------------------ life
    def configure(self, plan: Plan) -> None:
        """Takes a Plan; a pool whose rule is as it was goes on where it was. Needs a running loop."""
        pools = plan.balancer.pools if plan.balancer is not None else {}
        rules = {name: pool.discovery for name, pool in pools.items() if pool.discovery is not None}
        for name in self._rules.keys() | rules.keys():
            if self._rules.get(name) == rules.get(name) and name in self._tasks:
                continue
            task = self._tasks.pop(name, None)
            if task is not None:
                task.cancel()
                self.known.pop(name, None)
            if name in rules:
                self.known.setdefault(name, Known())
                self._tasks[name] = asyncio.get_running_loop().create_task(self._watch(name, rules[name]))
                self._tasks[name].add_done_callback(_ended)
        self._rules = rules

    def stop(self) -> None:
        """Asks nothing more."""
        for task in self._tasks.values():
            task.cancel()

    async def _watch(self, pool: str, rule: Discovery) -> None:
        known = self.known[pool]
        while True:
            try:
                servers, ttl_s = await resolve(rule)
            except NoReply as error:
                self._failed(pool, known, f"{rule.name} can't be resolved: {error}")
                await asyncio.sleep(RETRY_S)
                continue
            pause_s = min(max(ttl_s, rule.least_s), rule.most_s)
            if servers:
                self._found(pool, known, servers, ttl_s)
            else:
                self._failed(pool, known, f"{rule.name} has no {rule.kind} records that lead to an address")
            await asyncio.sleep(pause_s)

    def _found(self, pool: str, known: Known, servers: tuple[Server, ...], ttl_s: float) -> None:
        changed = servers != known.servers
        known.servers, known.ttl_s, known.found_at = servers, ttl_s, time.monotonic()
        if known.problem or changed:
            log.info("pool %s: %d servers by DNS", pool, len(servers), extra={"ttl_s": ttl_s})
        known.problem = ""
        if changed:
            self._keep()
            self._applied()

    def _failed(self, pool: str, known: Known, problem: str) -> None:
        if problem != known.problem:
            log.warning("pool %s: %d servers stay as they are", pool, len(known.servers), extra={"why": problem})
        known.problem = problem

    # ------------------------------------------------------------ what is kept and told
    def _keep(self) -> None:
        try:
            self._context.directory.keep(
                "discovered",
                {name: [asdict(server) for server in servers] for name, servers in self.found.items()}
            )
        except StateError as error:
            log.warning("can't keep what was discovered", extra={"why": str(error)})

    def _remember(self) -> None:
        """What was found before the node, or control, was started."""
        for name, servers in self._context.directory.kept("discovered").items():
            try:
                found = tuple(
                    Server(str(one["id"]), str(one["host"]), int(one["port"]), int(one["weight"]),
                           priority=int(one["priority"]))
                    for one in servers[:SERVERS_MAX]
                )  # fmt: skip
            except (KeyError, TypeError, ValueError):
                continue
            self.known[name] = Known(found, problem="as it was before this start; not resolved yet")

    def describe(self) -> Mapping[str, Any]:
        """For `/status`."""
        now = time.monotonic()
        return {
            name: {
                "name": rule.name,
                "type": rule.kind,
                "servers": [server.id for server in self.known[name].servers],
                "ttl_s": self.known[name].ttl_s,
                "age_s": None if (at := self.known[name].found_at) is None else round(now - at, 1),
                "problem": self.known[name].problem,
            }
            for name, rule in self._rules.items()
        }


def _ended(task: asyncio.Task[None]) -> None:
    """A watch never ends but by being cancelled: what else ends it is a mistake of ours, and the log must say so."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("discovery has ended", exc_info=task.exception())


async def resolve(rule: Discovery) -> tuple[tuple[Server, ...], float]:
    """The servers behind a name and how long that holds, in seconds. Raises NoReply."""
    resolvers = list(rule.resolvers) or system_resolvers()
    reply = await ask(resolvers, rule.name, rule.kind)
    if rule.kind != "SRV":
        return of_addresses(reply.addresses, rule.port), reply.ttl_s
    addresses: dict[str, tuple[str, ...]] = {}
    ttl_s = reply.ttl_s
    for host in list(dict.fromkeys(one.host for one in reply.targets))[:TARGETS_MAX]:
        if host in reply.glue:
            addresses[host] = reply.glue[host]
            continue
        for kind in ("A", "AAAA"):
            of_host = await ask(resolvers, host, kind)
            if of_host.addresses:
                addresses[host] = (*addresses.get(host, ()), *of_host.addresses)
                ttl_s = min(ttl_s, of_host.ttl_s)
    return of_targets(reply.targets, addresses), ttl_s
