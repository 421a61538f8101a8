"""The control process: Control in an event loop of its own, told by signals when to stop. The parent forks it."""

from __future__ import annotations

import asyncio
import signal
import socket

import uvloop

from gslb.node.context import NodeContext
from gslb.node.control import Control
from gslb.node.worker import watch_channel


async def _main(context: NodeContext, channel: socket.socket, restarts: int) -> int:
    control = Control(context, restarts)
    links: asyncio.Queue[tuple[int, socket.socket]] = asyncio.Queue()
    watch_channel(channel, links)

    async def take_links() -> None:
        while True:
            slot, sock = await links.get()
            await control.spread.join(slot, sock)

    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_term(*, moving: bool = False) -> None:
        stopping.set()
        control.stop(moving=moving)

    loop.add_signal_handler(signal.SIGTERM, on_term)
    loop.add_signal_handler(signal.SIGUSR2, lambda: on_term(moving=True))
    loop.add_signal_handler(signal.SIGHUP, control.hang_up)
    taking = asyncio.create_task(take_links())
    await control.start()
    await control.stopped()
    taking.cancel()
    return 0 if stopping.is_set() else 1


def run_control(context: NodeContext, channel: socket.socket, restarts: int) -> int:
    """What the forked control process does; returns its exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_main(context, channel, restarts))
