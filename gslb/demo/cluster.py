"""A cluster on this machine: the sample backends of every region, the regions, the edge, each in a process group.

The demo and the tests start nodes through the same commands that a user types. Every group's id is in a file, so that
a shell can kill, freeze and thaw it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gslb.config.compile import edge_settings
from gslb.config.schema import Config
from gslb.demo import scaler
from gslb.model import UNIX
from gslb.node.listen import open_socket, split

STOP_S = 20.0


@dataclass(slots=True)
class Member:
    """One process group of the cluster, and the command that starts it."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Its leader lives."""
        return self.process is not None and self.process.poll() is None


@dataclass(slots=True)
class Cluster:
    """The members by name: `eu-west-backends`, `eu-west`, …, `edge-1`; files of theirs go into `folder`.

    `launch` starts a process, with Popen's words.
    """

    config: Config
    config_directory: Path
    folder: Path
    redis: Sequence[str] = ()
    edges: Sequence[str] = ("edge-1",)
    launch: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    members: dict[str, Member] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Plans the members; starts none."""
        python = sys.executable
        common = ["--config", str(self.config_directory), "--state-directory", str(self.folder / "state")]
        for url in self.redis:
            common += ["--redis", url]
        for name, region in self.config.regions.items():
            servers = [f"{s.host}:{s.port}" for pool in region.balancer.pools.values() for s in pool.servers]
            backends = [python, "-m", "gslb.demo.backends", name, *dict.fromkeys(servers)]
            self._plan(f"{name}-backends", backends)
            self._plan(name, [python, "-m", "gslb", "region", "--name", name, "--node-id", "demo", *common])
        for name in self.edges:
            self._plan(name, [python, "-m", "gslb", "edge", "--name", name, *common])

    def _plan(self, name: str, command: list[str]) -> None:
        self.members[name] = Member(name, command)

    # ------------------------------------------------------------ starting and stopping
    def check_ports(self) -> None:
        """Raises NodeError that names the first address somebody else listens on."""
        edge = edge_settings(self.config, self.edges[0])
        addresses = [*edge.dns_listen, *edge.frontdoor_listen, edge.admin]
        for region in self.config.regions.values():
            addresses += [*(one.address for one in region.balancer.listen), region.balancer.admin]
            addresses += [f"{s.host}:{s.port}" for pool in region.balancer.pools.values() for s in pool.servers]
        for address in dict.fromkeys(one for one in addresses if not one.startswith(UNIX)):
            open_socket(*split(address), socket.SOCK_STREAM, share=False).close()

    def start(self, *names: str) -> None:
        """Starts these members (all of them without names) that don't run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in names or tuple(self.members):
            member = self.members[name]
            if member.running:
                continue
            with (self.folder / f"{name}.log").open("ab") as log:
                member.process = self.launch(
                    member.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    env={**os.environ, scaler.FOLDER: str(self.folder.absolute()), scaler.LIFE: str(os.getpid())},
                )  # fmt: skip
            (self.folder / f"{name}.pid").write_text(f"{member.process.pid}\n")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to every process of a member."""
        member = self.members[name]
        if member.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(member.process.pid, number)

    def kill(self, name: str) -> None:
        """SIGKILL to the whole group; returns when its leader is gone."""
        self.signal(name, signal.SIGKILL)
        process = self.members[name].process
        if process is not None:
            process.wait(STOP_S)

    def stop(self) -> None:
        """Ends everything, the edge first, kindly for a bounded time."""
        for name in reversed(self.members):
            self.signal(name, signal.SIGCONT)
            member = self.members[name]
            if member.process is not None and member.running:
                member.process.terminate()
        deadline = time.monotonic() + STOP_S
        for member in self.members.values():
            if member.process is not None:
                try:
                    member.process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    self.kill(member.name)
        scaler.end_all(self.folder)

    @contextlib.contextmanager
    def running(self) -> Iterator[Cluster]:
        """Starts all, and stops all at the end whatever happens."""
        self.check_ports()
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def log_tail(self, name: str, lines: int = 5) -> str:
        """The last lines a member wrote, for error messages."""
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
