"""What `gslb drain`, `undrain` and `force` do: tell every node of the files that runs here, show, give an exit code."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import Any

import click

from gslb.config.load import load
from gslb.health.overrides import PERCENT_MAX
from gslb.ops import client, drain_waiting, show
from gslb.ops.commands import FINE, NOT_SO, WRONG, admin_urls
from gslb.units import parse_duration

NOT_HERE = 404


def override(directory: Path, words: dict[str, Any], *, node: str | None, as_json: bool, wait: str = "") -> int:
    """0 if a node obeys and none refuses, 1 if none runs here or knows the target, 2 if one refuses.

    Where nodes share a Redis one that obeys is enough; where they do not, each has to be told. `wait`: how long to
    wait for the end of a region's drain, which is 1 if it doesn't come; "" is not at all.
    """
    most_s = _duration(wait) if wait else 0.0
    urls = {"node": node} if node else admin_urls(load(directory, environment=dict(os.environ)))
    words = {key: value for key, value in words.items() if value not in (None, False)} | {"author": _author(words)}
    answers: dict[str, Any] = {}
    code = NOT_SO
    for name, url in urls.items():
        try:
            answers[name] = client.ask(url, "/overrides", method="POST", body=words)
            code = FINE
        except client.NodeSilent as error:
            answers[name] = {"error": str(error), "silent": True}
        except client.NodeRefused as error:
            answers[name] = {"error": str(error)}
            if error.status != NOT_HERE or node:
                code = WRONG
                break
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    else:
        show.overridden(answers, words)
    return drain_waiting.wait(urls, most_s) if most_s and code == FINE else code


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--wait: {error}") from None


def percent_of(text: str) -> float:
    """`50%` or `50` as 50.0. Raises click.UsageError."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= PERCENT_MAX:
        raise click.UsageError(f"{text!r} is no share: write 50%, or auto")
    return percent


def _author(words: dict[str, Any]) -> str:
    """Who says it, if the words don't tell: the user of this shell."""
    try:
        return str(words.get("author") or getpass.getuser())
    except (KeyError, OSError):  # a user without a name
        return f"uid {os.getuid()}"
