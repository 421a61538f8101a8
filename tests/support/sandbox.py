"""A copy of the sample configuration on free loopback ports, and the real commands run over it.

Ports come from below the kernel's ephemeral range, a slice for each pytest-xdist worker, and each is reserved by a lock
for as long as the process lives: two runs at once must not share one (SO_REUSEPORT would let them).
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from gslb.config.load import load
from gslb.demo.clients import NoAnswer, ask, get
from gslb.demo.cluster import Cluster
from tests.support.nursery import Nursery

ROOT = Path(__file__).resolve().parents[2]
NURSERY = Nursery()
_SLICE = 3500
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 6
_ports = itertools.cycle(range(10_000 + _worker * _SLICE + os.getpid() % 2000, 10_000 + (_worker + 1) * _SLICE))

_reserved: list[IO[str]] = []  # kept open: the locks live as long as this process


def free_port() -> int:
    """A loopback port that nobody uses now, for TCP and UDP."""
    for port in itertools.islice(_ports, _SLICE):
        with contextlib.ExitStack() as stack:
            try:
                _reserve(port)
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def _reserve(port: int) -> None:
    """Locks `port` against other test runs on this machine. Raises BlockingIOError if one has it."""
    lock = (Path(tempfile.gettempdir()) / f"gslb-test-port-{port}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise
    _reserved.append(lock)


def until(seen: Callable[[], bool], deadline_s: float, what: str) -> float:
    """Polls until `seen()` holds; the seconds it took. Fails at the deadline."""
    started = time.monotonic()
    last: Exception | None = None
    while (waited := time.monotonic() - started) < deadline_s:
        try:
            if seen():
                return waited
        except (NoAnswer, OSError, KeyError) as error:
            last = error
        time.sleep(0.03)
    raise AssertionError(f"{what}: not within {deadline_s} s" + (f" ({last})" if last else ""))


class Sandbox:
    """The sample `regions/` with its own ports, in `folder`; change files with `edit` before or while it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "regions"
        self.config.mkdir(parents=True)
        self.ports: dict[str, int] = {}
        for source in sorted((ROOT / "regions").glob("*.yaml")):
            text = source.read_text().replace("../data/", f"{ROOT}/data/")
            text = re.sub(r"(?<=127\.0\.0\.1:)\d{4,5}|(?<=port: )\d{4,5}", lambda m: str(self._port(m[0])), text)
            if source.stem not in {"gslb", "eu-west"}:  # regions that few tests look into: one worker, not one a core
                text = text.replace("workers: auto", "workers: 1")
            (self.config / source.name).write_text(text)

    def _port(self, sample: str) -> int:
        if sample not in self.ports:
            self.ports[sample] = free_port()
        return self.ports[sample]

    @property
    def dns(self) -> tuple[str, int]:
        """Where the edge answers DNS."""
        return "127.0.0.1", self.ports["5300"]

    @property
    def front(self) -> str:
        """The front door's URL."""
        return f"http://127.0.0.1:{self.ports['8080']}"

    @property
    def admin(self) -> str:
        """The edge's admin URL."""
        return f"http://127.0.0.1:{self.ports['9470']}"

    def edit(self, file: str, old: str, new: str) -> None:
        """Replaces text in a configuration file, whole at once; fails if it isn't there."""
        path = self.config / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        other = self.folder / file
        other.write_text(text.replace(old, new, 1))
        other.replace(path)

    def add_edge(self, name: str) -> dict[str, int]:
        """One more edge beside edge-1, at ports of its own: `dns`, `frontdoor`, `admin`."""
        ports = {part: free_port() for part in ("dns", "frontdoor", "admin")}
        self.edit(
            "gslb.yaml",
            "edge-1: {}",
            f'edge-1: {{}}\n  {name}: {{dns: {{listen: ["127.0.0.1:{ports["dns"]}"]}}, '
            f'frontdoor: {{listen: ["127.0.0.1:{ports["frontdoor"]}"]}}, '
            f'admin: {{listen: "127.0.0.1:{ports["admin"]}"}}}}',
        )
        return ports

    def cluster(self, *redis: str, edges: tuple[str, ...] = ("edge-1",)) -> Cluster:
        """The members, not started."""
        config = load(self.config, environment={})
        return Cluster(config, self.config, self.folder / "run", redis, edges, launch=NURSERY.popen)

    def gslb(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs a command as a user would; `--config` is added."""
        return NURSERY.run([sys.executable, "-m", "gslb", *words, "--config", str(self.config)], timeout_s)

    # ------------------------------------------------------------ what clients see
    def region_of(self, subnet: str = "141.20.0.0/24", name: str = "www.example.com") -> str:
        """The region whose address DNS gives to a client in `subnet` (Berlin by default)."""
        addresses, _, _ = ask(self.dns, name, "A", subnet)
        known = {"192.0.2.10": "eu-west", "198.51.100.10": "us-east", "203.0.113.10": "ap-south"}
        return known[addresses[0]]

    def front_region(self) -> str:
        """The region that the front door redirects to."""
        return get(f"{self.front}/", host="www.example.com").headers["x-gslb-region"]

    def metric(self, series: str, port: str = "9471") -> float:
        """The value of one series of the node with this sample admin port."""
        text = str(get(f"http://127.0.0.1:{self.ports[port]}/metrics").body, "utf-8")
        return next(float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(series + " "))

    def status(self, port: str = "9470") -> dict:
        """`/status` of the node with this sample admin port."""
        return json.loads(get(f"http://127.0.0.1:{self.ports[port]}/status").body)

    def wait_ready(self, deadline_s: float = 20.0) -> None:
        """Until every region is up at the edge and the front door's redirect leads to a page."""
        until(
            lambda: all(one["state"] == "up" for one in self.status()["regions"].values())
            and len(self.status()["regions"]) == 3
            and get(f"http://127.0.0.1:{self.ports['8101']}/", host="www.example.com").status == 200,
            deadline_s,
            "a whole cluster",
        )


@contextlib.contextmanager
def running(cluster: Cluster, *names: str) -> Iterator[Cluster]:
    """Runs the named members (all without names), and prints their logs if the test fails."""
    try:
        cluster.start(*names)
        yield cluster
    except BaseException:
        for name in cluster.members:
            print(f"--- {name}\n{cluster.log_tail(name, 40)}")
        raise
    finally:
        for name in cluster.members:
            cluster.signal(name, signal.SIGCONT)
        cluster.stop()
