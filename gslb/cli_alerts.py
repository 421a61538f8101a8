"""The command line's part about alerts. See cli.py, which adds these commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gslb.cli_options import config_directory, config_option, json_option, node_option, told


@click.group(invoke_without_command=True)
@config_option
@node_option
@json_option
@click.pass_context
def alerts(context: click.Context, config: Path | None, node: str | None, as_json: bool) -> None:
    """Show what fires, what is pending and what is silenced. Exit 0 if nothing fires, 1 if something does."""
    if context.invoked_subcommand is None:
        with told():
            from gslb.ops.alert_commands import show_alerts  # noqa: PLC0415 - see cli_options

            sys.exit(show_alerts(config_directory(config), node=node, as_json=as_json))


@alerts.command()
@click.argument("rule", default="*")
@click.option("--for", "lasting", default="1h", metavar="TIME", help="How long [default: 1h].")
@click.option("--why", default="", help="The reason; shown with the silence.")
@config_option
@node_option
@json_option
def silence(rule: str, lasting: str, why: str, config: Path | None, node: str | None, as_json: bool) -> None:
    """Tell nobody of RULE (* and ? match; all rules if it is left out). What still fires at the end is told then."""
    with told():
        from gslb.ops.alert_commands import say_silence  # noqa: PLC0415 - see cli_options

        sys.exit(say_silence(config_directory(config), rule, lasting, why, node=node, as_json=as_json))


@alerts.command()
@click.argument("rule", default="*")
@config_option
@node_option
@json_option
def unsilence(rule: str, config: Path | None, node: str | None, as_json: bool) -> None:
    """End the silence of exactly RULE (* if it is left out)."""
    with told():
        from gslb.ops.alert_commands import say_silence  # noqa: PLC0415 - see cli_options

        sys.exit(say_silence(config_directory(config), rule, "", "", node=node, as_json=as_json))
