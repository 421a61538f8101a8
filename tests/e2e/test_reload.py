"""HUP and `gslb reload` reload every node; a broken configuration changes nothing and is told."""

import signal

import pytest

from gslb.demo.clients import get
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]


def generations(box):
    return [box.status(port)["plan_generation"] for port in ("9470", "9471", "9472", "9473")]


def test_reload_broken_files_and_hup(sandbox):
    with running(sandbox.cluster()) as cluster:
        sandbox.wait_ready()
        before = generations(sandbox)

        # broken: told with file and line, nothing changes
        sandbox.edit("gslb.yaml", "steering: [nearest]", "steering: [nearst]")
        out = sandbox.gslb("reload")
        assert out.returncode == 2
        assert "gslb.yaml:" in out.stderr and "nearst" in out.stderr and "nearest" in out.stderr
        out = sandbox.gslb("reload", "--node", sandbox.admin)
        assert out.returncode == 2 and "nearst" in out.stdout + out.stderr
        leader = cluster.members["edge-1"].process
        leader.send_signal(signal.SIGHUP)
        until(lambda: sandbox.status()["reloads"]["refused"] >= 2, 10, "HUP with broken files to be refused")
        assert generations(sandbox) == before
        assert sandbox.region_of() == "eu-west" and sandbox.front_region() == "eu-west"

        # mended and changed: every node takes it
        sandbox.edit("gslb.yaml", "steering: [nearst]", "steering: [{failover: {order: [ap-south]}}]")
        out = sandbox.gslb("reload")
        assert out.returncode == 0, out.stdout + out.stderr
        assert all(now > then for now, then in zip(generations(sandbox), before, strict=True))
        until(lambda: sandbox.region_of() == "ap-south" and sandbox.front_region() == "ap-south", 5, "the new chain")

        # HUP
        sandbox.edit("gslb.yaml", "[{failover: {order: [ap-south]}}]", "[nearest]")
        before = generations(sandbox)
        for name in ("edge-1", "eu-west"):
            cluster.members[name].process.send_signal(signal.SIGHUP)
        until(lambda: sandbox.region_of() == "eu-west", 10, "the chain of before")
        until(lambda: generations(sandbox)[1] > before[1], 10, "HUP to reload a region")


def test_a_replaced_geo_database_is_read_anew(sandbox):
    from tests.support.sandbox import ROOT

    own = sandbox.folder / "own.mmdb"
    own.write_bytes((ROOT / "data/gslb-geo.mmdb").read_bytes())
    sandbox.edit("gslb.yaml", f"{ROOT}/data/gslb-geo.mmdb", str(own))
    with running(sandbox.cluster()):
        sandbox.wait_ready()
        before = sandbox.status()["plan_generation"]
        scratch = own.with_suffix(".new")
        scratch.write_bytes(b"not a database")
        scratch.replace(own)
        until(lambda: "own.mmdb" in sandbox.status()["geo_problem"], 15, "the broken file to be told")
        assert sandbox.region_of("133.11.0.0/24") == "ap-south"
        scratch.write_bytes((ROOT / "data/gslb-geo.mmdb").read_bytes())
        scratch.replace(own)
        until(lambda: sandbox.status()["plan_generation"] > before, 15, "the good file to be read")
        assert sandbox.status()["geo_problem"] == ""
        assert sandbox.region_of("133.11.0.0/24") == "ap-south"


def test_a_region_served_while_it_reloads(sandbox):
    with running(sandbox.cluster(), "eu-west", "eu-west-backends"):
        url = f"http://127.0.0.1:{sandbox.ports['8101']}/"
        until(lambda: get(url, host="www.example.com").status == 200, 20, "eu-west")
        for _ in range(3):
            assert sandbox.gslb("reload").returncode == 0
            for _ in range(20):
                assert get(url, host="www.example.com").status == 200


def test_a_node_whose_region_left_the_files_goes_on_and_says_so(sandbox):
    with running(sandbox.cluster(), "ap-south", "ap-south-backends"):
        url = f"http://127.0.0.1:{sandbox.ports['8103']}/"
        until(lambda: get(url, host="www.example.com").status == 200, 20, "ap-south")
        (sandbox.config / "ap-south.yaml").unlink()
        sandbox.edit("gslb.yaml", "regions: [eu-west, us-east, ap-south]", "regions: [eu-west, us-east]")
        out = sandbox.gslb("reload", "--node", f"http://127.0.0.1:{sandbox.ports['9473']}")
        assert out.returncode == 2
        assert "not in the files" in out.stdout
        assert get(url, host="www.example.com").status == 200
        assert sandbox.status("9473")["reloads"] == {"ok": 0, "refused": 1}
