#!/usr/bin/env python3
"""What gslb costs beside its peers, in one run on one machine: `make bench`, or this file with the options below.

The measured server is pinned to core 0, the load and the backends to core 1. A figure is CPU time per query or
request of the process that does the work (gslb's data worker, nginx's worker, all of gdnsd and HAProxy). The runs
of a row take turns (gslb, peer, gslb, peer, …) and its figure is the median of three. Every answer is checked: a row
with wrong answers is "not measured". Exit code 0 when everything could be measured, also where a bar is missed
(`--strict` makes that 1).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import FrameType

import checking
import dnsload
import load
import peers
import picking
import scale
import table
from load import Sample
from machine import NotMeasuredError, Processes, unshared_mib
from peers import Peer
from subject import PLACES, SERVICE, Node, Subject, fetch
from table import Row

from gslb.shipped import geo_database

ROUNDS = 3
MANY_SERVERS = 10_000
GROUPS = ("dns", "http", "many", "tcp", "pick", "checks", "start", "memory")

Run = Callable[[], Sample]
Proxies = tuple[Peer, Peer]  # nginx, HAProxy


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    groups: tuple[str, ...]
    seconds: int
    with_powerdns: bool


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"bench: {text}\n")


def attempt(what: str, unit: str, measure: Callable[[], Row]) -> Row:
    """The row, or one that says why there is none."""
    say(what)
    try:
        return measure()
    except (NotMeasuredError, subprocess.TimeoutExpired, OSError) as error:
        return Row(what, unit, error=str(error))


def beside(what: str, ours: Run, theirs: dict[str, Run], bar: float | None) -> list[Row]:
    """CPU time per answer: one row a peer, with the bar on the first; the runs take turns."""
    samples: dict[str, list[Sample]] = {"gslb": [], **{name: [] for name in theirs}}

    def measure() -> Row:
        for _ in range(ROUNDS):
            for name, run in {"gslb": ours, **theirs}.items():
                samples[name].append(run())
        return row(next(iter(theirs)), bar)

    def row(peer: str, bar: float | None) -> Row:
        cpu = {name: [one.cpu_us for one in runs] for name, runs in samples.items()}
        middle = {name: statistics.median(values) for name, values in cpu.items()}
        details = {f"{name} cpu_us": cpu[name] for name in ("gslb", peer)}
        details |= {f"{name} rate": [one.rate for one in samples[name]] for name in ("gslb", peer)}
        details |= {f"{name} busy": [one.busy for one in samples[name]] for name in ("gslb", peer)}
        return Row(what, "µs", middle["gslb"], peer, middle[peer], bar, details=details)

    first = attempt(what, "µs", measure)
    return [first] if first.error else [first, *(row(peer, None) for peer in list(theirs)[1:])]


# ---------------------------------------------------------------- the groups
def dns_rows(options: Options, processes: Processes, edge: Node) -> Iterator[Row]:
    """Steered answers beside gdnsd, and beside PowerDNS's Lua if asked for."""
    gdnsd, folder, seconds = peers.gdnsd(processes), processes.folder, options.seconds
    queries = folder / "queries"
    queries.write_text(f"{SERVICE} A\n")

    def warm(pids: tuple[int, ...], port: int) -> Run:
        return lambda: load.dnsperf(pids, port, queries, seconds)

    def varied(pids: tuple[int, ...], port: int, kind: str) -> Run:
        return lambda: load.resolvers(pids, port, folder / kind, seconds)

    yield from beside("DNS steered A, warm", warm(edge.pids, edge.dns), {"gdnsd": warm(gdnsd.pids, gdnsd.port)}, 2.0)
    for kind, what in (("subnets", "DNS random ECS subnets"), ("resolvers", "DNS a mix as resolvers send it")):
        dnsload.save(folder / kind, dnsload.packets(SERVICE, kind))
        theirs = {"gdnsd": varied(gdnsd.pids, gdnsd.port, kind)}
        yield from beside(what, varied(edge.pids, edge.dns, kind), theirs, 2.5)
    if options.with_powerdns:
        pdns = peers.powerdns(processes, geo_database())
        theirs = {pdns.name: warm(pdns.pids, pdns.port)}
        yield from beside("DNS steered A, warm", warm(edge.pids, edge.dns), theirs, 1 / 20)


def http_rows(options: Options, region: Node, edge: Node, others: Proxies, redirect: Peer) -> Iterator[Row]:
    """The proxy beside nginx and HAProxy, the front door beside nginx's `return 302`."""
    for port in (region.http, *(one.port for one in others)):
        if fetch(f"http://127.0.0.1:{port}/", SERVICE)[:2] != (HTTPStatus.OK, peers.BODY.encode()):
            raise NotMeasuredError(f"port {port} does not pass the backends' body on")

    def small(pids: tuple[int, ...], port: int, *head: str) -> Run:
        return lambda: load.wrk(pids, f"http://127.0.0.1:{port}/", SERVICE, options.seconds, head=head)

    def large(pids: tuple[int, ...], port: int) -> Run:
        return lambda: load.wrk(pids, f"http://127.0.0.1:{port}/1m", SERVICE, options.seconds, connections=16)

    yield from beside(
        "HTTP proxy, small body", small(region.pids, region.http), {p.name: small(p.pids, p.port) for p in others}, 1.5
    )
    yield from beside(
        "HTTP proxy, browser-like heads",
        small(region.pids, region.http, *load.BROWSER_HEAD),
        {p.name: small(p.pids, p.port, *load.BROWSER_HEAD) for p in others},
        1.8,
    )
    theirs = {p.name: large(p.pids, p.port) for p in others}
    bodies = beside("HTTP proxy, 1 MiB bodies", large(region.pids, region.http), theirs, None)
    yield from bodies
    yield throughput(bodies[0])
    status, _, location = fetch(f"http://127.0.0.1:{edge.http}/a?b=c", SERVICE)
    if status != HTTPStatus.FOUND or not location.endswith("/a?b=c"):
        raise NotMeasuredError(f"the front door answers {status} {location!r}")
    theirs = {"nginx 302": small(redirect.pids, redirect.port)}
    yield from beside("front door redirect", small(edge.pids, edge.http), theirs, 2.5)


def many_rows(options: Options, subject: Subject, region: Node, proxies: Proxies) -> Iterator[Row]:
    """A thousand connections; ten thousand idle ones; latency at half of what gslb can do; a second worker."""
    ports = {"gslb": region.http, **{p.name: p.port for p in proxies}}
    pids = {"gslb": region.pids, **{p.name: p.pids for p in proxies}}

    def crowd(name: str) -> Run:
        url = f"http://127.0.0.1:{ports[name]}/"
        return lambda: load.wrk(pids[name], url, SERVICE, options.seconds, connections=1000)

    what = "HTTP proxy, small body, 1,000 connections"
    yield from beside(what, crowd("gslb"), {p.name: crowd(p.name) for p in proxies}, 1.5)
    yield from idle_rows(region, proxies)
    yield from latency_rows(options, subject, ports, crowd("gslb"))
    yield from worker_rows(options, subject, region)


def idle_rows(region: Node, proxies: Proxies) -> Iterator[Row]:
    """Memory of an idle connection."""
    what = f"memory of one of {scale.IDLE_CONNECTIONS:,} idle connections"

    def measure() -> Row:
        ours = scale.idle_kib("gslb", region.pids, region.http, SERVICE)
        theirs = {p.name: scale.idle_kib(p.name, p.pids, p.port, SERVICE) for p in proxies}
        others.extend((name, kib) for name, kib in list(theirs.items())[1:])
        name, kib = next(iter(theirs.items()))
        return Row(what, "KiB", ours, name, kib)

    others: list[tuple[str, float]] = []
    first = attempt(what, "KiB", measure)
    yield first
    for name, kib in others:
        yield Row(what, "KiB", first.ours, name, kib)


def latency_rows(options: Options, subject: Subject, ports: dict[str, int], full: Run) -> Iterator[Row]:
    """What each proxy adds to the backends' own latency, at half of the requests a second that gslb can do.

    Or at as many as paced.py sends evenly on the core that it shares with the backends.
    """
    try:
        rate = min(int(full().rate / 2), scale.PACED_MAX)
        direct = scale.latency(subject.backend, SERVICE, rate, options.seconds)
        seen = {name: scale.latency(port, SERVICE, rate, options.seconds) for name, port in ports.items()}
    except (NotMeasuredError, subprocess.TimeoutExpired, OSError) as error:
        yield Row("HTTP proxy, latency at half load", "µs", error=str(error))
        return
    for part in ("p50", "p99"):
        base = getattr(direct, part)
        added = {name: getattr(one, part) - base for name, one in seen.items()}
        for peer in list(ports)[1:]:
            what = f"HTTP proxy, latency added at {rate:,}/s: {part}"
            yield Row(what, "µs", added["gslb"], peer, added[peer], details={"direct": [base]})


def worker_rows(options: Options, subject: Subject, region: Node) -> Iterator[Row]:
    """CPU time of a request with two workers, to that with one: what they share costs nothing if it is 1."""
    what = "HTTP proxy, small body: two workers to one"

    def measure() -> Row:
        wide = subject.wide_region(2)
        runs: dict[str, list[float]] = {"one": [], "two": []}
        for _ in range(ROUNDS):
            for name, node in (("one", region), ("two", wide)):
                url = f"http://127.0.0.1:{node.http}/"
                runs[name].append(load.wrk(node.pids, url, SERVICE, options.seconds).cpu_us)
        two, one = (statistics.median(runs[name]) for name in ("two", "one"))
        return Row(what, "µs", two, "one", one, 1.15, details=runs)

    yield attempt(what, "µs", measure)


def tcp_rows(options: Options, region: Node, haproxy: Peer) -> Iterator[Row]:
    """TCP mode beside HAProxy's: the same requests, passed on unread."""

    def run(pids: tuple[int, ...], port: int, path: str, connections: int) -> Run:
        url = f"http://127.0.0.1:{port}{path}"
        return lambda: load.wrk(pids, url, SERVICE, options.seconds, connections=connections)

    for what, path, connections in (("small messages", "/", 64), ("1 MiB", "/1m", 16)):
        theirs = {"HAProxy tcp": run(haproxy.pids, haproxy.tcp, path, connections)}
        yield from beside(f"TCP mode, {what}", run(region.pids, region.tcp, path, connections), theirs, None)


def throughput(bodies: Row) -> Row:
    """MiB a second from the same runs of 1 MiB bodies."""
    what = "HTTP proxy, 1 MiB bodies: throughput"
    if bodies.error:
        return Row(what, "MiB/s", error=bodies.error)
    ours, theirs = (statistics.median(bodies.details[f"{name} rate"]) for name in ("gslb", bodies.peer))
    return Row(what, "MiB/s", ours, bodies.peer, theirs, 0.8, at_least=True)


def pick_rows() -> Iterator[Row]:
    """Every algorithm at 10, at 1,000 and at 10,000 servers."""
    for name in picking.algorithms():
        for count, bar in ((10, 2.0), (1_000, 4.0), (MANY_SERVERS, 4.0)):
            what = f"picking, {name}, {count:,} servers"

            def measure(name: str = name, count: int = count, bar: float = bar, what: str = what) -> Row:
                cost = picking.dearest(name, count)
                return Row(what, "µs", cost.pick_us, bar=bar, details={"with started and ended": [cost.turn_us]})

            yield attempt(what, "µs", measure)


def check_rows(options: Options) -> Iterator[Row]:
    """What the checks of many servers cost control."""
    what = f"{checking.CHECKS:,} health checks each {checking.INTERVAL_S:g} s: share of a core"

    def measure() -> Row:
        cpu_us, share = checking.measure(max(10.0, options.seconds))
        return Row(what, "", share, bar=0.6, details={"µs a check": [cpu_us]})

    yield attempt(what, "", measure)


def memory_rows(options: Options, subject: Subject) -> Iterator[Row]:
    """A region's worker with many servers configured, after some load."""
    what = f"memory of a worker, {MANY_SERVERS:,} servers: unshared"
    proportional: list[float] = []

    def measure() -> Row:
        node = subject.large_region(MANY_SERVERS)
        load.wrk(node.pids, f"http://127.0.0.1:{node.http}/", SERVICE, options.seconds)
        uss, pss = unshared_mib(node.worker)
        proportional.append(pss)
        return Row(what, "MiB", uss, bar=90)

    yield attempt(what, "MiB", measure)
    for value in proportional:
        yield Row("the same, its share of what is shared counted", "MiB", value)


# ---------------------------------------------------------------- the run
def start_rows(processes: Processes, subject: Subject) -> Iterator[Row]:
    """From the command to the edge's first right answer."""
    times = []
    for number in range(ROUNDS):
        say(f"start of the edge, {number + 1} of {ROUNDS}")
        process, took_s = subject.edge_start()
        times.append(took_s)
        processes.stop(process)
    yield Row("start to the first right answer", "s", statistics.median(times), bar=1.0, details={"s": times})


def run(options: Options, processes: Processes) -> Iterator[Row]:
    """Every asked row."""
    if "pick" in options.groups:
        yield from guarded("pick", pick_rows())
    if "checks" in options.groups:
        yield from guarded("checks", check_rows(options))
    if set(options.groups) <= {"pick", "checks"}:
        return
    servers = peers.backends(processes)
    say(f"gslb: {len(PLACES)} regions")
    subject = Subject(processes, processes.folder / "gslb", servers)
    region = subject.regions()
    if "start" in options.groups:
        yield from guarded("start", start_rows(processes, subject))
    if {"dns", "http"} & set(options.groups):
        edge = subject.edge()
    if "dns" in options.groups:
        yield from guarded("dns", dns_rows(options, processes, edge))
    if {"http", "many", "tcp"} & set(options.groups):
        proxy, redirect = peers.nginx(processes, servers)
        proxies = proxy, peers.haproxy(processes, servers)
    if "http" in options.groups:
        yield from guarded("http", http_rows(options, region, edge, proxies, redirect))
    if "many" in options.groups:
        yield from guarded("many", many_rows(options, subject, region, proxies))
    if "tcp" in options.groups:
        yield from guarded("tcp", tcp_rows(options, region, proxies[1]))
    if "memory" in options.groups:
        yield from guarded("memory", memory_rows(options, subject))


def guarded(group: str, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows of a group; what stops it is a row too, and stops no other group."""
    try:
        yield from rows
    except (NotMeasuredError, OSError) as error:
        yield Row(f"{group}: the rest", "", error=str(error))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(GROUPS), help="comma-separated of: %(default)s")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (%(default)s)")
    parser.add_argument("--pdns", action="store_true", help="also PowerDNS Lua (needs pdns-server, pdns-backend-geoip)")
    parser.add_argument("--json", action="store_true", help="print JSON with every run")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar is missed")
    asked = parser.parse_args()
    asked.only = tuple(asked.only.split(","))
    if unknown := set(asked.only) - set(GROUPS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(GROUPS)}")
    return asked


def interrupted(number: int, frame: FrameType | None) -> None:
    """TERM unwinds as Ctrl-C does, so that everything started is ended."""
    del frame
    sys.exit(128 + number)


def main() -> int:
    """Runs, prints, and returns the exit code."""
    asked = parsed()
    signal.signal(signal.SIGTERM, interrupted)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    needed = ["taskset", "gdnsd", "nginx", "haproxy", "dnsperf", "wrk"] + ["pdns_server"] * asked.pdns
    if missing := [tool for tool in needed if shutil.which(tool) is None]:
        say(f"missing: {', '.join(missing)}; `make bench` installs all but pdns_server")
        return 2
    if os.cpu_count() == 1:
        say("one core: server and load share it, so the figures include each other's interference")
    scale.allow_descriptors()
    rows: list[Row] = []
    started = time.monotonic()
    options = Options(asked.only, asked.seconds, asked.pdns)
    with tempfile.TemporaryDirectory(prefix="gslb-bench-") as name, Processes(Path(name)) as processes:
        Path(name).chmod(0o755)  # nginx's worker is another user
        try:
            rows.extend(run(options, processes))
        except (NotMeasuredError, OSError) as error:
            rows.append(Row("start", "", error=str(error)))
    sys.stdout.write((table.as_json(rows) if asked.json else table.as_text(rows)) + "\n")
    say(f"took {time.monotonic() - started:.0f} s")
    wanted = {"not measured", "missed"} if asked.strict else {"not measured"}
    return 1 if any(row.verdict in wanted for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
