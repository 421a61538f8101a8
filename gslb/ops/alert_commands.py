"""What `gslb alerts` and its commands do: ask or tell every node that runs here, show, give an exit code."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gslb.config.load import load
from gslb.ops import client, show
from gslb.ops.commands import FINE, NOT_SO, WRONG, admin_urls
from gslb.units import parse_duration


def _each(directory: Path, node: str | None, ask: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """What each node says; those that don't run here say nothing."""
    urls = {"node": node} if node else admin_urls(load(directory, environment=dict(os.environ)))
    answers: dict[str, Any] = {}
    for name, url in urls.items():
        try:
            answers[name] = ask(url)
        except client.NodeRefused as error:
            answers[name] = {"error": str(error)}
        except client.NodeSilent as error:
            answers[name] = {"error": str(error), "silent": True}
    return answers


def show_alerts(directory: Path, *, node: str | None, as_json: bool) -> int:
    """0 if nothing fires, 1 if something does or no node answers."""
    answers = _each(directory, node, lambda url: client.ask(url, "/alerts"))
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    else:
        show.alerts(answers)
    heard = [one for one in answers.values() if "error" not in one]
    firing = any(alert["state"] != "pending" for one in heard for alert in one["alerts"])
    return NOT_SO if firing or not heard else FINE


def say_silence(directory: Path, rule: str, lasting: str, why: str, *, node: str | None, as_json: bool) -> int:
    """0 if a node obeys and none refuses, 1 if none runs here, 2 if one refuses. `lasting` "" ends the silence."""
    try:
        for_s = parse_duration(lasting) if lasting else 0.0
    except ValueError as error:
        raise click.UsageError(f"--for: {error}") from None
    words = {"rule": rule, "for_s": for_s, "why": why, "author": _user()}
    answers = _each(directory, node, lambda url: client.ask(url, "/silence", method="POST", body=words))
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    else:
        show.silenced(answers, words)
    if any("error" in one and not one.get("silent") for one in answers.values()):
        return WRONG
    return FINE if any("error" not in one for one in answers.values()) else NOT_SO


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"uid {os.getuid()}"
