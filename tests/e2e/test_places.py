"""max_connections and the pool's queue over two real data workers: the places are the node's."""

import contextlib
import http.client
import threading

import pytest

from gslb.demo.clients import get
from tests.support.moody import moody
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(60)]
HOST, MOST, WORKERS, ASKED = "www.example.com", 3, 2, 24


def test_two_workers_share_the_places_of_a_server(sandbox):
    sandbox.edit("eu-west.yaml", "workers: auto", f"workers: {WORKERS}")
    text = "algorithm: least_connections"
    sandbox.edit("eu-west.yaml", text, f"{text}\n      queue: {{size: 50, timeout: 20s}}")
    sandbox.edit("eu-west.yaml", "weight: 2, max_connections: 500", f"max_connections: {MOST}")
    for server in ("web-2", "web-3"):
        sandbox.edit("eu-west.yaml", f"id: {server}, ", f"id: {server}, weight: 0, ")
    url = f"http://127.0.0.1:{sandbox.ports['8101']}/"
    with moody(sandbox.ports["9001"]) as (server,), running(sandbox.cluster(), "eu-west"):
        until(lambda: get(url, host=HOST).status == 200, 20, "eu-west")
        until(lambda: all(one["ready"] for one in sandbox.status("9471")["processes"]), 20, "two workers")
        until(lambda: get(url, host=HOST) and len({one.worker for one in server.seen}) == WORKERS, 20, "both serve")
        server.silent.set()
        server.most_waiting = 0
        statuses: list[int] = []
        clients = [
            threading.Thread(target=lambda: statuses.append(ask(sandbox.ports["8101"])), daemon=True)
            for _ in range(ASKED)
        ]
        for client in clients:
            client.start()
        taken = 'gslb_server_places_taken{pool="web",server="web-1"}'
        until(lambda: sandbox.metric(taken) >= MOST, 10, "all places taken")
        until(lambda: server.most_waiting >= MOST, 10, "the server has what was sent to it")
        assert sandbox.metric(taken) <= MOST + WORKERS - 1
        server.silent.clear()
        for client in clients:
            client.join(30)
        assert statuses == [200] * ASKED
        print(f"{ASKED} requests at once over {MOST} places and {WORKERS} workers: {server.most_waiting} ran at most")
        assert MOST <= server.most_waiting <= MOST + WORKERS - 1
        assert sandbox.metric('gslb_http_queued_total{pool="web",result="served"}') >= ASKED - MOST - WORKERS + 1
        until(lambda: sandbox.metric(taken) == 0, 10, "all places free")


def ask(port):
    """The status of one request on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/", headers={"Host": HOST})
        return connection.getresponse().status
