"""The command line: words in, exit code out. No logic lives here; every command calls one function of another room.

Exit codes: 0 fine, 1 the thing asked about is not so, 2 the words or the files are wrong.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from gslb import __version__
from gslb.cli_alerts import alerts
from gslb.cli_drill import drill
from gslb.cli_options import (
    FILE,
    cleaning_up,
    config_directory,
    config_option,
    json_option,
    node_id_option,
    node_option,
    redis_option,
    state_option,
    told,
)
from gslb.cli_servers import drain, force, scaling, servers, undrain, weight

GC_THRESHOLD = 10_000  # what is imported stays: looking through it at every 700th object is a tenth of a start
UNBUILT = ("dnssec", "cert")


class Commands(click.Group):
    """Says "not built yet" for a command of the design that this release lacks, and exits 2."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Click asks for each command by name."""
        if cmd_name in UNBUILT:
            raise click.UsageError(f"not built yet: gslb {cmd_name}")
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="gslb")
def cli() -> None:
    """A geo-distributed global server load balancer that one team can run itself.

    An edge answers DNS and redirects HTTP to the nearest healthy region; a region balances its servers.
    Start with: gslb demo
    """


@cli.command()
@click.option("--name", required=True, help="Which edge this is, as edge-1.")
@config_option
@node_id_option
@state_option
@redis_option
def edge(
    name: str, config: Path | None, node_id: str | None, state_directory: Path | None, redis: tuple[str, ...]
) -> None:
    """Run an edge: authoritative DNS and the HTTP front door. HUP reloads, USR2 restarts, TERM drains and stops."""
    with told():
        from gslb.node.start import run_node  # noqa: PLC0415 - see cli_options

        directory = config or Path("regions")  # never the sample that ships: a node keeps state beside it
        sys.exit(
            run_node("edge", name, directory, node_id=node_id, state_directory=state_directory, redis=redis)
        )


@cli.command()
@click.option("--name", required=True, help="Which region this is, as eu-west.")
@config_option
@node_id_option
@state_option
@redis_option
@click.option("--zone", help="Where this node stands, in place of the file's `zone`: its servers are preferred.")
def region(
    name: str,
    config: Path | None,
    node_id: str | None,
    state_directory: Path | None,
    redis: tuple[str, ...],
    zone: str | None,
) -> None:
    """Run a region's balancer. HUP reloads, USR2 restarts in place, TERM drains and stops."""
    with told():
        from gslb.node.start import run_node  # noqa: PLC0415 - see cli_options

        directory = config or Path("regions")
        sys.exit(
            run_node(
                "region", name, directory, node_id=node_id, state_directory=state_directory, redis=redis, zone=zone
            )
        )


@cli.command()
@config_option
@click.option("--for", "node", metavar="NAME", help="Read the certificates of this edge or region only.")
@json_option
def check(config: Path | None, node: str | None, as_json: bool) -> None:
    """Check the configuration: every mistake with its file, line and remedy. Exit 0 if there is none, else 2.

    Certificates and keys are read, too: those of all nodes, or of the one named, where each host has its own.
    """
    from gslb.ops.commands import check_files  # noqa: PLC0415 - see cli_options

    sys.exit(check_files(config_directory(config), node=node, as_json=as_json))


@cli.command()
@click.argument("name")
@click.option("--client", required=True, metavar="IP", help="The client's address, or a prefix as 203.0.113.0/24.")
@config_option
@node_option
@json_option
def explain(name: str, client: str, config: Path | None, node: str | None, as_json: bool) -> None:
    """Explain the answer for NAME to a client: where it is, every region's part, the answer, TTL and ECS scope."""
    with told():
        from gslb.ops.commands import explain_answer  # noqa: PLC0415 - see cli_options

        sys.exit(explain_answer(config_directory(config), name, client, node=node, as_json=as_json))


@cli.command()
@config_option
@node_option
@json_option
def status(config: Path | None, node: str | None, as_json: bool) -> None:
    """Show what a running node knows: regions, servers, processes, the shared state. Exit 1 if none answers."""
    with told():
        from gslb.ops.commands import show_status  # noqa: PLC0415 - see cli_options

        sys.exit(show_status(config_directory(config), node=node, as_json=as_json))


@cli.command()
@config_option
@node_option
@json_option
def reload(config: Path | None, node: str | None, as_json: bool) -> None:
    """Reload every node of these files that runs on this host. A broken file changes nothing, and is told."""
    with told():
        from gslb.ops.commands import reload_nodes  # noqa: PLC0415 - see cli_options

        sys.exit(reload_nodes(config_directory(config), node=node, as_json=as_json))


@cli.command()
@config_option
@node_option
@json_option
def restart(config: Path | None, node: str | None, as_json: bool) -> None:
    """Restart every node of these files that runs on this host, in place and without losing a request.

    The node becomes the program and the files that are there now: the way to a new release, other listening addresses,
    another number of workers. Same process id, same sockets; old workers finish what they have. USR2 does the same.
    """
    with told():
        from gslb.ops.commands import restart_nodes  # noqa: PLC0415 - see cli_options

        sys.exit(restart_nodes(config_directory(config), node=node, as_json=as_json))


@cli.command()
@click.option("--once", is_flag=True, help="Run a scripted rehearsal, print a report, exit 0 only if every step held.")
@click.option("--redis", metavar="URL", help="Share state through this Redis, as redis://127.0.0.1:6379.")
@config_option
@json_option
def demo(once: bool, redis: str | None, config: Path | None, as_json: bool) -> None:
    """Run everything on loopback: an edge, the regions, sample backends; with things to try. Ctrl-C stops all."""
    with told(), cleaning_up():
        from gslb.demo.run import run_demo  # noqa: PLC0415 - see cli_options

        sys.exit(run_demo(config_directory(config), once=once, redis=redis, as_json=as_json))


@cli.group()
def geo() -> None:
    """Look at, build and measure GeoIP databases."""


@geo.command("lookup")
@click.argument("address")
@click.option("--database", type=FILE, help="An mmdb file [default: the configured one].")
@config_option
@json_option
def geo_lookup(address: str, database: Path | None, config: Path | None, as_json: bool) -> None:
    """Say where ADDRESS is. Exit 1 if the database doesn't know."""
    with told():
        from gslb.ops.geo_commands import lookup  # noqa: PLC0415 - see cli_options

        sys.exit(lookup(address, database, config_directory(config), as_json=as_json))


@geo.command("build")
@click.argument("sources", nargs=-1, required=True, type=FILE)
@click.option("--output", type=FILE, default=Path("data/gslb-geo.mmdb"), show_default=True)
@click.option("--size", "size_bytes", type=click.IntRange(min=4096), default=8 << 20, show_default="8 MiB")
@json_option
def geo_build(sources: tuple[Path, ...], output: Path, size_bytes: int, as_json: bool) -> None:
    """Build a compact database from city databases (IPv4 and IPv6 files): see data/README.md."""
    with told():
        from gslb.ops.geo_commands import build  # noqa: PLC0415 - see cli_options

        sys.exit(build(sources, output, size_bytes=size_bytes, as_json=as_json))


@geo.command("measure")
@click.argument("sources", nargs=-1, required=True, type=FILE)
@click.option("--database", type=FILE, default=Path("data/gslb-geo.mmdb"), show_default=True)
@click.option("--samples", type=click.IntRange(1, 10_000_000), default=100_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@config_option
@json_option
def geo_measure(
    sources: tuple[Path, ...], database: Path, samples: int, seed: int, config: Path | None, as_json: bool
) -> None:
    """Measure how often the nearest region agrees with SOURCES, over random routed addresses."""
    with told():
        from gslb.ops.geo_commands import measure  # noqa: PLC0415 - see cli_options

        sys.exit(
            measure(sources, database, config_directory(config), samples=samples, seed=seed, as_json=as_json)
        )


for command in (alerts, drain, drill, undrain, force, scaling, servers, weight):
    cli.add_command(command)


def main() -> None:
    """The console script."""
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    cli(prog_name="gslb")
