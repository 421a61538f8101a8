"""Servers that the DNS gives a region: they come and go with its records, and stay when it fails."""

import dns.rcode
import pytest

from gslb.demo.clients import get
from tests.support.names import Names
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]
NAME = "_http._tcp.app.example.com"


@pytest.fixture
def region(sandbox):
    """eu-west, whose servers are found by SRV records: the sandbox, the resolver, its members."""
    text = (sandbox.config / "eu-west.yaml").read_text()
    start, end = text.index("      servers:\n"), text.index("      health:")
    with Names() as names:
        rule = (
            f"      discover: {{name: {NAME}, type: SRV, resolvers: ['127.0.0.1:{names.port}'], "
            "min_interval: 300ms, max_interval: 600ms}\n"
        )
        backends = sandbox.cluster()  # planned with the servers of the sample
        before = text[:start].replace("least_connections", "round_robin")
        rest = text[end:].replace("{attempts: 2}", "{attempts: 3}")
        (sandbox.config / "eu-west.yaml").write_text(before + rule + rest)
        point(sandbox, names, "9001", "9002")
        names.rows["a.example.com", "A"] = 1, ["127.0.0.1"]
        with running(backends, "eu-west", "eu-west-backends") as cluster:
            yield sandbox, names, cluster


def point(box, names, *samples):
    names.rows[NAME, "SRV"] = 1, [f"0 10 {box.ports[one]} a.example.com." for one in samples]


def serving(box):
    url = f"http://127.0.0.1:{box.ports['8101']}/"
    found = [get(url, host="www.example.com") for _ in range(20)]
    return {one.headers.get("x-server", str(one.status)) for one in found}


def places(box, *samples):
    return {f"127.0.0.1:{box.ports[one]}" for one in samples}


def test_servers_come_and_go_with_the_records_and_stay_when_the_dns_fails(region):
    box, names, cluster = region
    until(lambda: serving(box) == places(box, "9001", "9002"), 20, "two servers")
    point(box, names, "9002", "9003")
    until(lambda: serving(box) == places(box, "9002", "9003"), 10, "the other two")
    shown = box.status("9471")["discovery"]["web"]
    assert (set(shown["servers"]), shown["problem"]) == (places(box, "9002", "9003"), "")
    assert box.metric('gslb_discovery_servers{pool="web"}') == 2
    for how in ("failure", "nothing"):
        names.rcode = dns.rcode.SERVFAIL if how == "failure" else dns.rcode.NXDOMAIN
        until(lambda: box.status("9471")["discovery"]["web"]["problem"] != "", 10, how)
        assert box.metric('gslb_discovery_ok{pool="web"}') == 0
        assert serving(box) == places(box, "9002", "9003")
        names.rcode = dns.rcode.NOERROR
        until(lambda: box.status("9471")["discovery"]["web"]["problem"] == "", 10, "all is well")
    names.rcode = dns.rcode.SERVFAIL  # and now a node that starts while the DNS is away
    cluster.kill("eu-west")
    cluster.start("eu-west")
    until(lambda: serving(box) == places(box, "9002", "9003"), 20, "what was known before the start")
    assert "can't be resolved" in box.status("9471")["discovery"]["web"]["problem"]


def test_a_discovered_server_drains_like_any_other(region):
    box, _, _ = region
    until(lambda: serving(box) <= places(box, "9001", "9002") and "503" not in serving(box), 20, "servers")
    node = ("--node", f"http://127.0.0.1:{box.ports['9471']}")
    first = f"web/127.0.0.1:{box.ports['9001']}"
    assert box.gslb("servers", "drain", first, *node).returncode == 0
    until(lambda: serving(box) == places(box, "9002"), 10, "one server")
    assert "127.0.0.1" in box.gslb("servers", *node).stdout
    assert box.gslb("servers", "undrain", first, *node).returncode == 0
