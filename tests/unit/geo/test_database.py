from __future__ import annotations

import contextlib
import ipaddress
import os
from pathlib import Path

import maxminddb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gslb.errors import GeoError
from gslb.geo.build.mmdb import ABSENT, Header, Tree, Value, graft, serialize, tree_of
from gslb.geo.centroids import centroid
from gslb.geo.database import Database
from gslb.model import Location

BERLIN = Location(52.5, 13.4, "DE", "EU", "BE")
TOKYO = Location(35.7, 139.7, "JP", "AS")


def record(place: Location) -> Value:
    """A record of the GeoIP2-City schema."""
    return {
        "continent": {"code": place.continent},
        "country": {"iso_code": place.country},
        "location": {"latitude": place.latitude, "longitude": place.longitude},
        "subdivisions": [{"iso_code": place.subdivision}] if place.subdivision else [],
    }


def number(text: str) -> int:
    return int(ipaddress.ip_address(text))


def tree(networks: dict[str, int], family: int) -> Tree:
    parsed = [(ipaddress.ip_network(text), value) for text, value in networks.items()]
    return tree_of([(int(net[0]), net.prefixlen, value) for net, value in parsed], 32 if family == 4 else 128)


def write(
    path: Path, four: dict[str, int], six: dict[str, int] | None, records: list[Value], kind: str = "City"
) -> Path:
    """A database file; without `six` one of IPv4 only."""
    grafted = tree(four, 4) if six is None else graft(tree(four, 4), tree(six, 6))
    header = Header(f"Test-{kind}", "a test", 1_700_000_000)
    path.write_bytes(serialize(grafted, records, header, 4 if six is None else 6).content)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    four = {"81.2.0.0/16": 0, "81.2.64.0/18": 1, "203.0.113.0/24": 0}
    six = {"2a00::/16": 1, "2a00:1::/48": 0, "2001:db8::/127": 0, "2003::/16": 1}
    return write(tmp_path / "city.mmdb", four, six, [record(BERLIN), record(TOKYO)])


@pytest.mark.parametrize(
    ("address", "place", "length"),
    [
        ("81.2.3.4", BERLIN, 18),
        ("81.2.127.255", TOKYO, 18),
        ("81.2.128.0", BERLIN, 17),
        ("10.1.2.3", None, 2),
        ("203.0.113.9", BERLIN, 24),
        ("2a00:1::9", BERLIN, 48),
        ("2a00:8000::9", TOKYO, 17),
        ("2001:db8::1", BERLIN, 127),
        ("8000::", None, 1),
    ],
)
def test_lookup(path: Path, address: str, place: Location | None, length: int) -> None:
    database = Database(path)
    parsed = ipaddress.ip_address(address)
    assert database.lookup(int(parsed), parsed.version) == (place, length)


def test_equal_places_are_one_object(path: Path) -> None:
    database = Database(path)
    assert database.lookup(number("81.2.3.4"), 4)[0] is database.lookup(number("203.0.113.9"), 4)[0]


def test_a_database_of_ipv4_knows_nothing_of_ipv6(tmp_path: Path) -> None:
    database = Database(write(tmp_path / "four.mmdb", {"81.2.0.0/16": 0}, None, [record(BERLIN)]))
    assert database.lookup(number("81.2.3.4"), 4) == (BERLIN, 16)
    assert database.lookup(number("2a00::"), 6) == (None, 0)
    assert [network for network in database.networks() if network[0] == 6] == [(6, 0, 0, None)]


def test_a_database_without_an_ipv4_subtree(tmp_path: Path) -> None:
    whole = tree_of([(0x2A00 << 112, 16, 0)], 128)
    path = tmp_path / "six.mmdb"
    path.write_bytes(serialize(whole, [record(BERLIN)], Header("Test-City", "a test", 1)).content)
    database = Database(path)
    assert database.lookup(number("81.2.3.4"), 4) == (None, 0)
    assert [network for network in database.networks() if network[0] == 4] == [(4, 0, 0, None)]


def test_countries_are_in_their_middle(tmp_path: Path) -> None:
    four = {"81.0.0.0/8": 0, "82.0.0.0/8": 1, "83.0.0.0/8": 2, "84.0.0.0/8": 3, "85.0.0.0/8": 4}
    records: list[Value] = [
        {"country": {"iso_code": "FR"}, "continent": {"code": "EU"}},
        {"country": {"iso_code": "ZZ"}},
        {"continent": {"code": "EU"}},
        {"country": {"iso_code": "NA"}},
        {"location": {"latitude": 1.5, "longitude": 2.5}},
    ]
    database = Database(write(tmp_path / "country.mmdb", four, {}, records, "Country"))
    france = centroid("FR")
    assert france is not None
    assert database.lookup(81 << 24, 4) == (Location(france.latitude, france.longitude, "FR", "EU"), 8)
    assert database.lookup(82 << 24, 4) == (None, 8)
    assert database.lookup(83 << 24, 4) == (None, 8)
    namibia = database.lookup(84 << 24, 4)[0]
    assert namibia is not None and (namibia.country, namibia.continent) == ("NA", "AF")
    assert database.lookup(85 << 24, 4) == (Location(1.5, 2.5), 8)


@pytest.mark.parametrize(
    "odd",
    [
        {"location": {"latitude": 91.0, "longitude": 0.0}},
        {"location": {"latitude": "north", "longitude": 0.0}},
        {"location": "Berlin", "country": "Germany", "subdivisions": {"iso_code": "BE"}},
        {"country": {"iso_code": 7}, "continent": ["EU"]},
        ["DE"],
        "DE",
    ],
)
def test_a_record_that_makes_no_sense_tells_no_place(tmp_path: Path, odd: Value) -> None:
    four = {"81.0.0.0/8": 0, "82.0.0.0/8": 1}
    database = Database(write(tmp_path / "odd.mmdb", four, {}, [odd, record(BERLIN)]))
    assert database.lookup(81 << 24, 4) == (None, 8)
    assert database.lookup(82 << 24, 4) == (BERLIN, 8)


# ---------------------------------------------------------------- what can't be used
def refused(path: Path) -> str:
    with pytest.raises(GeoError) as caught:
        Database(path)
    assert str(caught.value).startswith(f"{path}: ") and "gslb geo build" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.mmdb")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(100_000), b"\xab\xcd\xefMaxMind.com", b"\x1f\x8b" * 500])
def test_not_a_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mmdb"
    path.write_bytes(content)
    refused(path)


def test_another_kind_of_database(tmp_path: Path) -> None:
    numbers: Value = {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"}
    assert "'Test-ASN' tells no places" in refused(
        write(tmp_path / "asn.mmdb", {"81.0.0.0/8": 0}, {"2a00::/16": 0}, [numbers], "ASN")
    )


def test_truncated(path: Path) -> None:
    whole = path.read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 200):
        path.write_bytes(whole[:size])
        refused(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data())
def test_damage_never_raises_out_of_a_lookup(path: Path, data: st.DataObject) -> None:
    """Whatever bytes are hit: GeoError when opening or walking, or answers."""
    whole = bytearray(path.with_name("city.mmdb").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = path.with_name("damaged.mmdb")
    damaged.unlink(missing_ok=True)  # not written over: an earlier example's reader still maps the old one
    damaged.write_bytes(whole)
    try:
        database = Database(damaged)
    except GeoError:
        return
    for address, family in ((number("81.2.3.4"), 4), (number("10.0.0.1"), 4), (number("2a00:1::9"), 6), (1, 6)):
        place, length = database.lookup(address, family)
        assert (place is None or isinstance(place, Location)) and 0 <= length <= (32 if family == 4 else 128)
    with contextlib.suppress(GeoError):
        for turn, _ in enumerate(database.networks()):
            if turn > 5000:
                break
    database.close()


# ---------------------------------------------------------------- the file and its replacement
def test_the_stamp_changes_with_the_file(path: Path) -> None:
    first = Database(path).stamp
    assert Database(path).stamp == first
    assert first.endswith("-1700000000") and first.startswith(f"{path.stat().st_size}-")
    os.utime(path, ns=(1, 1))
    assert Database(path).stamp != first


def test_a_lookup_survives_the_files_replacement(path: Path) -> None:
    database = Database(path)
    new = write(path.with_name("new.mmdb"), {"81.0.0.0/8": 0}, {}, [record(TOKYO)])
    new.replace(path)
    assert database.lookup(number("81.2.3.4"), 4) == (BERLIN, 18)
    assert {place for *_, place in database.networks()} == {None, BERLIN, TOKYO}
    assert Database(path).lookup(number("81.2.3.4"), 4) == (TOKYO, 8)


# ---------------------------------------------------------------- walking
def test_networks_cover_everything_in_order_and_agree_with_lookups(path: Path) -> None:
    database = Database(path)
    following = {4: 0, 6: 0}
    for family, first, length, place in database.networks():
        bits = 32 if family == 4 else 128
        assert first == following[family]
        assert not (family == 4 and following[6]), "IPv4 comes first"
        following[family] = first + (1 << bits - length)
        if first >> 32 or family == 4:  # ::/96 is where IPv4 is kept
            assert database.lookup(first, family)[0] == place
            assert database.lookup(following[family] - 1, family)[0] == place
    assert following == {4: 1 << 32, 6: 1 << 128}


def test_networks_are_those_of_the_published_reader(path: Path) -> None:
    with maxminddb.open_database(path) as reader:
        expected = [str(network) for network, _ in reader]
    told = [
        str((ipaddress.IPv4Network if family == 4 else ipaddress.IPv6Network)((first, length)))
        for family, first, length, place in Database(path).networks()
        if place is not None
    ]
    assert told == expected


def test_aliases_of_ipv4_are_not_walked(tmp_path: Path) -> None:
    """As MaxMind's files have them: 6to4, mapped, Teredo all lead to the IPv4 tree."""
    four = tree({"81.2.0.0/16": 0}, 4)
    root: Tree = graft(four, ABSENT)

    def alias(branch: Tree, first: int, bit: int, stop: int) -> Tree:
        if bit < stop:
            return four
        left, right = branch if isinstance(branch, tuple) else (branch, branch)
        if first >> bit & 1:
            return left, alias(right, first, bit - 1, stop)
        return alias(left, first, bit - 1, stop), right

    for first, length in ((0x2002 << 112, 16), (0x2001 << 112, 32), (0xFFFF << 32, 96)):
        root = alias(root, first, 127, 128 - length)
    path = tmp_path / "aliased.mmdb"
    path.write_bytes(serialize(root, [record(BERLIN)], Header("Test-City", "a test", 1)).content)
    told = [network for network in Database(path).networks() if network[3] is not None]
    assert told == [(4, number("81.2.0.0"), 16, BERLIN)]


@pytest.mark.parametrize("bits", [24, 28, 32])
def test_every_width_of_record(tmp_path: Path, path: Path, bits: int) -> None:
    """The tree is packed anew by this test: the build writes 24 bits where they are enough."""
    content = path.read_bytes()
    with maxminddb.open_database(path) as reader:
        count, old = reader.metadata().node_count, reader.metadata().record_size
    assert old == 24
    nodes = [int.from_bytes(content[start : start + 3]) for start in range(0, count * 6, 3)]
    packed = b"".join(_pack(left, right, bits) for left, right in zip(nodes[::2], nodes[1::2], strict=True))
    size_key = b"record_size"
    at = content.rindex(size_key) + len(size_key)
    assert content[at : at + 2] == bytes([0xA1, old])
    widened = tmp_path / "widened.mmdb"
    widened.write_bytes(packed + content[count * 6 : at] + bytes([0xA1, bits]) + content[at + 2 :])
    assert list(Database(widened).networks()) == list(Database(path).networks())


def _pack(left: int, right: int, bits: int) -> bytes:
    if bits == 28:
        low = 0xFFFFFF
        return (left & low).to_bytes(3) + bytes([left >> 24 << 4 | right >> 24]) + (right & low).to_bytes(3)
    return left.to_bytes(bits // 8) + right.to_bytes(bits // 8)
