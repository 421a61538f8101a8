"""maglev: a table that the servers fill in turn, each in an order of its own; a key's hash is a row.

The most even of the hashes: at 100 servers every one gets 655 or 656 of 65,537 rows. Removing a server moves little
beyond its own share (0.6 % of the keys at 100 servers); one that goes down moves its own keys only, since the table is
that of the configuration (see balancing/keyed.py). By weight a server takes its k-th row at k / weight, so everyone has
a row, and at most one more than its share; with more servers than rows, the last get none.

A pick is one look-up. Filling costs about 50 ms with the default table, whatever the number of servers (10,000: 70 ms),
and only when servers or weights change in the configuration.

Source: Eisenbud et al., Maglev (NSDI 2016), §3.4; weights as in Envoy's maglev_lb.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import cycle, islice
from math import isqrt
from typing import Annotated

from annotated_types import Ge, Le

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.keyed import BalanceFactor, KeyedPicker, check_balance_factor
from gslb.balancing.keys import parse_key
from gslb.model import Server

TABLE_SIZE_MAX = 655_373  # the paper's large table: half a second to fill
SEARCHED_MAX = 200  # rows that are filled by asking every free one for its turn


def turns_of(weights: list[int], size: int) -> Iterable[int]:
    """Whose turn it is, at least `size` times: the k-th of a server comes at k / weight, from k = 0."""
    if min(weights) == max(weights):
        return cycle(range(len(weights)))
    end = size / sum(weights)
    times: list[float] = []
    owners: list[int] = []
    for owner, weight in enumerate(weights):
        taken = int(weight * end) + 1
        times += [turn / weight for turn in range(taken)]
        owners += [owner] * taken
    return [owners[turn] for turn in sorted(range(len(times)), key=times.__getitem__)]


def fill(orders: list[tuple[int, int]], turns: Iterable[int], size: int) -> array[int]:
    """The table: in its turn a server takes the next row of its order that is free.

    Args:
        orders: each server's first row and step.
        turns: indexes of `orders`.
        size: rows, a prime: then every order visits them all.
    """
    table = [-1] * size
    rows = [first for first, _ in orders]
    steps = [step for _, step in orders]
    turn = iter(turns)
    for owner in islice(turn, max(0, size - SEARCHED_MAX)):
        row, step = rows[owner], steps[owner]
        while table[row] >= 0:
            row += step
            if row >= size:
                row -= size
        table[row] = owner
        rows[owner] = row
    # Few are free, and most of the work would be looking for them: now each says when its turn comes in an order.
    free = [row for row, owner in enumerate(table) if owner < 0]
    for owner in islice(turn, len(free)):
        begin, inverse = rows[owner], pow(steps[owner], -1, size)
        soonest = [(row - begin) * inverse % size for row in free]
        row = free.pop(soonest.index(min(soonest)))
        table[row] = owner
        rows[owner] = row
    return array("I", table)


class MaglevPicker(KeyedPicker):
    """See the module."""

    __slots__ = ("_orders", "_size", "_table")

    def __init__(self, servers: tuple[Server, ...], table_size: int, balance_factor: float) -> None:
        self._size = table_size
        self._orders: dict[str, tuple[int, int]] = {}
        super().__init__(servers, balance_factor)

    def _build(self, places: tuple[Server, ...]) -> None:
        # by id, so that every node fills the same table whatever order its files have
        places_by_id = sorted(range(len(places)), key=lambda place: places[place].id)
        known = self._orders
        self._orders = {one.id: known.get(one.id) or self._order_of(one.id) for one in places}
        orders = [self._orders[places[place].id] for place in places_by_id]
        table = fill(orders, turns_of([places[place].weight for place in places_by_id], self._size), self._size)
        self._table = array("I", map(places_by_id.__getitem__, table))

    def _order_of(self, server_id: str) -> tuple[int, int]:
        """The first row and the step of a server."""
        digest = blake2b(server_id.encode(), digest_size=16).digest()
        return int.from_bytes(digest[:8]) % self._size, int.from_bytes(digest[8:]) % (self._size - 1) + 1

    def _first(self, key: bytes) -> int:
        return zlib.crc32(key)

    def _place(self, at: int) -> int:
        return self._table[at % self._size]


@ALGORITHMS.register("maglev")
@dataclass(frozen=True, slots=True)
class Maglev:
    """Options: `key` (see balancing/keys.py); `table_size`, a prime; `balance_factor` of bounded loads, 0 for none."""

    key: str = "client_ip"
    table_size: Annotated[int, Ge(3), Le(TABLE_SIZE_MAX)] = 65_537
    balance_factor: BalanceFactor = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for a key that there isn't, a size that is no prime, or a factor below 1."""
        parse_key(self.key)
        check_balance_factor(self.balance_factor)
        size = self.table_size
        if any(size % divisor == 0 for divisor in range(2, isqrt(size) + 1)):
            raise ValueError(f"table_size {size} is no prime: write 65537, or 2039, 251, 655373")

    def build(self, servers: tuple[Server, ...]) -> MaglevPicker:
        """See Algorithm."""
        return MaglevPicker(servers, self.table_size, self.balance_factor)
