"""Where a request's session is: by our own signed cookie, or by a key that a bounded table remembers. Core.

One of the two for a pool in one worker. Dispatch asks `find` before it picks, and when the response comes it calls
`begin` for a request without a session, or `learn` for a server's own cookie.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from gslb.balancing.keys import Key, parse_key
from gslb.balancing.pool import PoolState
from gslb.balancing.request import Request
from gslb.balancing.sessions import (
    Session,
    expired,
    moved,
    rendezvous,
    renewed,
    returns,
    seal,
    started,
    tag,
    unseal,
)
from gslb.model import Server, Sticky

ENTRIES_MAX = 100_000  # keys that a pool's table remembers, in each worker; the longest unused is forgotten
NEWS_MAX = 10_000  # of them that wait to be told to the other workers; the oldest goes untold
KEY_BYTES_MAX = 256  # longer keys are no sessions


@dataclass(frozen=True, slots=True)
class Found:
    """A request's session.

    `server` None: pick one; a session begins at the one that answers. `session`: what to tell the client, if that has
    changed. `spill`: the session's server is full, so this request alone goes elsewhere.
    """

    server: Server | None = None
    session: Session | None = None
    spill: bool = False

    @property
    def news(self) -> bool:
        """Whether the client is told: the session is another one than it knows, or begins now."""
        return self.session is not None or (self.server is None and not self.spill)


NONE = Found()
SPILL = Found(spill=True)


class CookieSticking:
    """Sessions by our own cookie. Nothing is remembered here: the cookie is the truth."""

    def __init__(self, sticky: Sticky, secret: bytes, region: str) -> None:
        self.sticky, self.secret, self.region = sticky, secret, region
        self.name = sticky.name.encode()
        self._pool = ""
        self._ids: dict[bytes, str] = {}  # tag -> server id
        self._servers: tuple[Server, ...] = ()
        self._news: deque[tuple[bytes, str]] = deque(maxlen=NEWS_MAX)

    def update(self, pool: str, servers: tuple[Server, ...]) -> None:
        """The pool's configured servers."""
        if servers is not self._servers or pool != self._pool:
            self._pool, self._servers = pool, servers
            self._ids = {tag(self.secret, pool, server.id): server.id for server in servers}

    def find(self, request: Request, state: PoolState, now: int) -> Found:
        """Where the request's session is; `now` in Unix seconds."""
        value = request.cookie(self.name)
        session = unseal(value, self.secret, self._pool) if value else None
        if session is None or expired(session, self.sticky, now):
            return NONE
        home = self._kept(session.home_tag, state) if session.home == self.region else None
        if home is not None and returns(session, self.sticky, now):
            return self._told(home, moved(session, self.region, session.home_tag, now), state)
        server = self._kept(session.tag, state) if session.region == self.region else None
        if server is not None:
            return self._told(server, renewed(session, self.sticky, now), state)
        if home is not None and session.region != self.region:  # it was sent back to where it began
            return self._told(home, moved(session, self.region, session.home_tag, now), state)
        server = rendezvous(session.id, state.choices())
        if server is None:
            return NONE
        new = moved(session, self.region, tag(self.secret, self._pool, server.id), now)
        return self._told(server, new, state)

    def begin(self, server: Server, now: int, ident: bytes) -> Session:
        """A request without a session was given to `server`; `ident` is random."""
        return started(ident, self.region, tag(self.secret, self._pool, server.id), now)

    def note(self, session: Session, server: Server) -> None:
        """The client was told that its session is on `server`: for the record."""
        self._news.append((session.id, server.id))

    def told(self) -> tuple[tuple[bytes, str], ...]:
        """What is to be recorded, once: sessions' ids and the ids of their servers."""
        news = tuple(self._news)
        self._news.clear()
        return news

    def sealed(self, session: Session) -> bytes:
        """The cookie's value."""
        return seal(session, self.secret, self._pool)

    def _kept(self, server_tag: bytes, state: PoolState) -> Server | None:
        server_id = self._ids.get(server_tag)
        return state.keeps(server_id) if server_id is not None else None

    @staticmethod
    def _told(server: Server, session: Session | None, state: PoolState) -> Found:
        return SPILL if state.full(server.id) else Found(server, session)


class KeySticking:
    """Sessions by a key of the request: its server is remembered for `ttl` after the last request."""

    def __init__(self, sticky: Sticky) -> None:
        self.sticky = sticky
        kind, _, name = sticky.by.partition(":")
        self.learned = name.encode() if kind == "learned" else b""  # a cookie that servers set
        self.key: Key = Key("cookie", self.learned) if self.learned else parse_key(sticky.by)
        self._table: OrderedDict[bytes, tuple[str, int]] = OrderedDict()  # key -> server id, until when
        self._news: deque[tuple[bytes, str]] = deque(maxlen=NEWS_MAX)

    def find(self, request: Request, state: PoolState, now: int) -> Found:
        """Where the request's session is. A new one by header or address goes where rendezvous says.

        So all workers and nodes agree before they have heard of it.
        """
        key = self.key.of(request)
        if key is None or len(key) > KEY_BYTES_MAX:
            return NONE
        known = self._table.get(key)
        server = state.keeps(known[0]) if known is not None and known[1] >= now else None
        if server is None:
            if self.learned and known is None:
                return NONE
            server = rendezvous(key, state.choices())
            if server is None:
                return NONE
            self._news.append((key, server.id))
        self.remember(key, server.id, now)
        return SPILL if state.full(server.id) else Found(server)

    def learn(self, value: bytes, server_id: str, now: int) -> None:
        """A server has set its session cookie to `value`."""
        if 0 < len(value) <= KEY_BYTES_MAX:
            known = self._table.get(value)
            if known is None or known[0] != server_id:
                self._news.append((value, server_id))
            self.remember(value, server_id, now)

    def remember(self, key: bytes, server_id: str, now: int) -> None:
        """Notes where a key's session is, from a request or from another worker."""
        table = self._table
        table[key] = server_id, int(now + self.sticky.ttl_s)
        table.move_to_end(key)
        if len(table) > ENTRIES_MAX:
            table.popitem(last=False)

    @property
    def news(self) -> bool:
        """Whether there is something that the other workers have to hear."""
        return bool(self._news)

    def told(self) -> tuple[tuple[bytes, str], ...]:
        """What the other workers have to hear, once: keys and the ids of their servers."""
        news = tuple(self._news)
        self._news.clear()
        return news

    @property
    def size(self) -> int:
        """How many keys are remembered."""
        return len(self._table)
