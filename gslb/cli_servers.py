"""The command line's part about servers and overrides. See cli.py, which adds these commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gslb.cli_options import F, config_directory, config_option, json_option, node_option, told


def _where(command: F) -> F:
    """Which node a command about servers asks, and how it prints."""
    region = click.option("--region", metavar="NAME", help="Which region's node [default: the one that runs here].")
    return config_option(region(node_option(json_option(command))))


def _override(command: F) -> F:
    """What may be said with an override."""
    options = (
        click.option("--for", "lasting", metavar="TIME", help="How long it holds, as 30m [default: until taken back]."),
        click.option("--why", default="", help="The reason; shown wherever the override is."),
        click.option("--author", default=None, help="Who says it [default: this user]."),
        click.option("--break-glass", is_flag=True, help="Do it although a rule of `safety` minds; that is recorded."),
    )
    for option in reversed(options):
        command = option(command)
    return config_option(node_option(json_option(command)))


def _overrides(
    target: str, action: str, config: Path | None, node: str | None, as_json: bool, **words: str | float | bool | None
) -> None:
    with told():
        from gslb.ops.override_commands import override  # noqa: PLC0415 - see cli_options

        lasting, waiting = words.pop("lasting", None), words.pop("wait", None)
        said = {"target": target, "action": action, "for": lasting, **words}
        sys.exit(override(config_directory(config), said, node=node, as_json=as_json, wait=str(waiting or "")))


@click.command()
@click.argument("target")
@click.option("--wait", metavar="TIME", help="Then count down until no client of the region is left, for so long.")
@_override
def drain(
    target: str, wait: str | None, config: Path | None, node: str | None, as_json: bool, **words: str | bool | None
) -> None:
    """Send no new clients to TARGET: region, region/pool, region/pool/server or service@region; * and ? match.

    What runs there is finished. Every node of these files that runs on this host is told, and tells the others.
    """
    _overrides(target, "drain", config, node, as_json, wait=wait, **words)


@click.command()
@click.argument("target")
@config_option
@node_option
@json_option
def undrain(target: str, config: Path | None, node: str | None, as_json: bool) -> None:
    """Take back what was said of exactly TARGET by drain or force: health decides again."""
    _overrides(target, "auto", config, node, as_json)


@click.command()
@click.argument("state", type=click.Choice(["up", "down", "auto"]))
@click.argument("target")
@_override
def force(
    state: str, target: str, config: Path | None, node: str | None, as_json: bool, **words: str | bool | None
) -> None:
    """Hold TARGET to be up or down whatever health says; auto takes that back. See gslb drain --help for TARGET."""
    _overrides(target, state, config, node, as_json, **words)


@click.command()
@click.argument("target")
@click.argument("share", metavar="PERCENT|auto")
@_override
def weight(
    target: str, share: str, config: Path | None, node: str | None, as_json: bool, **words: str | bool | None
) -> None:
    """Give TARGET a share: 50% of its clients for a region or a service there, of its weight for a server.

    auto takes that back. It holds beside drain and force. See gslb drain --help for TARGET.
    """
    with told():
        from gslb.ops.override_commands import percent_of  # noqa: PLC0415 - see cli_options

        percent = None if share == "auto" else percent_of(share)
        _overrides(target, "weight", config, node, as_json, percent=percent, **words)


@click.command()
@_where
def scaling(config: Path | None, region: str | None, node: str | None, as_json: bool) -> None:
    """Show the pools whose servers come and go by load: what was measured, what was decided, and why."""
    with told():
        from gslb.ops.server_commands import show_scaling  # noqa: PLC0415 - see cli_options

        sys.exit(show_scaling(config_directory(config), node=node, region=region, as_json=as_json))


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


@click.group(invoke_without_command=True)
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
        from gslb.ops.server_commands import list_servers  # noqa: PLC0415 - see cli_options

        sys.exit(list_servers(config_directory(config), node=node, region=region, as_json=as_json))


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
        from gslb.ops.server_commands import add_server  # noqa: PLC0415 - see cli_options

        words = {"pool": pool, **words}
        sys.exit(add_server(config_directory(config), words, node=node, region=region, as_json=as_json))


@servers.command("set")
@click.argument("target", metavar="POOL/ID")
@_server_words
@_where
def servers_set(
    target: str, config: Path | None, region: str | None, node: str | None, as_json: bool, **words: int | str | None
) -> None:
    """Change a server, declared in the files or registered. What isn't given stays as it is."""
    with told():
        from gslb.ops.server_commands import set_server  # noqa: PLC0415 - see cli_options

        sys.exit(set_server(config_directory(config), target, words, node=node, region=region, as_json=as_json))


def _order(verb: str, text: str) -> None:
    """Adds `gslb servers VERB POOL/ID`."""

    @servers.command(verb, help=text)
    @click.argument("target", metavar="POOL/ID")
    @_where
    def command(target: str, config: Path | None, region: str | None, node: str | None, as_json: bool) -> None:
        with told():
            from gslb.ops.server_commands import order  # noqa: PLC0415 - see cli_options

            sys.exit(order(config_directory(config), target, verb, node=node, region=region, as_json=as_json))


_order("drain", "Give a server no new requests; what runs is finished.")
_order("undrain", "Give a drained server requests again.")
_order("reset", "Forget what was changed of a server: it is as the files say, or as it was registered.")
_order("remove", "Remove a registered server; what runs is finished. Declared ones are removed in the files.")
