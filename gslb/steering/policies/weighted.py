"""`weighted`: regions share the clients, or the answers, in proportion to their weights.

`by: client` (the default) gives each client, a /24 or /48, one region by weighted rendezvous hashing: it stays there,
and when weights move only the share that has to move does. A big resolver that sends no client subnet is one client to
a hash: all that is behind it goes to one region. `by: answer` takes turns through at most 64 ready answers in smooth
order instead, which spreads such a resolver too, but a client moves with every answer. Either way an answer leads with
one region, since resolvers reshuffle lists: order is no weight.

A region that the weights leave out weighs 1. Weight 0 is never chosen while another one is left.

Sources: weighted rendezvous hashing (Schindelhauer, Schomaker, SPAA 2005); smooth weighted round robin (nginx).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from gslb.model import Candidate, Client, Location, Note, Region, Sifted
from gslb.steering.hashing import rendezvous
from gslb.steering.policy import POLICIES

ALTERNATIVES_MAX = 64


@POLICIES.register("weighted")
@dataclass(frozen=True, slots=True)
class Weighted:
    """Options: `weights` by region; `by` "client" or "answer". By answer, shares are exact up to a total of 64."""

    name: ClassVar[str]
    weights: dict[str, Annotated[int, Ge(0), Le(1_000_000)]] = field(default_factory=dict)
    by: Literal["client", "answer"] = "client"

    def regions_named(self) -> frozenset[str]:
        """Every region that the options name."""
        return frozenset(self.weights)

    def classify(self, location: Location | None, regions: tuple[Region, ...]) -> Hashable:
        """Looks at no location."""
        return None

    def apply(self, candidates: tuple[Candidate, ...], view: Hashable, client: Client) -> Sifted:
        """All candidates, those with weight in this client's order or in turns, then those without."""
        weights = [self.weights.get(candidate.region.name, 1) for candidate in candidates]
        total = sum(weights)
        sharing = sum(weight > 0 for weight in weights)
        notes = tuple(
            Note("weighted", candidate.region.name, kept=True, why=f"weight {weight} of {total}")
            for candidate, weight in zip(candidates, weights, strict=True)
        )
        if sharing < 2:
            # nothing is shared: the one with weight first, the others as they came
            ranked = tuple(sorted(candidates, key=lambda candidate: not self.weights.get(candidate.region.name, 1)))
            return Sifted(ranked, notes)
        if self.by == "client":
            ranked = rendezvous(candidates, client.unit, lambda name: float(self.weights.get(name, 1)))
            return Sifted(ranked, notes, hashed=True)
        turns = smooth_order(weights)
        orders = tuple(
            tuple(candidates[index] for index in dict.fromkeys((*turns[turn:], *turns[:turn], *range(len(candidates)))))
            for turn in range(len(turns))
        )
        return Sifted(orders[0], notes, alternatives=orders)


def smooth_order(weights: Sequence[int]) -> list[int]:
    """Indexes of `weights` as smooth weighted round robin turns through them, one period, at most 64 long.

    Weights whose total over their common divisor is more than 64 are scaled to 64 turns by largest remainder, at least
    one turn each; of more than 64 positive weights the 64 greatest take part. At least one weight must be positive.
    """
    slots = _slots(weights)
    total = sum(slots)
    current = [0] * len(slots)
    turns = []
    for _ in range(total):
        for index, slot in enumerate(slots):
            current[index] += slot
        best = max(range(len(slots)), key=current.__getitem__)
        current[best] -= total
        turns.append(best)
    return turns


def _slots(weights: Sequence[int]) -> list[int]:
    """How many of at most 64 turns each weight gets."""
    divisor = math.gcd(*weights)
    slots = [weight // divisor for weight in weights]
    if sum(slots) <= ALTERNATIVES_MAX:
        return slots
    taking = sorted((index for index, weight in enumerate(weights) if weight), key=lambda index: -weights[index])
    taking = taking[:ALTERNATIVES_MAX]
    slots = [0] * len(weights)
    # one turn each to those who would get less, the rest in proportion among the others: largest remainder
    left, total = ALTERNATIVES_MAX, sum(weights[index] for index in taking)
    while taking and weights[taking[-1]] * left < total:
        index = taking.pop()
        slots[index] = 1
        left, total = left - 1, total - weights[index]
    for index in taking:
        slots[index] = weights[index] * left // total
    spare = left - sum(slots[index] for index in taking)
    for index in sorted(taking, key=lambda index: -(weights[index] * left % total))[:spare]:
        slots[index] += 1
    return slots
