"""deploy/ is right as far as the tools here can tell: systemd, Compose, Kustomize, Prometheus, our own `check`."""

import fnmatch
import ipaddress
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gslb.config.compile import compile_plan
from gslb.config.load import load
from gslb.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
IMAGE_GEO = "/opt/gslb/gslb-geo.mmdb"


def yaml(path):
    return YAML(typ="safe", pure=True).load(path.read_text())


def yaml_all(text):
    return [one for one in YAML(typ="safe", pure=True).load_all(text) if one]


def config_of(name, tmp_path):
    """A deployment's configuration by our own loader; only the image's GeoIP path is one that is here."""
    folder = tmp_path / name
    shutil.copytree(DEPLOY / name / "config", folder)
    shared = folder / "gslb.yaml"
    text = shared.read_text()
    assert IMAGE_GEO in text
    shared.write_text(text.replace(IMAGE_GEO, str(ROOT / "data/gslb-geo.mmdb")))
    return load(folder, environment={})


# ---------------------------------------------------------------- systemd
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
NODE_UNITS = [unit for unit in UNITS if "@" in unit.name]
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def here(unit, tmp_path):
    """The unit with a gslb that is on this machine: `verify` looks whether the program is there."""
    made = tmp_path / unit.name
    program = Path(sys.executable).with_name("gslb")
    made.write_text(unit.read_text().replace("/opt/gslb/bin/gslb", str(program)))
    return made


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_units(unit, tmp_path):
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here(unit, tmp_path)], capture_output=True, text=True, check=False
    )
    about_it = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, about_it) == (0, [])


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_may_do_little(unit, tmp_path):
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", here(unit, tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize(("role", "unit"), [*zip(("edge", "region"), NODE_UNITS, strict=True)])
def test_a_unit_starts_reloads_and_stops_a_node(role, unit):
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if re.match(r"[A-Z]\w+=", line))
    assert lines["ExecStart"].startswith(f"/opt/gslb/bin/gslb {role} --name %i --config /etc/gslb ")
    assert lines["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert (lines["Restart"], lines["KillMode"], lines["DynamicUser"]) == ("always", "mixed", "yes")
    assert lines["AmbientCapabilities"] == lines["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
    assert int(lines["TimeoutStopSec"]) > 10  # node/worker.py drains for so long


# ---------------------------------------------------------------- the image
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
STEPS = re.sub(r"\\\n", " ", DOCKERFILE).splitlines()


def ignored(path):
    """Whether the build leaves `path` of the checkout out, by Dockerfile.dockerignore: the last match counts."""
    out = False
    for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        parents = (path, *list(map(str, Path(path).parents))[:-1])
        if any(fnmatch.fnmatch(one, pattern.lstrip("!").removeprefix("**/")) for one in parents):
            out = not pattern.startswith("!")
    return out


def test_what_the_image_copies_is_in_the_checkout_and_in_the_context():
    from_here = [line.split()[1:-1] for line in STEPS if line.startswith("COPY ") and "--from" not in line]
    copied = [source for sources in from_here for source in sources]
    assert "gslb" in copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source
    for kept_out in (".git", ".venv", "tests", "deploy", ".gslb", "docs"):
        assert ignored(kept_out), kept_out


def test_the_image_runs_as_nobody_special():
    stages = DOCKERFILE.split("\nFROM ")
    assert len(stages) == 3
    final = stages[-1]
    assert re.search(r"^USER (\d+):\d+$", final, re.MULTILINE)[1] != "0"
    assert final.index("USER") < final.index("ENTRYPOINT")
    assert "HEALTHCHECK" in final
    assert 'ENTRYPOINT ["gslb"]' in final
    assert all(line.split()[1] == "python:3.11-slim" for line in STEPS if line.startswith("FROM "))


# ---------------------------------------------------------------- compose
COMPOSE = DEPLOY / "compose/compose.yaml"


def test_compose_takes_the_file():
    judge = pytest.importorskip("compose_spec")
    judge.PyOptions(apply_merge=True).from_yaml(COMPOSE.read_text()).validate()
    with pytest.raises(ValueError, match="comand"):
        judge.PyOptions(apply_merge=True).from_yaml(COMPOSE.read_text().replace("    command:", "    comand:"))


def port(listen):
    return int(listen.rpartition(":")[2])


def test_compose_and_its_configuration_agree(tmp_path):
    services = yaml(COMPOSE)["services"]
    config = config_of("compose", tmp_path)
    plan = compile_plan(config, generation=1, region=None, geo=None)
    at = {name: one["networks"]["gslb"]["ipv4_address"] for name, one in services.items()}
    subnet = ipaddress.ip_network(yaml(COMPOSE)["networks"]["gslb"]["ipam"]["config"][0]["subnet"])
    assert all(ipaddress.ip_address(address) in subnet for address in at.values())
    assert len(set(at.values())) == len(at)

    assert set(plan.zones["example.com"].nameservers.values()) == {(at["edge-1"],)}
    assert sorted(config.state.redis) == sorted(f"redis://{at[f'redis-{name}']}:6379/0" for name in plan.regions)
    for name, region in plan.regions.items():
        assert services[name]["command"][:3] == ["region", "--name", name]
        assert (region.ipv4, region.url) == ((at[name],), f"http://{at[name]}")
        pools = compile_plan(config, generation=1, region=name, geo=None).balancer.pools
        servers = {(server.host, server.port) for pool in pools.values() for server in pool.servers}
        backends = f"{name}-backends"
        assert servers == {(at[backends], port(listen)) for listen in services[backends]["command"][1:]}
        balancer = config.regions[name].balancer
        assert [port(listen.address) for listen in balancer.listen] == [80]
        assert port(balancer.admin) == 9470

    edge = config.edge
    inside = {port(edge.dns.listen[0]), port(edge.frontdoor.listen[0].address)}
    assert {int(one.split(":")[2].split("/")[0]) for one in services["edge-1"]["ports"]} == inside
    assert {one.split("/")[1] for one in services["edge-1"]["ports"] if ":53/" in one} == {"udp", "tcp"}
    assert all(one.startswith("127.0.0.1:") for one in services["edge-1"]["ports"])


def test_compose_keeps_state_and_rights_small():
    file = yaml(COMPOSE)
    for name, service in file["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        for volume in service.get("volumes", ()):
            source, target = volume.split(":")[:2]
            assert source.startswith("./") or source in file["volumes"], volume
            assert target in {"/etc/gslb", "/var/lib/gslb"}
        assert "healthcheck" in service or service["image"] == "gslb"  # whose Dockerfile has one


# ---------------------------------------------------------------- kubernetes
KUBERNETES = DEPLOY / "kubernetes"


def manifests():
    """What would be applied: as Kustomize builds it if kubectl is here, else the files as they are."""
    if shutil.which("kubectl"):
        done = subprocess.run(["kubectl", "kustomize", KUBERNETES], capture_output=True, text=True, check=True)
        return yaml_all(done.stdout)
    names = yaml(KUBERNETES / "kustomization.yaml")["resources"]
    return [one for name in names for one in yaml_all((KUBERNETES / name).read_text())]


def of_kind(*kinds):
    return [one for one in manifests() if one["kind"] in kinds]


def test_kustomize_ships_every_file_of_the_configuration():
    (generator,) = yaml(KUBERNETES / "kustomization.yaml")["configMapGenerator"]
    assert sorted(generator["files"]) == sorted(f"config/{path.name}" for path in (KUBERNETES / "config").iterdir())


def test_services_and_probes_name_ports_that_are_there():
    pods = {}
    for one in of_kind("StatefulSet", "Deployment"):
        template = one["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()
        (container,) = template["spec"]["containers"]
        ports = {port["name"]: port for port in container["ports"]}
        pods[one["metadata"]["name"]] = labels, ports
        for probe in ("startupProbe", "readinessProbe"):
            how = container.get(probe, {"tcpSocket": {"port": next(iter(ports))}})
            assert (how.get("httpGet") or how["tcpSocket"])["port"] in ports
        assert "livenessProbe" not in container  # the parent replaces what hangs; a stalled control harms nobody
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    for one in of_kind("Service"):
        chosen = [ports for labels, ports in pods.values() if one["spec"]["selector"].items() <= labels.items()]
        assert len(chosen) == 1, one["metadata"]["name"]
        for wanted in one["spec"]["ports"]:
            target = chosen[0][wanted["targetPort"]]
            assert target.get("protocol", "TCP") == wanted.get("protocol", "TCP")


def test_kubernetes_and_its_configuration_agree(tmp_path):
    config = config_of("kubernetes", tmp_path)
    sets = {one["metadata"]["name"]: one["spec"] for one in of_kind("StatefulSet")}
    ports = {name: {port["name"]: port["containerPort"] for port in spec["template"]["spec"]["containers"][0]["ports"]}
             for name, spec in sets.items()}  # fmt: skip
    assert set(config.edges) == {f"edge-{number}" for number in range(sets["edge"]["replicas"])}
    edge = config.edge
    dns, front, admin = port(edge.dns.listen[0]), port(edge.frontdoor.listen[0].address), port(edge.admin.listen)
    assert ports["edge"] == {"dns-udp": dns, "dns-tcp": dns, "http": front, "admin": admin}
    regions = sets.keys() - {"edge"}
    assert regions
    for name in regions:
        balancer = config.regions[name].balancer
        assert ports[name] == {"http": port(balancer.listen[0].address), "admin": port(balancer.admin)}
        assert ["region", "--name", name] == sets[name]["template"]["spec"]["containers"][0]["args"][:3]
    hosts = {one["metadata"]["name"] for one in of_kind("Service")}
    assert all(re.fullmatch(r"redis://([\w-]+):6379/0", url)[1] in hosts for url in config.state.redis)


# ---------------------------------------------------------------- prometheus and grafana
RULES = DEPLOY / "prometheus/gslb.rules.yaml"
BOARD = DEPLOY / "grafana/gslb.json"
GIVEN = {"instance", "job", "le"}  # by Prometheus


def rules():
    return [rule for group in yaml(RULES)["groups"] for rule in group["rules"]]


def expressions():
    board = json.loads(BOARD.read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    variables = [one["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    return [rule["expr"] for rule in rules()] + queries + variables


def metrics_in(expression):
    """Every metric of ours in an expression, with its matchers."""
    for name, matchers in re.findall(r"\b(gslb_\w+)(?:\{([^}]*)\})?", expression):
        metric = METRICS.get(name) or METRICS.get(re.sub(r"_(bucket|sum|count)$", "", name))
        assert metric is not None, f"{name} is no metric of gslb/telemetry.py"
        assert (metric.name == name) == (metric.kind != "histogram"), name
        yield metric, re.findall(r'(\w+)=~?"([^"]*)"', matchers)


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_expressions_use_metrics_and_labels_that_are_defined(expression):
    found = list(metrics_in(expression))
    assert found
    labels = {label for metric, _ in found for label in metric.labels} | GIVEN
    for metric, matchers in found:
        for label, value in matchers:
            assert label in {*metric.labels, *GIVEN}, f"{metric.name} has no label {label}"
            last = metric.labels[-1:] == (label,)
            assert not (last and metric.values) or value in metric.values, f"{label} is never {value}"
    for group in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", group)) <= labels, group


@pytest.mark.parametrize("rule", [rule for rule in rules() if "alert" in rule], ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_about(rule):
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    said = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    groups = re.findall(r"by \(([^)]*)\)", rule["expr"])
    kept = set(re.split(r",\s*", groups[0])) if groups else {*next(metrics_in(rule["expr"]))[0].labels, *GIVEN}
    assert said <= kept


def test_promtool_takes_the_rules_and_they_fire_when_they_should():
    subprocess.run(["promtool", "check", "rules", RULES], check=True, capture_output=True)
    tests = RULES.with_name("gslb.rules.test.yaml")
    done = subprocess.run(["promtool", "test", "rules", tests], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_of_the_rules_reach_those_that_page():
    tested = set(re.findall(r"alertname: (\w+)", RULES.with_name("gslb.rules.test.yaml").read_text()))
    paging = {rule["alert"] for rule in rules() if rule.get("labels", {}).get("severity") == "critical"}
    assert paging <= tested


def test_promtool_takes_the_scrape_configuration(tmp_path):
    for name in ("prometheus.yaml", "gslb.rules.yaml"):
        shutil.copy(RULES.with_name(name), tmp_path)
    subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yaml"], check=True, capture_output=True)


def test_the_board_is_laid_out_without_overlap():
    panels = json.loads(BOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        grid = panel["gridPos"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
