"""gslb itself, started through the commands that an operator types: one edge and three regions, one worker each."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dns.exception
import dns.message
import dns.query
from machine import LOAD_CORE, SERVER_CORE, NotMeasuredError, Processes, free_port, settle, tree, wait_for

from gslb.shipped import geo_database

SERVICE = "www.example.com"
GSLB = str(Path(sys.executable).with_name("gslb"))
Place = tuple[tuple[float, float], str, str]  # latitude and longitude, IPv4, IPv6
PLACES: dict[str, Place] = {
    "eu-west": ((53.34, -6.26), "192.0.2.1", "2001:db8::1"),
    "us-east": ((39.04, -77.49), "192.0.2.2", "2001:db8::2"),
    "ap-south": ((19.08, 72.88), "192.0.2.3", "2001:db8::3"),
}
START_MAX_S = 20.0


@dataclass(frozen=True, slots=True)
class Node:
    """A running node: its parent process, its one data worker, and the ports it serves."""

    name: str
    process: subprocess.Popen[bytes]
    worker: int
    http: int
    dns: int = 0
    tcp: int = 0  # where it passes connections on unread
    others: tuple[int, ...] = ()  # more data workers

    @property
    def pids(self) -> tuple[int, ...]:
        """What does the work: the data workers, as nginx's figure is its worker's."""
        return (self.worker, *self.others)


class Subject:
    """Writes the configuration into a folder and starts nodes by it."""

    def __init__(self, processes: Processes, folder: Path, servers: Sequence[int]) -> None:
        """`servers`: the backends' ports."""
        self._processes, self._folder, self._backends = processes, folder, servers
        self.backend = servers[0]  # one of them, to be asked without a proxy
        folder.mkdir()
        self._ports = {name: (free_port(), free_port()) for name in PLACES}  # (proxy, admin)
        self._tcp = free_port()  # of the first region
        self.dns, self.frontdoor, self.admin = free_port(), free_port(), free_port()
        self._write("gslb", self._shared())
        pool = [{"id": f"web-{port}", "host": "127.0.0.1", "port": port} for port in servers]
        for name, place in PLACES.items():
            self._write(name, self._region(name, place, pool))

    def _write(self, name: str, content: dict[str, Any]) -> None:
        (self._folder / f"{name}.yaml").write_text(json.dumps(content, indent=1))  # JSON is YAML 1.2

    def _shared(self) -> dict[str, Any]:
        edge = {
            "workers": 1,
            "dns": {"listen": [f"127.0.0.1:{self.dns}"]},
            "frontdoor": {"listen": [f"127.0.0.1:{self.frontdoor}"]},
            "admin": {"listen": f"127.0.0.1:{self.admin}"},
        }
        return {
            "cluster": "bench",
            "state": {"redis": [], "directory": str(self._folder / "state")},
            "geo": {"database": str(geo_database())},
            "edge": edge,
            "zones": {"example.com": {"nameservers": {"ns1": ["127.0.0.1"]}}},
            "services": {SERVICE: {"regions": list(PLACES), "steering": ["nearest"]}},
        }

    def _region(self, name: str, place: Place, servers: list[dict[str, Any]]) -> dict[str, Any]:
        (latitude, longitude), ipv4, ipv6 = place
        proxy, admin = self._ports[name]
        balancer = {
            "workers": 1,
            "listen": [
                f"127.0.0.1:{proxy}",
                *([{"address": f"127.0.0.1:{self._tcp}", "tcp": "tcp"}] if name == next(iter(PLACES)) else ()),
            ],
            "admin": f"127.0.0.1:{admin}",
            "routes": [{"match": {}, "pool": "web"}],
            "pools": {"web": {"servers": servers}, "tcp": {"servers": servers[:3], "algorithm": "least_connections"}},
        }
        return {
            "region": name,
            "location": {"latitude": latitude, "longitude": longitude},
            "addresses": [ipv4, ipv6],
            "url": f"http://127.0.0.1:{proxy}",
            "balancer": balancer,
        }

    def region(self, name: str, *, core: int | str = SERVER_CORE) -> Node:
        """Starts a region and waits until it serves its backends."""
        proxy, admin = self._ports[name]
        process = self._start("region", name, core)
        self._wait(process, name, lambda: fetch(f"http://127.0.0.1:{proxy}/", SERVICE)[0] == HTTPStatus.OK)
        first, *others = self._workers(process, admin)
        tcp = self._tcp if name == next(iter(PLACES)) else 0
        return Node(name, process, first, proxy, tcp=tcp, others=tuple(others))

    def wide_region(self, workers: int) -> Node:
        """A region of its own with that many workers, on both cores."""
        name = "wide"
        self._ports[name] = (free_port(), free_port())
        pool = [{"id": f"web-{port}", "host": "127.0.0.1", "port": port} for port in self._backends]
        content = self._region(name, ((1.0, 1.0), "192.0.2.8", "2001:db8::8"), pool)
        content["balancer"]["workers"] = workers
        self._write(name, content)
        return self.region(name, core=f"{SERVER_CORE},{LOAD_CORE}")

    def regions(self) -> Node:
        """Starts all three, and returns the first: the one that is measured, alone on the server's core."""
        first, *others = PLACES
        for name in others:
            self.region(name, core=LOAD_CORE)
        return self.region(first)

    def edge(self) -> Node:
        """Starts the edge and waits until it has built all that it builds at its start."""
        process, _ = self.edge_start()
        return Node("edge-1", process, self._workers(process, self.admin)[0], self.frontdoor, self.dns)

    def edge_start(self) -> tuple[subprocess.Popen[bytes], float]:
        """Starts the edge; returns it with the seconds from the command to its first right answer."""
        expected = {ipv4 for _, ipv4, _ in PLACES.values()}
        started = time.monotonic()
        process = self._start("edge", "edge-1", SERVER_CORE)
        self._wait(process, "edge-1", lambda: len(resolve(self.dns) & expected) == 1, interval_s=0.003)
        return process, time.monotonic() - started

    def large_region(self, servers: int) -> Node:
        """A region of its own with that many servers in one pool, none of them checked."""
        name, port = "large", self._backends[0]
        self._ports[name] = (free_port(), free_port())
        place = ((0.0, 0.0), "192.0.2.9", "2001:db8::9")
        pool = [{"id": f"web-{n}", "host": "127.0.0.1", "port": port} for n in range(servers)]
        self._write(name, self._region(name, place, pool))
        return self.region(name)

    def _start(self, role: str, name: str, core: int | str) -> subprocess.Popen[bytes]:
        return self._processes.start(name, [GSLB, role, "--name", name, "--config", str(self._folder)], core)

    def _wait(
        self, process: subprocess.Popen[bytes], name: str, ready: Callable[[], bool], interval_s: float = 0.05
    ) -> None:
        """Until `ready()`; NotMeasuredError with the end of its log if the node ends before."""

        def ended_or_ready() -> bool:
            if process.poll() is not None:
                raise NotMeasuredError(f"gslb {name} ended: {self._processes.log_tail(name)}")
            return ready()

        wait_for(f"a right answer of gslb {name}", ended_or_ready, START_MAX_S, interval_s)

    def _workers(self, process: subprocess.Popen[bytes], admin: int) -> list[int]:
        """The data workers' pids, when what the node builds at its start is built."""
        settle(process.pid)
        listed = json.loads(fetch(f"http://127.0.0.1:{admin}/status")[1])["processes"]
        workers = [one["pid"] for one in listed if one["role"] == "worker"]
        if not workers or not set(workers) <= set(tree(process.pid)):
            raise NotMeasuredError(f"/status lists other workers than there are: {listed}")
        return [int(pid) for pid in workers]


def resolve(port: int) -> set[str]:
    """The addresses of the steered name; none while nobody answers."""
    query = dns.message.make_query(SERVICE, "A")
    with contextlib.suppress(OSError, dns.exception.DNSException):
        answer = dns.query.udp(query, "127.0.0.1", 0.05, port)
        return {record.to_text() for rrset in answer.answer for record in rrset}
    return set()


def fetch(url: str, host: str = "") -> tuple[int, bytes, str]:
    """(status, body, Location) of one GET that follows no redirect; status 0 while nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Host": host} if host else {})
        response = connection.getresponse()
        return response.status, response.read(), response.headers.get("Location", "")
    return 0, b"", ""
