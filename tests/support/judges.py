"""nginx and HAProxy as judges of what HTTP is: each as a plain proxy before one backend. Real programs, loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

START_S = 10.0
SLOW = "400ms"  # what they wait for the rest of a message

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def program(name: str) -> str | None:
    """Where a judge is, if it is installed."""
    return shutil.which(name, path=_PATH)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _nginx_of(folder: Path, http: str) -> list[str]:
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 256; }}
http {{ access_log off; {temporary} {http} }}
"""
    )
    return [str(program("nginx")), "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


def _nginx(folder: Path, port: int, backend: int) -> list[str]:
    return _nginx_of(
        folder,
        f"""client_header_timeout {SLOW}; client_body_timeout {SLOW}; proxy_read_timeout {SLOW}; keepalive_timeout 5s;
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{backend}; proxy_http_version 1.1; proxy_request_buffering off;
      proxy_buffering off; proxy_set_header Host $http_host; proxy_set_header Connection ""; }} }}""",
    )


def _haproxy(folder: Path, port: int, backend: int) -> list[str]:
    (folder / "haproxy.cfg").write_text(
        f"""global
  nbthread 1
defaults
  mode http
  timeout connect 2s
  timeout client {SLOW}
  timeout http-request {SLOW}
  timeout server {SLOW}
  retries 0
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  http-reuse never
  server s 127.0.0.1:{backend}
"""
    )
    return [str(program("haproxy")), "-db", "-f", f"{folder}/haproxy.cfg"]


COMMANDS = {"nginx": _nginx, "haproxy": _haproxy}


@contextlib.contextmanager
def judge(name: str, folder: Path, backend: int) -> Iterator[int]:
    """Runs a judge before the backend's port; its own port."""
    folder.mkdir()
    port = _free_port()
    with _running(name, folder, port, COMMANDS[name](folder, port, backend)):
        yield port


@contextlib.contextmanager
def nginx_with(folder: Path, upstream: str) -> Iterator[int]:
    """Runs nginx as a proxy to its `upstream u {…}`; who came by X-Forwarded-For is believed. Its port."""
    folder.mkdir()
    port = _free_port()
    server = f"""{upstream} set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; proxy_set_header Host $http_host; }} }}"""
    with _running("nginx", folder, port, _nginx_of(folder, server)):
        yield port


@contextlib.contextmanager
def _running(name: str, folder: Path, port: int, command: list[str]) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, f"{name} does not start: {(folder / 'log').read_text()[-500:]}"
            assert time.monotonic() < deadline, f"{name} does not listen"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
