"""Which region: candidates, policies, services, decisions, zones. Everybody imports these from `gslb.model`."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from gslb.model.places import Client, Location, Region


class State(StrEnum):
    """What is known of a region or a server, best first."""

    UP = "up"
    UNKNOWN = "unknown"
    DRAINING = "draining"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region in the running for an answer, with its state."""

    region: Region
    state: State


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a decision's trace: at `stage` ("health", "nearest", …) `region` was kept or not, and why."""

    stage: str
    region: str
    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class Sifted:
    """What a policy returns: candidates ranked (best first) or sifted, and what that depends on.

    `hashed`: the client's hash unit decided, so the answer's scope is at least that unit.
    `alternatives`: ready orders to take in turn, at most 64 (`weighted` with `by: answer`); () is the usual one order.
    `address_limit`: more than 0 says that the candidates were cut to what one answer holds, and to how many addresses.
    """

    candidates: tuple[Candidate, ...]
    notes: tuple[Note, ...] = ()
    hashed: bool = False
    valid_until: float = math.inf
    alternatives: tuple[tuple[Candidate, ...], ...] = ()
    address_limit: int = 0


class Policy(Protocol):
    """One way to choose regions: a frozen dataclass whose fields are its options (see steering/policies/).

    A client's place enters only through `view`: what `classify` made of it from the Plan alone. That takes few
    values, so answers are decided once a class of clients, and two clients with equal views get equal answers.
    """

    name: ClassVar[str]

    def classify(self, location: Location | None, regions: tuple[Region, ...]) -> Hashable:
        """All that this policy will ever need of `location`; None if it looks at no location at all."""

    def apply(self, candidates: tuple[Candidate, ...], view: Hashable, client: Client) -> Sifted:
        """Ranks or sifts `candidates`; never returns none out of some."""


class WhenAllDown(StrEnum):
    """What an answer holds when no region of a service is up."""

    ALL = "all"
    PRIMARY = "primary"
    LAST_GOOD = "last_good"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Service:
    """A host name that is steered: its regions, its chain of policies, its TTLs in seconds."""

    name: str  # lower case, no trailing dot
    regions: tuple[Region, ...]
    chain: tuple[Policy, ...]
    ttl_min_s: float = 5.0
    ttl_max_s: float = 60.0
    when_all_down: WhenAllDown = WhenAllDown.ALL
    fallback: tuple[str, ...] = ()  # addresses, with when_all_down "fallback"


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer and why: the regions in answer order, or literal `addresses` when the fallback spoke.

    `alternatives`, when not (), are whole answers to take in turn. `outcome` is "steered", "draining" (only draining
    regions are left), "all_down" or "no_address" (no configured region has an address of the asked family).
    """

    service: str
    outcome: str
    regions: tuple[Region, ...]
    ttl_s: int
    hashed: bool = False
    valid_until: float = math.inf
    alternatives: tuple[tuple[Region, ...], ...] = ()
    addresses: tuple[str, ...] = ()
    address_limit: int = 8
    trace: tuple[Note, ...] = ()


# ---------------------------------------------------------------- zones
@dataclass(frozen=True, slots=True)
class Record:
    """One resource record of a zone as text: absolute lower-case owner without the last dot, RFC 1035 rdata."""

    owner: str
    type: str
    ttl_s: int
    data: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone we are the authority for. `nameservers` maps absolute host names to their glue addresses."""

    origin: str
    nameservers: Mapping[str, tuple[str, ...]]
    records: tuple[Record, ...]
    serial: int
    contact: str = "hostmaster"  # RNAME, relative to the origin
    ttl_s: int = 3600
    refresh_s: int = 3600
    retry_s: int = 600
    expire_s: int = 1_209_600
    minimum_s: int = 60
