"""Hosts of our own: a network namespace each, on one bridge, with real Redis servers, regions and edges in them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.sandbox import ROOT

HOSTS = {"edge-1": "10.99.7.1", "edge-2": "10.99.7.2", "eu-west": "10.99.7.3", "us-east": "10.99.7.4"}
BERLIN, NEW_YORK = "141.20.0.0/24", "128.112.0.0/24"

CLUSTER = """
cluster: chaos
state: {{redis: ["redis://10.99.7.3:6379", "redis://10.99.7.4:6379"], directory: {folder}/state}}
geo: {{database: {root}/data/gslb-geo.mmdb}}
edge: {{workers: 1}}
probe: {{timeout: 2s}}      # the machine of the tests is busy; how fast a region is left is the drills' to measure
edges:
  edge-1: {{dns: {{listen: ["10.99.7.1:5300"]}}, frontdoor: {{listen: ["10.99.7.1:8080"]}}}}
  edge-2: {{dns: {{listen: ["10.99.7.2:5300"]}}, frontdoor: {{listen: ["10.99.7.2:8080"]}}}}
zones:
  example.com: {{nameservers: {{ns1: ["10.99.7.1"], ns2: ["10.99.7.2"]}}}}
services:
  www.example.com: {{regions: [eu-west, us-east], ttl: {{min: 1s, max: 5s}}}}
"""
REGION = """
region: {name}
location: {{latitude: {latitude}, longitude: {longitude}}}
addresses: ["{address}"]
url: "http://{address}:8101"
balancer:
  workers: 1
  listen: ["{address}:8101"]
  admin: "127.0.0.1:9471"
  pools:
    web: {{servers: [{{id: web-1, host: 127.0.0.1, port: 9001}}], health: {{type: http, path: /health, interval: 1s}}}}
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Hosts:
    """The hosts, what runs on them, and the faults between them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tag = folder, f"gs{os.getpid() % 10_000}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.cuts: set[tuple[str, str]] = set()

    # ------------------------------------------------------------ hosts
    def up(self) -> None:
        bridge = f"{self.tag}br"
        ip("link", "add", bridge, "type", "bridge")
        ip("link", "set", bridge, "up")
        for number, (name, address) in enumerate(HOSTS.items()):
            space, outside = self.space(name), f"{self.tag}v{number}"
            ip("netns", "add", space)
            ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", outside, "master", bridge, "up")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")

    def down(self) -> None:
        for name in list(self.running):
            self.kill(name)
        for name in HOSTS:
            subprocess.run(["ip", "netns", "del", self.space(name)], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"{self.tag}br"], check=False, capture_output=True)

    def space(self, host: str) -> str:
        return f"{self.tag}-{host}"

    # ------------------------------------------------------------ processes
    def start(self, name: str, host: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.space(host), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=ROOT,
            )  # fmt: skip

    def node(self, name: str) -> None:
        role = "edge" if name.startswith("edge") else "region"
        words = ("-m", "gslb", role, "--name", name, "--config", str(self.folder / "regions"))
        self.start(name, name, sys.executable, *words, *(() if role == "edge" else ("--node-id", "a")))

    def redis(self, host: str) -> None:
        self.start(
            f"redis-{host}", host, "redis-server", "--bind", HOSTS[host], "--port", "6379", "--save", "",
            "--protected-mode", "no", "--dir", str(self.folder),
        )  # fmt: skip

    def backend(self, host: str) -> None:
        self.start(f"backend-{host}", host, sys.executable, "-m", "gslb.demo.backends", host, "127.0.0.1:9001")

    def signal(self, name: str, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.running[name].pid, number)

    def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)
        self.running.pop(name).wait()

    # ------------------------------------------------------------ faults
    def cut(self, source: str, target: str, *, both: bool = True) -> None:
        """Nothing that `source` sends reaches `target`; with `both`, nor the other way."""
        for one, other in ((source, target), (target, source))[: 2 if both else 1]:
            ip("-n", self.space(one), "route", "add", "blackhole", f"{HOSTS[other]}/32")
            self.cuts.add((one, other))

    def heal(self) -> None:
        """Every cut ends, and what is frozen goes on."""
        for one, other in self.cuts:
            ip("-n", self.space(one), "route", "del", "blackhole", f"{HOSTS[other]}/32")
        self.cuts.clear()
        for name in self.running:
            self.signal(name, signal.SIGCONT)

    # ------------------------------------------------------------ what clients see
    def inside(self, host: str, *command: str, timeout_s: float = 10.0) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", self.space(host), *command], capture_output=True, text=True, timeout=timeout_s,
            check=False,
        )  # fmt: skip
        return done.stdout.strip()

    def answer(self, edge: str, subnet: str = BERLIN) -> str:
        """The region whose address this edge gives, by dig on the edge's own host; "" for no answer."""
        found = self.inside(edge, "dig", f"@{HOSTS[edge]}", "-p", "5300", "www.example.com", "A", f"+subnet={subnet}",
                            "+short", "+tries=3", "+time=1")  # fmt: skip
        return next((name for name, address in HOSTS.items() if address == found), "")

    def answers(self, subnet: str = BERLIN) -> tuple[str, str]:
        return self.answer("edge-1", subnet), self.answer("edge-2", subnet)

    def status(self, host: str) -> str:
        port = 9470 if host.startswith("edge") else 9471
        return self.inside(host, "curl", "-s", "-m", "2", f"http://127.0.0.1:{port}/status")


def until(seen: Callable[[], bool], deadline_s: float, what: str) -> float:
    """Polls; the seconds it took."""
    started = time.monotonic()
    while (took := time.monotonic() - started) < deadline_s:
        if seen():
            return took
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {deadline_s} s")


def stays(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """It holds at every look, for so long."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        assert holds(), what
        time.sleep(0.2)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> Iterator[Hosts]:
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    folder = tmp_path_factory.mktemp("chaos")
    made = Hosts(folder)
    files = folder / "regions"
    files.mkdir()
    (files / "gslb.yaml").write_text(CLUSTER.format(folder=folder, root=ROOT))
    for name, latitude, longitude in (("eu-west", 53.3, -6.3), ("us-east", 39.0, -77.5)):
        text = REGION.format(name=name, latitude=latitude, longitude=longitude, address=HOSTS[name])
        (files / f"{name}.yaml").write_text(text)
    try:
        try:
            made.up()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this kernel gives no network namespaces: {error.stderr!r}")
        for host in ("eu-west", "us-east"):
            made.redis(host)
            made.backend(host)
            made.node(host)
        made.node("edge-1")
        made.node("edge-2")
        until(lambda: made.answers() == ("eu-west", "eu-west"), 20, "the cluster is there")
        until(lambda: made.answers(NEW_YORK) == ("us-east", "us-east"), 20, "for both")

        def observers(edge: str) -> set[str]:
            return set(re.findall(r"view of [\w-]+", made.status(edge)))

        until(lambda: all(len(observers(edge)) >= 3 for edge in ("edge-1", "edge-2")), 15, "all hear each other")
        yield made
    finally:
        made.down()


@pytest.fixture(autouse=True)
def healed(hosts) -> Iterator[None]:
    """Every test begins and ends with a whole cluster."""
    yield
    hosts.heal()
    for name in ("eu-west", "us-east"):
        for kind, start in ((f"redis-{name}", hosts.redis), (f"backend-{name}", hosts.backend), (name, hosts.node)):
            if kind not in hosts.running:
                start(name)
    for edge in ("edge-1", "edge-2"):
        if edge not in hosts.running:
            hosts.node(edge)
    until(lambda: hosts.answers() == ("eu-west", "eu-west"), 40, "the cluster is whole again")
