"""Servers of a pool that a name in the DNS gives: what answers make of it. Core; control asks (node/discovering.py).

An address or a target is one server, known by `host:port`. An SRV's weight is the server's, its priorities become the
pool's in their order. What is declared in the files is there beside them, and wins where both name the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gslb.dns.lookup import Target
from gslb.model import Pool, Server
from gslb.units import host_port

SERVERS_MAX = 1000  # of one name
PRIORITY_MAX = 100
WEIGHT_MAX = 10_000


def of_addresses(addresses: Iterable[str], port: int) -> tuple[Server, ...]:
    """The servers behind a name's addresses."""
    unique = sorted(set(addresses))[:SERVERS_MAX]
    return tuple(Server(host_port(host, port), host, port) for host in unique)


def of_targets(targets: Sequence[Target], addresses: Mapping[str, Sequence[str]]) -> tuple[Server, ...]:
    """The servers of SRV records; `addresses` by target.

    Weight 0 is a little where others have more (RFC 2782): it counts as 1, and theirs as ten times as much.
    """
    ranks = {value: min(rank, PRIORITY_MAX) for rank, value in enumerate(sorted({one.priority for one in targets}))}
    mixed = any(one.weight for one in targets) and not all(one.weight for one in targets)
    found: dict[str, Server] = {}
    for one in sorted(targets, key=lambda one: (one.priority, one.host, one.port)):
        weight = min(max(1, one.weight * (10 if mixed else 1)), WEIGHT_MAX)
        for host in sorted(addresses.get(one.host, ())):
            name = host_port(host, one.port)
            found.setdefault(name, Server(name, host, one.port, weight, priority=ranks[one.priority]))
    return tuple(found.values())[:SERVERS_MAX]


def joined(pools: Mapping[str, Pool], found: Mapping[str, Sequence[Server]]) -> dict[str, Pool]:
    """`pools` with what was discovered; a pool for which nothing was is the very same object."""
    return {name: _joined(pool, found.get(name, ())) for name, pool in pools.items()}


def _joined(pool: Pool, found: Sequence[Server]) -> Pool:
    places = {(server.host, server.port) for server in pool.servers} | {(one.id, 0) for one in pool.servers}
    new = tuple(one for one in found if (one.host, one.port) not in places and (one.id, 0) not in places)
    return replace(pool, servers=(*pool.servers, *new)) if new else pool
