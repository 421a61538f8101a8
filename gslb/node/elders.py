"""The workers of the program that this one replaced: they serve until their successors do, then drain and go.

The parent owns them. They stay its children through `exec`, so they die with it as all others do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Sequence

MOVED_BY_S = 65.0  # a little more than a worker gives itself (worker.MOVE_GRACE_S): then it is killed

log = logging.getLogger("gslb.parent")


class Elders:
    """Process ids, each alive or not yet collected."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = list(pids)
        self._until: float | None = None  # when those that were told to go are killed

    def look(self, now: float, *, relieved: bool) -> None:
        """Collects those that ended; once their successors serve (`relieved`), tells all to go."""
        if not self.pids:
            return
        self._reap()
        if relieved and self._until is None:
            log.info("the new workers serve; %d old ones finish what they have", len(self.pids))
            self._tell(signal.SIGUSR2)
            self._until = now + MOVED_BY_S
        if self._until is not None and now > self._until:
            log.warning("%d old workers are still there after %g s; they are killed", len(self.pids), MOVED_BY_S)
            self._tell(signal.SIGKILL)
            self._until = now + MOVED_BY_S

    def stop(self) -> None:
        """Tells them to drain as the node's other workers do: the node stops."""
        self._tell(signal.SIGTERM)
        self._tell(signal.SIGCONT)

    def await_end(self, deadline: float) -> None:
        """Returns when all have ended; they are killed at the deadline."""
        while self.pids:
            self._reap()
            if self.pids and time.monotonic() > deadline:
                self._tell(signal.SIGKILL)
            if self.pids:
                time.sleep(0.02)

    def _tell(self, number: signal.Signals) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _reap(self) -> None:
        for pid in tuple(self.pids):
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended = pid
            if ended:
                self.pids.remove(pid)
