"""The message boundary of a node: everything that control and a data worker ever say to each other.

Control sends the Plan whole and Status as numbered changes; a worker that sees a gap asks for a full copy. Frames are
a 4-byte length and a pickle: both ends were forked from one parent, run the same code as the same user, and nobody
else holds the socket. Pure: bytes and values, no I/O.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gslb.balancing.leases import Ask, Grant
from gslb.balancing.loads import LoadReport
from gslb.balancing.outcomes import Outcome
from gslb.balancing.tallies import Counted
from gslb.errors import NodeError
from gslb.model import BreakerState, Plan, RegionStatus, State, Status
from gslb.tls.material import Keys

FRAME_MAX_BYTES = 256 << 20
_LENGTH = struct.Struct("!I")


# ---------------------------------------------------------------- control to worker
@dataclass(frozen=True, slots=True)
class NewPlan:
    """Serve by this plan from now on. `cookie_secret` keys DNS cookies (RFC 7873), the same on every edge."""

    plan: Plan
    cookie_secret: bytes


@dataclass(frozen=True, slots=True)
class NewKeys:
    """Certificates and keys that control has read and tried: serve by these from the next handshake on."""

    keys: Keys


@dataclass(frozen=True, slots=True)
class NewTables:
    """Prefix tables built in the background for the geo database with this stamp, by chain key."""

    stamp: str
    tables: Mapping[Hashable, Any]


@dataclass(frozen=True, slots=True)
class FullStatus:
    """The whole Status, as number `number`."""

    number: int
    status: Status


@dataclass(frozen=True, slots=True)
class StatusChange:
    """What makes Status `number` out of `number - 1`; None in a mapping removes the key."""

    number: int
    generation: int
    regions: Mapping[str, RegionStatus | None] = field(default_factory=dict)
    servers: Mapping[str, State | None] = field(default_factory=dict)
    last_good: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    draining: bool = False
    stale: bool = False
    breakers: Mapping[str, BreakerState | None] = field(default_factory=dict)
    services: Mapping[str, RegionStatus | None] = field(default_factory=dict)
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Send one request to a half-open server, and say what came of it: an Outcome with this number as its probe."""

    pool: str
    server: str
    epoch: int
    lease: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Finish what you have within `grace_s` seconds, take nothing new, then stop.

    `moving`: another process of this node has taken over, so nobody else is told.
    """

    grace_s: float
    moving: bool = False


# ---------------------------------------------------------------- worker to control
@dataclass(frozen=True, slots=True)
class Hello:
    """A worker is there and knows nothing yet: it wants the Plan, the tables and the Status."""

    index: int
    pid: int


@dataclass(frozen=True, slots=True)
class WantFull:
    """A gap in the numbers, or nothing before: send a FullStatus."""

    have: int


@dataclass(frozen=True, slots=True)
class ServerCounts:
    """What servers (`pool/server id`) did since the worker's start, where that changed; bounded by TOLD_MAX."""

    pid: int
    counts: Mapping[str, Counted]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of requests to servers that have a breaker or may be ejected."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Asks:
    """A worker runs low of slices; control answers with Grants of the same number, at once, perhaps empty."""

    number: int
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Grants:
    """Slices for a worker, see balancing/leases.py. Those that came from elsewhere follow under another number."""

    number: int
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Sessions:
    """Where sessions of a pool are: keys, or ids of cookies' sessions, and server ids. From a worker, or to others."""

    pool: str
    entries: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True)
class Loads:
    """What agents say of a pool's servers, by server id."""

    pool: str
    loads: Mapping[str, LoadReport]


Message = (
    NewKeys | NewPlan | NewTables | FullStatus | StatusChange | Lease | Grants | Drain
    | Loads | Hello | WantFull | ServerCounts | Outcomes | Asks | Sessions
)  # fmt: skip


def diff(old: Status, new: Status, number: int) -> StatusChange:
    """The change that makes `new` out of `old`, as number `number`."""

    def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: value for key, value in after.items() if before.get(key) != value}
        found.update(dict.fromkeys(before.keys() - after.keys()))
        return found

    return StatusChange(
        number,
        new.generation,
        changed(old.regions, new.regions),
        changed(old.servers, new.servers),
        new.last_good,
        new.draining,
        new.stale,
        changed(old.breakers, new.breakers),
        changed(old.services, new.services),
        new.share,
    )


def apply(status: Status, change: StatusChange) -> Status:
    """`status` with `change` made."""

    def merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> Mapping[str, Any]:
        if not changes:
            return before
        after = {**before, **changes}
        return {key: value for key, value in after.items() if value is not None}

    return replace(
        status,
        generation=change.generation,
        regions=merged(status.regions, change.regions),
        servers=merged(status.servers, change.servers),
        last_good=change.last_good,
        draining=change.draining,
        stale=change.stale,
        breakers=merged(status.breakers, change.breakers),
        services=merged(status.services, change.services),
        share=change.share,
    )


def encode(message: Message) -> bytes:
    """One frame."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    if len(body) > FRAME_MAX_BYTES:
        raise NodeError(f"a {type(message).__name__} of {len(body)} bytes is over the bound of {FRAME_MAX_BYTES}")
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Takes what was received, gives every message that is complete."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if length > FRAME_MAX_BYTES:
                raise NodeError(f"a frame of {length} bytes is over the bound of {FRAME_MAX_BYTES}")
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield pickle.loads(body)
