"""Starts a node: files → configuration → sockets → parent, control and workers. The commands `edge` and `region`."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gslb.config.compile import compile_plan, edge_settings, geo_source, region_settings
from gslb.config.load import load
from gslb.config.schema import Config
from gslb.config.source import KeyChecks
from gslb.errors import NodeError, UnknownName
from gslb.model import Listener
from gslb.node.board import Board
from gslb.node.context import NodeContext, Overrides, Role, Sockets
from gslb.node.handover import Inherited, unpack
from gslb.node.listen import concrete, open_group, open_listeners, open_socket, split
from gslb.node.parent import Parent
from gslb.ops import logs
from gslb.state.directory import StateDirectory

if TYPE_CHECKING:
    from gslb.tls.contexts import ServerSide

WORKERS_MAX = 64

log = logging.getLogger("gslb.parent")


def run_node(
    role: Role,
    name: str,
    directory: Path,
    *,
    node_id: str | None = None,
    state_directory: Path | None = None,
    redis: Sequence[str] = (),
    zone: str | None = None,
) -> int:
    """Runs a node until a signal ends it; returns its exit code.

    Raises ConfigError, UnknownName, NodeError or StateError if it can't start.
    """
    inherited = unpack(os.environ)
    environment = dict(os.environ)
    overrides = Overrides(tuple(redis), state_directory, zone)
    config = overrides.applied(load(directory, environment=environment, keys=KeyChecks(name)))
    logs.configure(config.log.format, config.log.level, name)
    _check_name(role, name, config)
    node_id = node_id or socket.gethostname()
    context = _context(role, name, node_id, directory, config, overrides, environment, inherited)
    if inherited.rehearsal:
        _compile(context)
        return 0  # everything that can fail before a process is forked has gone well
    inherited.drop()
    log.info("%s %s starts with %d workers", role, name, context.workers, extra={"pid": os.getpid()})
    if context.workers == 0:
        from gslb.node.embed import run_embedded  # noqa: PLC0415 - loads both roles, which a parent must not

        return run_embedded(context)
    from gslb.node.children import run_control, run_worker  # noqa: PLC0415 - thin: loads what a child needs in the child

    return Parent(context, run_control, run_worker).run()


def _compile(context: NodeContext) -> None:
    """What control does first. Raises ConfigError."""
    region, edge = (context.name, None) if context.role == "region" else (None, context.name)
    compile_plan(context.config, generation=1, region=region, geo=geo_source(context.config), edge=edge)


def _check_name(role: Role, name: str, config: Config) -> None:
    known = config.regions if role == "region" else config.edges
    if known and name not in known:
        raise UnknownName(role, name, known)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a role listens on."""

    workers: int
    admin: str
    dns: Sequence[str]
    http: Sequence[Listener]


def _wanted(role: Role, name: str, config: Config) -> Wanted:
    cpus = len(os.sched_getaffinity(0))
    if role == "edge":
        edge = edge_settings(config, name, cpu_count=cpus)
        return Wanted(edge.workers, edge.admin, edge.dns_listen, edge.frontdoor)
    region = region_settings(config, name, cpu_count=cpus)
    return Wanted(region.workers, region.admin, (), region.listeners)


def _context(
    role: Role,
    name: str,
    node_id: str,
    directory: Path,
    config: Config,
    overrides: Overrides,
    environment: dict[str, str],
    inherited: Inherited,
) -> NodeContext:
    """Locks the state directory and opens every socket that was not handed over. Raises StateError, NodeError."""
    wanted = _wanted(role, name, config)
    if wanted.workers > WORKERS_MAX:
        raise NodeError(f"workers: {wanted.workers} is over the bound of {WORKERS_MAX}")
    if (inherited.rehearsal or inherited.elders) and not wanted.workers:
        raise NodeError("workers: 0 can't take over from workers: stop the node and start it again")
    node = name if role == "edge" else f"{name}-{node_id}"
    state = StateDirectory(Path(config.state.directory), node, inherited.lock_of)
    slots = max(wanted.workers, 1)
    dns = concrete(wanted.dns)
    sockets = Sockets(
        dns_udp=open_group(dns, socket.SOCK_DGRAM, slots, inherited) if dns else [],
        dns_tcp=open_group(dns, socket.SOCK_STREAM, slots, inherited) if dns else [],
        http=open_listeners(wanted.http, slots, inherited),
        admin=[
            inherited.take(socket.SOCK_STREAM, *split(wanted.admin))
            or open_socket(*split(wanted.admin), socket.SOCK_STREAM, share=False)
        ],
    )
    secret = config.secrets.dns_cookie
    return NodeContext(
        role=role,
        name=name,
        node_id=node_id,
        config_directory=directory,
        config=config,
        workers=wanted.workers,
        directory=state,
        board=Board(slots + 1),
        sockets=sockets,
        listeners=tuple(wanted.http),
        tls=_server_sides(wanted.http),
        cookie_secret=secret.encode() if secret else secrets.token_bytes(16),
        overrides=overrides,
        environment=environment,
        elders=inherited.elders,
    )


def _server_sides(listeners: Sequence[Listener]) -> dict[str, ServerSide]:
    """TLS of the listeners by address, made before any process is forked: see tls/contexts.py."""
    if all(one.tls is None for one in listeners):
        return {}
    from gslb.tls.contexts import ServerSide  # noqa: PLC0415 - OpenSSL, which a node without TLS does not load

    return {one.address: ServerSide() for one in listeners if one.tls is not None}
