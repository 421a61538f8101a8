"""What a program hands to the one that takes its place in the same process: sockets, the lock, the workers that serve.

It goes through `exec` in one environment variable that names open descriptors. They are the same sockets, not new ones
on the same address, so what waits in their queues is not lost. `node/restarting.py` packs, `node/start.py` unpacks.
"""

from __future__ import annotations

import json
import os
import socket
from collections import defaultdict, deque
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from gslb.errors import NodeError
from gslb.model import UNIX
from gslb.node.context import NodeContext
from gslb.units import host_port

VARIABLE = "GSLB_HANDOVER"

Key = tuple[int, str]  # kind of socket, where it is bound


def _key(sock: socket.socket) -> Key:
    name = sock.getsockname()
    return sock.type, UNIX + name if sock.family == socket.AF_UNIX else host_port(name[0], name[1])


@dataclass(slots=True)
class Inherited:
    """What a program was handed. Empty for one that was started anew."""

    sockets: dict[Key, deque[socket.socket]] = field(default_factory=lambda: defaultdict(deque))
    lock: tuple[str, int] | None = None  # the state directory and the descriptor that locks it
    elders: tuple[int, ...] = ()  # processes that still serve
    rehearsal: bool = False  # only to see whether this program could start

    def has(self, kind: int, host: str, port: int) -> bool:
        """Whether a socket of this address was handed over and nobody has taken it."""
        return bool(self.sockets.get((kind, host_port(host, port))))

    def take(self, kind: int, host: str, port: int) -> socket.socket | None:
        """The next of the sockets with this address: those of one address are given in the order of the workers."""
        return self.sockets[kind, host_port(host, port)].popleft() if self.has(kind, host, port) else None

    def take_unix(self, path: str) -> socket.socket | None:
        """The Unix socket that listens at `path`."""
        waiting = self.sockets.get((socket.SOCK_STREAM, UNIX + path))
        return waiting.popleft() if waiting else None

    def lock_of(self, directory: Path) -> int | None:
        """The descriptor that locks `directory`, if it was handed over; the caller owns it."""
        if self.lock is None or self.lock[0] != str(directory):
            return None
        descriptor, self.lock = self.lock[1], None
        return descriptor

    def drop(self) -> None:
        """Closes what nobody has taken: addresses that are not listened on any more, or workers that are not there."""
        for waiting in self.sockets.values():
            for sock in waiting:
                sock.close()
        self.sockets.clear()
        if self.lock is not None:
            os.close(self.lock[1])
            self.lock = None


def descriptors(context: NodeContext) -> list[int]:
    """Everything open that goes to the successor, the lock last."""
    return [*dict.fromkeys(sock.fileno() for sock in context.sockets.every()), context.directory.lock]


def pack(context: NodeContext, elders: tuple[int, ...], *, rehearsal: bool) -> str:
    """The variable's value for a successor of this process, or of its child that rehearses."""
    *sockets, lock = descriptors(context)
    return json.dumps(
        {
            "from": os.getpid(),
            "sockets": sockets,
            "lock": [str(context.directory.path), lock],
            "elders": list(elders),
            "rehearsal": rehearsal,
        }
    )


def unpack(environment: MutableMapping[str, str]) -> Inherited:
    """What the variable hands over, and takes the variable away: a child of ours must not believe it.

    Raises NodeError if it is there but makes no sense.
    """
    text = environment.pop(VARIABLE, "")
    if not text:
        return Inherited()
    try:
        words = json.loads(text)
        if words["from"] not in {os.getpid(), os.getppid()}:
            return Inherited()  # it was for somebody else
        found = Inherited(elders=tuple(words["elders"]), rehearsal=words["rehearsal"])
        for descriptor in words["sockets"]:
            sock = socket.socket(fileno=descriptor)
            sock.set_inheritable(False)
            found.sockets[_key(sock)].append(sock)
        path, lock = words["lock"]
        os.set_inheritable(lock, False)
        found.lock = path, lock
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise NodeError(f"{VARIABLE} can't be used: {error}: start the node without it") from error
    return found
