"""The store of one process: for a node without Redis, and for tests. Keeps the same promises as the one in Redis."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable

from gslb.state.store import NODES_MAX, Order, Report, decode, encode


class MemoryStore:
    """Reports in a dict, as they would be stored elsewhere, so that no reader can change them."""

    endpoint = kind = "memory"

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self.ignored: Counter[str] = Counter()
        self._clock = clock
        self._kept: dict[str, dict[str, tuple[float, Order, bytes]]] = {}

    def _living(self, kind: str) -> dict[str, tuple[float, Order, bytes]]:
        now = self._clock()
        self._kept[kind] = {node: kept for node, kept in self._kept.get(kind, {}).items() if kept[0] > now}
        return self._kept[kind]

    async def publish(self, report: Report, ttl_s: float) -> Order:
        """See Store."""
        data, kept = encode(report), self._living(report.kind)
        old = kept.get(report.node)
        if old is not None and old[1] > report.order:
            return old[1]
        if old is None and len(kept) >= NODES_MAX:
            del kept[min(kept, key=lambda node: kept[node][0])]
        kept[report.node] = (self._clock() + ttl_s, report.order, data)
        return report.order

    async def read(self, kind: str) -> tuple[Report, ...]:
        """See Store."""
        found = (decode(data, kind, node) for node, (_, _, data) in sorted(self._living(kind).items()))
        return tuple(report for report in found if isinstance(report, Report))

    async def remove(self, kind: str, node: str) -> None:
        """See Store."""
        self._kept.get(kind, {}).pop(node, None)

    async def hint(self) -> None:
        """See Store: nobody else is there."""

    async def hints(self) -> AsyncIterator[None]:
        """See Store."""
        for _ in ():
            yield

    async def ping(self) -> float:
        """See Store."""
        return 0.0

    async def close(self) -> None:
        """See Store."""
