"""The services of a region as its stragglers see them: without it. Pure; only compile_balancer.py calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal
from urllib.parse import urlsplit

from gslb.balancing.algorithm import ALGORITHMS
from gslb.model import Pool, Region, Retries, Server, ServerTls, Service, Stragglers

POOL = "@elsewhere"  # what no pool in a file can be called


def compile_stragglers(
    mode: Literal["proxy", "redirect", "refuse"], region: Region, services: Mapping[str, Service]
) -> Stragglers:
    """Where requests for the region's services go when it can't have them.

    Services with the same other regions share a pool, so there are few of them.
    """
    if mode == "refuse":
        return Stragglers(mode)
    found: dict[str, Service] = {}
    pools: dict[tuple[Region, ...], Pool] = {}
    for name, service in services.items():
        others = tuple(one for one in service.regions if one.name != region.name and one.url)
        if region not in service.regions or not others:
            continue
        found[name] = replace(service, regions=others)
        key = tuple(sorted(others, key=lambda one: one.name))
        if key not in pools:
            pools[key] = _pool(f"{POOL}-{len(pools) + 1}" if pools else POOL, key)
    pool_of = {
        name: pools[tuple(sorted(one.regions, key=lambda region: region.name))].name for name, one in found.items()
    }
    own = next(iter(found), "")
    return Stragglers(mode, found, {pool.name: pool for pool in pools.values()}, pool_of, own)


def _pool(name: str, regions: tuple[Region, ...]) -> Pool:
    """Regions in place of servers; another one is tried if the first can't be reached."""
    return Pool(name, tuple(map(_server, regions)), ALGORITHMS.get("round_robin")(), retries=Retries(), tls=ServerTls())


def _server(region: Region) -> Server:
    parts = urlsplit(region.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Server(region.name, parts.hostname or "", port, protocol=parts.scheme)
