"""Clients that still come to a region which drains, or has lost its servers, notice nothing and wait for no TTL."""

import threading
import time

import pytest

from gslb.demo.clients import NoAnswer, get
from tests.support.sandbox import Sandbox, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    box = Sandbox(tmp_path_factory.mktemp("stragglers"))
    box.edit("gslb.yaml", "ttl: {min: 5s, max: 60s}", "ttl: {min: 1s, max: 3s}")
    for name in ("api", "static"):
        box.edit("gslb.yaml", f"  {name}.example.com:\n", f"  {name}.example.com:\n    ttl: {{min: 1s, max: 3s}}\n")
    with running(box.cluster()) as members:
        box.wait_ready()
        for port in ("9471", "9472", "9473"):
            until(lambda port=port: all(one["state"] == "up" for one in box.status(port)["regions"].values()), 15,
                  "the regions see each other")  # fmt: skip
        yield box, members


class Stubborn(threading.Thread):
    """A client that has eu-west's address and keeps to it, whatever DNS says now."""

    def __init__(self, box):
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{box.ports['8101']}/page"
        self.answers, self.failures, self.done = [], [], threading.Event()

    def run(self):
        while not self.done.is_set():
            try:
                page = get(self.url, host="www.example.com")
                if page.status == 200:
                    self.answers.append(page.json()["region"])
                else:
                    self.failures.append((page.status, bytes(page.body)[:200]))
            except NoAnswer as error:
                self.failures.append(error)
            time.sleep(0.005)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join(10)

    @property
    def now(self):
        return self.answers[-1] if self.answers else ""


def test_a_drained_regions_clients_are_served_by_the_next_and_the_end_can_be_waited_for(cluster):
    box, _ = cluster
    with Stubborn(box) as client:
        until(lambda: client.now == "eu-west", 10, "eu-west serves")
        done = box.gslb("drain", "eu-west", "--why", "new disks")
        assert done.returncode == 0, done.stderr
        until(lambda: client.now not in {"", "eu-west"}, 5, "another region serves it")
        drain = box.status("9471")["drain"]
        assert drain["why"].startswith("new disks")
        assert drain["stragglers"]["proxied"] > 0
        shown = box.gslb("status", "--node", f"http://127.0.0.1:{box.ports['9471']}").stdout
        assert "proxied to other regions" in " ".join(shown.split())
    assert not client.failures, client.failures[:3]
    waited = box.gslb("drain", "eu-west", "--wait", "30s")
    assert waited.returncode == 0, waited.stderr
    assert "0 clients left" in waited.stderr
    box.gslb("undrain", "eu-west")
    until(lambda: get(client.url, host="www.example.com").json()["region"] == "eu-west", 10, "it serves again")
    until(lambda: box.region_of() == "eu-west", 20, "it is back")
    assert box.status("9471")["drain"] is None


def test_a_region_whose_servers_are_killed_loses_no_request(cluster):
    """The bar is 99.9 % while the lost region's balancer lives; requests that fell with a server may be among them."""
    box, members = cluster
    with Stubborn(box) as client:
        until(lambda: client.now == "eu-west", 10, "eu-west serves")
        members.kill("eu-west-backends")
        until(lambda: client.now not in {"", "eu-west"}, 5, "another region serves it")
        until(lambda: box.region_of() != "eu-west", 8, "DNS leads away")
        members.start("eu-west-backends")
        until(lambda: client.now == "eu-west", 15, "it serves itself again")
    assert len(client.failures) <= 0.001 * len(client.answers), client.failures[:3]


def test_waiting_where_nothing_drains_says_so(cluster):
    box, _ = cluster
    done = box.gslb("drain", "eu-west/web/web-1", "--wait", "5s")
    assert done.returncode == 1
    assert "drains" in done.stderr
    box.gslb("undrain", "eu-west/web/web-1")
