"""The admin API of a node, in control's event loop: status, metrics, explanations, health, reload, restart, servers.

Who may what. `/healthz`, `/version` and `/metrics` answer whoever reaches the address. All else needs the token, if
the configuration has one, except for reading from this host; without a token only this host is served. A page in an
operator's browser is no operator: a request whose Host is a name (DNS rebinding) or that another site sent is refused
unless it carries the token.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import hdrs, web
from multidict import istr

from gslb import __version__
from gslb.errors import ChangeRefused, ConfigError, GslbError, RegistryUnavailable
from gslb.ops.admin_servers import ServersApi, ServersView
from gslb.ops.override_words import OverrideWords, SilenceWords
from gslb.ops.server_words import read

REQUESTS_MAX = 64  # at one time; more are told to come back
BODY_MAX_BYTES = 4096
PARAMETER_MAX_CHARACTERS = 256
KEEPALIVE_S = 15.0
BACKLOG = 64
OPEN_PATHS = frozenset({"/healthz", "/version", "/metrics"})
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NodeView(Protocol):
    """What the admin API asks of a node."""

    def metrics(self) -> bytes:
        """Prometheus text."""

    def status(self) -> dict[str, Any]:
        """All that the node knows."""

    def health(self) -> dict[str, Any]:
        """`{"ok": whether it serves, …}`."""

    def explain(self, name: str, client: str) -> dict[str, Any]:
        """The engine's own trace. Raises GslbError for a question that has no answer."""

    async def reload(self) -> dict[str, Any]:
        """Reads the configuration again. Raises ConfigError; then nothing has changed."""

    def alerts(self) -> dict[str, Any]:
        """What is pending, firing and silenced."""

    def silence(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Holds notifications; `words` as in ops/override_words.py. Raises ChangeRefused."""

    def scaling(self) -> dict[str, Any]:
        """Pools that grow and shrink, and what was decided. Raises GslbError for a node without any."""

    def overrides(self) -> dict[str, Any]:
        """What operators have said that holds now."""

    def override(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Obeys an operator; `words` as in ops/override_words.py. Raises ChangeRefused."""

    def restart(self) -> dict[str, Any]:
        """Begins a restart in place. Raises GslbError where there can't be one."""


class Admin:
    """The handlers over one node."""

    def __init__(self, node: NodeView, token: str | None) -> None:
        self._node, self._token = node, token
        self._reloading = asyncio.Lock()
        self._serving = 0

    # ------------------------------------------------------------ who may
    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Bounds, permission, and every error as JSON."""
        if self._serving >= REQUESTS_MAX:
            return _error(503, f"{REQUESTS_MAX} requests are being served", headers={hdrs.RETRY_AFTER: "1"})
        self._serving += 1
        try:
            if (refusal := self._refusal(request)) is not None:
                return refusal
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            allow = {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {}
            return _error(error.status, _meaning(error, request), headers=allow)
        except ConfigError as error:
            problems = [
                {"file": one.file, "line": one.line, "path": one.path, "message": one.message, "remedy": one.remedy,
                 "kind": one.kind, "text": str(one)}
                for one in error.problems
            ]  # fmt: skip
            return _error(422, "the configuration is refused; everything goes on as it was", problems=problems)
        except ChangeRefused as error:
            return _error(error.status, str(error), field=error.field or None)
        except RegistryUnavailable as error:
            return _error(503, str(error), headers={hdrs.RETRY_AFTER: "1"})
        except GslbError as error:
            return _error(400, str(error))
        finally:
            self._serving -= 1

    def _refusal(self, request: web.Request) -> web.Response | None:
        """None if this request may be served."""
        if request.path in OPEN_PATHS and request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
            return None
        if self._token is not None:
            given = request.headers.get(hdrs.AUTHORIZATION, "")
            if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), f"Bearer {self._token}".encode()):
                return None
        if not _is_address(request.headers.get(hdrs.HOST, "localhost")):
            return _error(403, "ask by IP address or as localhost, or with the token")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in {"none", "same-origin"} or hdrs.ORIGIN in request.headers:
            return _error(403, "requests of other sites are refused")
        here = _is_here(request.remote)
        if self._token is not None and (request.method != hdrs.METH_GET or not here):
            challenge = {hdrs.WWW_AUTHENTICATE: "Bearer"}
            return _error(401, "send the admin token: Authorization: Bearer …", headers=challenge)
        if not here:
            return _error(403, "without an admin token only this host is served")
        return None

    # ------------------------------------------------------------ what
    async def index(self, request: web.Request) -> web.Response:
        """What there is."""
        routes = sorted({f"{route.method} {route.resource.canonical}" for route in request.app.router.routes()
                         if route.resource is not None and route.method != hdrs.METH_HEAD})  # fmt: skip
        return _json({"routes": routes})

    async def metrics(self, request: web.Request) -> web.Response:
        """For Prometheus."""
        del request
        return web.Response(body=self._node.metrics(), headers={hdrs.CONTENT_TYPE: METRICS_TYPE})

    async def status(self, request: web.Request) -> web.Response:
        """All that the node knows."""
        del request
        return _json(self._node.status())

    async def health(self, request: web.Request) -> web.Response:
        """200 if the node serves, else 503."""
        del request
        health = self._node.health()
        return _json(health, 200 if health["ok"] else 503)

    async def alerts(self, request: web.Request) -> web.Response:
        """Alerts, silences, receivers."""
        del request
        return _json(self._node.alerts())

    async def silence(self, request: web.Request) -> web.Response:
        """`{"rule", "for_s", "why", "author"}`; `for_s` 0 ends a silence."""
        return _json(self._node.silence(read(SilenceWords, await request.read()).model_dump()))

    async def scaling(self, request: web.Request) -> web.Response:
        """Why servers came and went."""
        del request
        return _json(self._node.scaling())

    async def overrides(self, request: web.Request) -> web.Response:
        """What operators have said."""
        del request
        return _json(self._node.overrides())

    async def override(self, request: web.Request) -> web.Response:
        """`{"target", "action", "why", "author", "for", "break_glass"}`."""
        return _json(self._node.override(read(OverrideWords, await request.read()).said()))

    async def version(self, request: web.Request) -> web.Response:
        """Which release this is."""
        del request
        return _json({"version": __version__})

    async def explain(self, request: web.Request) -> web.Response:
        """`?name=…&client=…`."""
        return _json(self._node.explain(_parameter(request, "name"), _parameter(request, "client")))

    async def reload(self, request: web.Request) -> web.Response:
        """One at a time."""
        del request
        if self._reloading.locked():
            return _error(409, "a reload is under way")
        async with self._reloading:
            return _json(await self._node.reload())

    async def restart(self, request: web.Request) -> web.Response:
        """Answers before it happens: `/status` tells by the incarnation when it is done."""
        del request
        return _json(self._node.restart(), 202)


def _is_address(host: str) -> bool:
    """Whether a Host is an IP literal or localhost, with or without a port: no name that somebody else resolves."""
    name = host.rpartition(":")[0] if host.count(":") == 1 or "]:" in host else host
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name.lower() == "localhost"
    return True


def _is_here(remote: str | None) -> bool:
    """Whether a peer is on this host."""
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _parameter(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    if not value:
        raise GslbError(f"{name}= is missing: ask {request.path}?name=www.example.com&client=81.2.69.142")
    if len(value) > PARAMETER_MAX_CHARACTERS:
        raise GslbError(f"{name}= is longer than {PARAMETER_MAX_CHARACTERS} characters")
    return value


def _meaning(error: web.HTTPException, request: web.Request) -> str:
    """An HTTP error of the framework in our words."""
    path = request.path[:PARAMETER_MAX_CHARACTERS]
    if isinstance(error, web.HTTPNotFound):
        return f"there is no {path}; GET / lists what there is"
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.method} is not for {path}: use {' or '.join(sorted(error.allowed_methods))}"
    return error.reason


def _json(value: object, status: int = 200) -> web.Response:
    return web.json_response(text=json.dumps(value) + "\n", status=status)


def _error(status: int, message: str, *, headers: Mapping[istr, str] | None = None, **more: object) -> web.Response:
    return web.json_response(text=json.dumps({"error": message, **more}) + "\n", status=status, headers=headers)


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers[hdrs.SERVER] = "gslb"
    response.headers[hdrs.CACHE_CONTROL] = "no-store"


def make_app(node: NodeView, token: str | None, servers: ServersView | None = None) -> web.Application:
    """The admin API over `node`; `token` None or "" is no token, `servers` None a node without any."""
    admin = Admin(node, token or None)
    app = web.Application(middlewares=[admin.guard], client_max_size=BODY_MAX_BYTES)
    app.on_response_prepare.append(_sign)
    for path, handler in (
        ("/", admin.index),
        ("/metrics", admin.metrics),
        ("/status", admin.status),
        ("/explain", admin.explain),
        ("/scaling", admin.scaling),
        ("/overrides", admin.overrides),
        ("/alerts", admin.alerts),
        ("/healthz", admin.health),
        ("/version", admin.version),
    ):
        app.router.add_get(path, handler)
    app.router.add_post("/reload", admin.reload)
    app.router.add_post("/restart", admin.restart)
    app.router.add_post("/overrides", admin.override)
    app.router.add_post("/silence", admin.silence)
    ServersApi(servers).add_routes(app.router)
    return app


async def run_admin(app: web.Application, sock: socket.socket) -> web.AppRunner:
    """Serves `app` on a listening socket until the runner returned is cleaned up or the loop ends."""
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEPALIVE_S)
    await runner.setup()
    await web.SockSite(runner, sock, backlog=BACKLOG).start()
    return runner
