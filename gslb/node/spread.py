"""Control's side of the message boundary: every worker gets the Plan, the tables and every Status, in order.

A worker that does not read is not waited for: it is owed a full copy, which it gets when its link drains.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from gslb.balancing.loads import LoadReport
from gslb.model import Plan, Status
from gslb.node.link import Link
from gslb.node.messages import (
    Asks,
    FullStatus,
    Hello,
    Loads,
    Message,
    NewKeys,
    NewPlan,
    NewTables,
    Outcomes,
    ServerCounts,
    Sessions,
    WantFull,
    diff,
)
from gslb.tls.material import Keys

log = logging.getLogger("gslb.control")


class Spread:
    """Sends what control decides to every linked worker."""

    def __init__(
        self,
        on_counts: Callable[[int, ServerCounts], None] | None = None,
        on_outcomes: Callable[[Outcomes], None] | None = None,
        on_lost: Callable[[int], None] | None = None,
        on_asks: Callable[[int, Asks], None] | None = None,
        on_sessions: Callable[[int, Sessions], None] | None = None,
    ) -> None:
        """`on_counts` is given a slot and what its worker says that servers did, `on_lost` a lost worker's slot."""
        self._on_counts, self._on_outcomes, self._on_lost, self._on_asks = on_counts, on_outcomes, on_lost, on_asks
        self._on_sessions = on_sessions
        self.status = Status()
        self.number = 0
        self._keys: NewKeys | None = None
        self._plan: NewPlan | None = None
        self._tables: NewTables | None = None
        self._open = False  # nothing goes out before the first Status that steers is known
        self._links: dict[int, Link] = {}
        self._owed: set[int] = set()  # slots that missed a Status
        self._lost: set[int] = set()  # slots that missed a Plan or tables: they are told all again

    @property
    def links(self) -> int:
        """How many workers are linked."""
        return len(self._links)

    @property
    def slots(self) -> list[int]:
        """The workers that are linked."""
        return sorted(self._links)

    def tell(self, slot: int, message: Message) -> bool:
        """Says something to one worker; False if it is not there, or still owed a Status that comes first."""
        link = self._links.get(slot)
        return link is not None and slot not in self._owed and slot not in self._lost and link.send(message)

    async def join(self, slot: int, sock: socket.socket) -> None:
        """Takes the link to worker `slot` that the parent made, in place of an older one."""
        old = self._links.pop(slot, None)
        if old is not None:
            old.close()
            self._gone(slot)

        def lost() -> None:
            if slot in self._links and self._links[slot].closed:
                del self._links[slot]
                self._owed.discard(slot)
                self._lost.discard(slot)
                self._gone(slot)

        self._links[slot] = await Link.open(sock, self._receiver(slot), lost)
        self.settle()  # its Hello may have come while the link was being opened

    def _gone(self, slot: int) -> None:
        if self._on_lost is not None:
            self._on_lost(slot)

    def _receiver(self, slot: int) -> Callable[[Message], None]:
        def receive(message: Message) -> None:
            if isinstance(message, Hello):
                self._introduce(slot)
            elif isinstance(message, WantFull):
                self._owed.add(slot)
                self.settle()
            elif isinstance(message, ServerCounts) and self._on_counts is not None:
                self._on_counts(slot, message)
            elif isinstance(message, Asks) and self._on_asks is not None:
                self._on_asks(slot, message)
            elif isinstance(message, Sessions) and self._on_sessions is not None:
                self._on_sessions(slot, message)
            elif isinstance(message, Outcomes) and self._on_outcomes is not None:
                self._on_outcomes(message)

        return receive

    def _introduce(self, slot: int) -> None:
        """Tells a new worker everything."""
        link = self._links.get(slot)
        if link is None or not self._open:
            self._lost.add(slot)
            return
        told = (self._keys, self._plan, self._tables, FullStatus(self.number, self.status))
        if all(link.send(message) for message in told if message is not None):
            self._owed.discard(slot)
            self._lost.discard(slot)
        else:
            self._lost.add(slot)

    # ------------------------------------------------------------ what control says
    def keys(self, keys: Keys) -> None:
        """New certificates for all. Before the Plan that needs them."""
        self._keys = NewKeys(keys)
        if self._open:
            self._send(self._keys)

    def plan(self, plan: Plan, cookie_secret: bytes) -> None:
        """A new Plan for all."""
        self._plan = NewPlan(plan, cookie_secret)
        if self._open:
            self._send(self._plan)

    def tables(self, stamp: str, tables: Mapping[Hashable, Any]) -> None:
        """New prefix tables for all."""
        self._tables = NewTables(stamp, tables)
        if self._open:
            self._send(self._tables)

    def loads(self, news: Mapping[str, Mapping[str, LoadReport]]) -> None:
        """What agents say, for all; a worker that can't be told hears the next."""
        for pool, loads in news.items():
            for slot in self._links:
                self.tell(slot, Loads(pool, loads))

    def publish(self, status: Status) -> None:
        """A new Status for all; the first one opens the workers' sockets."""
        self.number += 1
        change = diff(self.status, status, self.number)
        self.status = status
        if not self._open:
            self._open = True
            self.settle()
            return
        for slot, link in self._links.items():
            if slot in self._owed or not link.send(change):
                self._owed.add(slot)
        self.settle()

    def settle(self) -> None:
        """Pays what is owed, where the link takes it; called again with every tick of control."""
        if not self._open:
            return
        for slot in tuple(self._lost):
            self._introduce(slot)
        for slot in tuple(self._owed):
            link = self._links.get(slot)
            if link is None or link.send(FullStatus(self.number, self.status)):
                self._owed.discard(slot)

    def close(self) -> None:
        """Closes every link."""
        for link in self._links.values():
            link.close()

    def _send(self, message: Message) -> None:
        for slot, link in self._links.items():
            if not link.send(message):
                log.warning("worker %d does not read; it will be told all again", slot)
                self._lost.add(slot)
