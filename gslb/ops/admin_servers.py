"""The admin API's part about a region's servers: list, register, change, drain, remove; the summary of its traffic.

Mounted by admin.make_app, whose guard says who may what and turns errors into JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import web

from gslb.balancing.merging import CHANGEABLE
from gslb.errors import ChangeRefused
from gslb.model import MAINTENANCE
from gslb.ops.server_words import NewServer, ServerWords, read


class ServersView(Protocol):
    """What the API asks of a region's registry. All raise ChangeRefused; what changes, also RegistryUnavailable."""

    def servers(self) -> list[dict[str, Any]]:
        """Every server."""

    def server(self, pool: str, server_id: str) -> dict[str, Any]:
        """One server."""

    def summary(self) -> dict[str, Any]:
        """The traffic in a few figures."""

    async def history(self, pool: str, server_id: str) -> list[dict[str, Any]]:
        """The newest samples of what a server did."""

    async def register(self, pool: str, server_id: str, host: str, port: int, words: Mapping[str, Any]) -> bool:
        """True if it is new."""

    async def change(self, pool: str, server_id: str, words: Mapping[str, Any]) -> None:
        """Changes what is said of a server."""

    async def remove(self, pool: str, server_id: str) -> None:
        """Removes a registered server."""


class ServersApi:
    """The handlers over one registry; without one, on an edge, each says where to ask."""

    def __init__(self, servers: ServersView | None) -> None:
        self._view = servers

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Makes the paths known."""
        router.add_get("/summary", self.summary)
        router.add_get("/servers", self.list)
        router.add_post("/servers", self.register)
        router.add_get("/servers/{id}", self.find)
        one = router.add_resource("/servers/{pool}/{id}")
        one.add_route("GET", self.show)
        one.add_route("PATCH", self.change)
        one.add_route("DELETE", self.remove)
        router.add_get("/servers/{pool}/{id}/metrics", self.history)
        for name, handler in (("drain", self.drain), ("undrain", self.undrain), ("reset", self.reset)):
            router.add_post(f"/servers/{{pool}}/{{id}}/{name}", handler)

    @property
    def _servers(self) -> ServersView:
        if self._view is None:
            raise ChangeRefused("an edge has no servers: ask a region's node", 404)
        return self._view

    async def summary(self, request: web.Request) -> web.Response:
        """Rates, success, percentiles."""
        del request
        return _json(self._servers.summary())

    async def list(self, request: web.Request) -> web.Response:
        """Every server; `?pool=` those of one pool."""
        pool = request.query.get("pool")
        return _json({"servers": [one for one in self._servers.servers() if pool in {None, one["pool"]}]})

    async def find(self, request: web.Request) -> web.Response:
        """A server by its id alone, if only one pool has it."""
        server_id = request.match_info["id"]
        found = [one for one in self._servers.servers() if one["server_id"] == server_id]
        if len(found) > 1:
            pools = ", ".join(f"/servers/{one['pool']}/{server_id}" for one in found)
            raise ChangeRefused(f"several pools have a server {server_id!r}: ask {pools}", 409)
        if not found:
            raise ChangeRefused(f"there is no server {server_id!r}", 404)
        return _json(found[0])

    async def show(self, request: web.Request) -> web.Response:
        """One server."""
        return _json(self._servers.server(*_key(request)))

    async def history(self, request: web.Request) -> web.Response:
        """What one server did, the newest sample first."""
        return _json({"metrics": await self._servers.history(*_key(request))})

    async def register(self, request: web.Request) -> web.Response:
        """201 for a new server, 200 for one that is there."""
        servers = self._servers
        new = read(NewServer, await request.read())
        made = await servers.register(new.pool, new.id, new.host, new.port, new.said())
        return _json(servers.server(new.pool, new.id), 201 if made else 200)

    async def change(self, request: web.Request) -> web.Response:
        """Changes the words that are given."""
        return await self._changed(request, read(ServerWords, await request.read()).said())

    async def drain(self, request: web.Request) -> web.Response:
        """No new requests from now on."""
        return await self._changed(request, {"status": MAINTENANCE})

    async def undrain(self, request: web.Request) -> web.Response:
        """In use again."""
        return await self._changed(request, {"status": None})

    async def reset(self, request: web.Request) -> web.Response:
        """Forgets what was changed."""
        return await self._changed(request, dict.fromkeys(CHANGEABLE))

    async def _changed(self, request: web.Request, words: Mapping[str, Any]) -> web.Response:
        servers, key = self._servers, _key(request)
        await servers.change(*key, words)
        return _json(servers.server(*key))

    async def remove(self, request: web.Request) -> web.Response:
        """Removes a registered server; what it serves is finished."""
        servers, key = self._servers, _key(request)
        before = servers.server(*key)
        await servers.remove(*key)
        return _json({**before, "removed": True})


def _key(request: web.Request) -> tuple[str, str]:
    return request.match_info["pool"], request.match_info["id"]


def _json(value: object, status: int = 200) -> web.Response:
    return web.json_response(text=json.dumps(value) + "\n", status=status)
