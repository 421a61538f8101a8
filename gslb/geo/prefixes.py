"""Client prefix → class and ECS scope, as sorted intervals over the whole address space.

How a chain ranks the regions takes few values, so neighbouring networks merge: a table is a few hundred kilobytes, and
one `bisect` and two xors find a client's class and the widest prefix around it in which every client has that class.
Pure; `gslb.geo.locate` and the table builder use it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gslb.geo.embedded import RANGES, WHOLE_ADDRESS, shifted, unwrap
from gslb.model import Location

EMBEDDED = 0  # the class of IPv6 ranges that hold IPv4 clients; no client is ever told it
_LOW_64 = (1 << 64) - 1
_END_4, _END_6 = 1 << 32, 1 << 128

Network = tuple[int, int, int, Location | None]  # family, first address, prefix length, place


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Intervals: each begins at its start and ends before the next one's; the first begins at 0.

    `starts6` has the high halves of IPv6 starts; `lows6` the low halves of those few, by index, that aren't 0 (a /64
    is what networks are cut down to). `classes4` and `classes6` index `views` and `ids`; index 0 is
    EMBEDDED. `unlocated` is the index for clients without a place. `ids` are the class ids that `find` tells:
    the indexes themselves, until a Locator gives its own.
    """

    starts4: array[int]
    classes4: array[int]
    starts6: array[int]
    lows6: dict[int, int]
    classes6: array[int]
    views: tuple[Any, ...]
    unlocated: int
    ids: Sequence[int]

    def find(self, address: int, family: int) -> tuple[int, int]:
        """The class id of a client, and the scope: the length of the widest prefix around it that is all one class.

        Args:
            address: as a number; bits beyond a source prefix are zero.
            family: 4 or 6.
        """
        if family == 4:
            starts = self.starts4
            index = bisect_right(starts, address) - 1
            start = starts[index]
            # a prefix is too wide if it reaches the last address before the interval, or the first one after it
            before = address ^ start - 1 if start else _END_4
            index += 1
            after = address ^ starts[index] if index < len(starts) else _END_4
            nearer = before if before < after else after  # noqa: FURB136 - min() is a call, twice as slow
            return self.ids[self.classes4[index - 1]], 33 - nearer.bit_length()
        return self._find6(address)

    def _find6(self, address: int) -> tuple[int, int]:
        starts, lows = self.starts6, self.lows6
        high = address >> 64
        index = bisect_right(starts, high) - 1
        if index in lows and starts[index] == high:  # intervals begin inside this very /64
            first = bisect_left(starts, high, 0, index)
            index = bisect_right(range(index + 1), address & _LOW_64, first, key=lambda each: lows.get(each, 0)) - 1
        known = self.classes6[index]
        if known == EMBEDDED:
            client = unwrap(address)
            if client is None:
                return self.ids[self.unlocated], WHOLE_ADDRESS
            class_id, scope = self.find(client[0], 4)
            return class_id, shifted(scope, client[1])
        before = address ^ (starts[index] << 64 | lows.get(index, 0)) - 1 if index else _END_6
        index += 1
        after = address ^ (starts[index] << 64 | lows.get(index, 0)) if index < len(starts) else _END_6
        nearer = before if before < after else after  # noqa: FURB136 - min() is a call, twice as slow
        return self.ids[known], 129 - nearer.bit_length()

    def regroup(self, views_of: Callable[[Any], Hashable]) -> ClassTable:
        """A table whose classes are `views_of` of this one's views, with neighbours merged.

        `views_of` is asked once for each of this table's views.
        """
        numbers: dict[Hashable, int] = {}
        become = [EMBEDDED, *(numbers.setdefault(views_of(view), len(numbers) + 1) for view in self.views[1:])]
        if len(numbers) == 1:  # it makes no difference who is inside an embedding: one class, scope 0
            become[EMBEDDED] = 1
        starts4, classes4 = _merged(self.starts4, self.classes4, become)
        starts6, classes6 = _merged(
            (high << 64 | self.lows6.get(index, 0) for index, high in enumerate(self.starts6)), self.classes6, become
        )
        return _table(starts4, classes4, starts6, classes6, [None, *numbers], become[self.unlocated])


def build(networks: Iterable[Network], views_of: Callable[[Location | None], Hashable]) -> ClassTable:
    """The table of a database's networks.

    Args:
        networks: in address order, IPv4 first, covering the whole space of both families.
        views_of: what makes two places one class; asked once a place.
    """
    places: dict[Location | None, int] = {None: 1}
    starts: dict[int, list[int]] = {4: [], 6: []}
    classes: dict[int, list[int]] = {4: [], 6: []}
    last: tuple[int, int] = (0, 0)
    for family, first, _, place in networks:
        number = places.get(place)
        if number is None:
            number = places[place] = len(places) + 1
        if last != (family, number):
            starts[family].append(first)
            classes[family].append(number)
            last = family, number
    starts6, classes6 = _carve(starts[6], classes[6])
    by_place = _table(starts[4], classes[4], starts6, classes6, [None, *places], places[None])
    return by_place.regroup(views_of)


def _table(
    starts4: list[int], classes4: list[int], starts6: list[int], classes6: list[int], views: list[Any], unlocated: int
) -> ClassTable:
    code = "B" if len(views) <= 1 << 8 else "H" if len(views) <= 1 << 16 else "I"
    return ClassTable(
        array("I", starts4),
        array(code, classes4),
        array("Q", (start >> 64 for start in starts6)),
        {index: start & _LOW_64 for index, start in enumerate(starts6) if start & _LOW_64},
        array(code, classes6),
        tuple(views),
        unlocated,
        range(len(views)),
    )


def _merged(starts: Iterable[int], classes: Iterable[int], become: Sequence[int]) -> tuple[list[int], list[int]]:
    """Intervals with new classes, without those that continue the one before."""
    kept_starts, kept_classes, last = [], [], -1
    for start, old in zip(starts, classes, strict=True):
        new = become[old]
        if new != last:
            kept_starts.append(start)
            kept_classes.append(new)
            last = new
    return kept_starts, kept_classes


def _carve(starts: list[int], classes: list[int]) -> tuple[list[int], list[int]]:
    """IPv6 intervals with the ranges that embed IPv4 cut out, as intervals of their own."""
    for first, length in RANGES:
        end = first + (1 << 128 - length)
        left, right = bisect_left(starts, first), bisect_right(starts, end)
        # whichever interval covers `end` goes on there; every address space begins at 0, so there is one
        starts[left:right] = [first, end]
        classes[left:right] = [EMBEDDED, classes[right - 1]]
    return starts, classes
