"""The database that ships: it opens, it is small, and it knows the world."""

import csv
from pathlib import Path

import geoip2.database
import geoip2.errors
import pytest

from gslb.geo.build import DEFAULT_SIZE_BYTES
from gslb.geo.build.places import subdivision_codes
from gslb.geo.centroids import centroid, continent, table
from gslb.geo.distance import distance_km
from gslb.model import Location

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "data" / "gslb-geo.mmdb"
CONTINENTS = {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}


@pytest.fixture(scope="module")
def reader():
    with geoip2.database.Reader(SHIPPED) as opened:
        yield opened


def test_it_is_a_city_database_of_both_families_and_at_most_8_mib(reader):
    metadata = reader.metadata()
    assert "City" in metadata.database_type
    assert (metadata.ip_version, metadata.record_size) == (6, 24)
    assert "DB-IP" in metadata.description["en"]
    assert 4 * 1024 * 1024 < SHIPPED.stat().st_size <= DEFAULT_SIZE_BYTES == 8_388_608


@pytest.mark.parametrize(
    ("address", "continents", "countries"),
    [
        ("81.2.69.142", "EU", "GB"),
        ("8.8.8.8", "NA", "US"),
        ("133.1.0.0", "AS", "JP"),
        ("200.160.2.3", "SA", "BR"),
        ("196.25.1.1", "AF", "ZA"),
        ("139.130.4.5", "OC", "AU"),
        ("77.88.8.8", "EU", "RU"),
        ("49.44.0.1", "AS", "IN"),
        ("2a00:1450:4001:800::1", "EU", "DE IE NL BE GB FR"),
        ("2001:200::1", "AS", "JP"),
        ("2804:14d::1", "SA", "BR"),
        ("2003::1", "EU", "DE"),
    ],
)
def test_well_known_addresses_are_where_they_are(reader, address, continents, countries):
    city = reader.city(address)
    assert city.continent.code in continents.split()
    assert city.country.iso_code in countries.split()
    middle = centroid(city.country.iso_code)
    assert distance_km(Location(city.location.latitude, city.location.longitude), middle) < 6000


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "192.168.1.1", "224.0.0.1", "::1", "fe80::1", "fc00::1"])
def test_private_space_is_unknown(reader, address):
    with pytest.raises(geoip2.errors.AddressNotFoundError):
        reader.city(address)


def test_subdivisions_of_large_countries_have_codes(reader):
    for address, code in (("8.8.8.8", "CA"), ("200.160.2.3", "SP"), ("77.88.8.8", "MOW"), ("139.130.4.5", None)):
        part = reader.city(address).subdivisions.most_specific
        assert part.name
        assert part.iso_code == code or code is None
    assert subdivision_codes()["AU"]["ACT"] == ("ACT", "Australian Capital Territory")
    assert len(subdivision_codes()["US"]) == 51


def test_the_licence_and_the_attribution_lie_beside_it():
    for name in ("README.md", "LICENSE-DB-IP.txt"):
        text = " ".join((SHIPPED.parent / name).read_text(encoding="utf-8").split())
        assert "IP Geolocation by DB-IP" in text
        assert "https://db-ip.com" in text
        assert "CC BY 4.0" in text or "Creative Commons Attribution 4.0" in text


def test_the_table_of_countries_is_whole():
    rows = list(csv.DictReader((ROOT / "gslb" / "geo" / "centroids.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["country"] for row in rows] == sorted(row["country"] for row in rows)
    assert len(rows) == len(table()) == 250
    for code, place in table().items():
        assert place.country == code
        assert place.continent in CONTINENTS
        assert -90 <= place.latitude <= 90
        assert -180 <= place.longitude <= 180
        assert (place.latitude, place.longitude) != (0.0, 0.0)
    assert continent("DE") == "EU"
    assert (continent("??"), centroid("??")) == ("", None)
    for code, latitude, longitude in (
        ("DE", 50.5, 9.5),
        ("JP", 35.6, 139.0),
        ("AU", -34.5, 149.0),
        ("CL", -33.4, -70.7),
    ):
        assert distance_km(centroid(code), Location(latitude, longitude)) < 350
