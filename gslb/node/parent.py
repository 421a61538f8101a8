"""The parent of a node: no event loop, no traffic. It opens the sockets, starts control and the workers, watches them.

A process that dies is replaced; one whose heartbeat stops is killed and replaced. Signals: TERM and INT drain and
stop the node, HUP reloads it, USR2 restarts it in place. Everything is one loop around `sigtimedwait`, so there is no
handler to race with.
Children die with their parent (PR_SET_PDEATHSIG): a node never half lives.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gslb.node.board import BEATS, EXITED, HUNG, PARENT_BEATS, READY, REFUSED, Row
from gslb.node.context import NodeContext
from gslb.node.elders import Elders
from gslb.node.restarting import Restarting, await_end

WATCH_INTERVAL_S = 0.25
WORKER_HANG_S = 2.0
CONTROL_HANG_S = 10.0
START_GRACE_S = 20.0
RESTART_DELAY_MAX_S = 5.0
STABLE_AFTER_S = 30.0
STOP_GRACE_S = 15.0
CONTROL_END_S = 5.0
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2}
_PR_SET_PDEATHSIG = 1

log = logging.getLogger("gslb.parent")


@dataclass(slots=True)
class Child:
    """One process slot: control is slot 0, worker `n` is slot n."""

    slot: int
    row: Row
    pid: int = 0
    channel: socket.socket | None = None  # the parent's end: hands over link sockets
    started: float = 0.0
    beats: int = 0
    beat_at: float = 0.0
    failures: int = 0
    restart_at: float = 0.0
    restarts: int = 0
    hung: bool = False

    @property
    def title(self) -> str:
        """For logs."""
        return "control" if self.slot == 0 else f"worker {self.slot}"


@dataclass(slots=True)
class Parent:
    """Runs one node.

    `run_control(context, channel, restarts)` and `run_worker(context, index, channel)` are what a child becomes; each
    returns its exit code.
    """

    context: NodeContext
    run_control: Callable[[NodeContext, socket.socket, int], int]
    run_worker: Callable[[NodeContext, int, socket.socket], int]
    children: list[Child] = field(default_factory=list)
    restarting: Restarting = field(init=False)
    elders: Elders = field(init=False)

    def __post_init__(self) -> None:
        self.restarting, self.elders = Restarting(self.context), Elders(self.context.elders)

    def run(self) -> int:
        """Until a signal says stop; 0 if every child ended well."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self.children = [Child(slot, self.context.board.rows[slot]) for slot in range(self.context.workers + 1)]
        for child in self.children:
            self._start(child)
        last = time.monotonic()
        while True:
            self.children[0].row.header[PARENT_BEATS] += 1
            info = signal.sigtimedwait(_SIGNALS, WATCH_INTERVAL_S)
            now = time.monotonic()
            if info is not None and info.si_signo in {signal.SIGTERM, signal.SIGINT}:
                return self._stop()
            if info is not None and info.si_signo == signal.SIGHUP and self.children[0].pid:
                os.kill(self.children[0].pid, signal.SIGHUP)
            if info is not None and info.si_signo == signal.SIGUSR2:
                self.restarting.ask(now)
            self._reap(now)
            self._restart(now)
            if now - last > WORKER_HANG_S / 2:  # we were stopped ourselves: what looks like a hang is ours
                for child in self.children:
                    child.beat_at = now
            self._watch(now)
            last = now

    # ------------------------------------------------------------ starting
    def _start(self, child: Child) -> None:
        """Forks one child and gives it, and its peers, their new links."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if child.channel is not None:
            child.channel.close()
        gc.freeze()
        sys.stdout.flush()
        sys.stderr.flush()
        parent_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for other in self.children:
                if other.channel is not None and other is not child:
                    other.channel.close()
            os._exit(self._become(child, theirs, parent_pid))
        theirs.close()
        child.channel, child.pid = ours, pid
        child.started = child.beat_at = time.monotonic()
        child.beats = child.row.header[BEATS]
        if child.slot == 0:
            for other in self.children[1:]:
                self._join(other)
        else:
            self._join(child)

    def _become(self, child: Child, channel: socket.socket, parent_pid: int) -> int:
        """What the forked process does; returns its exit code."""
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            return 1
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        child.row.enter()
        try:
            if child.slot == 0:
                return self.run_control(self.context, channel, child.restarts)
            return self.run_worker(self.context, child.slot - 1, channel)
        except KeyboardInterrupt:
            return 0
        except BaseException:
            log.exception("%s failed", child.title)
            return 1
        finally:
            sys.stderr.flush()

    def _join(self, worker: Child) -> None:
        """Makes a fresh link between control and `worker` and hands each its end."""
        pair = [child for child in (self.children[0], worker) if child.pid]
        if len(pair) < 2:
            return
        for child, end in zip(pair, socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM), strict=True):
            with end:
                try:
                    assert child.channel is not None
                    child.channel.setblocking(False)
                    socket.send_fds(child.channel, [str(worker.slot).encode()], [end.fileno()])
                except OSError as error:
                    log.warning("can't hand %s its link: %s", child.title, error)

    # ------------------------------------------------------------ watching
    def _reap(self, now: float) -> None:
        """Collects children that ended and plans their replacement."""
        for child in self.children:
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                log.error("%s (pid %d) ended with %d; it is replaced", child.title, pid, code)
                if now - child.started > STABLE_AFTER_S:
                    child.failures = 0
                delay_s = 0.0 if child.failures == 0 else min(0.1 * 2**child.failures, RESTART_DELAY_MAX_S)
                child.pid, child.failures, child.restart_at = 0, child.failures + 1, now + delay_s
                child.restarts += 1
                child.row.header[HUNG if child.hung else EXITED] += 1
                child.hung = False

    def _watch(self, now: float) -> None:
        """Kills what hangs, starts what is due."""
        for child in self.children:
            if not child.pid:
                if now >= child.restart_at:
                    self._start(child)
                continue
            if child.slot and self._asked(child):
                self._join(child)
            beats = child.row.header[BEATS]
            if beats != child.beats:
                child.beats, child.beat_at = beats, now
                continue
            patience_s = CONTROL_HANG_S if child.slot == 0 else WORKER_HANG_S
            if not child.row.header[READY]:
                patience_s = START_GRACE_S
            if now - child.beat_at > patience_s:
                log.error("%s (pid %d) has not moved for %.1f s; it is killed", child.title, child.pid, patience_s)
                os.kill(child.pid, signal.SIGKILL)
                child.beat_at, child.hung = now, True

    def _asked(self, worker: Child) -> bool:
        """Whether `worker` has lost its link and wants a new one. With control gone too, its start makes the link."""
        assert worker.channel is not None
        try:
            return bool(worker.channel.recv(16, socket.MSG_DONTWAIT))
        except OSError:
            return False

    # ------------------------------------------------------------ restarting
    def _restart(self, now: float) -> None:
        """Looks after a restart that was asked for, and after the workers of one that was made."""
        self.elders.look(now, relieved=all(child.pid and child.row.header[READY] for child in self.children))
        ready = self.restarting.ready(now)
        control = self.children[0]
        if ready:
            if control.pid:
                os.kill(control.pid, signal.SIGUSR2)
                if not await_end(control.pid, CONTROL_END_S):
                    os.kill(control.pid, signal.SIGKILL)
                    await_end(control.pid, CONTROL_END_S)
                control.pid = 0
            workers = [child.pid for child in self.children[1:] if child.pid]
            self.restarting.go([*self.elders.pids, *workers])
            control.restart_at = now  # it did not come to it: control is started again
            control.restarts += 1
        control.row.header[REFUSED] = self.restarting.refused

    # ------------------------------------------------------------ stopping
    def _stop(self) -> int:
        """Workers drain while control still sees them; then control stops. A second signal ends the patience."""
        deadline = time.monotonic() + STOP_GRACE_S
        worst = 0
        self.restarting.abandon()
        self.elders.stop()
        for group in (self.children[1:], self.children[:1]):
            for child in group:
                if child.pid:
                    os.kill(child.pid, signal.SIGTERM)
                    os.kill(child.pid, signal.SIGCONT)
            for child in group:
                worst = max(worst, self._await_end(child, deadline))
        self.elders.await_end(deadline)
        self.context.sockets.close()
        return worst

    def _await_end(self, child: Child, deadline: float) -> int:
        """The exit code of `child`, killed at the deadline."""
        while child.pid:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                child.pid = 0
                code = abs(os.waitstatus_to_exitcode(status))
                return 0 if code == signal.SIGTERM else code  # ours, to one that had just begun: it had nothing yet
            info = signal.sigtimedwait(_SIGNALS, 0.05)
            again = info is not None and info.si_signo in {signal.SIGTERM, signal.SIGINT}
            if again or time.monotonic() > deadline:
                os.kill(child.pid, signal.SIGKILL)
                deadline = time.monotonic() + STOP_GRACE_S
        return 0
