"""Hashing clients onto regions: the same everywhere and forever, so that every edge finds the same region.

Pure; for the policies, and for the shells that need a client's hash unit. Python's `hash()` differs by process and
release and is never used. Sources: splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
OOPSLA 2014); weighted rendezvous hashing (Schindelhauer, Schomaker: Weighted Distributed Hash Tables, SPAA 2005).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from gslb.model import Candidate

NAMES_CACHED = 4096  # region names whose digest is remembered
UNIT_BITS = {4: 24, 6: 48}  # how much of an address a client hash looks at
_MASK = (1 << 64) - 1
_IPV6_UNIT = 1 << 48  # sets the units of IPv6 apart from those of IPv4


def client_unit(address: int, family: int) -> int:
    """The unit of a client hash: the /24 of an IPv4 address, the /48 of an IPv6 one; different between the families."""
    return address >> 8 if family == 4 else _IPV6_UNIT | address >> 80


def mix64(number: int) -> int:
    """The splitmix64 step: a bijection of 64-bit numbers whose every output bit depends on every input bit."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ number >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ number >> 27) * 0x94D049BB133111EB) & _MASK
    return number ^ number >> 31


@lru_cache(maxsize=NAMES_CACHED)
def name64(name: str) -> int:
    """64 bits of a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def score(unit: int, name: str, weight: float) -> float:
    """The rendezvous score −w / ln(h) of `name` for a client; the greatest wins, in proportion to the weights.

    `h` in (0, 1) hashes the pair. Weight 0 or less scores below every other.
    """
    if weight <= 0.0:
        return -math.inf
    # 52 bits and a half: never 0 and never 1 as a double
    share = ((mix64(unit ^ name64(name)) >> 12) + 0.5) * 2.0**-52
    return -weight / math.log(share)


def unit_share(unit: int, name: str) -> float:
    """Where in [0, 1) a client stands for `name`; independent of where `score` puts it."""
    return (mix64(mix64(unit) ^ name64(name)) >> 11) * 2.0**-53


def rendezvous(candidates: Sequence[Candidate], unit: int, weight: Callable[[str], float]) -> tuple[Candidate, ...]:
    """`candidates` ranked for the client `unit`: taking one away, or moving one's weight, moves no other pair.

    Those of weight 0 come last, in the order they had.
    """
    return tuple(
        sorted(candidates, key=lambda candidate: -score(unit, candidate.region.name, weight(candidate.region.name)))
    )
