"""Folders of files to a Config, or to every mistake in them."""

import copy
import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gslb.config.load import FILES_MAX, load
from gslb.errors import ConfigError
from gslb.health.checks.http import HttpCheck
from gslb.model import WhenAllDown
from gslb.steering.policies.nearest import Nearest
from gslb.steering.policies.weighted import Weighted
from tests.support.config_files import CLUSTER, EAST, FILES, WEST, changed, loaded, problems, write

# the YAML blocks of DESIGN.md, as they stand there
DESIGN_CLUSTER = """\
# regions/gslb.yaml: what every node shares
cluster: example
state:
  redis: []                      # [] keeps state in this process; in production one URL per region
  directory: ../.gslb            # one locked folder a node: last known good, overrides, registry, keys (0700)
geo:
  database: ../data/gslb-geo.mmdb
edge:
  workers: 1
  dns: {listen: ["127.0.0.1:5300"]}
  frontdoor: {listen: ["127.0.0.1:8080"], trusted_proxies: []}
  admin: {listen: "127.0.0.1:9470"}
edges:                           # optional: names the edges; each may change what `edge` says
  edge-1: {}
zones:
  example.com:
    nameservers: {ns1: ["192.0.2.53"], ns2: ["198.51.100.53"]}
    records:                     # ordinary records; or `file:`, an RFC 1035 master file
      - {name: "@", type: MX, ttl: 1h, data: "10 mail.example.com."}
services:
  www.example.com:
    regions: [eu-west, us-east, ap-south]
    steering: [nearest]          # a chain; each entry a name, or a name with options
    ttl: {min: 5s, max: 60s}     # max while nothing is changing
    when_all_down: all           # all | primary | last_good | fallback: [addresses]
"""
DESIGN_REGION = """\
# regions/eu-west.yaml
region: eu-west
location: {latitude: 53.34, longitude: -6.26, country: IE}
addresses: ["192.0.2.10", "2001:db8:1::10"]
url: "http://127.0.0.1:8101"
capacity: 20000                  # requests a second this region can hold
balancer:
  workers: auto
  listen: ["127.0.0.1:8101"]
  admin: "127.0.0.1:9471"
  routes:                        # a service's host matches by its own name and by this region's url
    - {match: {host: www.example.com, path: /api/*}, pool: api}
    - {match: {}, pool: web}
  pools:
    api:
      servers: [{id: api-1, host: 127.0.0.1, port: 9004}]
    web:
      algorithm: least_connections
      servers:
        - {id: web-1, host: 127.0.0.1, port: 9001, weight: 2, max_connections: 500}
      health: {type: http, path: /health, interval: 2s, timeout: 1s, rise: 2, fall: 3}
      breaker: {failures: 5, open_for: 30s, half_open_probes: 1}
      sticky: {by: cookie, ttl: 1h}
      retries: {attempts: 2, budget: 20%}   # attempts counts the first
"""


def another_region(name):
    return EAST.replace("region: east", f"region: {name}").replace("east.example.net", f"{name}.example.net")


# ---------------------------------------------------------------- what is accepted
def test_the_design_has_nothing_wrong(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/gslb-geo.mmdb").touch()
    (tmp_path / "regions").mkdir()
    files = {name: another_region(name) for name in ("us-east", "ap-south")}
    write(tmp_path / "regions", {f"{name}.yaml": text for name, text in files.items()})
    write(tmp_path / "regions", {"gslb.yaml": DESIGN_CLUSTER, "eu-west.yaml": DESIGN_REGION})
    config = load(tmp_path / "regions", environment={})
    web = config.regions["eu-west"].balancer.pools["web"]
    assert web.breaker is not None and web.sticky is not None
    assert (web.breaker.failures, web.breaker.open_for, web.sticky.ttl) == (5, 30.0, 3600.0)


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("gslb.yaml", "rise: 10}", "rise: 10, addresses: true}", "probe.addresses: true"),
        ("gslb.yaml", 'admin: {listen: "127.0.0.1:9470"', 'admin: {tls: {}, listen: "127.0.0.1:9470"', "tls (HTTPS)"),
        ("gslb.yaml", '"[::1]:5300"]', '"[::1]:5300"], tls: {certificate: x}', "tls (DNS over TLS)"),
        ("gslb.yaml", "    ttl: 1h\n", "    dnssec: {}\n", "dnssec"),
    ],
)
def test_what_is_not_built_yet_is_refused_in_those_words(tmp_path, file, old, new, what):
    [problem] = problems(tmp_path, {file: changed(file, old, new)})
    assert (problem.kind, problem.message) == ("unbuilt", f"not built yet: {what}")
    assert problem.line > 1


def test_what_is_not_built_is_refused_only_by_its_grammar(tmp_path):
    text = changed("west.yaml", "retries:", "sticky: {fails: 1}\n      retries:")
    [problem] = problems(tmp_path, {"west.yaml": text})
    assert problem.message == "unknown key 'fails'"
    assert problems(tmp_path, {"gslb.yaml": changed("gslb.yaml", "rise: 10}", "rise: 10, addresses: false}")}) == []


def test_the_words_become_values(tmp_path):
    config = loaded(tmp_path)
    assert config.cluster == "test"
    assert config.state.directory == str(tmp_path / "state")
    assert (config.probe.interval, config.probe.fast_interval) == (1.0, 0.3)
    assert list(config.regions) == ["east", "west"]
    west = config.regions["west"]
    assert (west.location.latitude, west.url, west.capacity) == (53.34, "http://127.0.0.1:8101", 20000)
    assert west.balancer.pools["web"].health.check == HttpCheck(path="/health")
    assert west.balancer.pools["web"].health.times.interval == 2.0
    assert config.services["www.example.com"].steering == (Nearest(),)
    assert config.services["www.example.com"].when_all_down.kind is WhenAllDown.ALL


def test_what_a_person_must_write_is_little(tmp_path):
    region = "region: r\nlocation: {latitude: 0, longitude: 0}\naddresses: [192.0.2.1]\nurl: http://r.example.net\n"
    region += 'balancer: {listen: ["127.0.0.1:8000"], pools: {web: {servers: [{host: 127.0.0.1, port: 1}]}}}\n'
    shared = "cluster: c\nzones: {x.org: {nameservers: {ns: [192.0.2.1]}}}\nservices: {w.x.org: {regions: [r]}}\n"
    config = load(write(tmp_path, {"gslb.yaml": shared, "r.yaml": region}), environment={})
    assert config.services["w.x.org"].steering == (Nearest(),)
    assert config.edge.dns.listen == ("127.0.0.1:5300",)
    assert config.state.directory == str(tmp_path / "../.gslb")


@pytest.mark.parametrize("path", ["x" * 300, "x" * 5000, ".", "gslb.yaml/x", '"a\\0b"', '""', '"\\ud800"'])
@pytest.mark.parametrize("said", ["geo: {database: PATH}", "secrets: {cookie: {file: PATH}}"])
def test_paths_that_no_system_takes_are_told(tmp_path, path, said):
    found = problems(tmp_path, {"gslb.yaml": CLUSTER + said.replace("PATH", path) + "\n"})
    assert {problem.line for problem in found} == {CLUSTER.count("\n") + 1}


def test_norway_is_no_truth_and_names_know_no_case(tmp_path):
    text = changed("gslb.yaml", "steering: [nearest]", "steering: [{geo: {countries: {NO: [west]}}}, nearest]")
    text = text.replace("www.example.com:", "WWW.Example.COM.:")
    config = loaded(tmp_path, {"gslb.yaml": text, "west.yaml": changed("west.yaml", "country: IE", "country: NO")})
    assert config.regions["west"].location.country == "NO"
    assert config.services["www.example.com"].steering[0].countries == {"NO": ("west",)}


def test_plug_ins_take_options(tmp_path):
    text = changed("gslb.yaml", "[nearest]", "[{weighted: {by: answer, weights: {west: 3}}}, {limit: {regions: 2}}]")
    text = text.replace("when_all_down: all", "when_all_down: {fallback: [192.0.2.80]}")
    service = loaded(tmp_path, {"gslb.yaml": text}).services["www.example.com"]
    assert service.steering[0] == Weighted(by="answer", weights={"west": 3})
    assert service.steering[1].regions == 2
    assert (service.when_all_down.kind, service.when_all_down.fallback) == (WhenAllDown.FALLBACK, ("192.0.2.80",))


def test_json_is_yaml(tmp_path):
    plain = {name: YAML(typ="safe", pure=True).load(text) for name, text in FILES.items()}
    config = loaded(tmp_path)
    assert loaded(tmp_path, {name: json.dumps(tree, indent=1) for name, tree in plain.items()}) == config


def test_a_value_may_be_an_alias(tmp_path):
    text = changed("gslb.yaml", "steering: [nearest]", "steering: &chain [nearest]")
    text = text.replace("regions: [east]", "regions: [east]\n    steering: *chain")
    assert loaded(tmp_path, {"gslb.yaml": text}).services["api.example.com"].steering == (Nearest(),)


def test_a_config_travels_between_processes(tmp_path):
    config = loaded(tmp_path)
    assert pickle.loads(pickle.dumps(config)) == config


# ---------------------------------------------------------------- secrets
def test_secrets_come_from_files_and_the_environment_and_are_not_shown(tmp_path):
    (tmp_path / "cookie").write_text("from-a-file\n")
    text = CLUSTER + "secrets: {cookie: {file: cookie}, admin_token: {env: TOKEN}}\n"
    config = loaded(tmp_path, {"gslb.yaml": text}, TOKEN="from-the-environment")
    assert config.secrets.cookie == "from-a-file"
    assert config.secrets.admin_token == "from-the-environment"
    assert config.secrets.dns_cookie is None
    assert "from-a" not in repr(config) + str(config)


@pytest.mark.parametrize(
    "said",
    [
        "secrets: hunter2",
        "secrets: {cookie: hunter2}",
        "secrets: {cookie: [hunter2]}",
        "secrets: {cookie: {value: hunter2}}",
        "state_: {}\nsecrets: {cookie: {file: [hunter2]}}",
        "secrets: {cookie: {env: EMPTY}}",
        "secrets: {cookie: {file: secret, env: SECRET}}",
        "secrets: {cookie: {file: secret}, cokie: hunter2}",
        "secrets: [hunter2]",
    ],
)
def test_mistakes_around_secrets_do_not_tell_them(tmp_path, said):
    (tmp_path / "secret").write_text("hunter2")
    found = problems(tmp_path, {"gslb.yaml": f"{CLUSTER}{said}\n"}, SECRET="hunter2", EMPTY=" ")
    assert found
    assert not any("hunter2" in str(problem) for problem in found)


def test_redis_passwords_are_not_told(tmp_path):
    for said in ("redis://:hunter2@h:port", "[http://:hunter2@h]", "[[redis://:hunter2@h]]", "{a: hunter2}"):
        found = problems(tmp_path, {"gslb.yaml": changed("gslb.yaml", "redis: []", f"redis: {said}")})
        assert found
        assert not any("hunter2" in str(problem) for problem in found)


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff\xfe", "not UTF-8"), (b"x" * 5000, "longer than"), (b" \n", "empty")]
)
def test_a_secret_that_is_none_is_refused(tmp_path, content, words):
    (tmp_path / "cookie").write_bytes(content)
    [problem] = problems(tmp_path, {"gslb.yaml": CLUSTER + "secrets: {cookie: {file: cookie}}\n"})
    assert words in problem.message


# ---------------------------------------------------------------- master files
@pytest.mark.parametrize("said", ["file: zone.txt", "records: {file: zone.txt}"])
def test_a_master_file_brings_records(tmp_path, said):
    (tmp_path / "zone.txt").write_text('$TTL 2h\nftp IN A 192.0.2.7\n    TXT "a b"\n')
    text = CLUSTER[: CLUSTER.index("    records:")] + f"    {said}\n" + CLUSTER[CLUSTER.index("services:") :]
    config = loaded(tmp_path, {"gslb.yaml": text})
    records = {(record.owner, record.type, record.ttl_s) for record in config.zone_records["example.com"]}
    assert records == {("ftp.example.com", "A", 7200), ("ftp.example.com", "TXT", 7200)}


def test_inline_and_master_file_are_one_zone(tmp_path):
    (tmp_path / "zone.txt").write_text("ftp IN A 192.0.2.7\n")
    config = loaded(tmp_path, {"gslb.yaml": changed("gslb.yaml", "    ttl: 1h\n", "    file: zone.txt\n")})
    assert {record.owner.split(".")[0] for record in config.zone_records["example.com"]} >= {"ftp", "mail", "blog"}


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"ftp IN A 192.0.2.7\nbad IN A 192.0.2.777\n", 2, "192.0.2.777"),
        (b"\n\nftp IN A ( 192.0.2.7\n", 3, "without its other half"),
        (b"ftp IN QQ 1\n", 1, "unknown record type"),
        (b"www IN A 192.0.2.7\n", None, "is a service"),
        (b"blog IN A 192.0.2.7\n", None, "beside its CNAME"),
        (b"ftp IN A 192.0.2.\xff\n", None, "not UTF-8"),
    ],
)
def test_a_mistake_in_a_master_file_names_that_file_and_line(tmp_path, content, line, words):
    (tmp_path / "zone.txt").write_bytes(content)
    found = problems(tmp_path, {"gslb.yaml": changed("gslb.yaml", "    ttl: 1h\n", "    file: zone.txt\n")})
    problem = found[-1]
    file = tmp_path / ("zone.txt" if line else "gslb.yaml")
    assert (problem.file, problem.line if line else None) == (str(file), line)
    assert words in problem.message


# ---------------------------------------------------------------- many mistakes
def test_every_mistake_is_told_in_file_order(tmp_path):
    shared = changed("gslb.yaml", "nearest", "nearst").replace("ttl: 1h", "ttl: 1")
    shared = shared.replace("cluster: test", "cluster: 1").replace("  api.example.com", "  api.example.org")
    west = changed("west.yaml", "port: 9001", "port: 0").replace("pool: web}", "pool: wbe}")
    east = EAST.replace("port: 80}", "port: 80}, {host: h}").replace("region: east", "region: east\nx: 1")
    found = problems(tmp_path, {"gslb.yaml": shared, "west.yaml": west, "east.yaml": east})
    assert [(problem.file.rpartition("/")[2], problem.path) for problem in found] == [
        ("gslb.yaml", "cluster"),
        ("gslb.yaml", "zones.example.com.ttl"),
        ("gslb.yaml", "services.www.example.com.steering[0]"),
        ("gslb.yaml", "services.api.example.org"),
        ("east.yaml", "x"),
        ("east.yaml", "balancer.pools.web.servers[1].port"),
        ("west.yaml", "balancer.routes[1].pool"),
        ("west.yaml", "balancer.pools.web.servers[0].port"),
    ]


def test_a_flood_of_mistakes_is_cut(tmp_path):
    servers = ", ".join("{host: h, port: 0}" for _ in range(1000))
    found = problems(tmp_path, {"east.yaml": EAST.replace("{host: backend.example.net, port: 80}", servers)})
    assert len(found) == 101
    assert "more than 100 mistakes" in found[0].message


def test_a_region_that_can_not_be_read_is_no_unknown_region(tmp_path):
    for broken in ("region: [", "", "- 1", b"\xff", "region: 7", "regin: east"):
        found = problems(tmp_path, {"east.yaml": broken})
        assert {problem.file for problem in found} == {str(tmp_path / "east.yaml")}, found


# ---------------------------------------------------------------- the folder
@pytest.mark.parametrize(
    ("files", "file", "line", "words"),
    [
        ({}, "", 0, "the folder is empty"),
        ({"west.yaml": WEST}, "", 0, "there is no gslb.yaml here"),
        ({"gslb.yaml": ""}, "gslb.yaml", 1, "the file is empty"),
        ({"gslb.yaml": "# nothing\n"}, "gslb.yaml", 1, "the file is empty"),
        ({"gslb.yaml": "- a\n"}, "gslb.yaml", 1, "holds no keys"),
        ({"gslb.yaml": "cluster: x\n\nedge: {\n"}, "gslb.yaml", 4, "not YAML"),
        ({"gslb.yaml": b"cluster: x\n# \xe9\n"}, "gslb.yaml", 2, "not UTF-8"),
        ({"gslb.yaml": b"cluster: x\n# \x07\n"}, "gslb.yaml", 2, "a control character"),
        ({"gslb.yaml": b"cluster: x\n" + b"#" * (8 << 20)}, "gslb.yaml", 0, "longer than 8 MiB"),
        ({"gslb.yaml": "cluster: x\n", "west.yml": WEST}, "west.yml", 0, "would not be read"),
    ],
)
def test_a_broken_folder_is_one_clear_problem(tmp_path, files, file, line, words):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, files), environment={})
    [problem] = caught.value.problems
    assert (problem.file, problem.line) == (str(tmp_path / file), line)
    assert words in problem.message
    assert problem.remedy


def test_a_folder_or_file_that_is_none(tmp_path):
    for directory in (tmp_path / "nowhere", write(tmp_path, {"f": "x"}) / "f"):
        with pytest.raises(ConfigError, match="can't read the folder"):
            load(directory, environment={})
    (tmp_path / "gslb.yaml").mkdir()
    with pytest.raises(ConfigError, match="can't read the file"):
        load(tmp_path, environment={})


def test_too_many_files_are_refused(tmp_path):
    for number in range(FILES_MAX + 1):
        (tmp_path / f"{number}.yaml").touch()
    write(tmp_path, {"gslb.yaml": "cluster: x"})
    with pytest.raises(ConfigError, match="one file is one region"):
        load(tmp_path, environment={})


def test_files_that_are_not_configuration_are_left_alone(tmp_path):
    write(tmp_path, {".hidden.yaml": "- x", "README.md": "x", "gslb.yaml~": "x"})
    assert problems(tmp_path) == []


def test_a_relative_folder_works(tmp_path, monkeypatch):
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path.parent)
    config = load(type(tmp_path)(tmp_path.name), environment={})
    assert config.state.directory == str(tmp_path / "state")


# ---------------------------------------------------------------- whatever the files hold
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
    | st.sampled_from(["nearest", "1s", "127.0.0.1:53", "*", "@", "http", "../x", "192.0.2.1", "10 mail", "west"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TREES = {name: YAML(typ="safe", pure=True).load(text) for name, text in FILES.items()}


def places(tree, path=()):
    """The path of every value in a tree."""
    yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(value, (*path, key))


PLACES = [(name, path) for name, tree in TREES.items() for path in places(tree) if path]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), min_size=1, max_size=3))
def test_any_value_anywhere_is_accepted_or_told(tmp_path, changes):
    trees = copy.deepcopy(TREES)
    for (name, path), value in changes:
        here = trees[name]
        for part in path[:-1]:
            here = here[part] if isinstance(here, dict | list) and _holds(here, part) else None
        if isinstance(here, dict | list) and _holds(here, path[-1]):
            here[path[-1]] = value
    for problem in problems(tmp_path, {name: json.dumps(tree) for name, tree in trees.items()}):
        assert problem.message
        assert problem.file


WORDS = ["*", "&a ", "!!x ", "? ", "- ", ": ", "{", "]", "|\n", "%YAML 3.1\n", "---\n", "\t", "<<: ", '"\\U00110000']
EDITS = st.tuples(
    st.integers(0, 2000),
    st.integers(0, 9),
    st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(WORDS),
)


def _holds(here, part):
    return part in here if isinstance(here, dict) else isinstance(part, int) and part < len(here)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(sorted(FILES)), edits=st.lists(EDITS, min_size=1, max_size=4))
def test_edited_text_is_accepted_or_told(tmp_path, file, edits):
    text = FILES[file]
    for place, length, words in edits:
        start = place % (len(text) + 1)
        text = text[:start] + words + text[start + length :]
    for problem in problems(tmp_path, {file: text}):
        lines = len((tmp_path / problem.file).read_text().splitlines())
        assert problem.message
        assert 0 <= problem.line <= lines + 1


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60) | st.text("ab:-?[]{}&*!|>'\"%@`#, \n\t", max_size=40).map(str.encode))
def test_any_bytes_are_told(tmp_path, data):
    assert problems(tmp_path, {"gslb.yaml": data})


def test_loading_asks_for_no_network_code():
    words = "import sys, gslb.config.load, gslb.config.compile; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert "gslb.config.load" in done.stdout.split()
    assert {"aiohttp", "redis", "asyncio", "uvloop"} & set(done.stdout.split()) == set()
