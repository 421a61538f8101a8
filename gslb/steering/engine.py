"""The engine: which regions answer for a service, and why. Pure; DNS, the front door and `explain` all ask it.

A decision runs in stages, each of which leaves its notes in the trace:

1. `address`: a region without an address of the asked family (a URL, at the front door) is no candidate. If no
   configured region has one the outcome is "no_address": the only NODATA that a configured name may get.
2. `health`: candidates are the regions UP and UNKNOWN (outcome "steered"); if none, those DRAINING ("draining"); if
   none, `when_all_down` says ("all_down"). What an operator forced down is used only if nothing else is configured.
3. `share`: a region that can have but a share of its clients is none for the rest of them, chosen by a hash of the
   client's unit, as long as another candidate is left to them.
4. The service's chain, in order. After each policy regions known to be up come before those unknown.
5. `answer`: without `limit` in the chain, the first region only.

A client's place enters through `views` alone, so equal views, units and status give equal decisions but for the words
of the trace.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache

from gslb.model import (
    Candidate,
    Client,
    Decision,
    Location,
    Note,
    RegionStatus,
    Service,
    Sifted,
    State,
    Status,
    WhenAllDown,
)
from gslb.steering.hashing import unit_share

ADDRESSES_MAX = 8  # addresses in one answer, where no `limit` says less
ALTERNATIVES_MAX = 64  # ready answers to take in turn
FALLBACKS_CACHED = 1024
_UNSEEN = RegionStatus(State.UNKNOWN, "no word of it yet")
_TIERS = (("steered", (State.UP, State.UNKNOWN)), ("draining", (State.DRAINING,)))

Order = tuple[Candidate, ...]


def views(service: Service, location: Location | None) -> tuple[Hashable, ...]:
    """All that `service`'s chain will ever need of a client's place: one view a policy.

    Depends on the Plan alone, so it may be made ahead for every network (gslb.geo.prefixes).
    """
    return tuple(policy.classify(location, service.regions) for policy in service.chain)


def decide(
    service: Service,
    views: tuple[Hashable, ...],
    client: Client,
    family: int | None,
    status: Status,
    now: float,
) -> Decision:
    """An answer, and why.

    Args:
        service: what was asked for.
        views: what `views()` made of the client's place for this service.
        client: its hash unit steers; its location is only for words in the trace.
        family: 4 or 6, or None at the front door, where any region with a URL will do.
        status: what is known of the regions. One that it doesn't name is UNKNOWN.
        now: seconds on the clock that `valid_until` is told on.

    Returns:
        Never empty while a configured region has an address of the family. Every region has a note in the trace.
    """
    notes: list[Note] = []
    able = []
    for region in service.regions:
        if region.addresses(family) if family is not None else region.url:
            able.append(Candidate(region, (status.of(service.name, region.name) or _UNSEEN).state))
        else:
            missing = "no URL" if family is None else f"no IPv{family} address"
            notes.append(Note("address", region.name, kept=False, why=missing))
    if not able:
        return Decision(service.name, "no_address", (), int(service.ttl_max_s), trace=tuple(notes))
    ttl_s, valid_until = _times(service, able, status, now)
    outcome, pool = _pool(service, able, status)
    _note_health(notes, able, pool, outcome, service, status)
    if outcome == "all_down" and service.when_all_down is WhenAllDown.FALLBACK:
        literal = _of_family(service.fallback, family)
        if literal:
            notes.extend(
                Note("answer", each.region.name, kept=False, why="all are down: the fallback answers") for each in able
            )
            return Decision(
                service.name, outcome, (), ttl_s, valid_until=valid_until,
                addresses=literal[:ADDRESSES_MAX], trace=tuple(notes),
            )  # fmt: skip
    pool, shared = _spill(service, pool, client, status, notes)
    orders, sifted = _run(service, pool, views, client, notes)
    return Decision(
        service.name,
        outcome,
        tuple(candidate.region for candidate in orders[0]),
        ttl_s,
        hashed=shared or any(stage.hashed for stage in sifted),
        valid_until=min(valid_until, *(stage.valid_until for stage in sifted), math.inf),
        alternatives=tuple(tuple(each.region for each in order) for order in orders) if len(orders) > 1 else (),
        address_limit=min((stage.address_limit for stage in sifted if stage.address_limit), default=ADDRESSES_MAX),
        trace=tuple(notes),
    )


def steers(status: Status) -> tuple[Hashable | Mapping[str, object], ...]:
    """All of a Status that a decision can depend on: words and ages are not in it. Equal ones share a generation."""
    regions = {name: (one.state, one.forced, one.changes_in_s, one.share) for name, one in status.regions.items()}
    return regions, status.last_good, {name: (one.state, one.share) for name, one in status.services.items()}


def last_good(services: Iterable[Service], status: Status) -> Mapping[str, tuple[str, ...]]:
    """`Status.last_good` under this Status: what is up now, or while nothing is, what it was before."""
    up = {name for name, one in status.regions.items() if one.state is State.UP}
    found = {}
    for service in services:
        if service.when_all_down is WhenAllDown.LAST_GOOD:
            good = tuple(region.name for region in service.regions if region.name in up)
            found[service.name] = good or status.last_good.get(service.name, ())
    return found


def _run(
    service: Service, pool: Order, views: tuple[Hashable, ...], client: Client, notes: list[Note]
) -> tuple[Sequence[Order], list[Sifted]]:
    """The chain over `pool`: the orders to answer in (several only by `alternatives`), and what each stage said."""
    orders: Sequence[Order] = (pool,)
    said = []
    for policy, view in zip(service.chain, views, strict=True):
        passed: list[Order] = []
        for turn, order in enumerate(orders):
            stage = policy.apply(order, view, client)
            said.append(stage)
            if turn == 0:  # the trace follows the first order
                notes.extend(stage.notes)
            if not stage.candidates:
                notes.append(Note(policy.name, order[0].region.name, kept=True, why="kept none of them: ignored"))
            passed.extend(_up_first(each or order) for each in stage.alternatives or (stage.candidates,))
        orders = passed[:ALTERNATIVES_MAX]
    if not any(stage.address_limit for stage in said):
        first, *cut = orders[0]
        notes.append(Note("answer", first.region.name, kept=True, why="first: an answer holds one region"))
        for each in cut:
            behind = "unknown ranks behind up" if each.state is not first.state else "an answer holds one region"
            notes.append(Note("answer", each.region.name, kept=False, why=behind))
        orders = [order[:1] for order in orders]
    return orders, said


def _up_first(order: Order) -> Order:
    """`order` with those known to be up before those unknown."""
    for candidate in order:
        if candidate.state is State.UNKNOWN:
            return tuple(sorted(order, key=lambda candidate: candidate.state is State.UNKNOWN))
    return order


def _pool(service: Service, able: Sequence[Candidate], status: Status) -> tuple[str, Order]:
    """The outcome, and the candidates that the chain is run over."""
    for outcome, states in _TIERS:
        tier = tuple(candidate for candidate in able if candidate.state in states)
        if tier:
            return outcome, tier
    known = [(each, status.of(service.name, each.region.name) or _UNSEEN) for each in able]
    pool = tuple(each for each, one in known if not one.forced) or tuple(able)
    if service.when_all_down is WhenAllDown.PRIMARY:
        pool = pool[:1]
    elif service.when_all_down is WhenAllDown.LAST_GOOD:
        good = status.last_good.get(service.name, ())
        pool = tuple(each for each in pool if each.region.name in good) or pool
    return "all_down", pool


def _spill(
    service: Service, pool: Order, client: Client, status: Status, notes: list[Note]
) -> tuple[Order, bool]:
    """The candidates that have room for this client, and whether its hash decided that.

    Each region hashes for itself, so that its clients spread over all others, and the same stay as its share moves
    (as Akamai and NS1 shed load: a part of the clients, not all of them, or the next region falls over, too).
    """
    shares = [(status.of(service.name, each.region.name) or _UNSEEN).share for each in pool]
    if len(pool) < 2 or min(shares) >= 1.0:
        return pool, False
    both = zip(pool, shares, strict=True)
    room = tuple(each for each, share in both if share >= 1.0 or unit_share(client.unit, each.region.name) < share)
    for each, share in zip(pool, shares, strict=True):
        if share < 1.0:
            kept = each in room or not room
            stays = "this client stays" if each in room else "this client goes to another"
            why = f"can have {share:.0%} of its clients: {stays if room else 'no other has room for this one'}"
            notes.append(Note("share", each.region.name, kept, why))
    return room or pool, True


def _note_health(
    notes: list[Note], able: Iterable[Candidate], pool: Order, outcome: str, service: Service, status: Status
) -> None:
    used = {"draining": "; only draining regions are left", "all_down": "; all are down"}.get(outcome, "")
    for candidate in able:
        name = candidate.region.name
        known = status.of(service.name, name) or _UNSEEN
        kept = candidate in pool
        why = f"{known.state.value}: {known.why}" if known.why else known.state.value
        notes.append(Note("health", name, kept, why + used if kept else why))


def _times(service: Service, able: Iterable[Candidate], status: Status, now: float) -> tuple[int, float]:
    """The answer's TTL, and until when it holds: the soonest that a state could change, while one is moving.

    Source: gdnsd, which clamps the time to the next possible transition between a minimum and the configured TTL.
    """
    moving = [
        soonest
        for each in able
        if (soonest := (status.of(service.name, each.region.name) or _UNSEEN).changes_in_s) is not None
    ]
    if not moving:
        return int(service.ttl_max_s), math.inf
    # in this order a NaN gives the minimum
    ttl_s = min(service.ttl_max_s, max(service.ttl_min_s, min(moving)))
    return min(math.ceil(ttl_s), int(service.ttl_max_s)), now + ttl_s


@lru_cache(maxsize=FALLBACKS_CACHED)
def _of_family(addresses: tuple[str, ...], family: int | None) -> tuple[str, ...]:
    """Those of `addresses` that are of `family`; none for the front door, which can't redirect to an address."""
    return tuple(each for each in addresses if ipaddress.ip_address(each).version == family)
