"""A windowed UDP load of one steered name as resolvers send it, since dnsperf can't vary the options.

    dnsload.py build FILE NAME KIND     writes the packets, so that building them is no part of a run
    dnsload.py run FILE PORT SECONDS    sends them, at most WINDOW in flight; prints one JSON line

KIND `subnets`: A queries with a random public /24 each in a client subnet option. `resolvers`: a mix of what large
resolvers send: random letter case in most, a third with a client subnet, half with a random cookie, DO set in most,
one in ten AAAA, several payload sizes.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
import time
from pathlib import Path

PACKETS = 100_000
WINDOW = 400
BURST = 64
IDLE_ROUNDS = 20_000  # without an answer: what is in flight was lost
ECS_FAMILY_4 = b"\x00\x01\x18"  # family 1, source /24, as an answer echoes it


def subnet_option(rng: random.Random) -> bytes:
    """A client subnet option with a random public /24 (RFC 7871 §6)."""
    first = rng.choice([n for n in range(1, 223) if n not in (10, 127)])
    return struct.pack("!HHHBB", 8, 7, 1, 24, 0) + bytes([first, rng.randrange(256), rng.randrange(256)])


def query(name: bytes, number: int, options: bytes, qtype: int = 1, payload: int = 1232, flags: int = 0) -> bytes:
    """One query, class IN, with an OPT record (RFC 6891 §6.1)."""
    opt = b"\0" + struct.pack("!HHIH", 41, payload, flags, len(options)) + options
    return struct.pack("!HHHHHH", number & 0xFFFF, 0, 1, 0, 0, 1) + name + struct.pack("!HH", qtype, 1) + opt


def _wire_name(labels: list[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def packets(name: str, kind: str, count: int = PACKETS, seed: int = 1) -> list[bytes]:
    """`count` queries for `name`, varied as `kind` says; the same for the same seed."""
    rng = random.Random(seed)
    labels = [label.encode() for label in name.strip(".").split(".")]
    if kind == "subnets":
        return [query(_wire_name(labels), number, subnet_option(rng)) for number in range(count)]
    built = []
    for number in range(count):
        cased = labels
        if rng.random() >= 0.1:
            cased = [bytes(rng.choice((c, c ^ 32)) if 97 <= c <= 122 else c for c in label) for label in labels]
        options = subnet_option(rng) if rng.random() < 1 / 3 else b""
        if rng.random() < 0.5:
            options += struct.pack("!HH", 10, 8) + rng.randbytes(8)
        qtype = 28 if rng.random() < 0.1 else 1
        flags = 0x8000 if rng.random() < 0.8 else 0
        built.append(query(_wire_name(cased), number, options, qtype, rng.choice((1232, 1400, 4096)), flags))
    return built


def save(path: Path, todo: list[bytes]) -> None:
    """Length-prefixed packets, one after the other."""
    path.write_bytes(b"".join(struct.pack("!H", len(packet)) + packet for packet in todo))


def read(path: Path) -> list[bytes]:
    """What `save` wrote."""
    data, offset, todo = path.read_bytes(), 0, []
    while offset < len(data):
        end = offset + 2 + int.from_bytes(data[offset : offset + 2])
        todo.append(data[offset + 2 : end])
        offset = end
    return todo


def run(todo: list[bytes], port: int, seconds: float) -> dict[str, int]:
    """Sends for `seconds`; counts what was answered, was lost, had another RCODE than 0, lacked an asked ECS echo."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    all_ecs = all(b"\x00\x08\x00\x07" + ECS_FAMILY_4 in packet for packet in todo)
    sent = got = lost = refused = bare = idle = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(min(BURST, max(0, WINDOW - (sent - got - lost)))):
            sock.send(todo[sent % len(todo)])
            sent += 1
        progress = False
        for _ in range(BURST):
            try:
                reply = sock.recv(4096)
            except (BlockingIOError, ConnectionRefusedError):
                break
            got += 1
            progress = True
            refused += reply[3] & 15 != 0
            bare += all_ecs and ECS_FAMILY_4 not in reply
        idle = 0 if progress else idle + 1
        if idle > IDLE_ROUNDS:
            lost, idle = sent - got, 0
    return {"answered": got, "lost": lost, "rcode_not_0": refused, "without_ecs": bare}


if __name__ == "__main__":
    if sys.argv[1] == "build":
        save(Path(sys.argv[2]), packets(sys.argv[3], sys.argv[4]))
    else:
        sys.stdout.write(json.dumps(run(read(Path(sys.argv[2])), int(sys.argv[3]), float(sys.argv[4]))) + "\n")
