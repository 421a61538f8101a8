from __future__ import annotations

import ipaddress
import itertools
import pickle
from array import array
from bisect import bisect_right
from collections.abc import Hashable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from gslb.geo.embedded import RANGES
from gslb.geo.prefixes import ClassTable, Network, build
from gslb.model import Location

BITS = {4: 32, 6: 128}
PLACES = (None, *(Location(10.0 * number, 0.0) for number in range(6)))
TEREDO, NAT64 = ipaddress.ip_network("2001::/32"), ipaddress.ip_network("64:ff9b::/96")
NOBODY = ipaddress.ip_network("::/96")


def pair(place: Location | None) -> Hashable:
    """Two places to a class; those not located are a class of their own."""
    return None if place is None else place.latitude // 20


def split(bits: int, cuts: list[tuple[int, int]], places: list[Location | None]) -> Iterator[tuple[int, int, Location]]:
    """The whole space as networks in order, such that every one of `cuts` is one of them or made of several."""

    def part(first: int, length: int) -> Iterator[tuple[int, int]]:
        last = first + (1 << bits - length) - 1
        if any(length < cut_length and first <= cut <= last for cut, cut_length in cuts):
            yield from part(first, length + 1)
            yield from part(first + (1 << bits - length - 1), length + 1)
        else:
            yield first, length

    for turn, (first, length) in enumerate(part(0, 0)):
        yield first, length, places[turn % len(places)]


@st.composite
def spaces(draw: st.DrawFn) -> list[Network]:
    """All networks of both families, cut in a few places, of them some in and around what embeds IPv4."""
    edges = [first + offset for first, length in RANGES for offset in (0, 1 << 128 - length, -(1 << 128 - length))]
    near6 = st.sampled_from(edges).filter(lambda edge: edge >= 0) | st.integers(0, (1 << 128) - 1)
    cuts4 = draw(st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, 32)), max_size=3))
    cuts6 = draw(st.lists(st.tuples(near6, st.integers(0, 128)), max_size=3))
    places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=5))
    return [
        (family, first, length, place)
        for family, cuts in ((4, cuts4), (6, cuts6))
        for first, length, place in split(BITS[family], cuts, places)
    ]


class Truth:
    """What a full-length client's class is, found the plain way, with the standard library's idea of embedding."""

    def __init__(self, networks: list[Network]) -> None:
        self.starts = {family: [first for each, first, *_ in networks if each == family] for family in (4, 6)}
        self.places = {family: [place for each, *_, place in networks if each == family] for family in (4, 6)}

    def place(self, address: int, family: int) -> Location | None:
        if family == 6:
            value = ipaddress.IPv6Address(address)
            if value in NOBODY:
                return None
            client = value.ipv4_mapped or value.sixtofour or (value.teredo[1] if value.teredo else None)
            if value in NAT64:
                client = ipaddress.IPv4Address(address & 0xFFFFFFFF)
            if client is not None:
                if value in TEREDO and int(client) == 0xFFFFFFFF:
                    return None
                return self.place(int(client), 4)
        return self.places[family][bisect_right(self.starts[family], address) - 1]

    def corners(self, first: int, last: int, family: int) -> set[int]:
        """Every address from `first` to `last` where the class could be another than that of the one before it."""
        points = {first, last, *self.starts[family]}
        if family == 6:
            for start, length in RANGES:
                points |= {start - 1, start, start + (1 << 128 - length) - 1, start + (1 << 128 - length)}
                for client in self.starts[4]:
                    points |= {start | client << 80 if length == 16 else start | client, start | ~client & 0xFFFFFFFF}
                    points |= {first | ~client & 0xFFFFFFFF}
        return {point for point in points if first <= point <= last}


def check(table: ClassTable, truth: Truth, address: int, family: int) -> int:
    """The answer for `address` is right for everybody in its scope; returns the scope."""
    bits = BITS[family]
    class_id, scope = table.find(address, family)
    assert table.views[class_id] == pair(truth.place(address, family))
    first = address >> bits - scope << bits - scope
    for corner in truth.corners(first, first + (1 << bits - scope) - 1, family):
        assert pair(truth.place(corner, family)) == table.views[class_id]
        assert table.find(corner, family)[0] == class_id
    return scope


@given(spaces(), st.data())
def test_an_answer_is_right_for_everybody_in_its_scope(networks: list[Network], data: st.DataObject) -> None:
    table, truth = build(networks, pair), Truth(networks)
    for family in (4, 6):
        bits = BITS[family]
        corners = sorted(truth.corners(0, (1 << bits) - 1, family))
        addresses = st.sampled_from(corners) | st.integers(0, (1 << bits) - 1)
        for address, source in data.draw(st.lists(st.tuples(addresses, st.integers(0, bits)), min_size=5, max_size=10)):
            check(table, truth, address, family)
            # as a resolver asks: the bits beyond the source prefix are zero
            check(table, truth, address >> bits - source << bits - source, family)


@given(spaces(), st.integers(0, (1 << 32) - 1))
def test_no_wider_scope_would_do(networks: list[Network], address: int) -> None:
    table, truth = build(networks, pair), Truth(networks)
    scope = check(table, truth, address, 4)
    if scope:
        first = address >> 33 - scope << 33 - scope
        wider = truth.corners(first, first + (1 << 33 - scope) - 1, 4)
        assert {pair(truth.place(corner, 4)) for corner in wider} > {pair(truth.place(address, 4))}


@given(spaces())
def test_neighbours_are_merged(networks: list[Network]) -> None:
    table = build(networks, pair)
    for classes in (table.classes4, table.classes6):
        assert all(one != two for one, two in itertools.pairwise(classes))


@given(st.lists(st.sampled_from(PLACES), min_size=1, max_size=5), spaces())
def test_one_class_has_scope_nought(places: list[Location | None], networks: list[Network]) -> None:
    table = build(networks, lambda place: "all")
    for address in (0, 5, 0xFFFFFFFF):
        assert table.find(address, 4) == (1, 0)
    for address in (0, 0x2002 << 112, 0x2001 << 112, (1 << 128) - 1):
        assert table.find(address, 6) == (1, 0)


@given(spaces())
def test_regrouping_is_building(networks: list[Network]) -> None:
    by_place = build(networks, lambda place: place)
    one, two = by_place.regroup(pair), build(networks, pair)
    assert (one.starts4, one.classes4, one.starts6, one.lows6, one.classes6) == (
        two.starts4, two.classes4, two.starts6, two.lows6, two.classes6
    )  # fmt: skip
    assert one.views == two.views


def test_views_are_asked_once_a_place() -> None:
    asked = []
    networks = [(4, n << 24, 8, PLACES[n % 7]) for n in range(256)] + [(6, 0, 0, None)]
    build(networks, asked.append)
    assert len(asked) == len(PLACES)


def test_travels_and_stays_small() -> None:
    networks = [(4, n << 16, 16, PLACES[n % 7]) for n in range(1 << 16)] + [(6, 0, 0, None)]
    table = build(networks, pair)
    there = pickle.loads(pickle.dumps(table))
    assert there == table and isinstance(there.starts4, array)
    assert len(pickle.dumps(table)) < 6 * len(networks)


def test_thousands_of_classes() -> None:
    networks = [(4, n << 12, 20, Location(0.0, n / 10_000)) for n in range(70_000)]
    networks += [(4, 70_000 << 12, 20, None), (6, 0, 0, None)]  # the last one stands for all that follow
    table = build(networks, lambda place: place)
    assert table.views[table.find(69_999 << 12, 4)[0]] == Location(0.0, 6.9999)
