"""The HTTP listeners of one worker: plain or TLS, TCP or Unix socket, with a PROXY header or without. Planes call it.

Which kind a listener is was settled when its socket was opened; certificates, networks and the redirect's target follow
every Plan.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from gslb.errors import TlsError
from gslb.http.accepting import Acceptor, Serve
from gslb.http.secure import SecureDoor, hosts_of
from gslb.model import Listener, Plan
from gslb.node.context import NodeContext
from gslb.tcp.forwarder import Forwarder
from gslb.tls.material import Keys

SHUTDOWN_S = 2.0  # for the other side's close_notify

log = logging.getLogger("gslb.worker")


class _Closes(Protocol):
    def close(self) -> None:
        """Takes nothing new."""


class Listeners:
    """What a worker listens on for HTTP, once `open` was called."""

    def __init__(self, context: NodeContext, index: int) -> None:
        self._context, self._index = context, index
        self._keys = Keys()
        self._plan: Plan | None = None
        self._acceptors: dict[str, Acceptor] = {}
        self._doors: dict[str, SecureDoor] = {}
        self._servers: list[_Closes] = []

    async def open(
        self, plan: Plan, serve: Serve, count: Callable[[int], None], head_s: float, forwarder: Forwarder | None = None
    ) -> None:
        """Starts reading from the sockets.

        Args:
            plan: what to listen by.
            serve: makes the protocol of a connection from its scheme and, if a PROXY header told it, its address.
            count: counts the answers of redirects to HTTPS by their status.
            head_s: for a TLS handshake, and for a PROXY header.
            forwarder: passes on the connections of TCP listeners.
        """
        sockets = self._context.sockets.of_worker("http", self._index)
        for listener in self._context.listeners if sockets else ():
            if listener.redirect:
                self._doors[listener.address] = SecureDoor(count, clock=time.monotonic)
        self.swap(plan)
        for listener, sock in zip(self._context.listeners, sockets, strict=True):
            door = self._doors.get(listener.address)
            if listener.pool and forwarder is not None:
                self._servers.append(forwarder.open(sock, listener, head_s))
                continue
            await self._open(listener, sock, serve if door is None else door.protocol, head_s)

    async def _open(self, listener: Listener, sock: socket.socket, serve: Serve, head_s: float) -> None:
        loop = asyncio.get_running_loop()
        side = self._context.tls.get(listener.address)
        context = None if side is None else side.context
        if listener.proxy_networks:
            acceptor = Acceptor(sock, serve, scheme=listener.scheme, context=context, head_s=head_s)
            acceptor.allow(listener.proxy_networks)
            self._acceptors[listener.address] = acceptor
            self._servers.append(acceptor)
            return
        factory = partial(serve, listener.scheme, "")
        create = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        if context is None:
            self._servers.append(await create(factory, sock=sock))
        else:
            self._servers.append(
                await create(
                    factory,
                    sock=sock,
                    ssl=context,
                    ssl_handshake_timeout=head_s,
                    ssl_shutdown_timeout=SHUTDOWN_S,
                )
            )

    def certify(self, keys: Keys) -> None:
        """Serves by these certificates from the next handshake on."""
        self._keys = keys
        if self._plan is not None:
            self._update(self._plan)

    def swap(self, plan: Plan) -> None:
        """Takes a Plan; one that is known costs nothing."""
        if plan is not self._plan:
            self._plan = plan
            self._update(plan)

    def _update(self, plan: Plan) -> None:
        hosts = hosts_of(plan) if self._doors else frozenset()
        for listener in plan.listeners:
            address = listener.address
            side = self._context.tls.get(address)
            if side is not None and listener.tls is not None:
                try:
                    side.update(listener.tls, self._keys)
                except TlsError as error:  # control has tried this very material
                    log.error("worker %d: TLS of %s stays as it was: %s", self._index + 1, address, error)
            if address in self._acceptors and listener.proxy_networks:
                self._acceptors[address].allow(listener.proxy_networks)
            if address in self._doors and listener.redirect:
                self._doors[address].swap(listener.redirect, hosts)

    @property
    def active(self) -> int:
        """Connections to redirects that are open; the others are their plane's."""
        return sum(door.active for door in self._doors.values())

    def drain(self) -> None:
        """Takes nothing new."""
        for server in self._servers:
            server.close()
        for door in self._doors.values():
            door.drain()

    def close(self) -> None:
        """Drops what is left."""
        for door in self._doors.values():
            door.close()
