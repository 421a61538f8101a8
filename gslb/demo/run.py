"""`gslb demo`: starts the cluster, then either shows it live with things to try, or rehearses the loss of a region."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gslb.config.compile import compile_plan, edge_settings
from gslb.config.load import load
from gslb.config.schema import Config
from gslb.demo.clients import PLACES
from gslb.demo.cluster import Cluster
from gslb.demo.rehearsal import Rehearsal, Step
from gslb.errors import GslbError, NodeError
from gslb.model import Region
from gslb.ops import client, show
from gslb.ops.commands import admin_urls

REFRESH_S = 0.5


def run_demo(directory: Path, *, once: bool, redis: str | None, as_json: bool) -> int:
    """Exit code 0; with `once`, 0 only if every step of the rehearsal held, else 1."""
    config = load(directory, environment=dict(os.environ))
    plan = compile_plan(config, generation=1, region=None, geo=None)
    if not plan.services or not plan.regions:
        raise NodeError(f"{directory} names no service or no region: there is nothing to show")
    service = next(iter(plan.services))
    with tempfile.TemporaryDirectory(prefix="gslb-demo-") as folder:
        edges = [next(iter(config.edges), "edge-1")]
        cluster = Cluster(config, directory, Path(folder), [redis] if redis else [], edges)
        regions = {region.name: region for region in plan.services[service].regions}
        with cluster.running():
            if once:
                return _once(cluster, regions, service, as_json=as_json)
            return _live(cluster, config, regions, service)


# ---------------------------------------------------------------- once
def _once(cluster: Cluster, regions: dict[str, Region], service: str, *, as_json: bool) -> int:
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)

    def say(step: Step) -> None:
        mark = "[green]held[/]  " if step.ok else "[red]FAILED[/]"
        console.print(f"{mark} {step.seconds:6.2f} s  [bold]{step.name}[/]\n                 {step.detail}")

    console.print(f"Rehearsing the loss of a region of {service}; the cluster starts …")
    report = Rehearsal(cluster, regions, service, say).run()
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    elif report.ok:
        console.print(f"[green]Every step held[/]: {report.region} was lost and came back.")
    else:
        console.print(f"[red]Failed[/] at: {report.steps[-1].name}")
    return 0 if report.ok else 1


# ---------------------------------------------------------------- live
def _things_to_try(cluster: Cluster, config: Config, regions: dict[str, Region], service: str) -> str:
    """Commands to paste, and what should be seen."""
    edge = edge_settings(config, cluster.edges[0])
    host, _, port = edge.dns_listen[0].rpartition(":")
    first = next(iter(regions.values()))
    lines = ["Try, in another terminal:", ""]
    for place in PLACES[:3]:
        lines.append(f"  # a client in {place.country}")
        lines.append(f"  dig @{host.strip('[]')} -p {port} {service} A +subnet={place.subnet}")
    pid = f"$(cat {cluster.folder / f'{first.name}-backends.pid'})"
    region_pid = f"$(cat {cluster.folder / f'{first.name}.pid'})"
    lines += [
        "  # through the front door, to a region, on to a backend",
        f"  curl -sL -H 'Host: {service}' http://{edge.frontdoor_listen[0]}/hello",
        "  # why",
        f"  {_gslb()} explain {service} --client {PLACES[0].subnet} --node http://{edge.admin}",
        "",
        f"Lose {first.name} (any one of these), then dig and curl again:",
        f"  kill -9 -{pid}   # its backends die",
        f"  kill -STOP -{region_pid}   # its balancer freezes; -CONT thaws it",
        f"  kill -9 -{region_pid}   # its balancer dies",
        f"Within 8 seconds no new answer and no redirect names {first.name} ({', '.join(first.ipv4)}).",
        *_scaling(config, service),
        f"Bring back whatever is dead: kill -USR1 {os.getpid()}",
        "",
        "Ctrl-C stops all.",
    ]
    return "\n".join(lines)


def _scaling(config: Config, service: str) -> list[str]:
    """How to see servers come and go, in the first region that scales."""
    for region in config.regions.values():
        if any(pool.scaling is not None for pool in region.balancer.pools.values()) and region.balancer.listen:
            url = f"http://{region.balancer.listen[0].address}/"
            return [
                "More load than its servers should have; more come within half a minute, and go a while after:",
                f"  yes {url} | head -400000 | xargs -P 8 -n 2000 curl -s -H 'Host: {service}' > /dev/null",
                f"  {_gslb()} scaling --node http://{region.balancer.admin}",
            ]
    return []


def _gslb() -> str:
    """How this shell calls us."""
    called = Path(sys.argv[0])
    return str(called.absolute()) if called.name == "gslb" else f"{sys.executable} -m gslb"


def _live(cluster: Cluster, config: Config, regions: dict[str, Region], service: str) -> int:
    """Shows the cluster until INT or TERM; USR1 starts what is dead."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGUSR1, lambda *_: cluster.start())
    console = Console(highlight=False, soft_wrap=True)
    click.echo(_things_to_try(cluster, config, regions, service))
    click.echo(f"\nLogs are in {cluster.folder}\n")
    urls = admin_urls(config)
    if not console.is_terminal:
        stop.wait()
        return 0
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not stop.wait(REFRESH_S):
            live.update(_picture(cluster, urls))
    click.echo("stopping …")
    return 0


def _picture(cluster: Cluster, urls: dict[str, str]) -> Group:
    """What the edge knows of every region, and which processes live."""
    edge = cluster.edges[0]
    rows = show.table("region", "state for new clients", "balancer", "backends", "why")
    known: dict[str, Any] = {}
    try:
        known = client.ask(urls[edge], "/status").get("regions", {})
        head = Text(f"{edge}: answering")
    except GslbError as error:
        head = Text(f"{edge}: {error}")
    for name in cluster.config.regions:
        told = known.get(name, {"state": "unknown", "why": ""})
        living = [_alive(cluster, names) for names in (name, f"{name}-backends")]
        rows.add_row(name, show.state(told["state"]), *living, told["why"])
    return Group(head, rows)


def _alive(cluster: Cluster, name: str) -> str:
    return "[green]running[/]" if cluster.members[name].running else "[red]dead[/]"
