"""What the commands `check`, `explain`, `status`, `reload` and `restart` do: ask, show, give an exit code."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from gslb.config.compile import compile_plan, edge_settings, geo_source
from gslb.config.load import load
from gslb.config.schema import Config
from gslb.config.source import KeyChecks
from gslb.errors import ConfigError, GeoError, GslbError
from gslb.geo.database import Database
from gslb.geo.locate import Locator
from gslb.model import Status, World
from gslb.ops import client, show
from gslb.ops.explain import AskError, Knowledge, explain

FINE, NOT_SO, WRONG = 0, 1, 2
RESTART_MAX_S = 60.0


def _print(value: Any, *, as_json: bool, render: Any) -> None:
    if as_json:
        click.echo(json.dumps(value, indent=2, sort_keys=False))
    else:
        render(value)


def _wrong(problems: list[dict[str, Any]], text: str, *, as_json: bool) -> int:
    _print({"ok": False, "problems": problems}, as_json=as_json, render=lambda _: click.echo(text, err=True))
    return WRONG


def check_files(directory: Path, *, node: str | None, as_json: bool) -> int:
    """`gslb check`: 0 and a summary, or 2 and every problem. Certificates of `node` are read; None is everybody's."""
    try:
        config = load(directory, environment=dict(os.environ), keys=KeyChecks(node, time.time()))
        if node is not None and node not in config.regions and config.edges:
            edge_settings(config, node)  # raises UnknownName
        plan = compile_plan(config, generation=1, region=None, geo=None)
        for region in config.regions:
            compile_plan(config, generation=1, region=region, geo=None)
        source = geo_source(config)
        if source is not None:
            Database(source.path).close()
    except ConfigError as error:
        problems = [
            {"file": p.file, "line": p.line, "path": p.path, "message": p.message, "remedy": p.remedy, "kind": p.kind}
            for p in error.problems
        ]
        return _wrong(problems, str(error), as_json=as_json)
    except GslbError as error:
        return _wrong([{"message": str(error)}], str(error), as_json=as_json)
    summary = {
        "ok": True,
        "problems": [],
        "cluster": plan.cluster,
        "zones": sorted(plan.zones),
        "services": sorted(plan.services),
        "regions": sorted(plan.regions),
    }
    _print(summary, as_json=as_json, render=show.checked)
    return FINE


def admin_urls(config: Config) -> dict[str, str]:
    """The admin URL of every node that the files know: its name → URL."""
    names = list(config.edges) or ["edge-1"]
    found = {name: f"http://{edge_settings(config, name).admin}" for name in names}
    for name, region in config.regions.items():
        found[name] = f"http://{region.balancer.admin}"
    return found


def _edge_url(directory: Path, node: str | None) -> str:
    if node:
        return node
    return next(iter(admin_urls(load(directory, environment=dict(os.environ))).values()))


def explain_answer(directory: Path, name: str, client_text: str, *, node: str | None, as_json: bool) -> int:
    """`gslb explain`: by a running node, else by the files alone. 1 if NAME is no service."""
    try:
        answer = client.ask(_edge_url(directory, node), "/explain", name=name, client=client_text)
    except client.NodeRefused as error:
        click.echo(f"gslb: {error}", err=True)
        return NOT_SO
    except client.NodeSilent:
        if node:
            raise
        try:
            answer = _explain_offline(directory, name, client_text)
        except AskError as error:
            click.echo(f"gslb: {error}", err=True)
            return NOT_SO
    _print(answer, as_json=as_json, render=show.explained)
    return FINE


def _explain_offline(directory: Path, name: str, client_text: str) -> dict[str, Any]:
    config = load(directory, environment=dict(os.environ))
    source = geo_source(config)
    plan = compile_plan(config, generation=1, region=None, geo=source)
    try:
        database = Database(source.path) if source else None
    except GeoError as error:
        click.echo(f"gslb: {error}", err=True)
        database = None
    knowledge = Knowledge(World(plan, Status()), Locator(database, plan.services), offline=True)
    return explain(knowledge, name, client_text, time.time())


def show_status(directory: Path, *, node: str | None, as_json: bool) -> int:
    """`gslb status`: of one node, or of every node of the files that runs here. 1 if none answers."""
    urls = {"node": node} if node else admin_urls(load(directory, environment=dict(os.environ)))
    answers: dict[str, Any] = {}
    for name, url in urls.items():
        try:
            answers[name] = client.ask(url, "/status")
        except client.NodeSilent as error:
            answers[name] = {"error": str(error)}
    _print(answers, as_json=as_json, render=show.status)
    return FINE if any("error" not in answer for answer in answers.values()) else NOT_SO


def reload_nodes(directory: Path, *, node: str | None, as_json: bool) -> int:
    """`gslb reload`: 0 if a node took it and none refused, 1 if none runs, 2 if the files are wrong."""
    code = NOT_SO
    if node:
        urls = {"node": node}
    else:
        try:
            config = load(directory, environment=dict(os.environ))
        except ConfigError as error:
            click.echo(str(error), err=True)
            click.echo("gslb: nothing was reloaded: every node goes on as it was", err=True)
            return WRONG
        urls = admin_urls(config)
    answers: dict[str, Any] = {}
    for name, url in urls.items():
        try:
            answers[name] = client.ask(url, "/reload", post=True)
            code = FINE if code == NOT_SO else code
        except client.NodeRefused as error:
            answers[name] = {"error": str(error), **error.body}
            code = WRONG
        except client.NodeSilent as error:
            answers[name] = {"error": str(error), "silent": True}
    _print(answers, as_json=as_json, render=show.reloaded)
    return code


def restart_nodes(directory: Path, *, node: str | None, as_json: bool) -> int:
    """`gslb restart`: one node after another. 0 if each that runs has restarted, 1 if none runs, 2 if one has not."""
    urls = {"node": node} if node else admin_urls(load(directory, environment=dict(os.environ)))
    code, answers = NOT_SO, {}
    for name, url in urls.items():
        try:
            before = client.ask(url, "/restart", post=True)
        except client.NodeSilent as error:
            answers[name] = {"error": str(error), "silent": True}
            continue
        except client.NodeRefused as error:
            answers[name] = {"error": str(error)}
        else:
            click.echo(f"{name}: restarting", err=True)
            answers[name] = _restarted(url, before)
        if "error" in answers[name]:
            code = WRONG
            break  # the others go on as they are
        code = FINE
    _print(answers, as_json=as_json, render=show.restarted)
    return code


def _restarted(url: str, before: dict[str, Any]) -> dict[str, Any]:
    """What a node says once another program serves in its place, or what kept it."""
    deadline = time.monotonic() + RESTART_MAX_S
    while time.monotonic() < deadline:
        time.sleep(0.1)
        try:
            now = client.ask(url, "/status")
        except client.NodeSilent:
            continue  # between the old control and the new one
        if now["restarts_refused"] > before["restarts_refused"] and now["incarnation"] == before["incarnation"]:
            return {"error": "the new program does not start with these files; the node's log says why"}
        if now["incarnation"] > before["incarnation"] and all(one["ready"] for one in now["processes"]):
            return {"incarnation": now["incarnation"], "version": now["version"], "was": before["version"]}
    return {"error": f"not done within {RESTART_MAX_S:g} s; the old workers serve until the new ones do"}
