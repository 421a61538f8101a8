"""A node that is restarted in place: under load, with what is under way, and with files that can't be used."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from gslb.demo.clients import get
from tests.e2e.test_workers import Load, alive, workers
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def region(sandbox):
    """Region eu-west with two workers, its backends, and where clients reach it."""
    sandbox.edit("eu-west.yaml", "workers: auto", "workers: 2")
    with running(sandbox.cluster(), "eu-west", "eu-west-backends") as cluster:
        port = sandbox.ports["8101"]
        until(lambda: get(f"http://127.0.0.1:{port}/", host="www.example.com").status == 200, 20, "eu-west")
        until(lambda: len(workers(sandbox, "9471")) == 2, 20, "two workers")
        yield sandbox, cluster.members["eu-west"].process.pid, port


def restarted(box, port="9471"):
    return box.gslb("restart", "--json", "--node", f"http://127.0.0.1:{box.ports[port]}")


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_restart_under_load_loses_no_request(region, connection, tmp_path):
    box, pid, port = region
    before, incarnation = workers(box, "9471"), box.status("9471")["incarnation"]
    fields = ["-H", "Host: www.example.com", "-H", f"Connection: {connection}"]
    # Each connection pauses between requests: the load has to be there all the time, not to fill both cores.
    (tmp_path / "pause.lua").write_text("function delay() return math.random(5, 25) end\n")
    words = ["wrk", "-t1", "-c64", "-d3s", "-s", str(tmp_path / "pause.lua"), *fields, f"http://127.0.0.1:{port}/"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as wrk:
        until(lambda: box.metric("gslb_http_connections_total") > 60, 10, "load")
        done = restarted(box)
        assert done.returncode == 0, done.stderr
        report = wrk.communicate(timeout=30)[0]
    assert int(re.search(r"(\d+) requests in", report)[1]) > 1000, report
    assert "Socket errors" not in report, report
    assert "Non-2xx" not in report, report
    assert json.loads(done.stdout)["node"]["incarnation"] > incarnation
    after = workers(box, "9471")
    assert len(after) == 2
    assert not set(after.values()) & set(before.values())
    assert alive(pid)  # the same process: who supervises it sees nothing
    until(lambda: not any(alive(one) for one in before.values()), 20, "the old workers' end")


def test_what_is_under_way_goes_on_and_its_connection_says_that_it_is_the_last(region):
    box, _, port = region
    before = workers(box, "9471")
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as half:
        half.sendall(b"POST /echo HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 10\r\n\r\nhello")
        idle.request("GET", "/", headers={"Host": "www.example.com"})
        first = idle.getresponse()
        first.read()
        assert first.getheader("Connection") != "close"
        assert restarted(box).returncode == 0
        assert set(workers(box, "9471").values()).isdisjoint(before.values())
        until(lambda: idle.sock.recv(1) == b"", 10, "the idle connection's end")
        half.sendall(b"world")
        answer = http.client.HTTPResponse(half)
        answer.begin()
        answer.read()
        assert answer.status in range(200, 600)
        assert answer.status not in {502, 503, 504}
        assert answer.getheader("Connection") == "close"
    idle.close()
    until(lambda: not any(alive(one) for one in before.values()), 20, "the old workers' end")


def test_other_addresses_and_another_number_of_workers_come_with_a_restart(region):
    box, _, port = region
    more = box.ports["8102"]
    box.edit("eu-west.yaml", "workers: 2", "workers: 3")
    box.edit("eu-west.yaml", f'["127.0.0.1:{port}"]', f'["127.0.0.1:{port}", "127.0.0.1:{more}"]')
    assert restarted(box).returncode == 0
    assert len(workers(box, "9471")) == 3
    for one in (port, more):
        assert get(f"http://127.0.0.1:{one}/", host="www.example.com").status == 200


def test_files_that_are_wrong_refuse_the_restart_and_change_nothing(region):
    box, pid, port = region
    before, whole = workers(box, "9471"), (box.config / "eu-west.yaml").read_text()
    box.edit("eu-west.yaml", "workers: 2", "workers: many")
    refused = restarted(box)
    assert refused.returncode == 2
    assert "does not start" in json.loads(refused.stdout)["node"]["error"]
    assert workers(box, "9471") == before
    assert get(f"http://127.0.0.1:{port}/", host="www.example.com").status == 200
    (box.config / "eu-west.yaml").write_text(whole)
    os.kill(pid, signal.SIGUSR2)
    until(lambda: set(workers(box, "9471").values()).isdisjoint(before.values()), 20, "a restart by USR2")


def test_term_after_a_restart_stops_the_old_workers_too(region):
    box, pid, port = region
    before = workers(box, "9471")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as half:  # keeps an old worker
        half.sendall(b"POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 10\r\n\r\nhello")
        until(lambda: box.metric("gslb_http_active_connections") > 0, 5, "the connection")
        assert restarted(box).returncode == 0
        assert any(alive(one) for one in before.values())
        os.kill(pid, signal.SIGTERM)
    until(lambda: not alive(pid), 20, "the node's end")
    assert not any(alive(one) for one in before.values())


def test_an_edge_restarted_in_place_answers_on(sandbox):
    with running(sandbox.cluster(), "edge-1", "eu-west", "eu-west-backends"):
        until(lambda: sandbox.region_of() == "eu-west", 20, "DNS")
        incarnation = sandbox.status()["incarnation"]
        with Load(sandbox.region_of) as asked, Load(lambda: get(f"{sandbox.front}/", host="www.example.com")) as seen:
            until(lambda: asked.done > 50 and seen.done > 50, 10, "load")
            assert restarted(sandbox, "9470").returncode == 0
            done = asked.done
            until(lambda: asked.done > done + 100, 10, "load goes on")
        assert asked.failed == seen.failed == []
        assert sandbox.status()["incarnation"] > incarnation
