"""An Ethernet switch in user space that loses and delays frames, for kernels without netem: the net of tests/chaos.

`python -m tests.support.switch HOST=INTERFACE …` forwards between interfaces until its standard input ends. A line
there, as `{"from": "a", "to": "b", "loss": 0.3, "delay_s": 0.1}`, says what becomes of one host's frames to another; it
is answered by an empty line once it holds.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import selectors
import socket
import sys
import time

FRAME_MAX_BYTES = 10 + 14 + 65_536  # virtio's header, Ethernet's, and what one segmentation offload can hold
QUEUE_MAX = 10_000  # delayed frames; what is beyond is lost, as in any network
ETH_P_ALL, SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 3, 263, 15, 23


def _open(interface: str) -> socket.socket:
    """All frames of an interface, each with virtio's header: what is left to do for its checksum and segments."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    opened.bind((interface, ETH_P_ALL))
    opened.setblocking(False)
    return opened


class Switch:
    """Where each address was seen, what is to become of whose frames, and those on their way."""

    def __init__(self, ports: dict[str, socket.socket], seed: int) -> None:
        self._ports, self._random = ports, random.Random(seed)
        self._places: dict[bytes, str] = {}
        self._rules: dict[tuple[str, str], tuple[float, float]] = {}
        self._waiting: list[tuple[float, int, str, bytes]] = []
        self._count = 0

    def say(self, line: str) -> None:
        """A rule from now on."""
        said = json.loads(line)
        self._rules[said["from"], said["to"]] = (said.get("loss", 0.0), said.get("delay_s", 0.0))

    def take(self, source: str, now: float) -> None:
        """Everything that waits on one port."""
        while True:
            try:
                frame = self._ports[source].recv(FRAME_MAX_BYTES)
            except OSError:  # no more, or the interface is down
                return
            target, sender = frame[10:16], frame[16:22]
            self._places[sender] = source
            known = self._places.get(target)
            for port in [known] if known else [port for port in self._ports if port != source]:
                loss, delay_s = self._rules.get((source, port), (0.0, 0.0))
                if self._random.random() < loss or len(self._waiting) >= QUEUE_MAX:
                    continue
                self._count += 1
                heapq.heappush(self._waiting, (now + delay_s, self._count, port, frame))

    def give(self, now: float) -> float | None:
        """Sends what is due; the seconds until the next is, None if none waits."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, port, frame = heapq.heappop(self._waiting)
            try:
                self._ports[port].send(frame)
            except OSError:  # the interface is down, or its queue full: lost
                continue
        return self._waiting[0][0] - now if self._waiting else None


def main() -> None:
    """See the module."""
    ports = {host: _open(interface) for host, _, interface in (word.partition("=") for word in sys.argv[1:])}
    switch = Switch(ports, seed=1)
    with selectors.DefaultSelector() as selector:
        for host, opened in ports.items():
            selector.register(opened, selectors.EVENT_READ, host)
        selector.register(0, selectors.EVENT_READ)
        os.write(1, b"\n")
        wait_s: float | None = None
        while True:
            for key, _ in selector.select(wait_s):
                if key.data is not None:
                    switch.take(key.data, time.monotonic())
                    continue
                words = os.read(0, 65_536)
                if not words:
                    return
                for line in words.decode().splitlines():
                    switch.say(line)
                    os.write(1, b"\n")
            wait_s = switch.give(time.monotonic())


if __name__ == "__main__":
    main()
