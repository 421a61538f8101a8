"""Processes, ports, CPU time and memory: what every part of the bench measures with.

CPU time is the scheduler's own (/proc/PID/task/*/schedstat): it holds on a noisy machine where a rate does not.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

SERVER_CORE, LOAD_CORE = 0, 1
STOP_S = 12.0
PR_SET_PDEATHSIG = 1


class NotMeasuredError(Exception):
    """A figure that could not be had, and why."""


def free_port() -> int:
    """A port of 127.0.0.1 that is free for TCP and UDP. It may be taken by another before it is used: rare."""
    for _ in range(50):
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port
    raise NotMeasuredError("no port is free for both TCP and UDP")


def wait_for(what: str, ready: Callable[[], object], timeout_s: float = 20.0, interval_s: float = 0.05) -> None:
    """Polls until `ready()` is true; NotMeasuredError names `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise NotMeasuredError(f"{what}: not there after {timeout_s:g} s")
        time.sleep(interval_s)


def accepts(port: int) -> bool:
    """Something listens on this TCP port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Processes:
    """Starts processes on one core each and ends them all, also when the bench is interrupted or killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            self.stop(process)

    def start(self, name: str, command: Sequence[str], core: int | str = SERVER_CORE) -> subprocess.Popen[bytes]:
        """Runs `command` in a session of its own; its output goes to `NAME.log` in the folder."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                # an operator's shell has no PYTHONDONTWRITEBYTECODE, which makes every start compile all anew
                env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the bench has one thread
            )
        self._running.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """TERM, and KILL to its whole group if it outlives STOP_S."""
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process in self._running:
            self._running.remove(process)

    def log_tail(self, name: str) -> str:
        """The last lines that `name` wrote."""
        path = self.folder / f"{name}.log"
        return " | ".join(path.read_text(errors="replace").splitlines()[-4:]) if path.exists() else ""


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Time on a CPU of every thread of `pids` so far."""
    total_ns = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread may end meanwhile
                total_ns += int((task / "schedstat").read_text().split()[0])
    return total_ns / 1e9


def settle(pid: int, timeout_s: float = 60.0) -> None:
    """Waits until a process tree is nearly idle: what it builds at its start is not what a query costs."""

    def idle() -> bool:
        pids = tree(pid)
        try:
            before = cpu_seconds(pids)
            time.sleep(0.4)
            return cpu_seconds(pids) - before < 0.04
        except OSError:  # one of them ended: it is not yet what it will be
            return False

    wait_for("an idle moment after the start", idle, timeout_s)


def unshared_mib(pid: int) -> tuple[float, float]:
    """(unshared, proportional) memory of a process in MiB: USS and PSS."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, _, value = line.partition(":")
        sizes[key] = int(value.split()[0])
    return (sizes["Private_Clean"] + sizes["Private_Dirty"]) / 1024, sizes["Pss"] / 1024
