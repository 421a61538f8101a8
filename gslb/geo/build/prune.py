"""Making the tree of networks as small as asked, at the least cost in kilometres.

For `gslb.geo.build` only. Each branch costs `price`; each address that is told a place other than its own costs the
distance between the two, times its weight. `prune` finds the tree whose total is least (the pruning of Breiman,
Friedman, Olshen and Stone's regression trees, 1984): bottom up, a branch becomes a leaf if its best single label costs
no more than what it has below. Trees pruned at a higher price lie inside those pruned at a lower one, so a search for
the right price may go on from any cheaper tree.

A border costs `border_km` on top; infinity keeps every border of the source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gslb.geo.build.mmdb import ABSENT, Tree
from gslb.geo.build.places import WEIGHT_DEPTH, Point, network_weight
from gslb.geo.build.sources import Source

HISTOGRAM_SIZE = 12  # labels a branch is judged by; the lightest beyond that count as their nearest neighbours
Histogram = dict[int, float]  # label → weight


class Merged:
    """A leaf that stands for several labels: the one it shows, and what it really holds."""

    __slots__ = ("cost", "histogram", "label")

    def __init__(self, label: int, cost: float, histogram: Histogram) -> None:
        self.label, self.cost, self.histogram = label, cost, histogram


Shape = int | Merged | tuple["Shape", "Shape"]


def read(source: Source, family: int, labels: Mapping[int, int]) -> Shape:
    """The tree of a source with labels for records, equal neighbours merged.

    Args:
        source: where from.
        family: 4 or 6.
        labels: record value → label; values that are missing count as unknown.

    Raises:
        GeoError: the source is damaged.
    """
    limit, known = WEIGHT_DEPTH[family], labels.get
    shape: Shape
    pending: list[tuple[int, Shape]] = []  # what still lacks the neighbour to its right, with its depth
    for _, prefix_length, value in source.networks(family):
        depth, shape = prefix_length, known(value, ABSENT)
        while pending and pending[-1][0] == depth:
            left = pending.pop()[1]
            depth -= 1
            if isinstance(left, int) and isinstance(shape, int) and (left == shape or depth >= limit):
                shape = left if left != ABSENT else shape
            else:
                shape = (left, shape)
        pending.append((depth, shape))
    return pending[0][1]


@dataclass(frozen=True, slots=True)
class Rates:
    """What a family's mistakes cost: its points and countries by label, a scale for its weights, and `border_km`."""

    points: list[Point]
    countries: list[str]
    family: int
    scale: float
    border_km: float

    def leaf_weights(self) -> list[float]:
        """The weight of a whole network by its prefix length."""
        return [self.scale * network_weight(self.family, length) for length in range(129)]


def prune(shape: Shape, price: float, rates: Rates) -> Shape:
    """The cheapest tree inside `shape`.

    Args:
        shape: from `read`, or from `prune` at a lower price.
        price: what a branch costs, in km times weight.
        rates: what mistakes cost.
    """
    leaf_weights = rates.leaf_weights()
    choose = _chooser(rates)

    def visit(part: Shape, depth: int) -> tuple[Shape, float, Histogram | None]:
        # the part made small, what it costs, and its labels (None once no branch above can become a leaf)
        if isinstance(part, tuple):
            first, first_cost, first_labels = visit(part[0], depth + 1)
            second, second_cost, second_labels = visit(part[1], depth + 1)
            cost = first_cost + second_cost + price
            if first is not part[0] or second is not part[1]:
                part = (first, second)
            if first_labels is None or second_labels is None:
                return part, cost, None
            if type(first) is int and first == second:
                return first, 0.0, {first: leaf_weights[depth]}
            labels = _joined(first_labels, second_labels)
            label, leaf_cost = choose(labels)
            if leaf_cost <= cost:
                return Merged(label, leaf_cost, labels), leaf_cost, labels
            # What is above costs at least leaf_cost here as a leaf, and at most cost + price more as it is.
            return part, cost, labels if leaf_cost <= cost + price else None
        if isinstance(part, int):
            return part, 0.0, {part: leaf_weights[depth]}
        return part, part.cost, part.histogram

    return visit(shape, 0)[0]


def labelled(shape: Shape) -> Tree:
    """The tree that a database stores: the label shown by each leaf, equal neighbours merged."""
    if isinstance(shape, tuple):
        first, second = labelled(shape[0]), labelled(shape[1])
        return first if type(first) is int and first == second else (first, second)
    return shape.label if isinstance(shape, Merged) else shape


def leaves(tree: Tree) -> int:
    """How many networks a tree has, those of unknown place left out."""
    return leaves(tree[0]) + leaves(tree[1]) if isinstance(tree, tuple) else int(tree != ABSENT)


def _joined(one: Histogram, other: Histogram) -> Histogram:
    if len(one) < len(other):
        one, other = other, one
    labels = dict(one)
    for label, weight in other.items():
        labels[label] = labels.get(label, 0.0) + weight
    return labels


def _chooser(rates: Rates) -> Callable[[Histogram], tuple[int, float]]:
    """A function that gives the label which costs least to show for a histogram (trimming it), and that cost.

    That is never ABSENT if anything is known: what is called unknown gets no answer at all, a wrong one serves.
    """
    # ABSENT is -1, the last element: a country of its own, in the middle of the Earth
    points, countries = [*rates.points, (0.0, 0.0, 0.0)], [*rates.countries, ""]
    border_km, distance = rates.border_km, math.dist

    def between(one: int, other: int) -> float:
        far = border_km if countries[one] != countries[other] else 0.0
        return distance(points[one], points[other]) + far

    def choose(labels: Histogram) -> tuple[int, float]:
        if len(labels) == 2:
            (one, weight), (other, other_weight) = labels.items()
            if one == ABSENT or (other != ABSENT and (other_weight, one) > (weight, other)):
                one, other, other_weight = other, one, weight
            return one, other_weight * between(one, other)
        if len(labels) > HISTOGRAM_SIZE:
            _trim(labels, between)
        best, best_cost = ABSENT, math.inf
        for label in sorted(label for label in labels if label != ABSENT):
            cost = 0.0
            for other, weight in labels.items():
                if other != label:
                    cost += weight * between(label, other)
            if cost < best_cost or best_cost == math.inf:
                best, best_cost = label, cost
        return best, best_cost

    return choose


def _trim(labels: Histogram, between: Callable[[int, int], float]) -> None:
    """Count the lightest labels as their nearest heavier ones, until there are few enough."""
    ranked = sorted(labels, key=lambda label: (-labels[label], label))
    for label in ranked[HISTOGRAM_SIZE:]:
        near = min(ranked[:HISTOGRAM_SIZE], key=lambda kept: (between(label, kept), kept))
        labels[near] += labels.pop(label)
