"""Drain and force, said by an operator: obeyed at once, told on, kept, ended; and rules that they must not break."""

import json

import pytest

from gslb.demo.clients import get
from gslb.ops import client
from tests.support.redis_server import RedisServer
from tests.support.sandbox import Sandbox, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole cluster of one edge, without Redis."""
    box = Sandbox(tmp_path_factory.mktemp("overrides"))
    box.edit("gslb.yaml", "\nservices:", "\nsafety:\n  - {keep_up: 1}\n  - {min_capacity: 30%}\nservices:")
    with running(box.cluster()) as cluster:
        box.wait_ready()
        yield box, cluster


@pytest.fixture(autouse=True)
def cleared(request):
    """Nothing that one test has said is left for the next."""
    yield
    if "whole" in request.fixturenames:
        box, _ = request.getfixturevalue("whole")
        told = {one["target"] for port in ("9470", "9471", "9472", "9473") for one in box.status(port)["overrides"]}
        for target in told:
            for port in ("9470", "9471", "9472", "9473"):
                say(box, target, "auto", port)
                say(box, target, "weight", port)


def say(box, target, action, port="9470", **words):
    """As the commands do, to one node: a command costs a process."""
    client.ask(admin(box, port), "/overrides", method="POST", body={"target": target, "action": action, **words})


def admin(box, port):
    return f"http://127.0.0.1:{box.ports[port]}"


def region_state(box, name="eu-west"):
    return box.status()["regions"][name]["state"]


def test_a_region_drains_everywhere_and_comes_back(whole):
    box, _ = whole
    until(lambda: box.region_of() == box.front_region() == "eu-west", 10, "eu-west")
    done = box.gslb("drain", "eu-west", "--why", "new disks", "--author", "ada")
    assert done.returncode == 0, done.stderr
    until(lambda: box.region_of() != "eu-west" and box.front_region() != "eu-west", 5, "another region")
    why = box.status()["regions"]["eu-west"]["why"]
    assert "an operator forced it: new disks (ada)" in why
    word = json.loads(get(f"http://127.0.0.1:{box.ports['8101']}/.well-known/gslb").body)
    assert word["state"] == "draining"
    assert get(f"http://127.0.0.1:{box.ports['8101']}/", host="www.example.com").status == 200  # what comes is served
    shown = box.gslb("status").stdout
    assert "override eu-west" in shown
    assert "new disks" in shown
    asked = ("explain", "www.example.com", "--client", "141.20.1.1", "--json", "--node", box.admin)
    told = json.loads(box.gslb(*asked).stdout)
    notes = [note["why"] for row in told["regions"] if row["name"] == "eu-west" for note in row["notes"]]
    assert any("new disks" in note for note in notes)
    assert box.metric('gslb_overrides{action="drain"}', "9470") == 1
    assert box.gslb("undrain", "eu-west").returncode == 0
    until(lambda: box.region_of() == box.front_region() == "eu-west", 5, "eu-west again")
    assert box.status()["overrides"] == []


def test_one_service_alone_moves(whole):
    box, _ = whole
    princeton = "128.112.0.0/24"
    assert box.region_of(princeton, "api.example.com") == box.region_of(princeton) == "us-east"
    say(box, "api.example.com@us-*", "down")
    until(lambda: box.region_of(princeton, "api.example.com") == "eu-west", 5, "api elsewhere")
    assert (box.region_of(princeton), region_state(box, "us-east")) == ("us-east", "up")
    say(box, "api.example.com@us-*", "auto")
    until(lambda: box.region_of(princeton, "api.example.com") == "us-east", 5, "api again")


def test_what_is_forced_up_is_used_whatever_health_says(whole):
    box, cluster = whole
    try:
        cluster.kill("eu-west-backends")
        until(lambda: region_state(box) == "down", 20, "eu-west down")
        say(box, "eu-west", "up")
        until(lambda: box.region_of() == "eu-west", 5, "forced up")
    finally:
        say(box, "eu-west", "auto")
        cluster.start("eu-west-backends")
    until(lambda: region_state(box) == "up", 30, "eu-west up by itself")


def test_it_ends_at_its_time(whole):
    box, _ = whole
    assert box.gslb("drain", "eu-west", "--for", "2s").returncode == 0
    until(lambda: box.region_of() != "eu-west", 5, "elsewhere")
    assert 0 < box.status()["overrides"][0]["ends_in_s"] <= 2
    until(lambda: box.region_of() == "eu-west", 6, "back by itself")


def test_servers_by_glob(whole):
    box, _ = whole
    url = f"http://127.0.0.1:{box.ports['8101']}/"

    def serving():
        return {get(url, host="www.example.com").headers["x-server"] for _ in range(12)}

    done = box.gslb("drain", "eu-west/*/web-[12]")
    assert done.returncode == 1  # brackets are for addresses: there is no such server, and the names are told
    assert "eu-west/web/web-1" in done.stdout
    assert box.gslb("drain", "eu-west/web/web-?", "--json").returncode == 0
    say(box, "eu-west/web/web-3", "up", "9471")
    until(lambda: serving() == {f"127.0.0.1:{box.ports['9003']}"}, 5, "the third alone")
    states = {name: one["state"] for name, one in box.status("9471")["servers"].items()}
    assert states["web/web-1"] == states["web/web-2"] == "draining"
    for target in ("eu-west/web/web-?", "eu-west/web/web-3"):
        say(box, target, "auto", "9471")
    until(lambda: f"127.0.0.1:{box.ports['9001']}" in serving(), 5, "the first again")


def test_rules_are_kept_unless_the_glass_is_broken(whole):
    box, _ = whole
    try:
        say(box, "eu-west", "drain")
        say(box, "us-east", "drain")
        refused = box.gslb("drain", "ap-*", "--node", box.admin)
        assert refused.returncode == 2
        assert "at least 1 of" in refused.stdout
        assert "--break-glass" in refused.stdout
        assert not [one for one in box.status()["overrides"] if one["target"] == "ap-*"]
        assert box.gslb("drain", "ap-*", "--break-glass", "--node", box.admin).returncode == 0
        assert [one["broke_glass"] for one in box.status()["overrides"] if one["target"] == "ap-*"] == [True]
        assert box.region_of() in {"eu-west", "us-east", "ap-south"}  # all draining: answers all the same
    finally:
        for target in ("eu-west", "us-east", "ap-*"):
            say(box, target, "auto")
    until(lambda: box.region_of() == "eu-west", 10, "eu-west again")


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ({"target": "nowhere", "action": "drain"}, 404, "nothing here is called 'nowhere'"),
        ({"target": "a b", "action": "drain"}, 400, "no target"),
        ({"target": "eu-west", "action": "drain", "for": "soon"}, 400, "for"),
        ({"target": "eu-west", "action": "explode"}, 400, "action"),
        ({"target": "eu-west/web/none", "action": "drain"}, 404, "an edge has no servers"),
    ],
)
def test_what_can_not_be_meant_is_told(whole, words, status, text):
    box, _ = whole
    with pytest.raises(client.NodeRefused, match=text) as refused:
        client.ask(box.admin, "/overrides", method="POST", body=words)
    assert refused.value.status == status
    assert box.status()["overrides"] == []


def test_one_node_is_told_and_tells_the_others_and_remembers(sandbox):
    with RedisServer() as redis, running(sandbox.cluster(redis.url)) as cluster:
        sandbox.wait_ready()
        done = sandbox.gslb("drain", "eu-west", "--why", "x", "--node", admin(sandbox, "9472"))  # another region's node
        assert done.returncode == 0, done.stdout
        until(lambda: sandbox.region_of() != "eu-west", 5, "the edge has heard")
        until(lambda: sandbox.status("9471")["draining"], 5, "the region itself has heard")
        redis.stop()
        for member in ("edge-1", "eu-west"):
            cluster.kill(member)
            cluster.start(member)
        until(lambda: bool(sandbox.status()["overrides"]), 20, "the edge remembers, alone")
        until(lambda: sandbox.region_of() in {"us-east", "ap-south"}, 10, "an answer elsewhere")
        until(lambda: sandbox.status("9471")["draining"], 20, "the region remembers, alone")


def test_a_region_keeps_the_share_of_its_clients_that_it_is_given(whole):
    box, _ = whole
    subnets = [f"141.{block}.{number}.0/24" for block in (20, 30, 89) for number in range(20)]
    until(lambda: all(box.region_of(subnet) == "eu-west" for subnet in subnets[:5]), 15, "eu-west has all of them")
    done = box.gslb("weight", "eu-west", "50%", "--why", "canary")
    assert done.returncode == 0, done.stderr
    until(lambda: len({box.region_of(subnet) for subnet in subnets}) > 1, 5, "some go elsewhere")
    kept = [subnet for subnet in subnets if box.region_of(subnet) == "eu-west"]
    assert 15 <= len(kept) <= 45
    assert kept == [subnet for subnet in subnets if box.region_of(subnet) == "eu-west"], "the same stay"
    assert "an operator gives it 50% of its clients: canary" in box.status()["regions"]["eu-west"]["why"]
    assert box.gslb("weight", "eu-west", "auto").returncode == 0
    until(lambda: all(box.region_of(subnet) == "eu-west" for subnet in subnets), 5, "all are back")


def test_a_server_of_weight_nothing_gets_no_request_and_a_region_can_have_no_more_than_all(whole):
    box, _ = whole
    url = f"http://127.0.0.1:{box.ports['8101']}/"

    def served(server, count=30):
        return any(get(url, host="www.example.com").json()["server"] == server for _ in range(count))

    web_1 = f"127.0.0.1:{box.ports['9001']}"
    until(lambda: served(web_1), 10, "it serves")
    say(box, "eu-west/web/web-1", "weight", "9471", percent=0)
    until(lambda: not served(web_1), 10, "the others serve")
    refused = box.gslb("weight", "eu-west", "150%")
    assert refused.returncode == 2
    assert "100%" in refused.stdout
