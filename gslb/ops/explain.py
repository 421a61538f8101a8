"""Explains one answer: the production engine's own decision and trace, as data.

Used by a node's admin API (with its live Status and evidence) and by `gslb explain` without a node (with none). It
decides nothing by itself, so what it says is what DNS and the front door do.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gslb.errors import GslbError
from gslb.geo.distance import distance_km
from gslb.geo.locate import Locator
from gslb.model import Client, Decision, Location, RegionStatus, Service, State, Status, World
from gslb.steering import engine
from gslb.steering.hashing import UNIT_BITS, client_unit

KINDS: tuple[tuple[str, int | None], ...] = (("A", 4), ("AAAA", 6), ("front door", None))


class AskError(GslbError):
    """The question itself is wrong: no such service, not an address."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What an explanation draws on. `evidence` says per region what its health rests on, with ages in seconds."""

    world: World
    locator: Locator
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    offline: bool = False


def parse_client(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int]:
    """The client's prefix and its address as an integer. Raises AskError."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise AskError(f"{text!r} is not an IP address or prefix: write 81.2.69.142 or 203.0.113.0/24") from None
    return network, int(network.network_address)


def explain(knowledge: Knowledge, name: str, client_text: str, now: float) -> dict[str, Any]:
    """Where the client is, every region with its part in the decision, and the answers.

    Raises AskError for an unknown service or a client that is no address.
    """
    plan, status = knowledge.world.plan, knowledge.world.status
    service = plan.services.get(name.rstrip(".").lower())
    if service is None:
        known = ", ".join(sorted(plan.services)) or "none"
        raise AskError(f"{name!r} is not a service; known: {known}")
    network, address = parse_client(client_text)
    family, length = network.version, network.prefixlen
    location, _ = knowledge.locator.locate(address, family)
    class_id, views, scope = knowledge.locator.find(service.name, address, family, length)
    client = Client(client_unit(address, family), location)
    answers: dict[str, Any] = {}
    decisions: list[Decision] = []
    for kind, wanted in KINDS:
        decision = engine.decide(service, views, client, wanted, status, now)
        decisions.append(decision)
        answers[kind] = _answer(decision, wanted, max(scope, UNIT_BITS[family]) if decision.hashed else scope)
    return {
        "offline": knowledge.offline,
        "name": service.name,
        "client": str(network) if length != network.max_prefixlen else str(network.network_address),
        "location": _location(location),
        "class": class_id,
        "status": {"generation": status.generation, "stale": status.stale, "plan": plan.generation},
        "regions": _regions(service, location, status, knowledge.evidence, decisions),
        "answers": answers,
    }


def _location(location: Location | None) -> dict[str, Any] | None:
    if location is None:
        return None
    return {
        "country": location.country,
        "continent": location.continent,
        "subdivision": location.subdivision,
        "latitude": location.latitude,
        "longitude": location.longitude,
    }


def _answer(decision: Decision, family: int | None, scope: int) -> dict[str, Any]:
    """One answer. A negative one carries scope 0 (RFC 7871 §7.4)."""
    if family is None:
        where = [region.url for region in decision.regions[:1]]
    else:
        where = [address for region in decision.regions for address in region.addresses(family)]
        where = (where or list(decision.addresses))[: decision.address_limit]
    return {
        "outcome": decision.outcome,
        "regions": [region.name for region in decision.regions],
        "addresses" if family else "url": where if family else (where[0] if where else None),
        "ttl_s": decision.ttl_s,
        "scope": scope if where and family else 0,
        "hashed": decision.hashed,
        "alternatives": len(decision.alternatives),
        "valid_until": decision.valid_until if math.isfinite(decision.valid_until) else None,
    }


def _regions(
    service: Service,
    location: Location | None,
    status: Status,
    evidence: Mapping[str, Mapping[str, Any]],
    decisions: list[Decision],
) -> list[dict[str, Any]]:
    """Every region of the service, with the notes that the decision for A (else AAAA) left about it."""
    decision = next((one for one in decisions if one.outcome != "no_address"), decisions[0])
    chosen = {region.name for region in decision.regions}
    rows = []
    for region in service.regions:
        known = status.of(service.name, region.name) or RegionStatus(State.UNKNOWN, "never seen")
        rows.append(
            {
                "name": region.name,
                "distance_km": round(distance_km(location, region.location)) if location else None,
                "state": known.state.value,
                "why": known.why,
                "forced": known.forced,
                "evidence": dict(evidence.get(region.name, {})),
                "in": region.name in chosen,
                "notes": [
                    {"stage": note.stage, "kept": note.kept, "why": note.why}
                    for note in decision.trace
                    if note.region == region.name
                ],
            }
        )
    return rows
