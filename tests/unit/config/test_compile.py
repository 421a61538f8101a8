"""Config to Plan: the same on every node, and what each node's own settings are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gslb.config.compile import compile_plan, edge_settings, geo_source, region_settings
from gslb.config.load import load
from gslb.dns.zones import Zones
from gslb.errors import UnknownName
from gslb.model import GeoSource, Location, Plan, Region
from tests.support.config_files import changed, loaded

ROOT = Path(__file__).resolve().parents[3]


def plan(folder, changes=None, region=None, **more):
    return compile_plan(loaded(folder, changes), generation=7, region=region, geo=None, **more)


def test_a_plan_of_an_edge(tmp_path):
    compiled = plan(tmp_path)
    place, url = Location(53.34, -6.26, "IE", "EU"), "http://127.0.0.1:8101"
    west = Region("west", place, ("192.0.2.10",), ("2001:db8:1::10",), url, 20000)
    assert isinstance(compiled, Plan)
    assert (compiled.cluster, compiled.generation, compiled.balancer, compiled.geo) == ("test", 7, None, None)
    assert compiled.regions["west"] == west
    assert compiled.regions["east"].location == Location(38.95, -77.45)
    service = compiled.services["www.example.com"]
    assert service.regions == (west, compiled.regions["east"])
    assert (service.ttl_min_s, service.ttl_max_s) == (5.0, 60.0)
    assert compiled.trusted_proxies == ("10.0.0.0/8",)


def test_the_geo_source_is_the_callers(tmp_path):
    (tmp_path / "geo.mmdb").touch()
    config = loaded(tmp_path, {"gslb.yaml": changed("gslb.yaml", "probe:", "geo: {database: geo.mmdb}\nprobe:")})
    source = GeoSource(str(tmp_path / "geo.mmdb"), "")
    assert geo_source(config) == source
    assert compile_plan(config, generation=1, region=None, geo=source).geo is source
    assert geo_source(loaded(tmp_path)) is None


def test_nobody_elses_names(tmp_path):
    for call in (
        lambda: plan(tmp_path, region="wets"),
        lambda: plan(tmp_path, edge="edge-9"),
        lambda: edge_settings(loaded(tmp_path), "edge-9"),
        lambda: region_settings(loaded(tmp_path), "nowhere"),
    ):
        with pytest.raises(UnknownName, match="known: "):
            call()


# ---------------------------------------------------------------- zones
def test_a_zone_is_one_that_dns_can_serve(tmp_path):
    compiled = plan(tmp_path)
    zone = compiled.zones["example.com"]
    assert dict(zone.nameservers) == {
        "ns1.example.com": ("192.0.2.53", "2001:db8::53"),
        "ns2.example.com": ("198.51.100.53",),
    }
    assert [(record.owner, record.type, record.ttl_s) for record in zone.records] == [
        ("example.com", "MX", 3600),
        ("mail.example.com", "A", 300),
        ("blog.example.com", "CNAME", 3600),
    ]
    assert (zone.ttl_s, zone.minimum_s, zone.expire_s) == (3600, 60, 1_209_600)
    assert list(Zones(compiled.zones.values(), compiled.services.values()).by_origin) == [b"\x07example\x03com\x00"]


@pytest.mark.parametrize(
    ("said", "contact"),
    [
        ("hostmaster", "hostmaster"),
        ("hostmaster@example.com", "hostmaster"),
        ("host.master@example.com", "host\\.master"),
        ("ops@example.net", "ops.example.net."),
    ],
)
def test_the_contact_becomes_a_name(tmp_path, said, contact):
    text = changed("gslb.yaml", "    ttl: 1h\n", f"    contact: {said}\n")
    compiled = plan(tmp_path, {"gslb.yaml": text})
    assert compiled.zones["example.com"].contact == contact
    assert Zones(compiled.zones.values(), ())


def serial(folder, *changes):
    text = {"gslb.yaml": changed("gslb.yaml", *changes)} if changes else None
    return plan(folder, text).zones["example.com"].serial


def test_the_serial_follows_from_the_content(tmp_path):
    first = serial(tmp_path)
    assert 0 < first < 2**32
    assert serial(tmp_path) == first
    assert serial(tmp_path, "level: info", "level: debug") == first
    assert serial(tmp_path, "cluster: test", "# another comment\ncluster: test") == first
    others = [
        serial(tmp_path, "192.0.2.25", "192.0.2.26"),
        serial(tmp_path, "    ttl: 1h\n", "    ttl: 2h\n"),
        serial(tmp_path, "  api.example.com:", "  two.example.com:"),
        serial(tmp_path, "regions: [west, east]", "regions: [east, west]"),
        serial(tmp_path, '"198.51.100.53"', '"198.51.100.54"'),
    ]
    assert len({first, *others}) == 6


def test_the_serial_is_alike_in_every_process():
    words = (
        "from pathlib import Path; from gslb.config.load import load; from gslb.config.compile import compile_plan;"
        "config = load(Path('regions'), environment={});"
        "print(compile_plan(config, generation=1, region=None, geo=None).zones['example.com'].serial)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_a_service_is_in_the_nearest_zone_above_it(tmp_path):
    text = changed("gslb.yaml", "zones:\n", "zones:\n  api.example.com: {nameservers: {ns: [192.0.2.54]}}\n")
    text = text.replace("regions: [east]", "regions: [east]\n  x.api.example.com: {regions: [east]}")
    compiled = plan(tmp_path, {"gslb.yaml": text})
    moved = text.replace("x.api.example.com: {regions: [east]}", "y.api.example.com: {regions: [east]}")
    other = plan(tmp_path, {"gslb.yaml": moved})
    assert compiled.zones["example.com"] == other.zones["example.com"]
    assert compiled.zones["api.example.com"] != other.zones["api.example.com"]


# ---------------------------------------------------------------- settings
def test_an_edge_says_only_what_differs(tmp_path):
    config = loaded(tmp_path)
    one, two = edge_settings(config, "edge-1"), edge_settings(config, "edge-2")
    assert (one.workers, two.workers) == (2, 4)
    assert (one.admin, two.admin) == ("127.0.0.1:9470", "127.0.0.1:9480")
    assert one.dns_listen == two.dns_listen == ("127.0.0.1:5300", "[::1]:5300")
    assert one.frontdoor_listen == ("127.0.0.1:8080",)


def test_an_edges_own_proxies_are_in_its_plan(tmp_path):
    text = changed("gslb.yaml", "  edge-1: {}", "  edge-1: {frontdoor: {trusted_proxies: [172.16.0.0/12]}}")
    assert plan(tmp_path, {"gslb.yaml": text}, edge="edge-1").trusted_proxies == ("172.16.0.0/12",)
    assert plan(tmp_path, {"gslb.yaml": text}, edge="edge-2").trusted_proxies == ("10.0.0.0/8",)
    settings = edge_settings(loaded(tmp_path, {"gslb.yaml": text}), "edge-1")
    assert (settings.frontdoor_listen, settings.trusted_proxies) == (("127.0.0.1:8080",), ("172.16.0.0/12",))


def test_without_edges_any_name_will_do(tmp_path):
    text = changed("gslb.yaml", 'edges:\n  edge-1: {}\n  edge-2: {workers: 4, admin: {listen: "127.0.0.1:9480"}}\n', "")
    config = loaded(tmp_path, {"gslb.yaml": text})
    assert edge_settings(config, "whatever").workers == 2


def test_auto_is_what_the_caller_counts(tmp_path):
    config = loaded(tmp_path)
    assert region_settings(config, "west", cpu_count=6).workers == 6
    assert region_settings(config, "west", cpu_count=0).workers == 1
    assert region_settings(config, "west", cpu_count=1000).workers == 64
    west = region_settings(config, "west")
    assert (west.listen, west.admin) == (("127.0.0.1:8101",), "127.0.0.1:9471")
    text = changed("west.yaml", "workers: auto", "workers: 0")
    assert region_settings(loaded(tmp_path, {"west.yaml": text}), "west", cpu_count=6).workers == 0


# ---------------------------------------------------------------- the sample
def test_the_sample_compiles_for_every_node():
    config = load(ROOT / "regions", environment={})
    for region in (None, "eu-west", "us-east", "ap-south"):
        compiled = compile_plan(config, generation=1, region=region, geo=geo_source(config))
        assert set(compiled.regions) == {"eu-west", "us-east", "ap-south"}
        assert Zones(compiled.zones.values(), compiled.services.values())
        assert (compiled.balancer is None) == (region is None)
    assert next(iter(compiled.services)) == "www.example.com"  # the demo shows the first
    assert edge_settings(config, "edge-1").admin == "127.0.0.1:9470"
    pools = {name: region.balancer.pools["web"] for name, region in config.regions.items()}
    ports = {name: [server.port for server in pool.servers] for name, pool in pools.items()}
    assert ports == {"eu-west": [9001, 9002, 9003], "us-east": [9011, 9012, 9013], "ap-south": [9021, 9022, 9023]}
