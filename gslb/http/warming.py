"""Keeps connections to servers ready before a request needs one (`connections.warm`). The proxy's sweep calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from gslb.http.endpoint import CLOSED

if TYPE_CHECKING:
    from gslb.http.attempts import Attempts
    from gslb.http.links import Link, PoolLinks

PAUSE_S = 1.0  # between two tries at a server

# Who asks for such a connection: a client that is gone by the time it is there, so that the connection is kept.
_NOBODY = cast("Attempts", SimpleNamespace(phase=CLOSED, attempt=0))


def keep_warm(pools: Iterable[PoolLinks], connect: Callable[[Link, Attempts], None], now: float) -> None:
    """Opens what is missing at servers that may be given requests."""
    for pool in pools:
        if not pool.state.pool.connections.warm:
            continue
        for server in pool.state.usable_servers:
            link = pool.links[server.id]
            missing = min(link.rule.warm, link.idle_max) - link.open
            if missing > 0 and now >= link.warm_from:
                link.warm_from = now + PAUSE_S
                for _ in range(missing):
                    connect(link, _NOBODY)
