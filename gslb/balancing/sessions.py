"""A session that keeps to its server, told by a signed cookie: where it is, where it began, how often it moved. Core.

The cookie is the truth (DESIGN.md): no node needs to be asked, and every node of the cluster, holding the same secret,
reads the same. When its server is lost, weighted rendezvous on the session's id finds the new one: the same on every
node, so that a session moves once. Dispatch calls `find`; the front door reads cookies by `unseal`.

A cookie's value is base64url of: version, moves, two times, two server tags, the id, two region names, and a keyed
BLAKE2b of them all. Servers are named by tags (a keyed hash), so that nothing of the inside can be read from it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from gslb.model import Region, Server, State, Sticky

VERSION = 1
ID_BYTES = 9
TAG_BYTES = 6
MAC_BYTES = 12
MOVES_MAX = 255
COOKIE_BYTES_MAX = 512
_FIXED = struct.Struct(f"!BBII{TAG_BYTES}s{TAG_BYTES}s{ID_BYTES}sB")
_UNITS = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Session:
    """One client's session with one pool. Times are Unix seconds: cookies cross nodes.

    `home` is where it began, if it has moved since: a region and a server's tag, both "" and b"" otherwise.
    """

    id: bytes
    region: str
    tag: bytes
    issued: int
    moved: int = 0
    moves: int = 0
    home: str = ""
    home_tag: bytes = b""


def tag(secret: bytes, pool: str, server_id: str) -> bytes:
    """What stands for a server in a cookie."""
    return blake2b(f"{pool}/{server_id}".encode(), key=secret[:64], digest_size=TAG_BYTES, person=b"gslb-tag").digest()


def seal(session: Session, secret: bytes, pool: str) -> bytes:
    """The cookie's value; `pool` is mixed in, so that one pool's cookie says nothing to another."""
    home = session.home.encode()
    fixed = _FIXED.pack(
        VERSION, min(session.moves, MOVES_MAX), session.issued, session.moved, session.tag,
        session.home_tag, session.id, len(home),
    )  # fmt: skip
    body = fixed + home + session.region.encode()
    return base64.urlsafe_b64encode(body + _mac(body, secret, pool)).rstrip(b"=")


def unseal(value: bytes, secret: bytes, pool: str) -> Session | None:
    """The session that a cookie tells of; None if it is broken, of another secret or pool, or not ours."""
    if not _FIXED.size + MAC_BYTES < len(value) * 3 // 4 <= COOKIE_BYTES_MAX:
        return None
    try:
        whole = base64.b64decode(value + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, mac = whole[:-MAC_BYTES], whole[-MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(body, secret, pool)):
        return None
    version, moves, issued, moved, server, home_tag, ident, size = _FIXED.unpack_from(body)
    if version != VERSION:
        return None
    names = body[_FIXED.size :].decode("ascii", "replace")
    home, region = names[:size], names[size:]
    return Session(ident, region, server, issued, moved, moves, home, home_tag if home else b"")


def _mac(body: bytes, secret: bytes, pool: str) -> bytes:
    return blake2b(body + pool.encode(), key=secret[:64], digest_size=MAC_BYTES, person=b"gslb-session").digest()


def rendezvous(session_id: bytes, servers: Iterable[Server]) -> Server | None:
    """The server where a session without a home goes: the greatest -weight / ln(h) (weighted rendezvous hashing).

    Looks at every server: for sessions whose server is lost, not for every request.
    """
    best, found = -1.0, None
    for server in servers:
        mine = _score(session_id, server.id, server.weight)
        if mine > best:
            best, found = mine, server
    return found


def home(
    session: Session, states: Mapping[str, State], regions: Sequence[Region], failback_s: float, now: int
) -> str | None:
    """The region that a session is sent to; None if none can take it.

    It goes back to where it began once `failback_s` says so, stays where it is unless that is down or unknown to the
    service, and is else found anew: by rendezvous on its id, so that every front door finds the same.
    """
    known = {region.name: states.get(region.name, State.UNKNOWN) for region in regions}
    fresh = [region for region in regions if known[region.name] in (State.UP, State.UNKNOWN)]
    if session.home and now - session.moved >= failback_s and session.home in {region.name for region in fresh}:
        return session.home
    if known.get(session.region, State.DOWN) is not State.DOWN:
        return session.region
    best = max(fresh, key=lambda region: _score(session.id, region.name, 1.0), default=None)
    return best.name if best is not None else None


def _score(session_id: bytes, name: str, weight: float) -> float:
    digest = blake2b(session_id + name.encode(), digest_size=8).digest()
    return -weight / math.log((int.from_bytes(digest, "big") + 0.5) / _UNITS)


def started(ident: bytes, region: str, server_tag: bytes, now: int) -> Session:
    """A new session."""
    return Session(ident, region, server_tag, now)


def moved(session: Session, region: str, server_tag: bytes, now: int) -> Session:
    """The session in its new place; where it began is kept."""
    back = session.home == region and session.home_tag == server_tag
    return replace(
        session,
        region=region,
        tag=server_tag,
        issued=now,
        moved=now,
        moves=session.moves + 1,
        home="" if back else session.home or session.region,
        home_tag=b"" if back else session.home_tag or session.tag,
    )


def expired(session: Session, sticky: Sticky, now: int) -> bool:
    """Whether nobody has renewed it in time."""
    return now - session.issued > sticky.ttl_s


def renewed(session: Session, sticky: Sticky, now: int) -> Session | None:
    """The session with a new date once half of its time is over; None before."""
    return replace(session, issued=now) if now - session.issued > sticky.ttl_s / 2 else None


def returns(session: Session, sticky: Sticky, now: int) -> bool:
    """Whether the session may go back to where it began (`failback`)."""
    return bool(session.home) and now - session.moved >= sticky.failback_s
