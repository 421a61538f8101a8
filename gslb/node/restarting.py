"""A restart in place: the parent becomes the new program (`exec`), with the same sockets and the same process id.

First a child rehearses: the new program with the new files goes as far as it can without serving. Only if that was
fine is anything touched. Then control ends, the parent execs, and the old workers serve on as `Elders` until the new
ones do. The parent asks and looks; nothing here waits but for control's end.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time

from gslb.node import handover
from gslb.node.context import NodeContext

REHEARSAL_MAX_S = 30.0

log = logging.getLogger("gslb.parent")


class Restarting:
    """One node's restarts. `refused` counts those that came to nothing."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._rehearsal: subprocess.Popen[bytes] | None = None
        self._until = 0.0
        self.refused = 0

    def ask(self, now: float) -> None:
        """Starts the rehearsal; while one is under way it is the answer to this call, too."""
        if self._rehearsal is not None:
            return
        log.info("restarting in place: the new program rehearses")
        words = self._environment((), rehearsal=True)
        try:
            self._rehearsal = subprocess.Popen(  # noqa: S603 - this program's own words
                _command(), env=words, stdin=subprocess.DEVNULL, pass_fds=handover.descriptors(self._context)
            )
        except OSError as error:
            self._refuse(str(error))
        self._until = now + REHEARSAL_MAX_S

    def ready(self, now: float) -> bool:
        """Whether a rehearsal has just gone well."""
        if self._rehearsal is None:
            return False
        code = self._rehearsal.poll()
        if code is None and now > self._until:
            self._rehearsal.kill()
            self._rehearsal.wait()
            code = -9
        if code is None:
            return False
        self._rehearsal = None
        if code:
            self._refuse(f"the rehearsal ended with {code}: what it said is above")
        return code == 0

    def abandon(self) -> None:
        """The node stops: nothing will be restarted."""
        if self._rehearsal is not None:
            self._rehearsal.kill()
            self._rehearsal.wait()
            self._rehearsal = None

    def go(self, elders: list[int]) -> None:
        """Becomes the new program; returns only if that fails."""
        for descriptor in handover.descriptors(self._context):
            os.set_inheritable(descriptor, True)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            words, environment = _command(), self._environment(tuple(elders), rehearsal=False)
            os.execve(words[0], words, environment)  # noqa: S606 - the same
        except OSError as error:
            self._refuse(str(error))
        for descriptor in handover.descriptors(self._context):
            os.set_inheritable(descriptor, False)

    def _environment(self, elders: tuple[int, ...], *, rehearsal: bool) -> dict[str, str]:
        return {
            **self._context.environment,
            handover.VARIABLE: handover.pack(self._context, elders, rehearsal=rehearsal),
        }

    def _refuse(self, why: str) -> None:
        self.refused += 1
        log.error("the restart is refused; everything goes on as it was", extra={"why": why})


def _command() -> list[str]:
    """This program's own words, run by the interpreter that is in its place now."""
    return [sys.executable, *sys.orig_argv[1:]]


def await_end(pid: int, within_s: float) -> bool:
    """Whether the child `pid` ended in time; signals that come meanwhile stay pending, for whoever comes next."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        time.sleep(0.01)
    return False
