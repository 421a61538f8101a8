"""The command line: words in, exit code out. No logic lives here; every command calls one function of another room.

Exit codes: 0 fine, 1 the thing asked about is not so, 2 the words or the files are wrong.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click

from gslb import __version__
from gslb.errors import ConfigError, GslbError

UNBUILT = ("drain", "undrain", "force", "drill", "dnssec", "cert")
_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


class Commands(click.Group):
    """Says "not built yet" for a command of the design that this release lacks, and exits 2."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Click asks for each command by name."""
        if cmd_name in UNBUILT:
            raise click.UsageError(f"not built yet: gslb {cmd_name}")
        return super().get_command(ctx, cmd_name)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turns the errors we raise on purpose into lines on stderr and exit code 2."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(2)
    except GslbError as error:
        click.echo(f"gslb: {error}", err=True)
        sys.exit(2)


def _config_directory(config: Path | None) -> Path:
    """`--config`, else ./regions where there is one, else the sample that ships."""
    from gslb import shipped  # noqa: PLC0415 - commands import what they run, so that --help is quick

    if config is not None:
        return config
    return Path("regions") if Path("regions/gslb.yaml").is_file() else shipped.regions_directory()


config_option = click.option(
    "--config", type=_DIRECTORY, help="Folder with gslb.yaml and the region files [default: regions/]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
node_option = click.option("--node", metavar="URL", help="Admin address of the node to ask, as http://127.0.0.1:9470.")
node_id_option = click.option(
    "--node-id", default=None, help="Tells nodes of one region or host apart [default: the host's name]."
)
state_option = click.option(
    "--state-directory", type=_DIRECTORY, default=None, help="Keep the node's state here, not where the files say."
)

redis_option = click.option(
    "--redis", multiple=True, metavar="URL", help="Share state through this Redis, not what the files say; repeatable."
)


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
        from gslb.node.start import run_node  # noqa: PLC0415 - see _config_directory

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
        from gslb.node.start import run_node  # noqa: PLC0415 - see _config_directory

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
    from gslb.ops.commands import check_files  # noqa: PLC0415 - see _config_directory

    sys.exit(check_files(_config_directory(config), node=node, as_json=as_json))


@cli.command()
@click.argument("name")
@click.option("--client", required=True, metavar="IP", help="The client's address, or a prefix as 203.0.113.0/24.")
@config_option
@node_option
@json_option
def explain(name: str, client: str, config: Path | None, node: str | None, as_json: bool) -> None:
    """Explain the answer for NAME to a client: where it is, every region's part, the answer, TTL and ECS scope."""
    with told():
        from gslb.ops.commands import explain_answer  # noqa: PLC0415 - see _config_directory

        sys.exit(explain_answer(_config_directory(config), name, client, node=node, as_json=as_json))


@cli.command()
@config_option
@node_option
@json_option
def status(config: Path | None, node: str | None, as_json: bool) -> None:
    """Show what a running node knows: regions, servers, processes, the shared state. Exit 1 if none answers."""
    with told():
        from gslb.ops.commands import show_status  # noqa: PLC0415 - see _config_directory

        sys.exit(show_status(_config_directory(config), node=node, as_json=as_json))


@cli.command()
@config_option
@node_option
@json_option
def reload(config: Path | None, node: str | None, as_json: bool) -> None:
    """Reload every node of these files that runs on this host. A broken file changes nothing, and is told."""
    with told():
        from gslb.ops.commands import reload_nodes  # noqa: PLC0415 - see _config_directory

        sys.exit(reload_nodes(_config_directory(config), node=node, as_json=as_json))


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
        from gslb.ops.commands import restart_nodes  # noqa: PLC0415 - see _config_directory

        sys.exit(restart_nodes(_config_directory(config), node=node, as_json=as_json))


F = TypeVar("F", bound=Callable[..., None])


def _where(command: F) -> F:
    """Which node a command about servers asks, and how it prints."""
    region = click.option("--region", metavar="NAME", help="Which region's node [default: the one that runs here].")
    return config_option(region(node_option(json_option(command))))


@cli.command()
@_where
def scaling(config: Path | None, region: str | None, node: str | None, as_json: bool) -> None:
    """Show the pools whose servers come and go by load: what was measured, what was decided, and why."""
    with told():
        from gslb.ops.server_commands import show_scaling  # noqa: PLC0415 - see _config_directory

        sys.exit(show_scaling(_config_directory(config), node=node, region=region, as_json=as_json))


def _server_words(command: F) -> F:
    """What may be said of a server."""
    options = (
        click.option("--weight", type=int, help="Its share relative to the others; 0 takes no new requests."),
        click.option("--max-connections", type=int, help="Requests at once, on the whole node; 0 is no limit."),
        click.option("--health-check-url", metavar="URL", help="Its own check: /path, or http://host:port/path."),
        click.option("--timeout-ms", type=int, help="A check without a whole answer by then has failed."),
        click.option("--protocol", type=click.Choice(["http", "https", "tcp"]), help="tcp: checked by a connection."),
        click.option("--priority", type=int, help="Those of the least one are used while available; 1 is a backup's."),
        click.option("--zone", help="Where it stands; nodes of the same zone prefer it."),
        click.option(
            "--status", type=click.Choice(["ACTIVE", "INACTIVE", "MAINTENANCE"]),
            help="INACTIVE: not used; MAINTENANCE: no new requests.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@cli.group(invoke_without_command=True)
@_where
@click.pass_context
def servers(
    context: click.Context, config: Path | None, region: str | None, node: str | None, as_json: bool
) -> None:
    """List a region's servers, or change them while it runs.

    What is said here is kept beside the files, survives a restart, and is shown as what differs from them.
    """
    if context.invoked_subcommand is not None:
        if any((config, region, node, as_json)):
            raise click.UsageError(f"write the options behind the command: gslb servers {context.invoked_subcommand} …")
        return
    with told():
        from gslb.ops.server_commands import list_servers  # noqa: PLC0415 - see _config_directory

        sys.exit(list_servers(_config_directory(config), node=node, region=region, as_json=as_json))


@servers.command("add")
@click.argument("pool")
@click.option("--id", "server_id", help="Its name in status, logs and sessions [default: HOST:PORT].")
@click.option("--host", required=True, help="An IP address or a host name.")
@click.option("--port", required=True, type=int)
@_server_words
@_where
def servers_add(
    pool: str, config: Path | None, region: str | None, node: str | None, as_json: bool, **words: int | str | None
) -> None:
    """Register a server with POOL; again with the same id to change it."""
    with told():
        from gslb.ops.server_commands import add_server  # noqa: PLC0415 - see _config_directory

        words = {"pool": pool, **words}
        sys.exit(add_server(_config_directory(config), words, node=node, region=region, as_json=as_json))


@servers.command("set")
@click.argument("target", metavar="POOL/ID")
@_server_words
@_where
def servers_set(
    target: str, config: Path | None, region: str | None, node: str | None, as_json: bool, **words: int | str | None
) -> None:
    """Change a server, declared in the files or registered. What isn't given stays as it is."""
    with told():
        from gslb.ops.server_commands import set_server  # noqa: PLC0415 - see _config_directory

        sys.exit(set_server(_config_directory(config), target, words, node=node, region=region, as_json=as_json))


def _order(verb: str, text: str) -> None:
    """Adds `gslb servers VERB POOL/ID`."""

    @servers.command(verb, help=text)
    @click.argument("target", metavar="POOL/ID")
    @_where
    def command(target: str, config: Path | None, region: str | None, node: str | None, as_json: bool) -> None:
        with told():
            from gslb.ops.server_commands import order  # noqa: PLC0415 - see _config_directory

            sys.exit(order(_config_directory(config), target, verb, node=node, region=region, as_json=as_json))


_order("drain", "Give a server no new requests; what runs is finished.")
_order("undrain", "Give a drained server requests again.")
_order("reset", "Forget what was changed of a server: it is as the files say, or as it was registered.")
_order("remove", "Remove a registered server; what runs is finished. Declared ones are removed in the files.")


@cli.command()
@click.option("--once", is_flag=True, help="Run a scripted rehearsal, print a report, exit 0 only if every step held.")
@click.option("--redis", metavar="URL", help="Share state through this Redis, as redis://127.0.0.1:6379.")
@config_option
@json_option
def demo(once: bool, redis: str | None, config: Path | None, as_json: bool) -> None:
    """Run everything on loopback: an edge, the regions, sample backends; with things to try. Ctrl-C stops all."""
    with told():
        from gslb.demo.run import run_demo  # noqa: PLC0415 - see _config_directory

        sys.exit(run_demo(_config_directory(config), once=once, redis=redis, as_json=as_json))


@cli.group()
def geo() -> None:
    """Look at, build and measure GeoIP databases."""


@geo.command("lookup")
@click.argument("address")
@click.option("--database", type=_FILE, help="An mmdb file [default: the configured one].")
@config_option
@json_option
def geo_lookup(address: str, database: Path | None, config: Path | None, as_json: bool) -> None:
    """Say where ADDRESS is. Exit 1 if the database doesn't know."""
    with told():
        from gslb.ops.geo_commands import lookup  # noqa: PLC0415 - see _config_directory

        sys.exit(lookup(address, database, _config_directory(config), as_json=as_json))


@geo.command("build")
@click.argument("sources", nargs=-1, required=True, type=_FILE)
@click.option("--output", type=_FILE, default=Path("data/gslb-geo.mmdb"), show_default=True)
@click.option("--size", "size_bytes", type=click.IntRange(min=4096), default=8 << 20, show_default="8 MiB")
@json_option
def geo_build(sources: tuple[Path, ...], output: Path, size_bytes: int, as_json: bool) -> None:
    """Build a compact database from city databases (IPv4 and IPv6 files): see data/README.md."""
    with told():
        from gslb.ops.geo_commands import build  # noqa: PLC0415 - see _config_directory

        sys.exit(build(sources, output, size_bytes=size_bytes, as_json=as_json))


@geo.command("measure")
@click.argument("sources", nargs=-1, required=True, type=_FILE)
@click.option("--database", type=_FILE, default=Path("data/gslb-geo.mmdb"), show_default=True)
@click.option("--samples", type=click.IntRange(1, 10_000_000), default=100_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@config_option
@json_option
def geo_measure(
    sources: tuple[Path, ...], database: Path, samples: int, seed: int, config: Path | None, as_json: bool
) -> None:
    """Measure how often the nearest region agrees with SOURCES, over random routed addresses."""
    with told():
        from gslb.ops.geo_commands import measure  # noqa: PLC0415 - see _config_directory

        sys.exit(
            measure(sources, database, _config_directory(config), samples=samples, seed=seed, as_json=as_json)
        )


def main() -> None:
    """The console script."""
    cli(prog_name="gslb")
