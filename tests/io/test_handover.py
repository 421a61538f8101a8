"""What goes from a program to its successor: real descriptors, and a variable that makes no sense."""

import json
import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from gslb.errors import NodeError
from gslb.node.context import Sockets
from gslb.node.elders import Elders
from gslb.node.handover import VARIABLE, descriptors, pack, unpack
from gslb.node.listen import open_group, open_unix
from gslb.state.directory import StateDirectory

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.fixture
def context(tmp_path):
    nothing = unpack({})
    path = str(tmp_path / "s")
    tcp = open_group([("127.0.0.1", 0)], STREAM, 2, nothing)
    sockets = Sockets(
        dns_udp=open_group([("::1", 0)], DATAGRAM, 1, nothing), http=[[*group] for group in tcp]
    )
    local = open_unix(path, 0o600)
    for group in sockets.http:
        group.append(local)
    directory = StateDirectory(tmp_path, "node")
    yield SimpleNamespace(sockets=sockets, directory=directory, path=path)
    sockets.close()
    directory.close()


def handed(context, elders=(7, 8)):
    """As after exec: the same sockets under other numbers, since here both programs are one process."""
    words = json.loads(pack(context, elders, rehearsal=False))
    words["sockets"] = [os.dup(one) for one in words["sockets"]]
    words["lock"][1] = os.dup(words["lock"][1])
    environment = {VARIABLE: json.dumps(words), "OTHER": "1"}
    found = unpack(environment)
    assert environment == {"OTHER": "1"}
    return found


def test_the_same_sockets_come_out_in_the_order_of_the_workers(context):
    found = handed(context)
    ports = [group[0].getsockname()[1] for group in context.sockets.http]
    for group, port in zip(context.sockets.http, ports, strict=True):
        assert found.has(STREAM, "127.0.0.1", port)
        with found.take(STREAM, "127.0.0.1", port) as sock:
            assert os.path.sameopenfile(sock.fileno(), group[0].fileno())
            assert not sock.get_inheritable()
    with found.take(DATAGRAM, "::1", context.sockets.dns_udp[0][0].getsockname()[1]) as udp:
        assert udp.type == DATAGRAM
    with found.take_unix(context.path) as local:
        assert os.path.sameopenfile(local.fileno(), context.sockets.http[0][1].fileno())
    assert found.take_unix(context.path) is None
    assert found.elders == (7, 8)
    again = StateDirectory(context.directory.path.parent, "node", found.lock_of)  # else StateLocked
    again.close()
    found.drop()


def test_what_nobody_takes_is_closed(context):
    found = handed(context)
    waiting = [sock for group in found.sockets.values() for sock in group]
    found.drop()
    assert len(waiting) == 4
    assert all(sock.fileno() == -1 for sock in waiting)
    assert found.lock is None


def test_what_was_meant_for_another_process_is_not_believed(context):
    words = json.loads(pack(context, (), rehearsal=True)) | {"from": 1}
    found = unpack({VARIABLE: json.dumps(words)})
    assert not found.sockets
    assert not found.rehearsal


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"from": %d}', '{"from": %d, "elders": 3, "rehearsal": true}'])
def test_nonsense_is_told(text):
    with pytest.raises(NodeError, match=VARIABLE):
        unpack({VARIABLE: text.replace("%d", str(os.getpid()))})


def test_a_descriptor_that_is_no_socket_is_told(context):
    words = json.loads(pack(context, (), rehearsal=True))
    words["sockets"] = [os.dup(words["lock"][1])]
    with pytest.raises(NodeError, match=VARIABLE):
        unpack({VARIABLE: json.dumps(words)})
    os.close(words["sockets"][0])


def test_a_shared_unix_socket_goes_once(context):
    assert len(descriptors(context)) == 5  # two TCP, one UDP, one Unix, the lock


# ---------------------------------------------------------------- elders
ELDER = """
import signal, sys, time
signal.signal(signal.SIGUSR2, {handler})
print("there", flush=True)
time.sleep(60)
"""


@pytest.fixture
def elder():
    started = []

    def start(handler):
        process = subprocess.Popen([sys.executable, "-c", ELDER.replace("{handler}", handler)], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"there\n"
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def ended(elders, **words):
    deadline = time.monotonic() + 10
    while elders.pids and time.monotonic() < deadline:
        elders.look(**words)
        time.sleep(0.01)
    return not elders.pids


def test_elders_serve_until_they_are_relieved(elder):
    elders = Elders([elder("lambda *_: sys.exit()")])
    elders.look(1.0, relieved=False)
    time.sleep(0.05)
    elders.look(1000.0, relieved=False)
    assert len(elders.pids) == 1
    assert ended(elders, now=1000.0, relieved=True)


def test_an_elder_that_does_not_go_is_killed_at_its_time(elder):
    elders = Elders([elder("signal.SIG_IGN")])
    elders.look(1.0, relieved=True)
    elders.look(60.0, relieved=True)
    assert len(elders.pids) == 1
    assert ended(elders, now=67.0, relieved=True)


def test_stopping_ends_them_all(elder):
    elders = Elders([elder("signal.SIG_IGN"), elder("signal.SIG_IGN")])
    elders.stop()
    elders.await_end(time.monotonic() + 10)
    assert elders.pids == []


def test_one_that_is_gone_already_is_no_error():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    elders = Elders([process.pid])
    elders.look(1.0, relieved=True)
    elders.look(1.0, relieved=True)
    assert elders.pids == []
