"""The files' pools and the rows of the registry as one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.algorithm import ALGORITHMS
from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.merging import CHANGEABLE, find, listed, merge, own_check, split_check_url, weighed
from gslb.health.checks.http import HttpCheck
from gslb.health.checks.tcp import TcpCheck
from gslb.model import ACTIVE, INACTIVE, MAINTENANCE, HealthCheck, Pool, Registration, Server

HEALTH = HealthCheck(HttpCheck("/health", expect="200"), timeout_s=0.5)
A, B = Server("a", "10.0.0.1", 80, weight=2), Server("b", "10.0.0.2", 80)
POOLS = {
    "web": Pool("web", (A, B), RoundRobin(), HEALTH),
    "api": Pool("api", (replace(A, id="x"),), RoundRobin()),
}

rows = st.builds(
    Registration,
    st.sampled_from(["web", "api", "gone"]),
    st.sampled_from("abcx"),
    host=st.none() | st.just("10.0.0.9"),
    port=st.just(8080),
    weight=st.none() | st.integers(0, 9),
    max_connections=st.none() | st.integers(0, 9),
    health_check_url=st.none() | st.sampled_from(["/up", "http://10.0.0.5:81/up"]),
    timeout_ms=st.none() | st.integers(10, 9999),
    protocol=st.none() | st.sampled_from(["http", "tcp"]),
    status=st.none() | st.sampled_from([ACTIVE, INACTIVE, MAINTENANCE]),
    created_at=st.floats(0, 9),
)


def merged(*said: Registration) -> dict[str, tuple[Server, ...]]:
    return {name: pool.servers for name, pool in merge(POOLS, said).items()}


def test_without_rows_the_pools_are_the_very_same():
    found = merge(POOLS, ())
    assert all(found[name] is POOLS[name] for name in POOLS)
    assert merge(POOLS, [Registration("web", "a", weight=1)])["api"] is POOLS["api"]


def test_a_row_changes_only_what_it_says_of_a_declared_server():
    assert merged(Registration("web", "a", weight=5))["web"] == (replace(A, weight=5), B)
    assert merged(Registration("web", "a", max_connections=7))["web"] == (replace(A, max_connections=7), B)
    assert merged(Registration("web", "a", status=MAINTENANCE))["web"] == (replace(A, draining=True), B)
    assert merged(Registration("web", "a", status=INACTIVE))["web"] == (B,)


def test_the_address_in_the_files_counts():
    row = Registration("web", "a", "10.9.9.9", 99)
    assert merged(row)["web"] == (A, B)
    assert "10.9.9.9 port 99" in find(POOLS, {row.key: row}, row.key).note


def test_registered_servers_stand_behind_the_declared_ones_the_oldest_first():
    new, newer = Registration("web", "z", "h", 1, created_at=1), Registration("web", "c", "h", 2, created_at=2)
    assert [server.id for server in merged(newer, new)["web"]] == ["a", "b", "z", "c"]
    assert merged(new)["web"][2] == Server("z", "h", 1)


@pytest.mark.parametrize(
    ("row", "origin", "note"),
    [
        (Registration("gone", "a", "h", 1), "orphan", "no pool 'gone'"),
        (Registration("web", "gone", weight=3), "orphan", "not in the files any more"),
        (Registration("web", "c", "h", 1), "registered", ""),
        (Registration("web", "a", weight=3), "declared", ""),
    ],
)
def test_what_fits_nothing_is_kept_and_shown_as_an_orphan(row, origin, note):
    one = find(POOLS, {row.key: row}, row.key)
    assert one.origin == origin
    assert note in one.note
    assert ("c" in {s.id for s in merged(row)["web"]}) == (origin == "registered")
    assert one in list(listed(POOLS, {row.key: row}))


def test_what_differs_stands_beside_what_is_declared():
    row = Registration("web", "a", weight=5, status=ACTIVE)
    one = find(POOLS, {row.key: row}, row.key)
    assert (one.declared["weight"], one.effective["weight"], one.differs) == (2, 5, ("weight",))
    assert one.effective["health_check_url"] == "/health"
    assert find(POOLS, {}, ("web", "a")).differs == ()
    assert find(POOLS, {}, ("web", "nobody")) is None


@given(st.lists(rows, unique_by=lambda row: row.key))
def test_the_list_and_the_pools_agree(said):
    table = {row.key: row for row in said}
    pools = merge(POOLS, said)
    shown = list(listed(POOLS, table))
    assert len({(one.pool, one.server_id) for one in shown}) == len(shown)
    used = {
        (one.pool, one.server_id, one.effective["host"], one.effective["weight"], one.effective["max_connections"],
         one.effective["status"] == MAINTENANCE)
        for one in shown if one.origin != "orphan" and one.effective["status"] != INACTIVE
    }  # fmt: skip
    assert used == {
        (name, s.id, s.host, s.weight, s.max_connections, s.draining) for name, pool in pools.items()
        for s in pool.servers
    }  # fmt: skip
    assert set(table) | {(p.name, s.id) for p in POOLS.values() for s in p.servers} == {
        (one.pool, one.server_id) for one in shown
    }
    for one in shown:
        assert one == find(POOLS, table, (one.pool, one.server_id))
        for word in CHANGEABLE:
            if one.row is not None and (value := getattr(one.row, word)) is not None:
                assert one.effective[word] == value


# ---------------------------------------------------------------- checks
@pytest.mark.parametrize(
    ("words", "of_pool", "wanted"),
    [
        ({}, HEALTH, None),
        ({"protocol": "http"}, HEALTH, None),
        ({"timeout_ms": 500}, HEALTH, None),
        ({"timeout_ms": 100}, HEALTH, replace(HEALTH, timeout_s=0.1)),
        ({"timeout_ms": 100}, None, None),
        ({"protocol": "tcp"}, HEALTH, replace(HEALTH, check=TcpCheck())),
        ({"protocol": "tcp"}, None, HealthCheck(TcpCheck())),
        ({"protocol": "http"}, HealthCheck(TcpCheck()), HealthCheck(HttpCheck())),
        ({"protocol": "http"}, None, None),
        ({"health_check_url": "/up"}, HEALTH, replace(HEALTH, check=HttpCheck("/up", expect="200"))),
        ({"health_check_url": "/up", "protocol": "tcp"}, None, HealthCheck(HttpCheck("/up"))),
        ({"health_check_url": "http://h:8?x", "timeout_ms": 9}, None,
         HealthCheck(HttpCheck("/?x"), timeout_s=0.009, url="http://h:8")),
    ],
)  # fmt: skip
def test_a_rows_own_check(words, of_pool, wanted):
    row = Registration("web", "a", **words)
    assert own_check(row, of_pool) == wanted
    servers = merge({"web": replace(POOLS["web"], health=of_pool)}, [row])["web"].servers
    assert servers[0].health == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/health", ("", "/health")),
        ("/h?a=b", ("", "/h?a=b")),
        ("http://10.0.0.5:81/h", ("http://10.0.0.5:81", "/h")),
        ("https://[::1]", ("https://[::1]", "/")),
    ],
)
def test_where_a_check_asks(text, wanted):
    assert split_check_url(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "health", "ftp://h/x", "http://", "http://h:0/", "http://h:x/", "/a b", "/a#b", "http://u:p@h/",
             "http://[::1/", "/" + "x" * 2000]
)  # fmt: skip
def test_an_address_that_cant_be_asked_is_refused(text):
    with pytest.raises(ValueError, match=r"\S"):
        split_check_url(text)


# ---------------------------------------------------------------- an operator's weights
def test_a_weight_changes_a_servers_share_beside_the_others_and_no_other_pool():
    web = Pool("web", (Server("a", "h", 1, weight=3), Server("b", "h", 2)), None)
    api = Pool("api", (Server("a", "h", 1),), None)
    found = weighed({"web": web, "api": api}, {("web", "a"): 0.5})
    assert [server.weight for server in found["web"].servers] == [150, 100]
    assert found["api"] is api
    assert [server.weight for server in weighed({"web": web}, {("web", "a"): 0.0})["web"].servers] == [0, 100]
    assert weighed({"web": web}, {})["web"] is web


@pytest.mark.parametrize("name", ["consistent_hash", "maglev", "rendezvous"])
def test_a_weight_moves_little_more_than_the_keys_of_its_server(name):
    """And taking it back moves them back: keyed algorithms must not build another ring for another way to count."""
    servers = tuple(Server(f"s{number}", "10.0.0.1", 8000 + number) for number in range(10))
    pool = Pool("web", servers, ALGORITHMS.get(name)())
    changed = weighed({"web": pool}, {("web", "s0"): 0.5})["web"]

    def homes(pool):
        picker = pool.algorithm.build(pool.servers)
        return [picker.pick(b"10.1.%d.%d" % divmod(number, 250), 0.0, ()).id for number in range(2000)]

    moved = sum(old != new for old, new in zip(homes(pool), homes(changed), strict=True))
    assert 0 < moved < 0.1 * 2000
