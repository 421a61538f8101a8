"""Real Redis servers in other shapes: a master with a replica and three Sentinels, a Cluster, TLS with an ACL user."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.sandbox import free_port

START_S = 10.0


class Servers:
    """redis-server processes over files in one folder; all end with `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, port: int, *lines: str, sentinel: bool = False) -> int:
        """Starts one; `lines` go into its file."""
        folder = self.folder / name
        folder.mkdir()
        base = ["bind 127.0.0.1", f"dir {folder}", f"logfile {folder}/log", 'save ""', *lines]
        if not any(line.startswith("port ") for line in lines):
            base.append(f"port {port}")
        (folder / "conf").write_text("\n".join(base) + "\n")
        command = ["redis-server", str(folder / "conf"), *(["--sentinel"] if sentinel else [])]
        self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                return port
            assert self._running[name].poll() is None, (folder / "log").read_text()[-500:]
            time.sleep(0.02)
        raise AssertionError(f"redis-server {name} does not listen")

    def signal(self, number: signal.Signals) -> None:
        """To all of them."""
        for process in self._running.values():
            process.send_signal(number)

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def ask(self, port: int, *words: str) -> str:
        """What redis-cli prints."""
        command = ["redis-cli", "-p", str(port), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


@contextlib.contextmanager
def sentinels(folder: Path) -> Iterator[tuple[Servers, str]]:
    """A master ("one"), a replica ("two") and three Sentinels that call the master `gslb`; the URL."""
    servers = Servers(folder)
    try:
        one = servers.start("one", free_port(), "requirepass secret", "masterauth secret")
        servers.start("two", free_port(), f"replicaof 127.0.0.1 {one}", "requirepass secret", "masterauth secret")
        ports = []
        for number in range(3):
            lines = (
                f"sentinel monitor gslb 127.0.0.1 {one} 2", "sentinel auth-pass gslb secret",
                "sentinel down-after-milliseconds gslb 500", "sentinel failover-timeout gslb 2000",
            )  # fmt: skip
            ports.append(servers.start(f"sentinel-{number}", free_port(), *lines, sentinel=True))
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            known = [servers.ask(port, "sentinel", "master", "gslb") for port in ports]
            if all("num-slaves\n1" in text and "num-other-sentinels\n2" in text for text in known):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"the Sentinels do not know each other: {known}")
        yield servers, f"redis+sentinel://:secret@{','.join(f'127.0.0.1:{port}' for port in ports)}/gslb/0"
    finally:
        servers.stop()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[Servers, str]]:
    """A Redis Cluster of three masters; the URL."""
    servers = Servers(folder)
    try:
        ports = [
            servers.start(f"node-{number}", free_port(), "cluster-enabled yes", f"cluster-port {free_port()}")
            for number in range(3)
        ]
        hosts = [f"127.0.0.1:{port}" for port in ports]
        create = ["redis-cli", "--cluster", "create", *hosts, "--cluster-yes"]
        subprocess.run(create, check=True, capture_output=True, timeout=30)
        deadline = time.monotonic() + START_S
        while not all("cluster_state:ok" in servers.ask(port, "cluster", "info") for port in ports):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield servers, f"redis+cluster://{','.join(hosts)}"
    finally:
        servers.stop()
