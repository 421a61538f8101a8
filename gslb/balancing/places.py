"""Places at servers with max_connections, counted over a node's workers in shared memory. Core.

Each worker writes what it has running on such a server into a cell of its own and reads the others'. Workers that look
at the same moment may each take the last place: at most max_connections + workers - 1 run.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence, Sequence

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

    def elsewhere(self, server_id: str) -> int:
        """What the other workers have running there."""
        index = self._index.get(server_id)
        return sum(cells[index] for cells in self._others) if index is not None else 0
