"""One request's tries: how many, until when, and never the same server twice while another is left. Core.

The proxy makes one Exchange a request, asks `next` for a server, and on failure asks `failed` whether to go on. The
rules are REFERENCE's "Retries": failed connects by default, anything else only where the error says that nothing is
repeated (`HttpError.may_retry`), all inside one deadline.
"""

from __future__ import annotations

from gslb.balancing.pool import PoolState
from gslb.errors import HttpError
from gslb.model import Server

ATTEMPTS_MAX = 10


class Exchange:
    """The tries of one request."""

    __slots__ = ("attempts", "deadline", "tried")

    def __init__(self, attempts: int, deadline: float) -> None:
        """At most `attempts` tries (the first included), none started after `deadline` on the caller's clock."""
        self.attempts = min(max(attempts, 1), ATTEMPTS_MAX)
        self.deadline = deadline
        self.tried: tuple[str, ...] = ()  # server ids in the order of the tries

    def next(self, pool: PoolState, key: bytes | int | None, now: float) -> Server | None:
        """The server to try, or None: no try is left, no time, or no server with room.

        A server that was tried comes again only when no other has room, so a pool of one gets its second try too.
        """
        if len(self.tried) >= self.attempts or now >= self.deadline:
            return None
        server = pool.pick(key, now, self.tried)
        if server is None and self.tried:
            server = pool.pick(key, now, self.tried[-1:]) or pool.pick(key, now)
        if server is not None:
            self.tried += (server.id,)
        return server

    def failed(self, error: HttpError, now: float) -> bool:
        """Whether another try may be made after `error`. A failed connect says `may_retry`: nothing was sent."""
        return error.may_retry and len(self.tried) < self.attempts and now < self.deadline
