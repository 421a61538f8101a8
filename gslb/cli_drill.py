"""The command line's part about drills. See cli.py, which adds this command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from gslb.cli_options import (
    FILE,
    cleaning_up,
    config_directory,
    config_option,
    json_option,
    node_option,
    state_option,
    told,
)

KINDS = ("kill", "servers", "blackhole", "slow", "flap", "partition", "redis-loss", "down", "drain")


@click.command()
@click.argument("region", required=False)
@click.option("--kind", type=click.Choice(KINDS), help="What happens [default: kill, with --node: down].")
@click.option("--for", "lasting", default="15s", show_default=True, metavar="TIME", help="How long it lasts.")
@click.option("--html", type=FILE, help="Write the report as a page with a time line, too.")
@click.option("--min-capacity", type=click.FloatRange(0, 100), default=50, show_default=True, metavar="PERCENT",
              help="So much of the regions' capacity must be left.")  # fmt: skip
@click.option("--abort-below", type=click.FloatRange(0, 100), default=90, show_default=True, metavar="PERCENT",
              help="With --node: end it when fewer requests are served.")  # fmt: skip
@click.option("--history", is_flag=True, help="Show the results of earlier drills.")
@click.option("--due", is_flag=True, help="Run what the files' `drills` say is due.")
@click.option("--many", type=click.IntRange(1, 1000), metavar="N", help="Run N of each kind; a table of percentiles.")
@click.option("--kinds", default="all", show_default=True, metavar="KINDS", help="With --many: which, with commas.")
@state_option
@config_option
@node_option
@json_option
def drill(region: str | None, config: Path | None, node: str | None, as_json: bool, **said: Any) -> None:
    """Lose REGION on purpose and measure what clients see: in a cluster of its own on loopback, or by --node for real.

    On loopback the fault is real and below gslb: processes are killed, a hop of the network drops or delays. A real
    cluster is not broken: an operator's word takes the region out, and ends by itself. Exit 0 if every bar held.
    """
    with told(), cleaning_up():
        from gslb.drill import commands  # noqa: PLC0415 - see cli_options
        from gslb.drill.run import Asked  # noqa: PLC0415 - see cli_options

        directory = config_directory(config)
        if said["history"]:
            sys.exit(commands.show_history(directory, said["state_directory"], as_json=as_json))
        if said["due"]:
            sys.exit(commands.run_due(directory, said["state_directory"], as_json=as_json))
        if region is None:
            raise click.UsageError("which REGION is lost?")
        lasts_s = commands.lasting(said["lasting"])
        if said["many"] is not None:
            kinds = commands.kinds_of(said["kinds"])
            sys.exit(commands.many(directory, region, kinds, said["many"], lasts_s, as_json=as_json))
        kind = said["kind"] or ("down" if node else "kill")
        asked = Asked(region, kind, lasts_s, said["min_capacity"] / 100, said["abort_below"] / 100)
        way = commands.Way(directory, said["state_directory"], node, said["html"], as_json)
        sys.exit(commands.one_drill(asked, way))
