from __future__ import annotations

import ipaddress
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gslb.geo.build.mmdb import Header, graft, serialize, tree_of
from gslb.geo.classes import build_tables
from gslb.geo.database import Database
from gslb.geo.embedded import RANGES
from gslb.geo.locate import Locator, chain_key
from gslb.model import Location, Policy, Region, Service
from gslb.steering.engine import views
from gslb.steering.policies.failover import Failover
from gslb.steering.policies.geo import Geo
from gslb.steering.policies.limit import Limit
from gslb.steering.policies.nearest import Nearest

PLACES = {"DE": (52.5, 13.4), "JP": (35.7, 139.7), "BR": (-23.5, -46.6), "FR": (48.9, 2.4), "ZA": (-26.2, 28.0)}
RECORDS = [
    {"country": {"iso_code": code}, "location": {"latitude": y, "longitude": x}} for code, (y, x) in PLACES.items()
]
REGIONS = (
    Region("eu", Location(53, -6, "IE"), ("192.0.2.1",), (), ""),
    Region("us", Location(39, -77, "US"), ("192.0.2.2",), (), ""),
    Region("ap", Location(19, 73, "IN"), ("192.0.2.3",), (), ""),
)


def service(*chain: Policy, regions: tuple[Region, ...] = REGIONS) -> Service:
    return Service("any", regions, chain)


SERVICES = {
    "near": service(Nearest()),
    "near2": service(Nearest()),
    "rules": service(Geo(countries={"DE": ("us",)}), Nearest(), Limit(regions=2)),
    "fixed": service(Failover(), Limit(regions=2)),
}


def number(text: str) -> int:
    return int(ipaddress.ip_address(text))


def write(path: Path, four: list[tuple[int, int, int]], six: list[tuple[int, int, int]]) -> Path:
    content = serialize(graft(tree_of(four, 32), tree_of(six, 128)), RECORDS, Header("Test-City", "a test", 1)).content
    path.write_bytes(content)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    four = [(number("81.0.0.0"), 8, 0), (number("81.2.0.0"), 16, 3), (number("133.0.0.0"), 8, 1)]
    six = [(number("2a00::"), 16, 0), (number("2000::"), 8, 1), (number("2a00:1::"), 64, 4)]
    return write(tmp_path / "city.mmdb", four, six)


def table(path: Path, name: str) -> Any:
    """A table as the builder process hands it over."""
    return pickle.loads(pickle.dumps(build_tables(path, SERVICES)))[chain_key(SERVICES[name])]


ADDRESSES = [
    "81.1.2.3", "81.2.3.4", "133.9.9.9", "10.0.0.1", "255.255.255.255",
    "2a00::1", "2a00:1::", "2a00:1:0:1::", "2001:db8::", "::1", "::", "8000::",
    "2002:5101:203::1", "::ffff:81.2.3.4", "64:ff9b::133.9.9.9", "2001:0:5ef5:79fd:0:59d:aefd:fcfb", "2001::",
]  # fmt: skip


@pytest.mark.parametrize("text", ADDRESSES)
@pytest.mark.parametrize("name", SERVICES)
def test_a_table_changes_scopes_only(path: Path, text: str, name: str) -> None:
    locator, address = Locator(Database(path), SERVICES), ipaddress.ip_address(text)
    asked = name, int(address), address.version, address.max_prefixlen
    class_id, seen, scope = locator.find(*asked)
    assert seen == views(SERVICES[name], locator.locate(int(address), address.version)[0])
    locator.install(chain_key(SERVICES[name]), table(path, name))
    assert locator.find(*asked)[:2] == (class_id, seen)
    assert locator.find(*asked)[2] <= scope
    assert locator.views(name, class_id) == seen
    installed = locator.table(name)
    assert installed is not None and installed.find(int(address), address.version)[0] == class_id


def test_scopes_of_the_table(path: Path) -> None:
    locator = Locator(Database(path), SERVICES)
    locator.install(chain_key(SERVICES["near"]), table(path, "near"))
    assert locator.find("near", number("81.129.0.1"), 4, 32)[2] == 9
    assert locator.find("near", number("81.2.3.4"), 4, 32)[2] == 16
    assert locator.find("near", number("2002:5102:304::"), 6, 56)[2] == 32
    assert locator.find("near", number("::ffff:81.2.3.4"), 6, 128)[2] == 112
    assert locator.find("near", number("2001:0:5ef5:79fd:0:59d:aefd:fcfb"), 6, 128)[2] == 128
    assert locator.find("near", number("2001::"), 6, 56)[1:] == ((None,), 128)


def test_a_chain_that_looks_at_no_place_has_one_class_and_scope_nought(path: Path) -> None:
    locator = Locator(Database(path), SERVICES)
    locator.install(chain_key(SERVICES["fixed"]), table(path, "fixed"))
    for text in ADDRESSES:
        address = ipaddress.ip_address(text)
        assert locator.find("fixed", int(address), address.version, address.max_prefixlen) == (0, (None, None), 0)


def test_services_whose_chains_see_the_same_share_a_table(path: Path) -> None:
    assert len(build_tables(path, SERVICES)) == 3
    locator = Locator(Database(path), SERVICES)
    locator.install(locator.chain_key(SERVICES["near2"]), table(path, "near"))
    assert locator.table("near") is locator.table("near2") is not None
    assert locator.table("rules") is None


def test_chain_keys_tell_apart_what_views_depend_on() -> None:
    moved = (Region("eu", Location(50, 10, "IE"), ("192.0.2.1",), (), ""), *REGIONS[1:])
    readdressed = (Region("eu", Location(53, -6, "IE"), ("192.0.2.99",), (), ""), *REGIONS[1:])
    key = chain_key(service(Nearest()))
    assert key == chain_key(service(Nearest(), regions=readdressed))
    others = [service(Nearest(), regions=moved), service(Nearest(tie=1.1)), service(Nearest(), Limit())]
    others += [service(Nearest(), regions=REGIONS[:2]), service(Nearest(), regions=REGIONS[::-1])]
    assert len({key, *(chain_key(other) for other in others)}) == 6


def test_a_table_that_no_service_has_is_ignored(path: Path) -> None:
    locator = Locator(Database(path), {"near": SERVICES["near"]})
    locator.install(chain_key(SERVICES["rules"]), table(path, "rules"))
    assert locator.table("near") is None


def test_without_a_database_nobody_is_located() -> None:
    locator = Locator(None, SERVICES)
    for text in ADDRESSES:
        address = ipaddress.ip_address(text)
        for name, known in SERVICES.items():
            asked = locator.find(name, int(address), address.version, address.max_prefixlen)
            assert asked == (0, views(known, None), 0)
    assert locator.locate(number("81.2.3.4"), 4) == (None, 0)


def test_bits_beyond_the_source_prefix_are_ignored(path: Path) -> None:
    locator = Locator(Database(path), SERVICES)
    assert locator.find("near", number("81.2.3.4"), 4, 8) == locator.find("near", number("81.0.0.0"), 4, 8)
    assert locator.find("near", number("81.2.3.4"), 4, 0) == locator.find("near", 0, 4, 32)


networks4 = st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, 32), st.integers(0, 4)), max_size=4)
networks6 = st.lists(
    st.tuples(
        st.integers(0, (1 << 128) - 1) | st.sampled_from([first for first, _ in RANGES]),
        st.integers(0, 128),
        st.integers(0, 4),
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(networks4, networks6, st.data())
def test_every_full_length_client_inside_a_scope_gets_that_answer(
    tmp_path: Path, four: list[tuple[int, int, int]], six: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Before and after the table is there, for source prefixes of any length, embedded or not."""
    path = tmp_path / "any.mmdb"
    path.unlink(missing_ok=True)
    four, six = ([(a >> n - p << n - p, p, r) for a, p, r in nets] for nets, n in ((four, 32), (six, 128)))
    write(path, [(0, 32, 0), *four], six)
    near = {"near": SERVICES["near"]}
    bare, full = Locator(Database(path), near), Locator(Database(path), near)
    for key, built in build_tables(path, near).items():
        full.install(key, built)
    starts4 = [0, (1 << 32) - 1, *(first for first, *_ in four)]
    starts6 = [first for first, *_ in (*six, *RANGES)]
    starts6 += [0x2002 << 112 | first << 80 for first in starts4]
    starts6 += [
        range_ | first for first in starts4 for range_ in (0xFFFF << 32, 0x64FF9B << 96, 0x2001 << 112 | 5 << 70)
    ]
    for _ in range(8):
        family = data.draw(st.sampled_from([4, 6]))
        bits, starts = (32, starts4) if family == 4 else (128, starts6)
        address = data.draw(st.sampled_from(starts) | st.integers(0, (1 << bits) - 1))
        length = data.draw(st.integers(0, bits))
        for locator in (bare, full):
            _, seen, scope = locator.find("near", address, family, length)
            first = address >> bits - length << bits - length >> bits - scope << bits - scope
            within = data.draw(st.integers(0, (1 << bits - scope) - 1))
            clients = {first, first + (1 << bits - scope) - 1, first + within}
            clients |= {start for start in starts if first <= start < first + (1 << bits - scope)}
            for client in clients:
                assert bare.find("near", client, family, bits)[1] == seen
                assert full.find("near", client, family, bits)[1] == seen
