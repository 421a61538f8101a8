"""The writer of MaxMind DB files, judged by MaxMind's own readers."""

import ipaddress

import geoip2.database
import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.geo.build import mmdb
from gslb.geo.build.mmdb import ABSENT, DataSection, Header, graft, serialize, tree_of

HEADER = Header("test-City", "a test", 1_700_000_000)
READERS = [maxminddb.MODE_MMAP_EXT, maxminddb.MODE_MMAP]  # the C reader and the Python one


def opened(tmp_path, content, mode=maxminddb.MODE_AUTO):
    path = tmp_path / "test.mmdb"
    path.write_bytes(content)
    return maxminddb.open_database(path, mode)


def networks_of(bits):
    length = st.integers(1, bits)
    return st.lists(
        length.flatmap(
            lambda size: st.tuples(
                st.integers(0, 2**size - 1).map(lambda first: first << bits - size), st.just(size), st.integers(0, 5)
            )
        ),
        min_size=1,
        max_size=30,
        unique_by=lambda network: network[:2],
    )


def expected(networks, bits, address):
    """The record of the longest prefix that covers an address: what a reader must say."""
    covering = [(size, record) for first, size, record in networks if address >> bits - size == first >> bits - size]
    return max(covering)[1] if covering else None


@settings(max_examples=50)
@given(
    networks4=networks_of(32),
    networks6=networks_of(128).map(lambda them: [(first | 1 << 127, size, record) for first, size, record in them]),
    probes=st.lists(st.integers(0, 2**128 - 1), max_size=10),
)
def test_every_prefix_set_is_read_back_exactly(tmp_path_factory, networks4, networks6, probes):
    networks6 = list({network[:2]: network for network in networks6}.values())
    tree = graft(tree_of(networks4, 32), tree_of(networks6, 128))
    records = [{"country": {"iso_code": f"C{number}"}, "number": number} for number in range(6)]
    content = serialize(tree, records, HEADER).content
    with opened(tmp_path_factory.mktemp("mmdb"), content) as reader:
        for networks, bits, make in ((networks4, 32, ipaddress.IPv4Address), (networks6, 128, ipaddress.IPv6Address)):
            edges = {first + offset for first, size, _ in networks for offset in (0, 2 ** (bits - size) - 1, -1)}
            asked = edges | {first + 2 ** (bits - size) for first, size, _ in networks}
            asked |= {probe >> 128 - bits for probe in probes}
            for address in asked:
                if not 0 <= address < 2**bits or (bits == 128 and address < 2**32):
                    continue
                record = expected(networks, bits, address)
                assert reader.get(make(address)) == (None if record is None else records[record])


@settings(max_examples=50)
@given(networks=networks_of(16))
def test_the_readers_iteration_gives_back_the_networks(tmp_path_factory, networks):
    networks4 = [(first << 16, size, record) for first, size, record in networks]
    content = serialize(tree_of(networks4, 32), list(range(6)), HEADER, ip_version=4).content
    with opened(tmp_path_factory.mktemp("mmdb"), content) as reader:
        for network, record in reader:
            first = int(network.network_address)
            assert expected(networks4, 32, first) == record
            assert expected(networks4, 32, first + network.num_addresses - 1) == record


@pytest.mark.parametrize("mode", READERS)
def test_values_of_every_kind_and_length_survive(tmp_path, mode):
    texts = ["", "é", *("x" * size for size in (28, 29, 30, 284, 285, 286, 65820, 65821, 70000))]
    record = {
        "texts": texts, "again": texts, "floats": [0.0, -89.95, 179.5, 179.5], "numbers": [0, 1, 255, 2**32 - 1],
        "empty": {}, "none": [], "many": {f"key {number}": number for number in range(300)},
    }  # fmt: skip
    with opened(tmp_path, serialize((0, ABSENT), [record], HEADER, ip_version=4).content, mode) as reader:
        assert reader.get("1.2.3.4") == record
        assert reader.get("200.0.0.1") is None


@pytest.mark.parametrize("mode", READERS)
def test_metadata_is_what_readers_insist_on(tmp_path, mode):
    with opened(tmp_path, serialize((0, ABSENT), [{"a": 1}], HEADER).content, mode) as reader:
        metadata = reader.metadata()
        assert (metadata.database_type, metadata.description) == ("test-City", {"en": "a test"})
        assert (metadata.ip_version, metadata.record_size, metadata.node_count) == (6, 24, 1)
        assert (metadata.build_epoch, metadata.languages) == (1_700_000_000, ["en"])
        assert (metadata.binary_format_major_version, metadata.binary_format_minor_version) == (2, 0)


def test_a_large_file_gets_wider_records(tmp_path):
    records = [{"text": f"{number}" * 1_000_000} for number in range(2)] + ["y" * 15_000_000]
    tree = tree_of([(0, 8, 0), (1 << 24, 8, 1), (2 << 24, 8, 2)], 32)
    with opened(tmp_path, serialize(tree, records, HEADER, ip_version=4).content, maxminddb.MODE_MMAP_EXT) as reader:
        assert reader.metadata().record_size == 32
        assert reader.get("1.0.0.1") == {"text": "1" * 1_000_000}


def test_equal_branches_and_parts_are_stored_once():
    networks = [(first << 24, 9, 0) for first in range(256)] + [(first << 24 | 1 << 23, 9, 1) for first in range(256)]
    record = {"country": {"iso_code": "a rather long code"}}
    once = serialize((0, ABSENT), [record], HEADER, ip_version=4).content
    file = serialize(tree_of(networks, 32), [record, {**record, "n": 1}], HEADER, ip_version=4)
    assert file.nodes == 9
    assert file.records == 2
    assert len(file.content) < len(once) + 9 * 6 + 20


@pytest.mark.parametrize("offset", [0, 2047, 2048, 526335, 526336, 2**27 + 526335, 2**27 + 526336])
def test_pointers_of_every_length_say_where_they_lead(offset):
    pointer = mmdb._pointer(offset)
    size, high, low = pointer[0] >> 3 & 3, pointer[0] & 7, int.from_bytes(pointer[1:])
    assert pointer[0] >> 5 == 1
    assert len(pointer) == size + 2
    assert [high << 8 | low, (high << 16 | low) + 2048, (high << 24 | low) + 526336, low][size] == offset


def test_the_same_part_gets_the_same_offset():
    data = DataSection()
    first = data.add({"a": {"b": "a long enough text"}})
    assert data.add({"a": {"b": "a long enough text"}}) == first
    assert data.add({"b": "a long enough text"}) != first


def test_geoip2_reads_a_city(tmp_path):
    record = {
        "continent": {"code": "NA"}, "country": {"iso_code": "US"},
        "location": {"latitude": 37.75, "longitude": -122.4},
        "subdivisions": [{"iso_code": "CA", "names": {"en": "California"}}],
    }  # fmt: skip
    path = tmp_path / "city.mmdb"
    tree = graft(tree_of([(8 << 24, 8, 0)], 32), tree_of([(0x2001 << 112, 16, 0)], 128))
    path.write_bytes(serialize(tree, [record], HEADER).content)
    with geoip2.database.Reader(path) as reader:
        for address in ("8.8.8.8", "2001:4860:4860::8888"):
            city = reader.city(address)
            assert (city.continent.code, city.country.iso_code) == ("NA", "US")
            assert city.subdivisions.most_specific.iso_code == "CA"
            assert city.subdivisions.most_specific.name == "California"
            assert (city.location.latitude, city.location.longitude) == (37.75, -122.4)
