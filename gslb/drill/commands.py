"""What `gslb drill` does: one drill and its report as text, JSON or a page; history; what is due; many of a kind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from gslb.config.compile import compile_plan
from gslb.config.load import load
from gslb.config.schema import Config
from gslb.drill.history import History, due, now
from gslb.drill.page import page, rows_of
from gslb.drill.report import BALANCER_LIVES, KINDS, LAST_WRONG_MAX_S, MOVES, Drill, Report, percentile
from gslb.drill.run import Asked, LiveTarget, PreCheckFailed, demo_drills, drill
from gslb.errors import NodeError
from gslb.ops import show
from gslb.units import parse_duration

FINE, NOT_SO, WRONG = 0, 1, 2
LIVE_KINDS = ("down", "drain")
LASTS_MIN_S, LASTS_MAX_S = 3.0, 3600.0
LATEST = 20  # results that `--history` shows


@dataclass(frozen=True, slots=True)
class Way:
    """How a drill is run: by which files, kept where (None: where the files say), against which node, shown how."""

    directory: Path
    state: Path | None = None
    node: str | None = None
    html: Path | None = None
    as_json: bool = False


def one_drill(asked: Asked, way: Way) -> int:
    """0 if every bar held, 1 if one did not or the cluster was not fit for it, 2 if it can't be run."""
    config = load(way.directory, environment=dict(os.environ))
    history = _history(config, way.state)
    try:
        with history.alone(), _progress() as say:
            report, seen = _run(way.directory, config, asked, way.node, say)
    except PreCheckFailed as error:
        click.echo(f"not now: {error}", err=True)
        return NOT_SO
    when = now()
    history.add(report, when, way.node or "demo")
    if way.html is not None:
        way.html.write_text(page(report, seen, datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M UTC")))
    if way.as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _print(report)
    return FINE if report.ok else NOT_SO


def _history(config: Config, state: Path | None) -> History:
    return History(str(state) if state is not None else config.state.directory)


def _run(
    directory: Path, config: Config, asked: Asked, node: str | None, say: Callable[[str], None]
) -> tuple[Report, Drill]:
    if node is None:
        return next(demo_drills(directory, asked, say))
    if asked.kind not in LIVE_KINDS:
        raise NodeError(f"a real cluster is not broken: --kind is {' or '.join(LIVE_KINDS)} with --node")
    plan = compile_plan(config, generation=1, region=None, geo=None)
    return drill(LiveTarget(config, node, asked), plan, asked, say, live=True)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What goes on, on a terminal's standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield lambda text: click.echo(text, err=True)
        return
    with console.status("") as shown:
        yield lambda text: shown.update(escape(text))


def _print(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    what = f"{report.kind} of {escape(report.region)}"
    console.print(f"[bold]{what}[/]: {escape(report.how)}, for {report.lasted_s:.1f} s")
    for name, value in rows_of(report):
        console.print(f"  {name:<40} {escape(value)}")
    for missed in [*report.missed, *filter(None, [report.aborted])]:
        console.print(f"[red]{escape(missed)}[/]")
    if report.ok:
        console.print("[green]every bar held[/]")


# ---------------------------------------------------------------- history and schedule
def show_history(directory: Path, state: Path | None, *, as_json: bool) -> int:
    """The last results."""
    results = _history(load(directory, environment=dict(os.environ)), state).results()[-LATEST:]
    if as_json:
        click.echo(json.dumps(results, indent=2))
        return FINE
    rows = show.table("when", "region", "kind", "where", "verdict", "last wrong answer")
    for row in results:
        last = row.get("figures", {}).get("last_wrong_dns_s")
        when = datetime.fromtimestamp(row["at"], UTC).strftime("%Y-%m-%d %H:%M")
        verdict = "held" if row.get("ok") else "; ".join(row.get("missed", [])) or str(row.get("aborted", ""))
        shown = "never" if last is None else f"{last:.2f} s"
        rows.add_row(when, str(row["region"]), str(row["kind"]), str(row.get("where", "")), escape(verdict), shown)
    Console(highlight=False).print(rows if results else "no drill was run yet")
    return FINE


def run_due(directory: Path, state: Path | None, *, as_json: bool) -> int:
    """Runs what the configuration's `drills` say is due; 0 if all held or nothing is due."""
    config = load(directory, environment=dict(os.environ))
    scheduled = [one.scheduled() for one in config.drills]
    wanted = due(scheduled, _history(config, state).results(), now())
    if not wanted:
        click.echo("nothing is due", err=True)
        return FINE
    codes = []
    for index in wanted:
        said = config.drills[index]
        asked = Asked(said.region, said.kind, said.lasting)
        codes.append(one_drill(asked, Way(directory, state, said.node, None, as_json)))
    return max(codes)


# ---------------------------------------------------------------- many
def many(directory: Path, region: str, kinds: tuple[str, ...], runs: int, lasts_s: float, *, as_json: bool) -> int:
    """So many drills of each kind, and their percentiles against the bars; 0 if all held."""
    table: list[dict[str, Any]] = []
    with _progress() as say:
        for kind in kinds:
            asked = Asked(region, kind, lasts_s)
            reports = []
            for number, (report, _) in enumerate(demo_drills(directory, asked, say, runs), 1):
                say(f"{kind}: {number} of {runs}, {'held' if report.ok else '; '.join(report.missed)}")
                reports.append(report)
            table.append(_row(kind, reports))
    if as_json:
        click.echo(json.dumps(table, indent=2))
    else:
        _print_table(table)
    return FINE if all(row["held"] == row["runs"] for row in table) else NOT_SO


def _row(kind: str, reports: list[Report]) -> dict[str, Any]:
    figures = [report.figures for report in reports]
    row: dict[str, Any] = {"kind": kind, "runs": len(reports), "held": sum(report.ok for report in reports)}
    for name in ("detect_s", "decide_s", "last_wrong_dns_s", "last_wrong_front_s", "recovered_s"):
        values = [value for one in figures if (value := asdict(one)[name]) is not None]
        row[f"{name}_p50"], row[f"{name}_p99"] = percentile(values, 0.5), percentile(values, 0.99)
    row["success_least"] = min((share for one in figures for share in one.success.values()), default=None)
    row["failed_answers"] = sum(one.failed_answers for one in figures)
    row["missed"] = sorted({missed for report in reports for missed in report.missed})
    return row


def _print_table(table: list[dict[str, Any]]) -> None:
    rows = show.table("kind", "held", "detected", "last wrong DNS", "last wrong front door", "back", "least served")

    def pair(row: dict[str, Any], name: str) -> str:
        low, high = row[f"{name}_p50"], row[f"{name}_p99"]
        return "-" if low is None else f"{low:.2f} / {high:.2f} s"

    for row in table:
        served = "-" if row["success_least"] is None else f"{row['success_least']:.2%}"
        moved = row["kind"] in MOVES
        times = [pair(row, name) if moved else "-" for name in ("detect_s", "last_wrong_dns_s", "last_wrong_front_s")]
        rows.add_row(row["kind"], f"{row['held']} of {row['runs']}", *times, pair(row, "recovered_s"), served)
    console = Console(highlight=False, width=140)
    console.print(rows)
    lives = ", ".join(sorted(BALANCER_LIVES))
    console.print(f"Times are p50 / p99. Bars: last wrong at most {LAST_WRONG_MAX_S:g} s; 99.9 % served for {lives}.")
    for row in table:
        for missed in row["missed"]:
            console.print(f"[red]{row['kind']}: {escape(missed)}[/]")


def lasting(text: str) -> float:
    """How long a drill lasts, in seconds. Raises click.UsageError."""
    try:
        lasts_s = parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--for: {error}") from None
    if not LASTS_MIN_S <= lasts_s <= LASTS_MAX_S:
        raise click.UsageError(f"--for {text}: a drill lasts from {LASTS_MIN_S:g} s to an hour")
    return lasts_s


def kinds_of(text: str) -> tuple[str, ...]:
    """`all`, or kinds with commas. Raises click.UsageError."""
    kinds = KINDS if text == "all" else tuple(text.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise click.UsageError(f"{kind!r} is no kind of drill; known: {', '.join(KINDS)}")
    return kinds
