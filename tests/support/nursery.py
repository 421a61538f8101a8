"""Starts commands of this project as processes that already have its modules: a third of a second of CPU less for each.

A nursery is one process for a run of tests, with everything imported. Asked for `python -m gslb …` it forks, and the
child becomes that command: its words, environment, streams and session are its own, and everything after the imports
is the command's own code. What `gslb demo`, `gslb drill` and the hosts of tests/chaos start is started by exec as ever.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

MODULES = {"gslb": "gslb.cli", "gslb.demo.backends": "gslb.demo.backends"}  # what `-m` says -> where `main` is
_LOADED = (
    "gslb.cli", "gslb.demo.backends", "gslb.node.start", "gslb.node.children", "gslb.node.control_process",
    "gslb.node.worker", "gslb.node.embed", "gslb.ops.commands", "gslb.ops.override_commands",
    "gslb.ops.server_commands", "gslb.state.redis", "gslb.state.sessions", "gslb.state.leases", "gslb.tls.reading",
    "gslb.config.check_keys", "prometheus_client.core",
)  # fmt: skip
_MESSAGE_MAX_BYTES = 1 << 17


class Process:
    """What `subprocess.Popen` is to its own child."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid = nursery, pid
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit code, None while it lives."""
        if self.returncode is None:
            self.returncode = self._nursery.ask({"ended": self.pid})
            if self.returncode is not None:
                os.close(self._descriptor)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        if self.poll() is None:
            select.select([self._descriptor], [], [], timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing once it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def terminate(self) -> None:
        """TERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """KILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The asking side; threads may share it. The process starts with the first question and ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None

    def popen(
        self, command: Sequence[str], *, stdin: int, stdout: IO[bytes], stderr: IO[bytes], env: Mapping[str, str],
        start_new_session: bool,
    ) -> Process:  # fmt: skip
        """As subprocess.Popen, for `[sys.executable, "-m", one of MODULES, …]` without standard input."""
        assert command[:2] == [sys.executable, "-m"]
        assert command[2] in MODULES
        assert stdin == subprocess.DEVNULL
        words = {"words": list(command), "env": dict(env), "cwd": str(Path.cwd()), "session": start_new_session}
        return Process(self, self.ask(words, [stdout.fileno(), stderr.fileno()]))

    def run(self, command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        """As subprocess.run with `capture_output` and `text`."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self.popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=os.environ, start_new_session=False
            )
            try:
                code = process.wait(timeout_s)
            finally:
                process.kill()
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode())
            return subprocess.CompletedProcess(list(command), code, *texts)

    def ask(self, question: dict[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """The answer of the nursery's process."""
        with self._lock:
            if self._channel is None:
                self._channel = self._begin()
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            self._channel.sendmsg([json.dumps(question).encode()], ancillary)
            return json.loads(self._channel.recv(_MESSAGE_MAX_BYTES))

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())], pass_fds=[theirs.fileno()],
            )  # fmt: skip
        atexit.register(lambda: (ours.close(), process.wait()))
        return ours


def _answer(channel: socket.socket) -> dict[str, Any] | None:
    """Answers questions until one forks: that child gets its words here, the nursery None at the end of its life."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE_MAX_BYTES, 2)
        if not message:
            return None
        question = json.loads(message)
        if "ended" in question:
            pid, status = os.waitpid(question["ended"], os.WNOHANG)
            channel.send(json.dumps(os.waitstatus_to_exitcode(status) if pid else None).encode())
            continue
        pid = os.fork()
        if pid == 0:
            channel.close()
            _take(question, descriptors)
            return question
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(json.dumps(pid).encode())


def _take(question: dict[str, Any], descriptors: Sequence[int]) -> None:
    """What exec would have done."""
    if question["session"]:
        os.setsid()
    os.chdir(question["cwd"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in zip((nothing, *descriptors), range(3), strict=True):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(question["env"])
    sys.orig_argv = question["words"]
    sys.argv = [question["words"][2], *question["words"][3:]]


def main() -> None:
    """The nursery's process."""
    for module in _LOADED:
        importlib.import_module(module)
    gc.freeze()
    question = _answer(socket.socket(fileno=int(sys.argv[1])))
    if question is not None:
        importlib.import_module(MODULES[question["words"][2]]).main()


if __name__ == "__main__":
    main()
