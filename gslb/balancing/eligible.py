"""Which servers of a pool may get requests now: health, breakers and ejections together, and the panic threshold. Core.

A worker's `PoolState`, control's status and the region's own word all ask here, so they agree.

Panic (Envoy's "panic threshold"): with too few servers available, spreading the load over all beats crushing the few
that are left, and evidence against most servers is suspect itself. Draining ones stay out: that is somebody's wish.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gslb.model import BreakerState, Gate, Pool, Server, State

T = TypeVar("T")
_IN_USE = (State.UP, State.UNKNOWN)  # a balancer that has just started must serve at once


@dataclass(frozen=True, slots=True)
class Eligible:
    """The servers that get requests, how many are available, and whether there is panic."""

    servers: tuple[Server, ...]
    available: int
    total: int
    panic: bool


def is_in_use(server: Server, states: Mapping[str, State], breakers: Mapping[str, BreakerState]) -> bool:
    """Whether a server is available: of some weight, up or not yet checked, its breaker closed, not ejected.

    Args:
        server: one of a pool's.
        states: by server id, what isn't up.
        breakers: by server id, as in `Status.breakers`.
    """
    if server.weight <= 0 or states.get(server.id, State.UP) not in _IN_USE:
        return False
    breaker = breakers.get(server.id)
    return breaker is None or breaker.gate is Gate.CLOSED


def eligible(
    pool: Pool,
    states: Mapping[str, State],
    breakers: Mapping[str, BreakerState],
    tripped: Collection[str] = (),
) -> Eligible:
    """Who gets requests; `tripped` are ids that this worker has taken out by itself. Costs one look at each server."""
    weighted = [server for server in pool.servers if server.weight > 0]
    available = tuple(server for server in weighted if server.id not in tripped and is_in_use(server, states, breakers))
    panic = bool(weighted) and len(available) < pool.panic_threshold * len(weighted)
    if not panic:
        servers = _preferred(pool, available)
    elif pool.panic == "fail":
        servers = ()
    else:
        servers = tuple(server for server in weighted if states.get(server.id) is not State.DRAINING)
    return Eligible(servers, len(available), len(weighted), panic)


def _preferred(pool: Pool, available: tuple[Server, ...]) -> tuple[Server, ...]:
    """Of those available the ones of the least priority number, and of these the own zone's while enough are left."""
    least = min((server.priority for server in available), default=0)
    if any(server.priority != least for server in available):
        available = tuple(server for server in available if server.priority == least)
    if pool.zone:
        near = tuple(server for server in available if server.zone == pool.zone)
        alike = [one for one in pool.servers if one.zone == pool.zone and one.weight > 0]
        configured = sum(one.priority == least for one in alike)  # a backup beside them is none that is missing
        if near and len(near) >= pool.zone_share * configured:
            return near
    return available


def of_pool(pool: str, keyed: Mapping[str, T]) -> dict[str, T]:
    """What a Status says of one pool's servers, by server id. Costs what the Status holds, not what is configured."""
    prefix = pool + "/"
    size = len(prefix)
    return {key[size:]: value for key, value in keyed.items() if key.startswith(prefix)}
