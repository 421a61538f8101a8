"""Listening sockets. The parent makes them once and keeps them open for as long as the node lives.

Each worker has its own socket per address in a SO_REUSEPORT group; because the parent never closes one, a worker's
queue outlives the worker and its successor answers what waited. UDP is bound to concrete addresses only, since a
reply from a wildcard socket may leave from another address than the one asked: wildcards are expanded.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from gslb.errors import NodeError
from gslb.model import UNIX, Listener
from gslb.node.handover import Inherited

BACKLOG = 4096
UDP_BUFFER_BYTES = 4 << 20


def split(listen: str) -> tuple[str, int]:
    """`"127.0.0.1:53"` or `"[::1]:53"` as (host, port); NodeError for anything else."""
    host, _, port = listen.rpartition(":")
    try:
        return str(ipaddress.ip_address(host.strip("[]"))), int(port)
    except ValueError:
        raise NodeError(f"{listen!r} is not an address to listen on: write 127.0.0.1:53 or [::1]:53") from None


def local_addresses(family: int) -> list[str]:
    """Every address of this machine, from the kernel's own tables (Linux)."""
    found: list[str] = []
    if family == 6:
        table = Path("/proc/net/if_inet6")
        for line in table.read_text().splitlines() if table.exists() else []:
            address = ipaddress.IPv6Address(int(line.split()[0], 16))
            if not address.is_link_local:
                found.append(str(address))
        return found
    previous = ""
    for line in Path("/proc/net/fib_trie").read_text().splitlines():
        text = line.strip().lstrip("+|- ")
        if text.startswith("/32 host LOCAL") and previous not in found:
            found.append(previous)
        previous = text
    return found


def concrete(listen: Sequence[str]) -> list[tuple[str, int]]:
    """The addresses of `listen` with `0.0.0.0` and `::` replaced by every address this machine has now."""
    found: list[tuple[str, int]] = []
    for item in listen:
        host, port = split(item)
        address = ipaddress.ip_address(host)
        hosts = local_addresses(address.version) if address.is_unspecified else [host]
        found += [(one, port) for one in hosts if (one, port) not in found]
    return found


def open_socket(host: str, port: int, kind: socket.SocketKind, *, share: bool = True) -> socket.socket:
    """One bound socket (listening, if TCP). Raises NodeError that names the address and the remedy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_DGRAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        remedy = {
            errno.EADDRINUSE: "another program has it: stop it, or change the listen line",
            errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(error.errno or 0, os.strerror(error.errno or 0))
        raise NodeError(f"can't listen on {host}:{port}: {remedy}") from error
    sock.setblocking(False)
    return sock


def open_group(
    addresses: Sequence[tuple[str, int]], kind: socket.SocketKind, workers: int, inherited: Inherited
) -> list[list[socket.socket]]:
    """For each worker its sockets, one per address. Refuses an address that another program shares with us."""
    for host, port in addresses:
        if not inherited.has(kind, host, port):
            open_socket(host, port, kind, share=False).close()
    return [
        [inherited.take(kind, host, port) or open_socket(host, port, kind) for host, port in addresses]
        for _ in range(workers)
    ]


# ---------------------------------------------------------------- HTTP: TCP and Unix sockets
def open_listeners(listeners: Sequence[Listener], workers: int, inherited: Inherited) -> list[list[socket.socket]]:
    """For each worker its sockets, one a listener in their order. All workers take from the same Unix socket."""
    local = [one for one in listeners if one.address.startswith(UNIX)]
    shared = {one.address: _unix(one.address.removeprefix(UNIX), one.mode, inherited) for one in local}
    remote = [split(one.address) for one in listeners if one.address not in shared]
    own = open_group(remote, socket.SOCK_STREAM, workers, inherited)
    return [
        [shared.get(one.address) or sockets.pop(0) for one in listeners]
        for sockets in own
    ]


def _unix(path: str, mode: int, inherited: Inherited) -> socket.socket:
    known = inherited.take_unix(path)
    if known is None:
        return open_unix(path, mode)
    Path(path).chmod(mode)
    return known


def open_unix(path: str, mode: int) -> socket.socket:
    """A listening Unix socket with these permissions; one that a dead process left is replaced. Raises NodeError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _left_behind(path):
            Path(path).unlink()
        before = os.umask(0o777 & ~mode)  # so that it never is open to more than these
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        remedy = {
            errno.EADDRINUSE: "another program has it, or it is no socket: remove it, or change the listen line",
            errno.ENOENT: "its folder is not there: make it",
        }.get(error.errno or 0, os.strerror(error.errno or 0))
        raise NodeError(f"can't listen on {path}: {remedy}") from error
    sock.setblocking(False)
    return sock


def _left_behind(path: str) -> bool:
    """Whether `path` is a socket that nobody listens on."""
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == errno.ECONNREFUSED
