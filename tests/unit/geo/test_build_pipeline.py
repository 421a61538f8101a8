"""The build, from a handmade source to a file that GeoIP2's own reader reads."""

import contextlib
import hashlib
import ipaddress
import json

import geoip2.database
import geoip2.errors
import maxminddb
import pytest

from gslb.errors import GeoError
from gslb.geo.build import SAMPLE_REGIONS, agreement, build, measure, pipeline, write_centroids
from gslb.geo.build.__main__ import main
from gslb.geo.build.mmdb import Header, graft, serialize, tree_of
from gslb.geo.build.sources import Place, place_of

HEADER = Header("city", "a source", 1_700_000_000)
DUBLIN, LONDON = ("IE", "Leinster", 53.34, -6.26), ("GB", "England", 51.5, -0.12)
CROYDON = ("GB", "England", 51.37, -0.1)  # 14 km from the middle of London
FRISCO, AUSTIN = ("US", "California", 37.77, -122.42), ("US", "Texas", 30.27, -97.74)
MUMBAI, NOWHERE = ("IN", "Maharashtra", 19.08, 72.88), ("US", "Atlantis", 39.0, -60.0)
NETWORKS4 = {
    "1.0.0.0/8": DUBLIN, "2.0.0.0/9": LONDON, "2.128.0.0/10": CROYDON, "2.192.0.0/10": LONDON, "8.0.0.0/8": FRISCO,
    "8.8.8.0/24": AUSTIN, "9.0.0.0/8": NOWHERE, "49.0.0.0/8": MUMBAI, "49.1.2.3/32": DUBLIN,
}  # fmt: skip
NETWORKS6 = {
    "2400::/16": MUMBAI,
    "2600::/16": FRISCO,
    "2600:1::/32": AUSTIN,
    "2a00::/16": DUBLIN,
    "2a00:5::/48": LONDON,
}


def flat(country, state, latitude, longitude):
    return {"city": "x", "country_code": country, "state1": state, "latitude": latitude, "longitude": longitude}


def geolite(country, state, latitude, longitude):
    codes = {"California": "CA", "Texas": "TX", "Maharashtra": "MH"}
    return {
        "country": {"iso_code": country, "names": {"en": country}},
        "location": {"latitude": latitude, "longitude": longitude, "time_zone": "x"},
        "subdivisions": [{"iso_code": codes.get(state, "ZZ"), "names": {"en": state}}],
    }


def tree(networks, places, bits):
    parsed = [(ipaddress.ip_network(text), place) for text, place in networks.items()]
    return tree_of([(int(net.network_address), net.prefixlen, places.index(place)) for net, place in parsed], bits)


def write_source(path, networks4, networks6=None, schema=flat):
    places = [*networks4.values(), *(networks6 or {}).values()]
    if networks4 and networks6:
        file = serialize(
            graft(tree(networks4, places, 32), tree(networks6, places, 128)), [schema(*p) for p in places], HEADER
        )
    elif networks4:
        file = serialize(tree(networks4, places, 32), [schema(*p) for p in places], HEADER, ip_version=4)
    else:
        file = serialize(tree(networks6, places, 128), [schema(*p) for p in places], HEADER)
    path.write_bytes(file.content)
    return path


@pytest.fixture
def sources(tmp_path):
    return [write_source(tmp_path / "v4.mmdb", NETWORKS4), write_source(tmp_path / "v6.mmdb", {}, NETWORKS6)]


def city(reader, address):
    found = reader.city(address)
    part = found.subdivisions.most_specific
    return (
        found.continent.code,
        found.country.iso_code,
        part.iso_code,
        found.location.latitude,
        found.location.longitude,
    )


def test_a_city_database_comes_out(tmp_path, sources):
    target, told = tmp_path / "out.mmdb", []
    report = build(sources, target, progress=lambda stage, done: told.append((stage, done)))
    with geoip2.database.Reader(target) as reader:
        assert "City" in reader.metadata().database_type
        assert "DB-IP" in reader.metadata().description["en"]
        assert reader.metadata().build_epoch == report.build_epoch == HEADER.build_epoch
        assert city(reader, "1.2.3.4") == ("EU", "IE", None, 53.35, -6.25)
        assert city(reader, "8.1.1.1") == ("NA", "US", "CA", 37.75, -122.4)
        assert city(reader, "8.8.8.8") == ("NA", "US", "TX", 30.25, -97.75)
        assert city(reader, "49.1.2.2") == ("AS", "IN", "MH", 19.1, 72.9)
        assert city(reader, "49.1.2.3")[1] == "IE"  # a border is kept, be the network ever so small
        assert city(reader, "2600:1::1") == ("NA", "US", "TX", 30.25, -97.75)
        assert city(reader, "2600:2::1") == ("NA", "US", "CA", 37.75, -122.4)
        assert city(reader, "2a00:5::1")[1] == "GB"
        unknown = reader.city("9.9.9.9").subdivisions.most_specific
        assert (unknown.iso_code, unknown.name) == (None, "Atlantis")
        for absent in ("3.1.1.1", "127.0.0.1", "2001:db8::1", "::ffff:1.2.3.4"):
            with pytest.raises(geoip2.errors.AddressNotFoundError):
                reader.city(absent)
    assert report.size_bytes == target.stat().st_size
    assert report.to_dict()["destination"] == str(target)
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert told[-1] == ("done", 1.0)


def test_neighbours_become_their_city_and_merge(tmp_path, sources):
    build(sources, tmp_path / "out.mmdb")
    with maxminddb.open_database(tmp_path / "out.mmdb") as reader:
        record, length = reader.get_with_prefix_len("2.130.0.1")
        assert (record["location"], length) == ({"latitude": 51.5, "longitude": -0.1}, 8)


def test_the_same_sources_give_the_same_bytes(tmp_path, sources):
    for name in ("one", "two"):
        build(sources, tmp_path / name)
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("one", "two")}
    assert len(digests) == 1


def test_geoip2_files_are_sources_too_and_the_first_file_of_a_family_wins(tmp_path, sources):
    other = write_source(tmp_path / "other.mmdb", {"1.0.0.0/8": MUMBAI}, {"2600::/16": AUSTIN}, schema=geolite)
    build([other, *sources], tmp_path / "out.mmdb")
    with geoip2.database.Reader(tmp_path / "out.mmdb") as reader:
        assert city(reader, "1.2.3.4") == ("AS", "IN", "MH", 19.1, 72.9)
        assert city(reader, "2600:2::1")[1:3] == ("US", "TX")
        with pytest.raises(geoip2.errors.AddressNotFoundError):
            reader.city("2a00::1")


def many(count=400):
    """Networks in runs of 16 a country, each at a place of its own, with a stranger in some runs."""
    countries = ["DE", "FR", "IT", "ES"]
    return {
        f"{20 + index // 256}.{index % 256}.0.0/16": (
            "CH" if index % 23 == 0 else countries[index // 16 % 4],
            "", 35.0 + index // 16 % 7 + index * 7919 % 200 / 50, index // 16 % 5 + index * 104729 % 250 / 50,
        )
        for index in range(count)
    }  # fmt: skip


@pytest.mark.parametrize("size_bytes", [1_500, 4_000, 8_000, 50_000])
def test_the_size_is_obeyed_and_used(tmp_path, size_bytes):
    source = write_source(tmp_path / "many.mmdb", many())
    report = build([source], tmp_path / "out.mmdb", size_bytes=size_bytes)
    assert report.size_bytes <= size_bytes
    assert report.size_bytes > size_bytes * 0.5 or report.price == 0.0
    with maxminddb.open_database(tmp_path / "out.mmdb") as reader:
        assert all(reader.get(text.split("/")[0]) is not None for text in many())


def test_more_room_gives_more_accuracy(tmp_path):
    source = write_source(tmp_path / "many.mmdb", many())
    found = []
    for size_bytes in (1_500, 6_000, 50_000):
        build([source], tmp_path / "out.mmdb", size_bytes=size_bytes)
        found.append(measure(tmp_path / "out.mmdb", [source], SAMPLE_REGIONS, samples=300).rows[0])
    assert found[0].median_error_km > found[1].median_error_km >= found[2].median_error_km
    assert found[0].country < found[1].country == found[2].country == 1.0


def test_measure_finds_a_copy_the_same_and_another_map_different(tmp_path, sources):
    build(sources, tmp_path / "out.mmdb")
    same = measure(tmp_path / "out.mmdb", sources, SAMPLE_REGIONS, samples=300, seed=7)
    assert [(row.family, row.by) for row in same.rows] == [
        (4, "address"), (4, "network"), (6, "address"), (6, "network")
    ]  # fmt: skip
    for row in same.rows:
        assert (row.samples, row.nearest, row.country, row.known) == (300, 1.0, 1.0, 1.0)
        assert row.p95_error_km < pipeline.RADIUS_KM
    assert same == measure(tmp_path / "out.mmdb", sources, SAMPLE_REGIONS, samples=300, seed=7)
    wrong = write_source(tmp_path / "wrong.mmdb", {"0.0.0.0/1": MUMBAI}, schema=geolite)
    row = measure(wrong, sources[:1], SAMPLE_REGIONS, samples=300).rows[0]
    assert row.known == 1.0
    assert row.nearest < 0.5
    assert row.country < 0.5
    assert row.median_error_km > 5000
    assert json.dumps(same.to_dict())


def test_measure_wants_a_region(tmp_path, sources):
    with pytest.raises(GeoError, match="at least one region"):
        measure(sources[0], sources, [])


def test_samples_are_spread_by_addresses_or_by_networks(tmp_path):
    source = agreement.open_families([write_source(tmp_path / "s.mmdb", {"1.0.0.0/8": DUBLIN, "5.0.0.0/24": LONDON})])
    numbers = agreement.random.Random(3)
    by_address = list(agreement._sample(source[4], 4, agreement.ADDRESS, 1000, numbers))
    assert {place.country for _, place in by_address} == {"IE"}
    assert all(address >> 24 == 1 for address, _ in by_address)
    by_network = [place.country for _, place in agreement._sample(source[4], 4, agreement.NETWORK, 1000, numbers)]
    assert 400 < by_network.count("GB") < 600


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "can't be read"),
        (b"not a database at all" * 100, "can't be read"),
        ("half", "can't be read"),
        ("asn", "is no city database"),
        ("numbers", "is no city database"),
        ("nothing", "names no place"),
        ("damaged", "damaged"),
    ],
)
def test_a_bad_source_is_told_in_one_line(tmp_path, sources, content, words):
    good, bad, target = sources[0].read_bytes(), tmp_path / "bad.mmdb", tmp_path / "out.mmdb"
    target.write_bytes(b"what was there")
    if content == "asn":
        content = serialize((0, -1), [{"autonomous_system_number": 64500}], HEADER, ip_version=4).content
    elif content == "numbers":
        content = serialize((0, -1), [{"country_code": "US", "latitude": "north", "longitude": []}], HEADER).content
    elif content == "nothing":
        content = serialize((0, -1), [flat("", "", 1.0, 1.0)], HEADER, ip_version=4).content
    elif content == "half":
        content = good[: len(good) // 2]
    elif content == "damaged":  # a node that leads to itself
        content = bytes(6) + good[6:]
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(GeoError) as caught:
        build([bad], target)
    assert str(bad) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert target.read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".out*"))


def test_no_source_no_room_and_no_folder_are_errors(tmp_path, sources):
    with pytest.raises(GeoError, match="no source"):
        build([], tmp_path / "out.mmdb")
    with pytest.raises(GeoError, match="too few"):
        build(sources, tmp_path / "out.mmdb", size_bytes=100)
    with pytest.raises(GeoError, match="can't be written"):
        build(sources, tmp_path / "missing" / "out.mmdb")
    assert not (tmp_path / "out.mmdb").exists()


def test_random_damage_gives_a_file_or_a_geo_error(tmp_path, sources):
    good, numbers = sources[0].read_bytes(), agreement.random.Random(5)
    bad = tmp_path / "bad.mmdb"
    for _ in range(80):
        content = bytearray(good)
        for _ in range(numbers.randrange(1, 6)):
            content[numbers.randrange(len(content))] = numbers.randrange(256)
        bad.write_bytes(content)
        with contextlib.suppress(GeoError):
            build([bad], tmp_path / "out.mmdb", size_bytes=50_000)


def test_records_of_both_schemas_say_the_same():
    assert place_of(flat(*FRISCO)) == Place("US", "", "California", 37.77, -122.42)
    assert place_of(geolite(*FRISCO)) == Place("US", "CA", "California", 37.77, -122.42)
    country_only = place_of({"country": {"iso_code": "DE"}})
    assert country_only.country == "DE"
    assert 47 < country_only.latitude < 55
    assert place_of({"country": {"iso_code": "??"}}) is None
    assert place_of(flat("DE", "", 95.0, 0.0)) is None
    for other in ("text", {"asn": 1}, {"country_code": "DE"}):
        with pytest.raises((KeyError, TypeError)):
            place_of(other)


def test_the_commands_of_a_release(tmp_path, sources, capsys):
    target, names = tmp_path / "out.mmdb", [str(path) for path in sources]
    build(sources, target)
    assert main(["eight", *names, "--database", str(target), "--samples", "50"]) == 0
    assert len(json.loads(capsys.readouterr().out)["regions"]) == 8
    table = tmp_path / "centroids.csv"
    assert main(["centroids", *names, "--output", str(table)]) == 0
    assert json.loads(capsys.readouterr().out) == {"countries": 4}
    assert "IE,EU,53.30,-6.30" in table.read_text()
    with pytest.raises(SystemExit) as caught:
        main(["eight", *names, "--database", str(tmp_path / "missing.mmdb")])
    assert caught.value.code == 2
    assert "no such file" in capsys.readouterr().err


def test_write_centroids_keeps_countries_that_the_source_does_not_have(tmp_path, sources):
    assert write_centroids(sources, tmp_path / "out.csv") == 4
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert len(rows) == 251
    assert any(row.startswith("AQ,AN,-82.90") for row in rows)
