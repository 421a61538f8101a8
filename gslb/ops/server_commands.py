"""What the commands under `gslb servers` do: ask a region's node over its admin API, show, give an exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from gslb.config.load import load
from gslb.errors import GslbError, UnknownName
from gslb.ops import client, show
from gslb.ops.commands import FINE, NOT_SO, WRONG

WRONG_WORDS = frozenset({400, 401, 403, 422})  # statuses that blame what was typed


def _urls(directory: Path, node: str | None, region: str | None) -> dict[str, str]:
    """The region nodes that are meant: name -> admin URL. Raises UnknownName, ConfigError."""
    if node:
        return {"node": node}
    regions = load(directory, environment=dict(os.environ)).regions
    if region is not None and region not in regions:
        raise UnknownName("region", region, regions)
    return {name: f"http://{one.balancer.admin}" for name, one in regions.items() if region in {None, name}}


def _one_url(directory: Path, node: str | None, region: str | None) -> str:
    """The one node that is meant: named, or the only one that runs here. Raises GslbError that says how to name it."""
    found = _urls(directory, node, region)
    urls = set(found.values())
    if len(urls) > 1:
        urls = {url for url in urls if _answers(url)}
    if len(urls) > 1:
        names = ", ".join(name for name, url in found.items() if url in urls)
        raise GslbError(f"several regions run here: say --region, one of {names}")
    if not urls:
        raise client.NodeSilent("no region of these files runs here: start it, or name its admin address by --node")
    return urls.pop()


def _answers(url: str) -> bool:
    try:
        client.ask(url, "/version")
    except GslbError:
        return False
    return True


def list_servers(directory: Path, *, node: str | None, region: str | None, as_json: bool) -> int:
    """`gslb servers`: of every region's node that is meant. 1 if none answers."""
    answers: dict[str, Any] = {}
    for name, url in _urls(directory, node, region).items():
        try:
            answers[name] = client.ask(url, "/servers")
        except client.NodeSilent as error:
            answers[name] = {"error": str(error)}
        except client.NodeRefused as error:
            answers[name] = {"error": str(error)}
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    else:
        show.servers(answers)
    return FINE if any("error" not in answer for answer in answers.values()) else NOT_SO


def show_scaling(directory: Path, *, node: str | None, region: str | None, as_json: bool) -> int:
    """`gslb scaling`: of every region's node that is meant. 1 if none answers."""
    answers: dict[str, Any] = {}
    for name, url in _urls(directory, node, region).items():
        try:
            answers[name] = client.ask(url, "/scaling")
        except client.NodeSilent as error:
            answers[name] = {"error": str(error)}
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    else:
        show.scaling(answers)
    return FINE if any("error" not in answer for answer in answers.values()) else NOT_SO


def add_server(
    directory: Path, words: Mapping[str, Any], *, node: str | None, region: str | None, as_json: bool
) -> int:
    """`gslb servers add`."""
    url = _one_url(directory, node, region)
    return _told(url, "/servers", "POST", _given(words), as_json=as_json)


def set_server(
    directory: Path, target: str, words: Mapping[str, Any], *, node: str | None, region: str | None, as_json: bool
) -> int:
    """`gslb servers set`."""
    given = _given(words)
    if not given:
        raise GslbError("say what to change, as --weight 5; gslb servers set --help lists the words")
    return _told(_one_url(directory, node, region), _path(target), "PATCH", given, as_json=as_json)


def order(
    directory: Path, target: str, verb: str, *, node: str | None, region: str | None, as_json: bool
) -> int:
    """`gslb servers drain`, `undrain`, `reset`, and `remove`."""
    path, url = _path(target), _one_url(directory, node, region)
    if verb == "remove":
        return _told(url, path, "DELETE", None, as_json=as_json)
    return _told(url, f"{path}/{verb}", "POST", None, as_json=as_json)


def _given(words: Mapping[str, Any]) -> dict[str, Any]:
    return {word: value for word, value in words.items() if value is not None}


def _path(target: str) -> str:
    """`/servers/POOL/ID` of `POOL/ID`. Raises GslbError."""
    pool, slash, server_id = target.partition("/")
    if not slash or not pool or not server_id:
        raise GslbError(f"{target!r} is no server: write POOL/ID, as web/web-1; gslb servers lists them")
    return f"/servers/{quote(pool, safe='')}/{quote(server_id, safe='')}"


def _told(url: str, path: str, method: str, body: Mapping[str, Any] | None, *, as_json: bool) -> int:
    """Asks, shows the server as it is then, gives the exit code."""
    try:
        answer = client.ask(url, path, method=method, body=body)
    except client.NodeRefused as error:
        if as_json:
            click.echo(json.dumps(error.body, indent=2))
        click.echo(f"gslb: {error}", err=True)
        return WRONG if error.status in WRONG_WORDS else NOT_SO
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        show.server(answer)
    return FINE
