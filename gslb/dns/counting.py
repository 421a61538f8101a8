"""What the DNS room counts, in the worker's own cells. Pure; for the DNS room only."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Protocol

from gslb.dns.wire import NOERROR, RCODES

NOWHERE = 0  # a cell that nobody reads (gslb.telemetry.SCRATCH_CELLS)


class CounterSink(Protocol):
    """What this room needs of gslb.telemetry.Counters."""

    @property
    def cells(self) -> MutableSequence[int] | memoryview:
        """Where to count."""

    def index(self, name: str, **labels: object) -> int:
        """The cell of a series."""


class Tally:
    """The room's own series. Plain integers on the hot path, written to the cells once a batch."""

    def __init__(self, counters: CounterSink) -> None:
        """Looks every cell up."""
        self.connections = self.slow = 0
        self._unusual = 0
        self.count_into(counters)

    def count_into(self, counters: CounterSink) -> None:
        """Goes on in other cells; gauges are set there at once, since the row may be that of a worker which died."""
        index = counters.index
        self._cells = counters.cells
        self._received = {which: index("gslb_dns_queries_total", transport=which) for which in ("udp", "tcp")}
        self._rcodes = {code: index("gslb_dns_answers_total", rcode=name) for code, name in RCODES.items()}
        self._drops = {
            why: index("gslb_dns_dropped_total", reason=why) for why in ("response", "short", "send_failed", "error")
        }
        self._slow = index("gslb_dns_slow_path_total")
        self._truncated = index("gslb_dns_truncated_total")
        self._entries = index("gslb_dns_cache_entries")
        self._evictions = index("gslb_dns_cache_evictions_total")
        self._connections = index("gslb_dns_tcp_connections")
        self._cells[self._connections] = self.connections

    def slow_call(self) -> None:
        """A packet that is parsed in full."""
        self.slow += 1
        self._cells[self._slow] += 1

    def dropped(self, why: str) -> None:
        """A packet that gets no answer."""
        self._unusual += 1
        self._cells[self._drops[why]] += 1

    def unsent(self) -> None:
        """An answer that could not be sent."""
        self._cells[self._drops["send_failed"]] += 1

    def truncated(self) -> None:
        """An answer with TC."""
        self._cells[self._truncated] += 1

    def answered(self, rcode: int) -> None:
        """An answer of the slow path. NOERROR is what `settle` counts the rest as."""
        if rcode != NOERROR:
            self._unusual += 1
            self._cells[self._rcodes[rcode]] += 1

    def evicted(self, entries: int) -> None:
        """Remembered entries that were dropped at a bound."""
        self._cells[self._evictions] += entries

    def connected(self, change: int) -> None:
        """TCP connections: 1 for a new one, -1 for one that ended."""
        self.connections += change
        self._cells[self._connections] = self.connections

    def settle(self, transport: str, received: int, entries: int) -> None:
        """A batch of `received` packets, and how many entries are remembered now."""
        cells = self._cells
        cells[self._received[transport]] += received
        cells[self._rcodes[NOERROR]] += received - self._unusual
        cells[self._entries] = entries
        self._unusual = 0
