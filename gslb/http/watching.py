"""How requests end, told to whom it teaches something: an algorithm that goes by response times.

A `Watch` is a pool's part (`PoolLinks.watch`, None for all other pools). Attempts and hedges tell it how each try ends.
"""

from __future__ import annotations

from collections.abc import Callable

from gslb.model import Server

Observe = Callable[[str, float, bool, float], None]


class Watch:
    """One pool of one worker."""

    __slots__ = ("_clock", "_observe")

    def __init__(self, observe: Observe, clock: Callable[[], float]) -> None:
        """`observe` as balancing/algorithm.py's Observer; `clock` gives monotonic seconds."""
        self._observe, self._clock = observe, clock

    def answered(self, server: Server, line: bytes, began: float) -> None:
        """A try ended with a whole response, whose status line begins `line`; it began at `began`."""
        del line
        now = self._clock()
        self._observe(server.id, now - began, True, now)

    def ended(self, server: Server, reason: str, began: float) -> None:
        """A try ended otherwise; `reason` as in `replies.ERRORS`, "" if nobody is to blame (the client left)."""
        if reason:
            now = self._clock()
            self._observe(server.id, now - began, False, now)
