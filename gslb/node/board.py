"""Shared memory between the processes of one node: a heartbeat and counters, one writer a row.

The parent makes the board before it forks; row 0 is control's, row 1 and up the workers'. A worker adds to its own
cells without a lock; control sums the rows at scrape. A replaced worker goes on in its predecessor's row, so totals
never go back.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

HEADER_CELLS = 16
COUNTER_CELLS = 65_536
BEATS, PID, PLAN_GENERATION, STATUS_NUMBER, STATUS_GENERATION, READY, EXITED, HUNG, PARENT_BEATS, REFUSED = range(10)
_CELL_BYTES = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One process's part of the board: `header` by the constants above, `cells` by telemetry's slots (int64).

    EXITED and HUNG are the parent's: how often it replaced the process of this row, and why. So are, in control's row
    only, PARENT_BEATS, the parent's own heart, 0 where there is no parent; and REFUSED, restarts in place that were.
    """

    header: memoryview
    cells: memoryview

    def beat(self) -> None:
        """Says "I am alive": the parent replaces a process whose beats stop."""
        self.header[BEATS] += 1

    def enter(self) -> None:
        """Says which process writes this row from now on."""
        self.header[PID] = os.getpid()
        self.header[READY] = 0


class Board:
    """Anonymous shared memory of `rows` rows; survives as long as one process of the node has it mapped."""

    def __init__(self, rows: int, counter_cells: int = COUNTER_CELLS) -> None:
        row_cells = HEADER_CELLS + counter_cells
        self._map = mmap.mmap(-1, rows * row_cells * _CELL_BYTES)
        whole = memoryview(self._map).cast("q")
        self.rows = tuple(
            Row(
                whole[index * row_cells : index * row_cells + HEADER_CELLS],
                whole[index * row_cells + HEADER_CELLS : (index + 1) * row_cells],
            )
            for index in range(rows)
        )

    @property
    def counters(self) -> tuple[memoryview, ...]:
        """Every row's counters, as telemetry's collector sums them."""
        return tuple(row.cells for row in self.rows)
