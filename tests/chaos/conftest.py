"""Hosts of our own: a network namespace each, on one switch, with real Redis servers, regions and edges in them.

The switch (tests/support/switch.py) loses and delays frames as it is told: hosts see silence, as in a real network.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dns.edns
import dns.exception
import dns.message
import dns.query
import pytest

from gslb.demo.clients import NoAnswer, get
from gslb.ops import client
from tests.support.sandbox import ROOT

HOSTS = {"edge-1": "10.99.7.1", "edge-2": "10.99.7.2", "eu-west": "10.99.7.3", "us-east": "10.99.7.4"}
FAKETIME = "/usr/$LIB/faketime/libfaketimeMT.so.1"  # the loader's own word for the machine's folder
LOST_S, SEEN_MAX_S = 20.0, 30.0  # see `probe` below
BOTH_EU, BOTH_US = ("eu-west", "eu-west"), ("us-east", "us-east")
CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
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
        self.rules: set[tuple[str, str]] = set()
        self.switch: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------ hosts
    def up(self) -> None:
        network = self.space("net")
        ip("netns", "add", network)
        for name, address in HOSTS.items():
            space = self.space(name)
            ip("netns", "add", space)
            ip("link", "add", name, "netns", network, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("-n", network, "link", "set", name, "up")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
        words = ("-m", "tests.support.switch", *(f"{name}={name}" for name in HOSTS))
        self.switch = subprocess.Popen(
            ["ip", "netns", "exec", network, sys.executable, *words], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        assert self.switch.stdout is not None
        assert self.switch.stdout.read(1) == b"\n"

    def down(self) -> None:
        for name in list(self.running):
            self.kill(name)
        if self.switch is not None:
            self.switch.communicate(timeout=10)
        for name in (*HOSTS, "net"):
            subprocess.run(["ip", "netns", "del", self.space(name)], check=False, capture_output=True)

    def space(self, host: str) -> str:
        return f"{self.tag}-{host}"

    # ------------------------------------------------------------ processes
    def start(self, name: str, host: str, *command: str, environment: Mapping[str, str] | None = None) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.space(host), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=ROOT, env={**os.environ, **(environment or {})},
            )  # fmt: skip

    def node(self, name: str, clock: Path | None = None) -> None:
        """Starts one; what `clock` says, as +1d, is added to the time of day that it sees (libfaketime)."""
        role = "edge" if name.startswith("edge") else "region"
        words = ("-m", "gslb", role, "--name", name, "--config", str(self.folder / "regions"))
        faked = {} if clock is None else {
            "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
        node_id = () if role == "edge" else ("--node-id", "a")
        self.start(name, name, sys.executable, *words, *node_id, environment=faked)

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
    def between(self, source: str, target: str, *, both: bool = True, loss: float = 0.0, delay_s: float = 0.0) -> None:
        """What becomes of the frames that `source` sends to `target`; with `both`, of the others, too."""
        assert self.switch is not None
        assert self.switch.stdin is not None
        assert self.switch.stdout is not None
        for one, other in ((source, target), (target, source))[: 2 if both else 1]:
            rule = {"from": one, "to": other, "loss": loss, "delay_s": delay_s}
            self.switch.stdin.write(json.dumps(rule).encode() + b"\n")
            assert self.switch.stdout.read(1) == b"\n"
            self.rules.add((one, other))

    def cut(self, source: str, target: str, *, both: bool = True) -> None:
        """Nothing that `source` sends reaches `target`; with `both`, nor the other way."""
        self.between(source, target, both=both, loss=1.0)

    def heal(self) -> None:
        """The network is whole again, and what is frozen goes on."""
        for one, other in tuple(self.rules):
            self.between(one, other, both=False)
        self.rules.clear()
        for name in self.running:
            self.signal(name, signal.SIGCONT)

    # ------------------------------------------------------------ what clients see
    @contextlib.contextmanager
    def on(self, host: str) -> Iterator[None]:
        """Sockets that are made meanwhile are this host's: dig and curl would cost more than all that is tested."""
        with Path(f"/run/netns/{self.space(host)}").open() as there, Path("/proc/self/ns/net").open() as here:
            assert _LIBC.setns(there.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert _LIBC.setns(here.fileno(), CLONE_NEWNET) == 0

    def answer(self, edge: str, subnet: str = BERLIN) -> str:
        """The region whose address this edge gives to who asks on its own host; "" for no answer."""
        option = dns.edns.ECSOption.from_text(subnet)
        query = dns.message.make_query("www.example.com", "A", use_edns=0, options=[option])
        for _ in range(3):
            with self.on(edge), contextlib.suppress(dns.exception.Timeout, OSError):
                reply = dns.query.udp(query, HOSTS[edge], timeout=1.0, port=5300)
                found = [rdata.address for rrset in reply.answer for rdata in rrset]
                return next((name for name, address in HOSTS.items() if found == [address]), "")
        return ""

    def answers(self, subnet: str = BERLIN) -> tuple[str, str]:
        return self.answer("edge-1", subnet), self.answer("edge-2", subnet)

    def status(self, host: str) -> str:
        with self.on(host), contextlib.suppress(NoAnswer):
            return str(get(f"{self.admin(host)}/status").body, "utf-8")
        return ""

    def admin(self, host: str) -> str:
        return f"http://127.0.0.1:{9470 if host.startswith('edge') else 9471}"

    def say(self, host: str, target: str, action: str) -> None:
        """An override, told to the node on this host."""
        words = {"target": target, "action": action, "why": "a test", "author": "chaos"}
        with self.on(host):
            client.ask(self.admin(host), "/overrides", method="POST", body=words)


def until(seen: Callable[[], bool], deadline_s: float, what: str) -> float:
    """Polls; the seconds it took."""
    started = time.monotonic()
    while (took := time.monotonic() - started) < deadline_s:
        if seen():
            return took
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {deadline_s} s")


def stays(holds: Callable[[], bool], seconds: float, what: str, *, after: Callable[[], bool] = lambda: True) -> None:
    """It holds at every look: until `after` is seen, and for so long from then on."""
    started, seen = time.monotonic(), False
    while not seen or time.monotonic() - started < seconds:
        assert holds(), what
        if not seen and (seen := after()):
            started = time.monotonic()
        assert seen or time.monotonic() - started < SEEN_MAX_S, f"{what}: what should be seen meanwhile is not"
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
        until(lambda: made.answers() == BOTH_EU, 20, "the cluster is there")
        until(lambda: made.answers(NEW_YORK) == BOTH_US, 20, "for both")

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
    until(lambda: hosts.answers() == BOTH_EU and all(
        len(re.findall(r'"why": "(\d) of \1 see it up"', hosts.status(edge))) == 2 for edge in ("edge-1", "edge-2")
    ), 40, "the cluster is whole again, and everybody sees it so")  # fmt: skip
