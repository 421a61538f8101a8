"""The search tree of a MaxMind DB file as two arrays, walked without making an object a network.

For `gslb.geo.database`: the published readers build an address and a record for every network, several microseconds
each, and leave out the gaps. Pure. Format: the MaxMind DB File Format Specification, version 2.0.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection, Iterator

NETWORKS_MAX = 1 << 26  # of one family; a damaged tree could pretend to more than anybody could walk
_HIGH_NIBBLES = bytes(value >> 4 for value in range(256))
_LOW_NIBBLES = bytes(value & 15 for value in range(256))


class DamagedTree(ValueError):
    """The tree can't be walked: it does not fit into the file, or goes deeper than an address is long."""


class Tree:
    """`left[node]` and `right[node]` are nodes if below `node_count`, "nothing known" if equal, else record values."""

    def __init__(self, content: bytes, node_count: int, record_bits: int) -> None:
        """Unpacks the tree, which is what a file begins with. Raises DamagedTree."""
        size = node_count * record_bits // 4
        if not node_count or record_bits not in {24, 28, 32} or size > len(content):
            raise DamagedTree("the search tree does not fit into the file")
        self.node_count = node_count
        step = record_bits // 4
        columns = [content[index:size:step] for index in range(step)]  # whole byte columns: a hundredfold quicker
        if record_bits == 24:
            halves = [bytes(node_count), *columns[:3]], [bytes(node_count), *columns[3:]]
        elif record_bits == 28:  # the middle byte holds the highest four bits of both
            halves = (
                [columns[3].translate(_HIGH_NIBBLES), *columns[:3]],
                [columns[3].translate(_LOW_NIBBLES), *columns[4:]],
            )
        else:
            halves = columns[:4], columns[4:]
        self.left, self.right = (_join(half) for half in halves)

    def root4(self) -> int:
        """The value at ::/96, where a tree of IPv6 keeps IPv4."""
        node = 0
        for _ in range(96):
            if node >= self.node_count:
                break
            node = self.left[node]
        return node

    def walk(
        self, root: int, bits: int, skip: Collection[tuple[int, int]] = (), skip_node: int = -1
    ) -> Iterator[tuple[int, int, int]]:
        """Every network under `root` in address order, the gaps included: (first address, prefix length, value).

        Args:
            root: a node, or the value that stands for everything.
            bits: how long addresses are.
            skip: networks, as (first address, prefix length), to be told as gaps if `skip_node` is what they lead to.
            skip_node: the node where an alias of IPv4 leads.

        Raises:
            DamagedTree: it is deeper than `bits`, or larger than any real one.
        """
        left, right, node_count = self.left, self.right, self.node_count
        stack = [(root, 0, 0)]
        for _ in range(NETWORKS_MAX * 2):
            if not stack:
                return
            value, first, depth = stack.pop()
            if value >= node_count:
                yield first, depth, value
            elif value == skip_node and (first, depth) in skip:
                yield first, depth, node_count
            elif depth == bits:
                raise DamagedTree("the search tree is deeper than an address is long")
            else:
                depth += 1
                stack.append((right[value], first | 1 << bits - depth, depth))
                stack.append((left[value], first, depth))
        raise DamagedTree(f"the search tree holds more than {NETWORKS_MAX:,} networks")


def _join(columns: list[bytes]) -> array[int]:
    """Numbers of 32 bits from their bytes, given as columns, highest first."""
    joined = bytearray(len(columns[0]) * 4)
    for index, column in enumerate(columns):
        joined[index::4] = column
    numbers = array("I", bytes(joined))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
