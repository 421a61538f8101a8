"""What every process of a node inherits from its parent: who it is, its configuration, its sockets, its board."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gslb.config.schema import Config, RegionFile
from gslb.model import Listener
from gslb.node.board import Board
from gslb.state.directory import StateDirectory

if TYPE_CHECKING:
    from gslb.tls.contexts import ServerSide

Role = Literal["edge", "region"]


@dataclass(slots=True)
class Sockets:
    """Listening sockets: one list a worker for each kind, and the admin listener for control."""

    dns_udp: list[list[socket.socket]] = field(default_factory=list)
    dns_tcp: list[list[socket.socket]] = field(default_factory=list)
    http: list[list[socket.socket]] = field(default_factory=list)
    admin: list[socket.socket] = field(default_factory=list)

    def of_worker(self, kind: str, index: int) -> list[socket.socket]:
        """The sockets of `kind` that worker `index` (0-based) serves."""
        groups: list[list[socket.socket]] = getattr(self, kind)
        return groups[index] if groups else []

    def every(self) -> Iterator[socket.socket]:
        """All of them, worker by worker; a Unix socket comes once for each worker."""
        for group in (*self.dns_udp, *self.dns_tcp, *self.http, self.admin):
            yield from group

    def close(self) -> None:
        """Closes all; only the parent does this, at its own end."""
        for sock in self.every():
            if sock.family == socket.AF_UNIX and sock.fileno() >= 0:
                Path(sock.getsockname()).unlink(missing_ok=True)
            sock.close()


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says instead of the files, at the start and at every reload."""

    redis: tuple[str, ...] = ()
    state_directory: Path | None = None
    zone: str | None = None  # of a region's node: where it stands

    def applied(self, config: Config) -> Config:
        """`config` with these words in place of the files'."""
        changes: dict[str, object] = {}
        if self.redis:
            changes["redis"] = list(self.redis)
        if self.state_directory is not None:
            changes["directory"] = self.state_directory
        if changes:
            config = config.model_copy(update={"state": config.state.model_copy(update=changes)})
        if self.zone is not None:
            moved = {name: self._moved(one) for name, one in config.regions.items()}
            config = config.model_copy(update={"regions": moved})
        return config

    def _moved(self, region: RegionFile) -> RegionFile:
        balancer = region.balancer.model_copy(update={"zone": self.zone})
        return region.model_copy(update={"balancer": balancer})


@dataclass(slots=True)
class NodeContext:
    """One node. `workers` is their number; 0 runs control and one worker in a single process."""

    role: Role
    name: str
    node_id: str
    config_directory: Path
    config: Config
    workers: int
    directory: StateDirectory
    board: Board
    sockets: Sockets
    cookie_secret: bytes
    listeners: tuple[Listener, ...] = ()  # as the HTTP sockets are, in their order
    tls: Mapping[str, ServerSide] = field(default_factory=dict)  # of the listeners that have it, by address
    overrides: Overrides = field(default_factory=Overrides)
    environment: dict[str, str] = field(default_factory=dict)
    elders: tuple[int, ...] = ()  # workers of the program that this one replaced

    @property
    def cache(self) -> Path:
        """Where what can be made again is kept: `$CACHE_DIRECTORY` (systemd's word), else beside the state."""
        return Path(self.environment.get("CACHE_DIRECTORY") or self.directory.path)

    @property
    def node(self) -> str:
        """What this node is called in the shared state: `edge-1`, or `eu-west/host-a` for a region's node."""
        return self.name if self.role == "edge" else f"{self.name}/{self.node_id}"
