"""The demo's scaling driver: servers of a region as local processes. `python -m gslb.demo.scaler`, an event on stdin.

It works within `gslb demo` only, which tells by the environment where files go and whose end is everybody's. A driver
of your own does the same elsewhere: docs/scaling.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gslb.demo.ports import free_port

FOLDER, LIFE = "GSLB_DEMO_FOLDER", "GSLB_DEMO_PID"
START_MAX_S = 10.0


def pid_files(folder: Path) -> Path:
    """Where the ids of the processes are, by port."""
    return folder / "scaled"


def come(region: str, count: int, folder: Path) -> dict[str, Any]:
    """Starts servers; returns when they answer."""
    pid_files(folder).mkdir(exist_ok=True)
    servers = [_start(region, folder) for _ in range(count)]
    return {"servers": servers}


def _start(region: str, folder: Path) -> dict[str, Any]:
    port = free_port()
    command = [sys.executable, "-m", "gslb.demo.backends", region, f"127.0.0.1:{port}"]
    with (folder / "scaled.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (pid_files(folder) / str(port)).write_text(f"{process.pid}\n")
    deadline = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if not client.connect_ex(("127.0.0.1", port)):
                return {"server_id": f"extra-{port}", "host": "127.0.0.1", "port": port}
        time.sleep(0.05)
    process.kill()
    raise SystemExit(f"the server on port {port} did not start within {START_MAX_S:g} s: see {folder / 'scaled.log'}")


def end(server: Mapping[str, Any], folder: Path) -> None:
    """Ends one."""
    file = pid_files(folder) / str(int(server["port"]))
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        os.kill(int(file.read_text()), signal.SIGTERM)
    file.unlink(missing_ok=True)


def end_all(folder: Path) -> None:
    """Ends every one."""
    for file in pid_files(folder).glob("*"):
        end({"port": file.name}, folder)


def main() -> None:
    """Does what the event on standard input says."""
    where = os.environ.get(FOLDER)
    if not where:
        raise SystemExit("this driver starts servers for `gslb demo` only; see docs/scaling.md for your own")
    event = json.load(sys.stdin)
    if event["action"] == "up":
        print(json.dumps(come(event["region"], event["count"], Path(where))))
    elif event["action"] == "end":
        end(event["server"], Path(where))


if __name__ == "__main__":
    main()
