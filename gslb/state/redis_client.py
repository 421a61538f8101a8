"""A client for a Redis by its URL: one server, whoever is master of a Sentinel's, or a Cluster. Only control uses it.

| URL | means |
| --- | --- |
| `redis://host:6379/0`, `rediss://host:6379/0`, `unix:///path` | that server; rediss is over TLS |
| `redis+sentinel://host:26379,host:26379/NAME/0` | the master that these Sentinels call NAME, also after a failover |
| `redis+cluster://host:6379,host:6379` | a Redis Cluster, found by any of its nodes |

`user:password@` goes before the hosts, percent-encoded. TLS takes `?ssl_ca_certs=…&ssl_certfile=…&ssl_keyfile=…`; over
Sentinel and Cluster `?ssl=true` turns it on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from gslb.errors import StateError, StoreUnavailable

CONNECTIONS_MAX = 4
FAILURES = (RedisError, RedisClusterException, OSError, UnicodeError)  # redis-py's of a Cluster is no RedisError
_SENTINEL, _CLUSTER = "redis+sentinel://", "redis+cluster://"
_PORTS = {_SENTINEL: 26_379, _CLUSTER: 6_379}
_URL = re.compile(r"([\w+]+://)(?:[^@/?#]*@)?([^@?#]*)(?:\?.*)?", re.DOTALL)
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_REMEDY = "write redis://127.0.0.1:6379/0, rediss://…, unix:///path, redis+sentinel://…/NAME or redis+cluster://…"

T = TypeVar("T")


def kind_of(url: str) -> str:
    """What a URL means: "single", "sentinel" or "cluster"."""
    return "sentinel" if url.startswith(_SENTINEL) else "cluster" if url.startswith(_CLUSTER) else "single"


def prefix_of(url: str, cluster: str) -> str:
    """What every key begins with. In a Redis Cluster a hash tag keeps a cluster's keys in one slot, as scripts need."""
    return f"gslb:{{{cluster}}}" if kind_of(url) == "cluster" else f"gslb:{cluster}"


def connect(url: str, timeout_s: float) -> Redis:
    """A client that connects when first used. Raises StateError for a URL that can't be one."""
    try:
        if kind_of(url) == "single":
            return _single(url, timeout_s)
        return _sentinel(url, timeout_s) if kind_of(url) == "sentinel" else _cluster(url, timeout_s)
    except (ValueError, TypeError) as error:
        why = "user and password must be percent-encoded" if public(url) == "?" else str(error)
        raise StateError(f"{public(url)!r} is no Redis URL: {why}") from None  # whose text may quote a password


def _bounded(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": None,  # the callers bound; this one uses wait_for, which loses cancellations before 3.12
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),  # the loop in sync.py tries again, and knows how often
    }


def _single(url: str, timeout_s: float) -> Redis:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise StateError(f"{public(url)!r} is no Redis URL: {_REMEDY}")
    return Redis.from_url(url, max_connections=CONNECTIONS_MAX, **_bounded(timeout_s))


def _parts(url: str, scheme: str) -> tuple[list[tuple[str, int]], list[str], dict[str, Any]]:
    """Hosts, the path's parts, and the options of connections. Raises ValueError."""
    parts = urlsplit(url)
    secret, _, hosts = parts.netloc.rpartition("@")
    user, _, password = secret.partition(":")
    found = []
    for one in hosts.split(","):
        host, port = urlsplit(f"//{one}").hostname, urlsplit(f"//{one}").port
        if not host:
            raise ValueError("a host is missing")
        found.append((host, port or _PORTS[scheme]))
    query = dict(parse_qsl(parts.query))
    unknown = query.keys() - {"ssl", "sentinel_username", "sentinel_password", *_TLS}
    if unknown:
        raise ValueError(f"unknown option {min(unknown)}")
    options: dict[str, Any] = {key: query[key] for key in _TLS if key in query}
    if query.get("ssl") == "true" or options:
        options["ssl"] = True
    if secret:
        options |= {"username": unquote(user) or None, "password": unquote(password) or None}
    options["_sentinel"] = {
        key.removeprefix("sentinel_"): value for key, value in query.items() if key.startswith("sentinel_")
    }
    return found, [part for part in parts.path.split("/") if part], options


def _sentinel(url: str, timeout_s: float) -> Redis:
    hosts, path, options = _parts(url, _SENTINEL)
    asked = options.pop("_sentinel")
    if not path or len(path) > 2 or not (len(path) == 1 or path[1].isdigit()):
        raise ValueError("after the Sentinels comes the name of their master: /NAME, or /NAME/0")
    tls = {key: value for key, value in options.items() if key.startswith("ssl")}
    of_sentinels = {**_bounded(timeout_s), **tls, **asked}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it so
        hosts, sentinel_kwargs=of_sentinels, **_bounded(timeout_s), **options
    )
    database = int(path[1]) if len(path) == 2 else 0
    return cast("Redis", sentinel.master_for(path[0], db=database, max_connections=CONNECTIONS_MAX))


def _cluster(url: str, timeout_s: float) -> Redis:
    hosts, path, options = _parts(url, _CLUSTER)
    options.pop("_sentinel")
    if path and path != ["0"]:
        raise ValueError("a Redis Cluster has no databases")
    nodes = [ClusterNode(host, port) for host, port in hosts]
    bounds = {key: value for key, value in _bounded(timeout_s).items() if key != "retry"}
    # It has what is used here of a Redis.
    return cast("Redis", RedisCluster(startup_nodes=nodes, max_connections=CONNECTIONS_MAX, **bounds, **options))


async def bounded(question: Awaitable[T], timeout_s: float, endpoint: str) -> T:
    """Awaits an exchange with a Redis for a bounded time. Raises StoreUnavailable, whatever went wrong."""
    try:
        async with asyncio.timeout(timeout_s):
            return await question
    except TimeoutError:
        raise StoreUnavailable(f"{endpoint} does not answer within {timeout_s:g} s") from None
    except FAILURES as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise StoreUnavailable(f"{endpoint}: {text[:200]}") from error


async def close(client: Redis) -> None:
    """Gives back its connections, and those to the Sentinels that it asked for its master."""
    await client.aclose()
    manager = getattr(client.connection_pool, "sentinel_manager", None) if hasattr(client, "connection_pool") else None
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()


def public(url: str) -> str:
    """`url` without user, password and options, for logs and metrics; "?" if what is what is not certain."""
    match = _URL.fullmatch(url)
    return match[1] + match[2] if match else "?"
