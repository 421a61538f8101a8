"""A data worker or control that is killed or frozen is replaced; the others go on. Under load."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from gslb.demo.clients import NoAnswer, get
from tests.support.sandbox import running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


class Load:
    """Asks DNS and a region over and over from a thread; counts what failed, and when."""

    def __init__(self, ask):
        self.ask, self.done, self.failed, self._stop = ask, 0, [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            try:
                self.ask()
                self.done += 1
            except (NoAnswer, AssertionError, KeyError) as error:
                self.failed.append((time.monotonic(), str(error)))
            time.sleep(0.005)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)


def alive(pid):
    """Runs, and isn't a zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def workers(box, port):
    return {p["index"]: p["pid"] for p in box.status(port)["processes"] if p["role"] == "worker" and p["ready"]}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
@pytest.mark.parametrize("role", ["edge", "region"])
def test_a_worker_is_replaced_while_the_others_go_on(sandbox, role, how):
    sandbox.edit("gslb.yaml", "workers: 1", "workers: 2")
    sandbox.edit("eu-west.yaml", "workers: auto", "workers: 2")
    port = "9470" if role == "edge" else "9471"
    url = f"http://127.0.0.1:{sandbox.ports['8101']}/"
    with running(sandbox.cluster(), "edge-1", "eu-west", "eu-west-backends"):
        until(lambda: get(url, host="www.example.com").status == 200, 20, "eu-west")
        until(lambda: sandbox.region_of() == "eu-west", 20, "DNS")
        until(lambda: len(workers(sandbox, port)) == 2, 20, "two workers")
        before = workers(sandbox, port)

        def ask():
            if role == "edge":
                assert sandbox.region_of() == "eu-west"
            else:
                assert get(url, host="www.example.com").status == 200

        with Load(ask) as load:
            until(lambda: load.done > 50, 10, "load")
            os.kill(before[1], how)
            until(lambda: workers(sandbox, port).get(1) not in {None, before[1]}, 15, "a new worker 1")
            replaced = time.monotonic()
            done = load.done
            until(lambda: load.done > done + 100, 10, "load goes on")
        assert workers(sandbox, port)[2] == before[2]
        late = [failure for failure in load.failed if failure[0] > replaced + 1.5]
        assert not late
        # half the sockets were silent for at most the hang patience: most of the load never noticed
        assert len(load.failed) < load.done


def test_control_is_replaced_and_answers_never_stop(sandbox):
    with running(sandbox.cluster(), "edge-1", "eu-west", "eu-west-backends"):
        until(lambda: sandbox.status()["regions"]["eu-west"]["state"] == "up", 20, "eu-west up")
        control = next(p["pid"] for p in sandbox.status()["processes"] if p["role"] == "control")
        generation = sandbox.status()["plan_generation"]
        with Load(sandbox.region_of) as load:
            until(lambda: load.done > 20, 10, "load")
            os.kill(control, signal.SIGKILL)
            until(lambda: any(p["role"] == "control" and p["pid"] != control and p["ready"]
                              for p in sandbox.status()["processes"]), 15, "a new control")
            done = load.done
            until(lambda: load.done > done + 100, 10, "load goes on")
        assert load.failed == []
        until(lambda: sandbox.status()["regions"]["eu-west"]["state"] == "up", 20, "eu-west up again")
        assert sandbox.status()["plan_generation"] > generation
        until(lambda: all(p["plan_generation"] > generation for p in sandbox.status()["processes"]), 10, "the new Plan")


def test_children_die_with_their_parent(sandbox):
    with running(sandbox.cluster(), "edge-1") as cluster:
        until(lambda: bool(workers(sandbox, "9470")), 20, "a worker")
        pids = [p["pid"] for p in sandbox.status()["processes"]]
        cluster.members["edge-1"].process.kill()
        until(lambda: not any(alive(pid) for pid in pids), 5, "no child left")
