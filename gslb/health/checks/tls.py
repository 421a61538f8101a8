"""tls: a server is up if it shows a certificate that is verified and valid for long enough."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gslb.health.check import CHECKS, DAY_S, DAYS_MAX, Asked, Handshake, Reply, Result

_HOST = re.compile(r"[A-Za-z0-9._-]{0,253}").fullmatch


@CHECKS.register("tls")
@dataclass(frozen=True, slots=True)
class TlsCheck:
    """A handshake, verified by the pool's `tls` or else by what this system trusts, and nothing after it.

    Attributes:
        server_name: the name that is asked for and must be in the certificate; "" is the pool's, or the server's host.
        min_days: the server is down if its certificate ends sooner than this.
    """

    server_name: str = ""
    min_days: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for options that can't be meant."""
        if not _HOST(self.server_name):
            raise ValueError(f"server_name {self.server_name!r} is not a host name")
        if not 0 <= self.min_days <= DAYS_MAX:
            raise ValueError(f"min_days {self.min_days} is not from 0 to {DAYS_MAX}")

    def request(self) -> Asked:
        """See Check."""
        return Handshake(self.server_name)

    def judge(self, reply: Reply) -> Result:
        """See Check. What is not verified never comes so far."""
        if reply.expires_in_s is None:
            return Result(False, "it shows no certificate")
        days = reply.expires_in_s / DAY_S
        if days < self.min_days:
            return Result(False, f"its certificate ends in {days:.1f} days, wanted are {self.min_days}")
        return Result(True, f"its certificate holds for {int(days)} days")
