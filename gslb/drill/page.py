"""A drill's report as one HTML page with a picture of its time line. Pure: values in, text out."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from gslb.drill.report import CLIENTS, MOVES, Drill, Report

WIDTH, ROW, LEFT, RIGHT = 960, 26, 130, 20
_TICKS_MAX = 16
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #66727f; --paper: #ffffff; --line: #d9dee3;
        --good: #2e8b57; --bad: #c8372d; --away: #2f6fb0; --fault: #f6d9d5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #9aa6b2; --paper: #14191f; --line: #313a44;
        --good: #4fb87f; --bad: #ec6a5e; --away: #6ea8e0; --fault: #43211e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem }
.soft { color: var(--soft) } .good { color: var(--good) } .bad { color: var(--bad) }
table { border-collapse: collapse; margin: 1rem 0 } td { padding: .15rem 1.2rem .15rem 0; vertical-align: top }
td:last-child { font-variant-numeric: tabular-nums }
svg { width: 100%; height: auto } svg text { fill: var(--ink); font-size: 12px }
"""


def page(report: Report, drill: Drill, when: str) -> str:
    """The page; `when` is the drill's date and time as text."""
    verdict = '<span class="good">every bar held</span>' if report.ok else '<span class="bad">not held</span>'
    missed = "".join(f'<li class="bad">{escape(one)}</li>' for one in [*report.missed, *filter(None, [report.aborted])])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Drill of {escape(report.region)}</title>'
        f"<style>{_STYLE}</style><h1>Drill of {escape(report.region)}: {escape(report.kind)}, {verdict}</h1>"
        f'<p class="soft">{escape(when)}; {escape(report.how)}; for {report.lasted_s:.1f} s</p>'
        f"<ul>{missed}</ul>{_picture(drill)}{_table(report)}</html>\n"
    )


def _table(report: Report) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows_of(report))
    return f"<table>{rows}</table>"


def rows_of(report: Report) -> list[tuple[str, str]]:
    """The figures in words, for the page and the terminal."""
    figures = report.figures

    def seconds(value: float | None) -> str:
        return "never" if value is None else f"{value:.2f} s"

    lives = "lives" if report.balancer_lives else "is gone"
    served = [(client, figures.success[client]) for client in CLIENTS if client in figures.success]
    moves = [
        ("detected (an edge's status)", seconds(figures.detect_s)),
        ("first answer that leads elsewhere", seconds(figures.decide_s)),
        ("last wrong answer, DNS", seconds(figures.last_wrong_dns_s)),
        ("last wrong redirect, front door", seconds(figures.last_wrong_front_s)),
    ]
    return [
        *(moves if report.kind in MOVES else ()),
        ("back after the fault's end", seconds(figures.recovered_s)),
        ("changes of the answer while it lasted", str(figures.changes)),
        ("answers that failed", str(figures.failed_answers)),
        ("requests of clients while it lasted", f"{figures.requests}; the region's balancer {lives}"),
        *((f"served, {client} clients", f"{share:.2%}") for client, share in served),
    ]


# ---------------------------------------------------------------- the picture
def _picture(drill: Drill) -> str:
    """Rows over time: what DNS and the front door named, how each kind of client fared, the region's state."""
    times = [one.at for one in drill.answers] or [0.0, 1.0]
    start, end = min(-1.0, times[0]), max(drill.lasted_s + 1.0, times[-1])

    def x(at: float) -> float:
        return LEFT + (at - start) / (end - start) * (WIDTH - LEFT - RIGHT)

    rows: list[tuple[str, str]] = []
    for source in ("dns", "front door"):
        mine = [(one.at, _colour(one.region, drill, one.at)) for one in drill.answers if one.source == source]
        rows.append((source, _bars(mine, end, x)))
    states = [(at, "--good" if state == "up" else "--bad") for at, state in drill.states]
    rows.append(("status", _bars(states, end, x)))
    for client in CLIENTS:
        served = [(one.at, one.ok) for one in drill.requests if one.client == client]
        rows += [(client, _seconds(served, x))]
    height = ROW * (len(rows) + 2)
    width = x(drill.lasted_s) - x(0)
    fault = f'<rect x="{x(0):.1f}" y="0" width="{width:.1f}" height="{height - ROW}" fill="var(--fault)"/>'
    body = "".join(
        f'<text x="0" y="{ROW * (index + 1) + 12}">{escape(name)}</text>'
        f'<g transform="translate(0 {ROW * (index + 1)})">{bars}</g>'
        for index, (name, bars) in enumerate(rows)
    )
    step = max(1, round((end - start) / _TICKS_MAX))
    ticks = "".join(
        f'<text x="{x(at):.1f}" y="{height - 8}" text-anchor="middle">{at}</text>'
        for at in range(int(start), int(end) + 1, step)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="time line of the drill">{fault}'
        f'<text x="{x(0) + 4:.1f}" y="14">the fault</text>{body}{ticks}</svg>'
        '<p class="soft">Seconds from the fault. Answers: red leads to the region while it is lost, blue elsewhere, '
        "grey is none. Clients: green was served.</p>"
    )


def _colour(region: str, drill: Drill, at: float) -> str:
    if region != drill.region:
        return "--away" if region else "--soft"
    return "--bad" if 0 <= at < drill.lasted_s else "--good"


def _bars(points: list[tuple[float, str]], end: float, x: object) -> str:
    """Runs of one colour as bars."""
    assert callable(x)
    found, index = [], 0
    while index < len(points):
        at, colour = points[index]
        last = index
        while last + 1 < len(points) and points[last + 1][1] == colour:
            last += 1
        until = points[last + 1][0] if last + 1 < len(points) else end
        width = max(1.0, x(until) - x(at))
        found.append(f'<rect x="{x(at):.1f}" y="0" width="{width:.1f}" height="16" fill="var({colour})"/>')
        index = last + 1
    return "".join(found)


def _seconds(points: Iterable[tuple[float, bool]], x: object) -> str:
    """A bar a second, as high as the share that failed on top of what was served."""
    assert callable(x)
    seconds: dict[int, list[bool]] = {}
    for at, ok in points:
        seconds.setdefault(int(at // 1), []).append(ok)
    found = []
    for second, oks in sorted(seconds.items()):
        share, left, width = sum(oks) / len(oks), x(second), max(1.0, x(second + 1) - x(second) - 1)
        good = 18 * share
        for top, height, colour in ((18 - good, good, "--good"), (0.0, 18 - good, "--bad")):
            box = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
            found.append(f'<rect {box} fill="var({colour})"/>')
    return "".join(found)
