"""The rows of the bench, each figure with its bar, as a table or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

# text to the left, numbers to the right
LAYOUT = ("{:<{}}", "{:>{}}", "{:>{}}", "{:<{}}", "{:>{}}", "{:>{}}", "{:<{}}")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is to the peer; without a peer the bar is on the figure itself.

    `bar` None is a figure for information. `at_least`: more is better. `error`: it could not be measured.
    """

    what: str
    unit: str
    ours: float | None = None
    peer: str = ""
    theirs: float | None = None
    bar: float | None = None
    at_least: bool = False
    error: str = ""
    details: dict[str, list[float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Ours to theirs."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None

    @property
    def verdict(self) -> str:
        """`held`, `missed`, `not measured`, or nothing where there is no bar."""
        if self.error:
            return "not measured"
        judged = self.ratio if self.peer else self.ours
        if self.bar is None or judged is None:
            return ""
        return "held" if (judged >= self.bar if self.at_least else judged <= self.bar) else "missed"


def as_text(rows: list[Row]) -> str:
    """Columns for a terminal or a README."""
    cells = [("", "gslb", "peer", "", "ratio", "bar", ""), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.format, LAYOUT, cell, widths)).rstrip() for cell in cells]
    errors = [f"not measured: {row.what}: {row.error}" for row in rows if row.error]
    return "\n".join(lines + errors)


def as_json(rows: list[Row]) -> str:
    """Every row with its runs, ratio and verdict."""
    return json.dumps([{**asdict(row), "ratio": row.ratio, "verdict": row.verdict} for row in rows], indent=1)


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    ours, theirs = _number(row.ours, row.unit), _number(row.theirs, row.unit)
    return row.what, ours, theirs, row.peer, ratio, _bar(row), row.verdict


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def _bar(row: Row) -> str:
    if row.bar is None:
        return ""
    return f"{'≥' if row.at_least else '≤'} {row.bar:g}" + ("" if row.peer else f" {row.unit}")
