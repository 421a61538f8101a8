"""The files' pools and what was said at run time, as one: which servers there are, and what differs from the files.

The files stay the declared truth. A row (`Registration`) with the id of a declared server changes that server; a row
with a host of its own is one more server; a row that fits nothing is kept and shown as an orphan. Core; control merges
with every new Plan and lists for the admin API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from gslb.health.check import CHECKS
from gslb.model import ACTIVE, INACTIVE, MAINTENANCE, HealthCheck, Pool, Registration, Server

CHANGEABLE = (
    "weight", "max_connections", "status", "health_check_url", "timeout_ms", "protocol", "priority", "zone"
)  # fmt: skip
URL_MAX_CHARACTERS = 1024
HUNDREDTHS = 100

Key = tuple[str, str]  # pool and server id
Rows = Mapping[Key, Registration]


# ---------------------------------------------------------------- into the pools
def merge(pools: Mapping[str, Pool], rows: Iterable[Registration]) -> dict[str, Pool]:
    """`pools` with what `rows` say; a pool that no row names is the very same object."""
    said: dict[str, dict[str, Registration]] = {}
    for row in rows:
        said.setdefault(row.pool, {})[row.server_id] = row
    return {name: _merged(pool, said[name]) if name in said else pool for name, pool in pools.items()}


def weighed(pools: Mapping[str, Pool], weights: Mapping[Key, float]) -> dict[str, Pool]:
    """`pools` with an operator's weights: 0.5 halves a server's share beside the others of its pool.

    Weights are whole numbers, so those of such a pool are told in hundredths.
    """
    named = {pool for pool, _ in weights}

    def changed(pool: Pool) -> Pool:
        shares = ((one, weights.get((pool.name, one.id), 1.0)) for one in pool.servers)
        told = ((one, round(one.weight * HUNDREDTHS * share)) for one, share in shares)
        return replace(pool, servers=tuple(replace(one, weight=new, scale=HUNDREDTHS) for one, new in told))

    return {name: changed(pool) if name in named else pool for name, pool in pools.items()}


def _merged(pool: Pool, rows: dict[str, Registration]) -> Pool:
    """Declared servers in their order, then the registered ones, the oldest first."""
    servers = [_changed(server, rows.pop(server.id, None), pool) for server in pool.servers]
    servers += [
        _changed(Server(row.server_id, row.host, row.port), row, pool)
        for row in sorted(rows.values(), key=lambda row: (row.created_at, row.server_id))
        if row.host is not None and row.port is not None
    ]
    return replace(pool, servers=tuple(server for server in servers if server is not None))


def _changed(server: Server, row: Registration | None, pool: Pool) -> Server | None:
    """A server as its row has it; None if it is not to be used."""
    if row is None:
        return server
    if row.status == INACTIVE:
        return None
    return replace(
        server,
        weight=server.weight if row.weight is None else row.weight,
        max_connections=server.max_connections if row.max_connections is None else row.max_connections,
        priority=server.priority if row.priority is None else row.priority,
        zone=server.zone if row.zone is None else row.zone,
        draining=row.status == MAINTENANCE,
        health=own_check(row, pool.health),
        protocol=row.protocol if row.protocol in ("http", "https") else "",
    )


def own_check(row: Registration, of_pool: HealthCheck | None) -> HealthCheck | None:
    """The check that a row asks for in place of its pool's; None if the pool's is the one.

    `health_check_url` is an HTTP check there; without it, protocol tcp is a bare connection, and http makes an HTTP
    check of a pool's tcp check. `timeout_ms` bounds whichever check there is.
    """
    base = of_pool or HealthCheck(None)
    check, url = base.check, ""
    http = CHECKS.get("http")
    if row.health_check_url is not None:
        url, path = split_check_url(row.health_check_url)
        check = replace(check, path=path) if isinstance(check, http) else http(path=path)
    elif row.protocol == "tcp":
        check = CHECKS.get("tcp")()
    elif row.protocol is not None and check is not None and not isinstance(check, http):
        check = http()
    timeout_s = base.timeout_s if row.timeout_ms is None else row.timeout_ms / 1000
    if check is None or (check == base.check and timeout_s == base.timeout_s and not url):
        return None
    return replace(base, check=check, timeout_s=timeout_s, url=url)


def split_check_url(text: str) -> tuple[str, str]:
    """Where to ask ("" is the server's own address) and the path, of `/health` or `http://10.0.0.5:8081/health`.

    Raises ValueError that says what would be right.
    """
    if len(text) > URL_MAX_CHARACTERS:
        raise ValueError(f"is longer than {URL_MAX_CHARACTERS} characters")
    base, path = "", text
    if not text.startswith("/"):
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.port == 0:
            raise ValueError(f"{text!r} is no address to check: write /health or http://10.0.0.5:8081/health")
        base, path = f"{parts.scheme}://{parts.netloc}", text.split(parts.netloc, 1)[1] or "/"
        if not path.startswith("/"):
            path = f"/{path}"
    CHECKS.get("http")(path=path)  # raises ValueError for a path that can't be asked
    return base, path


# ---------------------------------------------------------------- side by side
@dataclass(frozen=True, slots=True)
class Listed:
    """One server as it stands. `effective` and `declared` hold the same words; `declared` is None beyond the files.

    `origin`: "declared", "registered", or "orphan" (a row that fits nothing in the files now; `note` says why).
    """

    pool: str
    server_id: str
    origin: str
    effective: Mapping[str, Any]
    declared: Mapping[str, Any] | None
    row: Registration | None
    note: str = ""

    @property
    def differs(self) -> tuple[str, ...]:
        """The words in which a declared server is not as the files say."""
        declared = self.declared
        return () if declared is None else tuple(key for key in CHANGEABLE if self.effective[key] != declared[key])


def listed(pools: Mapping[str, Pool], rows: Rows) -> Iterator[Listed]:
    """Every server of the files, then every row beyond them."""
    left = dict(rows)
    for pool in pools.values():
        for server in pool.servers:
            yield _of_declared(pool, server, left.pop((pool.name, server.id), None))
    for row in left.values():
        yield _beyond(pools.get(row.pool), row)


def find(pools: Mapping[str, Pool], rows: Rows, key: Key) -> Listed | None:
    """One server; None if neither the files nor a row know it."""
    pool, row = pools.get(key[0]), rows.get(key)
    server = declared(pools, key)
    if pool is not None and server is not None:
        return _of_declared(pool, server, row)
    return None if row is None else _beyond(pool, row)


def declared(pools: Mapping[str, Pool], key: Key) -> Server | None:
    """The server that the files declare under this key."""
    pool = pools.get(key[0])
    return None if pool is None else next((server for server in pool.servers if server.id == key[1]), None)


def _of_declared(pool: Pool, server: Server, row: Registration | None) -> Listed:
    words = _words(server, pool.health)
    if row is None:
        return Listed(pool.name, server.id, "declared", words, words, None)
    note = ""
    if row.host is not None and (row.host, row.port) != (server.host, server.port):
        note = f"registered at {row.host} port {row.port}; the address in the files counts"
    return Listed(pool.name, server.id, "declared", words | _said(row), words, row, note)


def _beyond(pool: Pool | None, row: Registration) -> Listed:
    words = _words(Server(row.server_id, row.host or "", row.port or 0), pool.health if pool is not None else None)
    origin, note = "registered", ""
    if pool is None:
        origin, note = "orphan", f"there is no pool {row.pool!r} in the files"
    elif row.host is None:
        origin, note = "orphan", "a change of a server that is not in the files any more"
    return Listed(row.pool, row.server_id, origin, words | _said(row), None, row, note)


def _said(row: Registration) -> dict[str, Any]:
    return {key: value for key in CHANGEABLE if (value := getattr(row, key)) is not None}


def _words(server: Server, health: HealthCheck | None) -> dict[str, Any]:
    """A server of the files, in the words of the registry."""
    return {
        "host": server.host,
        "port": server.port,
        "weight": server.weight,
        "max_connections": server.max_connections,
        "status": ACTIVE,
        "health_check_url": getattr(health.check, "path", None) if health is not None else None,
        "timeout_ms": round(health.timeout_s * 1000) if health is not None else None,
        "protocol": "http",
        "priority": server.priority,
        "zone": server.zone or None,
    }
