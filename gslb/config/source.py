"""A configuration file on its way through the checks. For load.py and the checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from gslb.config.reader import Document
from gslb.config.values import Section

S = TypeVar("S", bound=Section)


@dataclass(slots=True)
class Source(Generic[S]):
    """A file with its lines, and what its model made of it (None: nothing can be made of it).

    `region`, `pools`, `zones` and `limits` are the names in the file before anything wrong was taken out of it: naming
    one of them elsewhere is no second mistake.
    """

    document: Document
    model: S | None
    region: str = ""
    pools: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    limits: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KeyChecks:
    """Whose files to read.

    `node`: the edge's or the region's; None is everybody's. `now`: Unix time, to judge by whether a certificate has
    expired; None does not judge, since a node that starts may have nothing better.
    """

    node: str | None = None
    now: float | None = None
