"""The search tree of a MaxMind DB file: one address found in it, or all of it walked.

For `gslb.geo.database`. The published readers won't do: the C one crashes the process on a damaged file (maxminddb
3.2.0: segmentation faults in lookups and while iterating, found by changing a few bytes), both make an address and a
record for every network that they walk, and leave out the gaps. Pure: it reads what it is given, and nothing in there
raises anything but DamagedTree. Format: the MaxMind DB File Format Specification, version 2.0.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection, Iterator
from mmap import mmap

NETWORKS_MAX = 1 << 26  # of one family; a damaged tree could pretend to more than anybody could walk
_HIGH_NIBBLES = bytes(value >> 4 for value in range(256))
_LOW_NIBBLES = bytes(value & 15 for value in range(256))


class DamagedTree(ValueError):
    """The tree can't be walked: it does not fit into the file, or goes deeper than an address is long."""


class Tree:
    """A tree whose nodes are numbers below `node_count`; that number is "nothing known", those above it are records."""

    def __init__(self, content: bytes | mmap, node_count: int, record_bits: int, ip_version: int) -> None:
        """A tree that `content` begins with, of addresses of `ip_version` 4 or 6. Raises DamagedTree."""
        self.size_bytes = node_count * record_bits // 4
        if node_count < 1 or record_bits not in {24, 28, 32} or self.size_bytes > len(content):
            raise DamagedTree("the search tree does not fit into the file")
        self.node_count = node_count
        self._content = content
        self._record_bits = record_bits
        self._roots = {4: 0, 6: node_count} if ip_version == 4 else {4: self._root4(), 6: 0}

    def find(self, address: int, family: int) -> tuple[int, int]:
        """The value for an address, and the length of the prefix around it that has this value."""
        bits = 32 if family == 4 else 128
        value, depth, node_count, child = self._roots[family], 0, self.node_count, self._child
        while value < node_count:
            if depth == bits:
                raise DamagedTree("the search tree is deeper than an address is long")
            depth += 1
            value = child(value, address >> bits - depth & 1)
        return value, depth

    def walk(self, family: int, skip: Collection[tuple[int, int]] = ()) -> Iterator[tuple[int, int, int]]:
        """Every network of a family in address order, the gaps included: (first address, prefix length, value).

        Args:
            family: 4 or 6.
            skip: networks, as (first address, prefix length), to be told as gaps where they are aliases of IPv4.

        Raises:
            DamagedTree: it is deeper than an address is long, or larger than any real one.
        """
        left, right = self._unpack()
        bits = 32 if family == 4 else 128
        node_count, alias = self.node_count, self._roots[4]
        stack = [(self._roots[family], 0, 0)]
        for _ in range(NETWORKS_MAX * 2):
            if not stack:
                return
            value, first, depth = stack.pop()
            if value >= node_count:
                yield first, depth, value
            elif value == alias and (first, depth) in skip:
                yield first, depth, node_count
            elif depth == bits:
                raise DamagedTree("the search tree is deeper than an address is long")
            else:
                depth += 1
                stack.append((right[value], first | 1 << bits - depth, depth))
                stack.append((left[value], first, depth))
        raise DamagedTree(f"the search tree holds more than {NETWORKS_MAX:,} networks")

    def _root4(self) -> int:
        """The value at ::/96, where a tree of IPv6 keeps IPv4."""
        value = 0
        for _ in range(96):
            if value >= self.node_count:
                break
            value = self._child(value, 0)
        return value

    def _child(self, node: int, side: int) -> int:
        """What follows `node` to the left (0) or right (1)."""
        content = self._content
        if self._record_bits == 24:
            start = node * 6 + side * 3
            return int.from_bytes(content[start : start + 3])
        if self._record_bits == 32:
            start = node * 8 + side * 4
            return int.from_bytes(content[start : start + 4])
        start = node * 7
        if side:
            return int.from_bytes(content[start + 3 : start + 7]) & 0x0FFF_FFFF
        # the middle byte holds the highest four bits of both
        return int.from_bytes(content[start : start + 3]) | content[start + 3] >> 4 << 24

    def _unpack(self) -> tuple[array[int], array[int]]:
        """The left and the right of every node, by strided copies of whole byte columns: a hundredfold quicker."""
        tree, step = self._content[: self.size_bytes], self._record_bits // 4
        columns = [tree[index::step] for index in range(step)]
        if self._record_bits == 24:
            none = bytes(self.node_count)
            return _join([none, *columns[:3]]), _join([none, *columns[3:]])
        if self._record_bits == 32:
            return _join(columns[:4]), _join(columns[4:])
        highs, lows = columns[3].translate(_HIGH_NIBBLES), columns[3].translate(_LOW_NIBBLES)
        return _join([highs, *columns[:3]]), _join([lows, *columns[4:]])


def _join(columns: list[bytes]) -> array[int]:
    """Numbers of 32 bits from their bytes, given as columns, highest first."""
    joined = bytearray(len(columns[0]) * 4)
    for index, column in enumerate(columns):
        joined[index::4] = column
    numbers = array("I", bytes(joined))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
