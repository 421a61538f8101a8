"""What contexts are made of: certificates, keys, authorities as bytes, and what they say. Values only.

Control reads and tries them (reading.py). Workers get them over their link and read no file: every one of them serves
exactly what control has tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gslb.model import KeyPair


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a certificate: the DNS names and IP addresses that it is for, and from when to when, in Unix seconds."""

    names: tuple[str, ...]
    not_before: float
    expires: float


@dataclass(frozen=True, slots=True)
class Material:
    """A certificate with its chain and its key, both PEM, and what it says. `passphrase` b"" is none."""

    certificate: bytes
    key: bytes = field(repr=False)
    passphrase: bytes = field(repr=False)
    facts: Facts


@dataclass(frozen=True, slots=True)
class Keys:
    """All that a node's TLS is made of: by the files of each pair, and by the path of each authorities' file."""

    pairs: Mapping[KeyPair, Material] = field(default_factory=dict)
    authorities: Mapping[str, bytes] = field(default_factory=dict)
