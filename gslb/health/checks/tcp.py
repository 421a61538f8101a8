"""tcp: a server is up if it takes a connection in time."""

from __future__ import annotations

from dataclasses import dataclass

from gslb.health.check import CHECKS, Reply, Request, Result


@CHECKS.register("tcp")
@dataclass(frozen=True, slots=True)
class TcpCheck:
    """Connects and closes. No options. A frozen process still passes (its kernel accepts): prefer http."""

    def request(self) -> Request | None:
        """See Check."""
        return None

    def judge(self, reply: Reply) -> Result:
        """See Check."""
        del reply
        return Result(True, "connected")
