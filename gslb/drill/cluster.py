"""The demo's cluster for a drill: with hops before every region, a Redis if there is one, and faults below all of gslb.

Nodes and the front door reach a region by its `url`, which is a hop; clients by another hop, so that the two can be cut
apart. The files are copied, with the balancers moved behind the hops.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from gslb.config.load import load
from gslb.config.schema import Config
from gslb.demo.cluster import Cluster
from gslb.demo.ports import free_port
from gslb.drill.hop import Hop, Hops
from gslb.errors import NodeError

REDIS_START_S = 10.0
FLAP_S = 2.0  # shorter than `rise` successes take: it never proves itself


@dataclass(slots=True)
class Redis:
    """A redis-server of the drill's own."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """For nodes."""
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        """At once."""
        self.process.kill()
        self.process.wait()


def start_redis(folder: Path) -> Redis | None:
    """A Redis on loopback that keeps nothing; None if the program is not here."""
    program = shutil.which("redis-server")
    if program is None:
        return None
    port = free_port()
    words = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder))
    process = subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + REDIS_START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return Redis(port, process)
        time.sleep(0.02)
    process.kill()
    raise NodeError(f"redis-server does not start at port {port}")


def moved(directory: Path, folder: Path) -> dict[str, int]:
    """Copies the files of `directory` into `folder`; by region, the port that its balancer listens on there.

    What stands beside them is linked, so that relative paths lead where they did.
    """
    for beside in directory.absolute().parent.iterdir():
        if beside.name != directory.absolute().name:
            (folder / beside.name).symlink_to(beside)
    copy = folder / directory.absolute().name
    copy.mkdir()
    ports: dict[str, int] = {}
    yaml = YAML()
    for file in directory.iterdir():
        if file.suffix not in {".yaml", ".yml"} or not file.is_file():
            (copy / file.name).symlink_to(file.absolute())
            continue
        content = yaml.load(file.read_text())
        if isinstance(content, dict) and "region" in content and "balancer" in content:
            ports[str(content["region"])] = _behind_a_hop(content)
        with (copy / file.name).open("w") as out:
            yaml.dump(content, out)
    return ports


def _behind_a_hop(region: dict[str, object]) -> int:
    """Moves the listener that `url` names to another port, which is returned. Raises NodeError if there is none."""
    port = urlsplit(str(region["url"])).port or 80
    balancer = region["balancer"]
    assert isinstance(balancer, dict)
    for index, one in enumerate(balancer["listen"]):
        address = str(one["address"] if isinstance(one, dict) else one)
        if address.rpartition(":")[2] == str(port):
            new = free_port()
            if isinstance(one, dict):
                one["address"] = f"127.0.0.1:{new}"
            else:
                balancer["listen"][index] = f"127.0.0.1:{new}"
            return new
    raise NodeError(f"region {region['region']}: no listener has the port of its url, {port}: nothing fits before it")


class DrillCluster:
    """A running cluster whose network can be broken."""

    def __init__(
        self, cluster: Cluster, config: Config, hops: Hops, ports: dict[str, int], redis: Redis | None
    ) -> None:
        self.cluster, self.config, self._hops, self.redis = cluster, config, hops, redis
        self.probed: dict[str, Hop] = {}
        self.visited: dict[str, Hop] = {}
        for name, region in config.regions.items():
            parts = urlsplit(region.url)
            target = ("127.0.0.1", ports[name])
            self.probed[name] = hops.add((parts.hostname or "127.0.0.1", parts.port or 80), target)
            self.visited[name] = hops.add(("127.0.0.1", free_port()), target)

    @property
    def doors(self) -> dict[str, str]:
        """Where clients reach each region."""
        return {name: f"127.0.0.1:{hop.listen[1]}" for name, hop in self.visited.items()}

    # ------------------------------------------------------------ faults
    def inject(self, kind: str, region: str) -> str:
        """Breaks something below gslb; says what, for people."""
        both = (self.probed[region], self.visited[region])
        if kind == "kill":
            self.cluster.kill(region)
            self.cluster.kill(f"{region}-backends")
            return "SIGKILL of the region's node and of its servers"
        if kind == "servers":
            self.cluster.kill(f"{region}-backends")
            return "SIGKILL of the region's servers; its balancer lives"
        if kind == "blackhole":
            self._hops.set("swallow", *both)
            return "the network takes the region's connections and gives nothing back"
        if kind == "slow":
            self._hops.set("delay", *both)
            return "the network holds every piece to and from the region for 3 s"
        if kind == "partition":
            self._hops.set("refuse", self.probed[region])
            return "no probe reaches the region; clients do, and its heartbeats arrive"
        if kind == "redis-loss":
            assert self.redis is not None
            self.redis.kill()
            return "SIGKILL of the only Redis"
        return f"the network refuses and takes the region's connections by turns of {FLAP_S:g} s"

    def keep_injecting(self, kind: str, region: str, since_s: float) -> None:
        """What has to go on while the fault lasts."""
        if kind == "flap":
            mode = "refuse" if int(since_s / FLAP_S) % 2 == 0 else "pass"
            both = (self.probed[region], self.visited[region])
            if both[0].mode != mode:
                self._hops.set(mode, *both)  # type: ignore[arg-type]  # a Mode

    def heal(self, kind: str, region: str) -> None:
        """Ends the fault."""
        self._hops.set("pass", self.probed[region], self.visited[region])
        self.cluster.signal(region, signal.SIGCONT)
        self.cluster.start(region, f"{region}-backends")
        del kind


@contextlib.contextmanager
def running(directory: Path, *, wants_redis: bool) -> Iterator[DrillCluster]:
    """Starts everything in a temporary folder; all of it is gone at the end. Raises NodeError."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gslb-drill-")))
        (folder / "files").mkdir()
        ports = moved(directory, folder / "files")
        copy = folder / "files" / directory.absolute().name
        config = load(copy, environment=dict(os.environ))
        redis = start_redis(folder) if wants_redis else None
        if wants_redis and redis is None:
            raise NodeError("this kind of drill needs redis-server, which is not here: apt-get install redis-server")
        if redis is not None:
            stack.callback(redis.kill)
        edges = [next(iter(config.edges), "edge-1")]
        cluster = Cluster(config, copy, folder / "run", [redis.url] if redis else [], edges)
        cluster.check_ports()
        hops = stack.enter_context(Hops().running())
        try:
            drill = DrillCluster(cluster, config, hops, ports, redis)
        except OSError as error:
            raise NodeError(f"a hop can't listen: {error.strerror}; is a demo running?") from error
        stack.enter_context(cluster.running())
        yield drill
