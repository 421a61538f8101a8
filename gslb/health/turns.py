"""Of several nodes that see the same, one tells; another does if that one does not. Core; alerting.py uses it.

Every node waits its turn, by its place among the names that it hears of, and says in its reports what it has told: what
another has told is not told again (Alertmanager's way). Where reports don't arrive everybody tells in the end: to be
told twice is better than never.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gslb.health.alerts import Event

TURN_S = 3.0  # for a notification and two rounds of reports
FRESH_S = 10.0  # a node that says nothing new for so long has no turn
TOLD_FOR_S = 60.0  # what was told is said to others for so long
PEERS_MAX, WAITING_MAX, TOLD_MAX = 1024, 1000, 100


@dataclass(slots=True)
class _Peer:
    order: tuple[int, int]
    heard_at: float
    told: frozenset[str]


class Turns:
    """One node's. `now` is seconds on a clock that does not jump."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._peers: dict[str, _Peer] = {}
        self._waiting: dict[tuple[str, str], tuple[float, Event]] = {}  # by receiver and fingerprint
        self._told: dict[str, float] = {}

    def hear(self, node: str, order: tuple[int, int], told: Iterable[str], now: float) -> None:
        """What another node says in a report; one that is not newer than the last says nothing."""
        known = self._peers.get(node)
        if node == self._node or (known is not None and known.order >= order):
            return
        if known is None and len(self._peers) >= PEERS_MAX:
            del self._peers[min(self._peers, key=lambda name: self._peers[name].heard_at)]
        self._peers[node] = _Peer(order, now, frozenset(told))

    def wait(self, receiver: str, event: Event, now: float) -> None:
        """`event` is to be told to `receiver` in this node's turn; it takes the place of one of the same alert."""
        fresh = [name for name, one in self._peers.items() if now - one.heard_at <= FRESH_S]
        place = sum(name < self._node for name in fresh)
        wanted = receiver, event.fingerprint
        if wanted in self._waiting or len(self._waiting) < WAITING_MAX:
            self._waiting[wanted] = (now + place * TURN_S, event)

    def due(self, now: float) -> list[tuple[str, Event]]:
        """What this node has to tell now, and to whom."""
        known = frozenset().union(*(one.told for one in self._peers.values() if now - one.heard_at <= FRESH_S))
        found = []
        for (receiver, fingerprint), (at, event) in list(self._waiting.items()):
            if key(receiver, event) in known:
                del self._waiting[receiver, fingerprint]
            elif now >= at:
                del self._waiting[receiver, fingerprint]
                found.append((receiver, event))
        return found

    def tell(self, keys: Iterable[str], now: float) -> None:
        """These have arrived."""
        for one in keys:
            self._told.pop(one, None)
            self._told[one] = now
        while len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]

    def told(self, now: float) -> list[str]:
        """What others are to hear."""
        for one, at in list(self._told.items()):
            if now - at > TOLD_FOR_S:
                del self._told[one]
        return list(self._told)


def key(receiver: str, event: Event) -> str:
    """What was told to whom, in a word."""
    return f"{receiver} {event.fingerprint} {event.status}{' again' if event.again else ''}"
