"""A small writer of MaxMind DB files: trees that share equal branches, records that share equal parts.

For `gslb.geo.build`, and for tests that need a database of their own. It exists because sharing equal branches is most
of what makes the shipped file small (a subtree that occurs in a thousand places is stored once), and no published
Python writer does it. The format allows it (MaxMind's own files reach IPv4 by several ways) and every reader walks it.
Output is deterministic: the same tree and records give the same bytes.

Format: the MaxMind DB File Format Specification, version 2.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from gslb.errors import GeoError

# A leaf is an index into the records, or ABSENT; a branch is the pair of what follows a 0 bit and a 1 bit.
Tree = Union[int, tuple["Tree", "Tree"]]  # noqa: UP007 - a recursive alias can't be written with | before 3.12
ABSENT = -1
Value = str | float | int | Mapping[str, "Value"] | Sequence["Value"]

_METADATA_START = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR = bytes(16)
_POINTER, _STRING, _DOUBLE, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY = 1, 2, 3, 5, 6, 7, 9, 11


@dataclass(frozen=True, slots=True)
class Header:
    """What the metadata section says of a file: its type, one English sentence, and its age in Unix seconds."""

    database_type: str
    description: str
    build_epoch: int


@dataclass(frozen=True, slots=True)
class File:
    """A whole file, and how many nodes and records it has."""

    content: bytes
    nodes: int
    records: int


class DataSection:
    """The data section as it grows: every part that is longer than a pointer is stored once."""

    def __init__(self) -> None:
        self.content = bytearray()
        self._offsets: dict[object, int] = {}

    def add(self, value: Value) -> int:
        """Store a record, or find it stored already.

        Args:
            value: strings, floats (stored as doubles), whole numbers (uint32), and maps and sequences of these.

        Returns:
            Its offset in the section, bytes.
        """
        key = _key(value)
        if key not in self._offsets:
            self._write(value, key)
        return self._offsets[key]

    def _write(self, value: Value, key: object) -> None:
        self._offsets[key] = len(self.content)
        if isinstance(value, Mapping):
            self.content += _control(_MAP, len(value))
            for name, part in value.items():
                self._part(name)
                self._part(part)
        elif isinstance(value, (str, float, int)):
            self.content += _scalar(value)
        else:
            self.content += _control(_ARRAY, len(value))
            for part in value:
                self._part(part)

    def _part(self, value: Value) -> None:
        key = _key(value)
        offset = self._offsets.get(key)
        if offset is None:
            self._write(value, key)
            return
        pointer = _pointer(offset)
        literal = _scalar(value) if isinstance(value, (str, float, int)) else None
        self.content += literal if literal is not None and len(literal) <= len(pointer) else pointer


@dataclass
class NodeTable:
    """Branches numbered so that equal ones share a number; leaves become negative numbers."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    _numbers: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, tree: Tree) -> int:
        """The number of `tree`: its node if a branch, else `-2 - record` (-1 for ABSENT)."""
        if isinstance(tree, int):
            return -1 if tree == ABSENT else -2 - tree
        pair = (self.add(tree[0]), self.add(tree[1]))
        number = self._numbers.get(pair)
        if number is None:
            number = self._numbers[pair] = len(self.pairs)
            self.pairs.append(pair)
        return number


def serialize(tree: Tree, records: Sequence[Value], header: Header, ip_version: int = 6) -> File:
    """A whole MaxMind DB file.

    Args:
        tree: the networks; IPv4 lies under ::/96 when `ip_version` is 6 (see `graft`).
        records: what the leaves of `tree` are indexes of.
        header: for the metadata.
        ip_version: 4 or 6, how long the addresses are.

    Raises:
        GeoError: more than the format can hold.
    """
    table, data = NodeTable(), DataSection()
    root = table.add(tree if isinstance(tree, tuple) else (tree, tree))
    used = sorted({-2 - value for pair in table.pairs for value in pair if value < -1})
    offsets = {record: data.add(records[record]) for record in used}
    node_count = len(table.pairs)
    record_bits = 24 if node_count + len(_SEPARATOR) + len(data.content) < 1 << 24 else 32
    if node_count + len(_SEPARATOR) + len(data.content) >= 1 << 32:
        raise GeoError("too many networks and records for one MaxMind DB file; ask for a smaller size")
    # Children are numbered before their parents; readers begin at node 0, so the numbers are turned round.
    if root != node_count - 1:
        raise AssertionError("the root is the last branch to be numbered")
    values = {-2 - record: node_count + len(_SEPARATOR) + offset for record, offset in offsets.items()}
    values[-1] = node_count
    width = record_bits // 8
    nodes = bytearray()
    for left, right in reversed(table.pairs):
        nodes += (root - left if left >= 0 else values[left]).to_bytes(width)
        nodes += (root - right if right >= 0 else values[right]).to_bytes(width)
    metadata = _metadata(header, node_count, record_bits, ip_version)
    content = b"".join((nodes, _SEPARATOR, data.content, _METADATA_START, metadata))
    return File(content, node_count, len(used))


def graft(tree4: Tree, tree6: Tree) -> Tree:
    """`tree6` with `tree4` under ::/96, where readers look for IPv4. What `tree6` says of ::/96 gives way."""
    beside = []
    for _ in range(96):
        left, right = tree6 if isinstance(tree6, tuple) else (tree6, tree6)
        beside.append(right)
        tree6 = left
    tree = tree4
    for right in reversed(beside):
        tree = (tree, right) if tree != right or isinstance(tree, tuple) else tree
    return tree


def tree_of(networks: Iterable[tuple[int, int, int]], bits: int) -> Tree:
    """The tree of a few networks; where two overlap, the longer prefix wins.

    Args:
        networks: (first address as a number, prefix length, record) each.
        bits: how long an address is, 32 or 128.
    """
    tree: Tree = ABSENT
    for first, length, record in sorted(networks, key=lambda network: network[1]):
        tree = _insert(tree, first, bits - 1, bits - length, record)
    return tree


def _insert(tree: Tree, first: int, bit: int, stop: int, record: int) -> Tree:
    if bit < stop:
        return record
    left, right = tree if isinstance(tree, tuple) else (tree, tree)
    if first >> bit & 1:
        right = _insert(right, first, bit - 1, stop, record)
    else:
        left = _insert(left, first, bit - 1, stop, record)
    return left if left == right and isinstance(left, int) else (left, right)


def _key(value: Value) -> object:
    if isinstance(value, Mapping):
        return (_MAP, *((name, _key(part)) for name, part in value.items()))
    if isinstance(value, (str, float, int)):
        return (type(value).__name__, value)
    return (_ARRAY, *(_key(part) for part in value))


def _scalar(value: str | float) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return _control(_STRING, len(text)) + text
    if isinstance(value, int):
        return _unsigned(_UINT32, value)
    return _control(_DOUBLE, 8) + struct.pack(">d", value)


def _unsigned(kind: int, value: int) -> bytes:
    content = value.to_bytes((value.bit_length() + 7) // 8)
    return _control(kind, len(content)) + content


def _control(kind: int, size: int) -> bytes:
    if size < 29:
        low, extra = size, b""
    elif size < 285:
        low, extra = 29, (size - 29).to_bytes(1)
    elif size < 65821:
        low, extra = 30, (size - 285).to_bytes(2)
    else:
        low, extra = 31, (size - 65821).to_bytes(3)
    return (bytes([kind << 5 | low]) if kind < 8 else bytes([low, kind - 7])) + extra


def _pointer(offset: int) -> bytes:
    if offset < 2048:
        return (_POINTER << 13 | offset).to_bytes(2)
    if offset < 526336:
        return (_POINTER << 21 | 1 << 19 | offset - 2048).to_bytes(3)
    if offset < 526336 + (1 << 27):
        return (_POINTER << 29 | 2 << 27 | offset - 526336).to_bytes(4)
    return bytes([_POINTER << 5 | 3 << 3]) + offset.to_bytes(4)


def _metadata(header: Header, node_count: int, record_bits: int, ip_version: int) -> bytes:
    """The metadata map; written part by part, since the C reader insists on the width of each number."""
    parts = {
        "binary_format_major_version": _unsigned(_UINT16, 2),
        "binary_format_minor_version": _unsigned(_UINT16, 0),
        "build_epoch": _unsigned(_UINT64, header.build_epoch),
        "database_type": _scalar(header.database_type),
        "description": _control(_MAP, 1) + _scalar("en") + _scalar(header.description),
        "ip_version": _unsigned(_UINT16, ip_version),
        "languages": _control(_ARRAY, 1) + _scalar("en"),
        "node_count": _unsigned(_UINT32, node_count),
        "record_size": _unsigned(_UINT16, record_bits),
    }
    return _control(_MAP, len(parts)) + b"".join(_scalar(name) + part for name, part in parts.items())
