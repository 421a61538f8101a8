"""What the command line's modules share: options, where the files are, how errors are told."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click

from gslb.errors import ConfigError, GslbError

DIRECTORY = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
F = TypeVar("F", bound=Callable[..., None])


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


@contextlib.contextmanager
def cleaning_up() -> Iterator[None]:
    """TERM and HUP end a command as Ctrl-C does: what it started ends, what it changed is taken back.

    Service managers, `timeout` and a closed terminal send them. The exit code is the shell's, 128 and the signal.
    """

    def leave(number: int, _: object) -> None:
        for one in ours:
            signal.signal(one, signal.SIG_IGN)  # the clean-up is bounded: it is not interrupted again
        sys.exit(128 + number)

    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in ours:
        signal.signal(one, leave)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def config_directory(config: Path | None) -> Path:
    """`--config`, else ./regions where there is one, else the sample that ships."""
    from gslb import shipped  # noqa: PLC0415 - commands import what they run, so that --help is quick

    if config is not None:
        return config
    return Path("regions") if Path("regions/gslb.yaml").is_file() else shipped.regions_directory()


config_option = click.option(
    "--config", type=DIRECTORY, help="Folder with gslb.yaml and the region files [default: regions/]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
node_option = click.option("--node", metavar="URL", help="Admin address of the node to ask, as http://127.0.0.1:9470.")
node_id_option = click.option(
    "--node-id", default=None, help="Tells nodes of one region or host apart [default: the host's name]."
)
state_option = click.option(
    "--state-directory", type=DIRECTORY, default=None, help="Keep the node's state here, not where the files say."
)

redis_option = click.option(
    "--redis", multiple=True, metavar="URL", help="Share state through this Redis, not what the files say; repeatable."
)
