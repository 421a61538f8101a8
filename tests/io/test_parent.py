"""The parent of a node as a process of its own: how it stops."""

import subprocess
import sys

import pytest

NODE = """
import os, sys, time
from types import SimpleNamespace
from gslb.node.board import Board
from gslb.node.parent import Parent

def idle(*_):
    os.write(1, b"begun\\n")
    time.sleep(30)
    return 0

def fails(*_):
    import signal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        idle()
    finally:
        return 3

context = SimpleNamespace(board=Board(2, 4), workers=1, sockets=SimpleNamespace(close=lambda: None), elders=())
sys.exit(Parent(context, idle, {worker}).run())
"""


@pytest.mark.parametrize(("worker", "code"), [("idle", 0), ("fails", 3)])
def test_a_child_without_a_handler_yet_stops_well_and_one_that_fails_does_not(worker, code):
    command = [sys.executable, "-c", NODE.replace("{worker}", worker)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for _ in range(2):
                assert process.stdout.readline() == b"begun\n"
            process.terminate()
            assert process.wait(20) == code
        finally:
            process.kill()
