"""What a node's workers have running, server by server, counted in shared memory. Core.

For servers with max_connections and for pools whose algorithm bounds loads: each worker writes what it has running on a
server, and on all of them (`ALL`), into cells of its own and reads the others'. Workers that look at the same moment
may each take the last place: at most workers - 1 more than the bound run.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence, Sequence

ALL = ""  # in place of a server's id

Cells = MutableSequence[int] | memoryview


class Places:
    """One pool's, in one worker. A server without a cell is counted by each worker alone."""

    __slots__ = ("_cells", "_index", "_others")

    def __init__(self, cells: Cells, others: Sequence[Cells]) -> None:
        self._cells, self._others = cells, others
        self._index: Mapping[str, int] = {}  # by server id

    def update(self, index: Mapping[str, int]) -> None:
        """The servers that have a cell, and which. The pool puts what it has running there; no other does."""
        self._index = index

    def put(self, server_id: str, active: int) -> None:
        """What this worker has running on the server now."""
        index = self._index.get(server_id)
        if index is not None:
            self._cells[index] = active

    def set(self, cell: int, value: int) -> None:
        """Writes a cell of this worker's that is no server's."""
        self._cells[cell] = value

    def sum_elsewhere(self, cell: int) -> int:
        """What the other workers have in it."""
        return sum(cells[cell] for cells in self._others)

    def elsewhere(self, server_id: str) -> int:
        """What the other workers have running there."""
        index = self._index.get(server_id)
        return self.sum_elsewhere(index) if index is not None else 0
