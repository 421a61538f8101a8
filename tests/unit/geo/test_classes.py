from __future__ import annotations

import random
from pathlib import Path

import pytest

from gslb.errors import GeoError
from gslb.geo.build.mmdb import Header, serialize, tree_of
from gslb.geo.classes import build_tables
from gslb.geo.database import Database
from gslb.geo.locate import Locator, chain_key
from gslb.model import Location, Region, Service
from gslb.steering.policies.failover import Failover
from gslb.steering.policies.nearest import Nearest

SHIPPED = Path(__file__).parents[3] / "data" / "gslb-geo.mmdb"
REGIONS = (
    Region("eu-west", Location(53.34, -6.26, "IE"), ("192.0.2.1",), (), ""),
    Region("us-east", Location(39.04, -77.49, "US"), ("192.0.2.2",), (), ""),
    Region("ap-south", Location(19.08, 72.88, "IN"), ("192.0.2.3",), (), ""),
)
NEAR, NEAR_TOO, FIXED = (Service("any", REGIONS, (chain,)) for chain in (Nearest(), Nearest(), Failover()))


def small(path: Path) -> Path:
    record = {"country": {"iso_code": "DE"}, "location": {"latitude": 52.5, "longitude": 13.4}}
    tree = tree_of([(81 << 24, 8, 0)], 32)
    path.write_bytes(serialize(tree, [record], Header("Test-City", "a test", 1), 4).content)
    return path


def test_a_table_for_every_different_chain(tmp_path: Path) -> None:
    path = small(tmp_path / "small.mmdb")
    tables = build_tables(path, {"a": NEAR, "b": NEAR_TOO, "c": FIXED})
    assert tables.keys() == {chain_key(NEAR), chain_key(FIXED)}
    near, fixed = tables[chain_key(NEAR)], tables[chain_key(FIXED)]
    class_id, scope = near.find(81 << 24, 4)
    assert (near.views[class_id], scope) == (((("eu-west", "ap-south", "us-east"), (1, 2, 3)),), 8)
    assert near.views[near.find(82 << 24, 4)[0]] == (None,)
    assert fixed.find(81 << 24, 4) == (1, 0)


def test_no_services_no_tables(tmp_path: Path) -> None:
    assert build_tables(small(tmp_path / "small.mmdb"), {}) == {}


def test_a_file_that_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(GeoError, match="no such file"):
        build_tables(tmp_path / "none.mmdb", {"a": NEAR})
    path = small(tmp_path / "small.mmdb")
    content = bytearray(path.read_bytes())
    content[3:6] = bytes(3)  # the right of the first node leads back to it
    path.write_bytes(content)
    with pytest.raises(GeoError, match="damaged: the search tree is deeper than an address is long"):
        build_tables(path, {"a": NEAR})


@pytest.mark.slow
def test_the_shipped_database_says_the_same_with_and_without_tables() -> None:
    database, services = Database(SHIPPED), {"near": NEAR}
    bare, full = Locator(database, services), Locator(database, services)
    for key, table in build_tables(SHIPPED, services).items():
        full.install(key, table)
    seeded = random.Random(5)
    for _ in range(3000):
        family = seeded.choice((4, 6))
        address = (
            seeded.getrandbits(32)
            if family == 4
            else seeded.choice((0x2A, 0x26, 0x24)) << 120 | seeded.getrandbits(120)
        )
        _, seen, scope = full.find("near", address, family, 32 if family == 4 else 128)
        _, plain_seen, plain_scope = bare.find("near", address, family, 32 if family == 4 else 128)
        assert seen == plain_seen and scope <= plain_scope
        assert seen != (None,) or database.lookup(address, family)[0] is None
