"""A real `redis-server` on loopback for tests: started with nothing on disk, stopped, frozen, killed at the end."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

START_S = 10.0
TRIES = 5


class RedisServer:
    """`with RedisServer() as server: … server.url …`"""

    def __init__(self, *, password: str = "") -> None:
        self.password = password
        self._folder = Path(tempfile.mkdtemp(prefix="gslb-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        for _ in range(TRIES):  # the kernel's choice may be taken again before Redis has it
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            if self._started():
                return self
        raise AssertionError(f"redis-server does not start: {self._log()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self._folder}/redis.sock"

    def start(self) -> None:
        """Starts it again at the same port, empty."""
        assert self._started(), self._log()

    def stop(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Freezes it: the kernel still takes connections, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """What `redis-cli` prints for a command."""
        secret = ("-a", self.password, "--no-auth-warning") if self.password else ()
        command = ["redis-cli", "-p", str(self.port), *secret]
        return subprocess.run([*command, *words], capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    def _log(self) -> str:
        path = self._folder / "log"
        return path.read_text()[-500:] if path.exists() else "no log"

    def _started(self) -> bool:
        command = [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder),
            "--unixsocket", str(self._folder / "redis.sock"), "--save", "", "--appendonly", "no",
            "--logfile", str(self._folder / "log"),
        ]  # fmt: skip
        if self.password:
            command += ["--requirepass", self.password]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 0.2) as sock:
                    sock.settimeout(0.5)
                    sock.sendall(b"PING\r\n")
                    if sock.recv(64)[:5] in {b"+PONG", b"-NOAU"}:
                        return True
            except OSError:
                time.sleep(0.01)
        self.stop()
        return False
