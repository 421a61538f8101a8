"""The shared store: what a report is, what is believed of it, and the protocol that every store keeps.

A node publishes one report of its kind again and again; each carries the node's incarnation (raised at every start)
and a sequence number, and per node the greatest pair wins. A report expires by itself. Whatever else is found in a
store is ignored and counted: other programs and other versions may write there. Pure; stores and their callers use it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gslb.errors import StateError

SCHEMA = 1
REPORT_MAX_BYTES = 65_536
NODES_MAX = 1024  # reports of one kind that are read
NUMBER_MAX = 2**53 - 1  # of incarnations and sequences: what JSON and Lua hold exactly
KINDS = ("region", "view")
_NODE = re.compile(r"[A-Za-z0-9._:@/-]{1,255}", re.ASCII)

Order = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Report:
    """What `node` says: kind "region" (a region node's own word) or "view" (what an edge's probes see).

    `payload` is JSON; of a region `{"region": name, "state": word, …}`, of a view `{"regions": {name: state}, …}`.
    """

    kind: str
    node: str
    incarnation: int
    sequence: int
    payload: Mapping[str, Any]
    schema: int = SCHEMA

    @property
    def order(self) -> Order:
        """What says which of two reports of a node is newer."""
        return self.incarnation, self.sequence


class Store(Protocol):
    """One shared store. Every failure is a StoreUnavailable; a bad value never is a failure."""

    endpoint: str  # for people, without a password
    kind: str  # "memory", "single", "sentinel" or "cluster"
    ignored: Counter[str]  # values found that could not be used, by one of metrics.IGNORED

    async def publish(self, report: Report, ttl_s: float) -> Order:
        """Keeps `report` for `ttl_s` seconds unless a newer one of the node is there; the order kept in the end.

        Raises StateError if the report itself can't be stored.
        """

    async def read(self, kind: str) -> tuple[Report, ...]:
        """The living reports of one kind, at most NODES_MAX, by node."""

    async def remove(self, kind: str, node: str) -> None:
        """Forgets a node's report; nothing if there is none."""

    async def hint(self) -> None:
        """Tells whoever listens that something has changed."""

    def hints(self) -> AsyncIterator[None]:
        """Each time that somebody hints; it may miss some, or hear too many: polling is the truth."""

    async def ping(self) -> float:
        """Seconds that one round trip takes."""

    async def close(self) -> None:
        """Gives back its connections."""


def encode(report: Report) -> bytes:
    """`report` as it is stored. Raises StateError if nobody could read it back."""
    try:
        data = json.dumps(
            {
                "schema": report.schema,
                "kind": report.kind,
                "node": report.node,
                "incarnation": report.incarnation,
                "sequence": report.sequence,
                "payload": dict(report.payload),
            },
            separators=(",", ":"),
            allow_nan=False,
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise StateError(f"the report of {report.node!r} is not JSON: {error}") from error
    if isinstance(wrong := decode(data, report.kind, report.node), str):
        what = f"{report.kind} report of {report.node!r} ({len(data)} bytes)"
        raise StateError(f"nobody could read the {what}: its {wrong} is wrong")
    return data


def decode(data: bytes, kind: str, node: str) -> Report | str:
    """The report that was stored as `data` under this kind and node; else what is wrong, of metrics.IGNORED."""
    if len(data) > REPORT_MAX_BYTES:
        return "size"
    try:
        found = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "json"
    if not isinstance(found, dict):
        return "shape"
    report = Report(*(found.get(name) for name in Report.__slots__))  # type: ignore[arg-type]  # checked below
    if report.schema != SCHEMA:
        return "schema"
    if report.kind != kind or report.node != node or not _NODE.fullmatch(node):
        return "name"
    if not all(type(number) is int and 0 <= number <= NUMBER_MAX for number in report.order):
        return "number"
    shaped = _SHAPES.get(kind)
    fits = isinstance(report.payload, dict) and shaped is not None and shaped(report.payload)
    return report if fits else "shape"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _region(payload: Mapping[str, Any]) -> bool:
    return isinstance(payload.get("region"), str) and isinstance(payload.get("state"), str)


def _view(payload: Mapping[str, Any]) -> bool:
    regions = payload.get("regions")
    return isinstance(regions, dict) and all(isinstance(state, str) for state in regions.values())


_SHAPES: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {"region": _region, "view": _view}
