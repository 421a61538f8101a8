"""A free loopback port for the demo, its scaling driver and drills."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

from gslb.errors import NodeError

LOWEST, TRIES_MAX = 10_240, 200


def free_port() -> int:
    """A loopback TCP port that nobody uses now, and that no outgoing connection is given. Raises NodeError.

    A port of the kernel's own choice (bind to 0) is from the range of outgoing connections: one of them could have it
    before whoever it is meant for binds it.
    """
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768  # Linux's default
    highest = first if first > LOWEST + TRIES_MAX else 65_536  # so wide a range leaves no other
    for port in random.sample(range(LOWEST, highest), TRIES_MAX):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise NodeError(f"no free port between {LOWEST} and {highest} on loopback")
