"""Breakers and outlier ejection over two real data workers, control, and servers that fail on command."""

import contextlib
import re
import threading
import time

import pytest

from gslb.demo.clients import get
from tests.support.moody import moody, two_visitors
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]
HOST = "www.example.com"
SERVERS = ("9001", "9002", "9003")


@contextlib.contextmanager
def region(sandbox, rules):
    """eu-west with two workers and these lines in its pool: its servers, and a visitor on each worker."""
    sandbox.edit("eu-west.yaml", "workers: auto", "workers: 2")
    sandbox.edit("eu-west.yaml", "algorithm: least_connections", f"algorithm: round_robin\n      {rules}")
    sandbox.edit("eu-west.yaml", "weight: 2, max_connections: 500", "weight: 1")
    port = sandbox.ports["8101"]
    with moody(*(sandbox.ports[one] for one in SERVERS)) as servers, running(sandbox.cluster(), "eu-west"):
        until(lambda: get(f"http://127.0.0.1:{port}/", host=HOST).status == 200, 20, "eu-west")
        until(lambda: all(one["ready"] for one in sandbox.status("9471")["processes"]), 20, "two workers")
        visitors = two_visitors(port, HOST, servers)
        try:
            yield servers, visitors
        finally:
            for visitor in visitors:
                visitor.close()


def breakers(sandbox):
    return sandbox.status("9471")["breakers"]


class Traffic:
    """Every visitor asks all the time, each in a thread of its own."""

    def __init__(self, visitors):
        self._stop, self.statuses = threading.Event(), []
        self._threads = [threading.Thread(target=self._run, args=(one,), daemon=True) for one in visitors]

    def _run(self, visitor):
        while not self._stop.is_set():
            self.statuses.append(visitor.get().status)
            time.sleep(0.002)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(15)


def test_what_one_worker_sees_opens_the_breaker_in_every_worker(sandbox):
    rules = "breaker: {failures: 3, open_for: 1h}"
    with region(sandbox, rules) as (servers, (first, second)):
        bad = servers[2]
        bad.status = 500
        answers = []
        while sum(one.worker == first.worker for one in bad.seen) < 4 and len(answers) < 30:
            answers.append(first.get().status)  # only the first worker sees it fail
        failures = [one.at for one in bad.seen if one.worker == first.worker][1:]  # the very first was a 200, perhaps
        assert len(failures) >= 2, (answers, sandbox.status("9471"), [one.seen for one in servers])
        decided = failures[-1]
        deadline = decided + 3
        while time.monotonic() < deadline:
            second.get()
        late = [one.at - decided for one in bad.seen if one.worker == second.worker and one.at > decided]
        print(f"the other worker let go of it {max(late, default=0.0) * 1000:.1f} ms after the deciding outcome")
        assert max(late, default=0.0) < 1.0
        assert not [one for one in bad.seen if one.worker == first.worker and one.at > decided + 1.0]
        shown = breakers(sandbox)["web/web-3"]
        assert shown["state"] == "open" and shown["age_s"] >= 0
        why = re.match(r"(\d+) failures in a row", shown["why"])  # more than 3 where several came at once
        assert why and int(why[1]) >= 3
        assert sandbox.metric('gslb_breaker_state{pool="web",server="web-3",state="open"}') == 1
        assert sandbox.metric('gslb_breaker_opened_total{pool="web",server="web-3"}') == 1
        told = sandbox.gslb("status", "--node", f"http://127.0.0.1:{sandbox.ports['9471']}").stdout
        assert "breaker web/web-3" in told and why[0] in told


def test_a_half_open_server_gets_one_probe_a_node_and_comes_back_by_steps(sandbox):
    rules = "breaker: {failures: 3, open_for: 1s, half_open_probes: 1, half_open_successes: 2, ramp: 3s}"
    with region(sandbox, rules) as (servers, visitors):
        bad = servers[2]
        bad.status = 500
        with Traffic(visitors):
            until(lambda: breakers(sandbox)["web/web-3"]["state"] == "open", 10, "open")
            bad.silent.set()  # the next probe hangs: while it does, nobody else may come
            bad.most_waiting = bad.waiting = 0
            until(lambda: bad.waiting > 0, 10, "a probe")
            until(lambda: breakers(sandbox)["web/web-3"]["state"] == "half_open", 10, "half-open")
            quiet = time.monotonic() + 2
            while time.monotonic() < quiet:
                assert bad.most_waiting == 1
                time.sleep(0.01)
            bad.status = 200
            bad.silent.clear()
            until(lambda: "web/web-3" not in breakers(sandbox), 10, "closed")
            closed = time.monotonic()
            until(lambda: bad.seen[-1].at > closed + 3.5, 20, "its whole share")
        ends = closed + 3

        def share(since, until_s):
            counts = [sum(since <= one.at < until_s for one in server.seen) for server in servers]
            return counts[2] / max(1, sum(counts))

        early, late = share(closed, closed + 0.9), share(ends + 0.3, time.monotonic())
        print(f"share of the traffic: {early:.0%} in the first 0.9 s, {late:.0%} after the ramp of 3 s")
        assert early < 0.22 < late


def test_a_worker_that_dies_with_the_lease_does_not_keep_the_breaker_half_open(sandbox):
    rules = "breaker: {failures: 3, open_for: 500ms, ramp: 0s}"
    with region(sandbox, rules) as (servers, visitors):
        bad = servers[2]
        bad.status = 500
        with contextlib.suppress(OSError), Traffic(visitors):
            until(lambda: breakers(sandbox)["web/web-3"]["state"] == "open", 10, "open")
        bad.status = 200  # nobody asks now: leases go from worker to worker and come back unused
        until(lambda: breakers(sandbox)["web/web-3"]["state"] == "half_open", 20, "half-open")
        with Traffic(visitors[:1]):  # only one of the workers has traffic
            until(lambda: "web/web-3" not in breakers(sandbox), 20, "closed by the worker that has traffic")


def test_an_outlier_is_ejected_and_only_one_of_three(sandbox):
    rules = "outliers: {consecutive_5xx: 4, base_ejection: 2s}"
    with region(sandbox, rules) as (servers, visitors):
        servers[1].status = servers[2].status = 500
        with Traffic(visitors):
            until(lambda: [one["state"] for one in breakers(sandbox).values()] == ["ejected"], 10, "one is out")
            for server in servers:
                server.status = 200
            assert len(breakers(sandbox)) == 1
            until(lambda: not breakers(sandbox), 10, "it is back")
        assert sandbox.metric('gslb_outlier_ejections_total{pool="web"}') >= 1


def test_in_a_panic_all_get_requests_and_status_says_so(sandbox):
    rules = "breaker: {failures: 2, open_for: 1h}\n      panic_threshold: 60%"
    with region(sandbox, rules) as (servers, visitors):
        servers[1].status = servers[2].status = 500
        with Traffic(visitors):
            until(lambda: sandbox.status("9471")["panic"]["web"]["panic"], 10, "panic")
            began = time.monotonic()
            until(lambda: all(server.seen[-1].at > began + 0.5 for server in servers), 10, "all get requests")
        assert sandbox.status("9471")["panic"]["web"] == {"panic": True, "available": 1, "total": 3}
        assert sandbox.metric('gslb_pool_panic{pool="web"}') == 1
