"""`workers: 0`: control and one worker in a single process and event loop, over the same message boundary.

For tests and for embedding; there is no parent, so nothing is replaced when it fails.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

import uvloop

from gslb.node.context import NodeContext
from gslb.node.control import Control
from gslb.node.worker import Worker


async def serve(context: NodeContext, stop: asyncio.Event, on_ready: Callable[[Control], None] | None = None) -> None:
    """Serves until `stop` is set. `on_ready` is given the control that runs."""
    control = Control(context, 0)
    worker = Worker(context, 0, context.board.rows[1])
    for row in context.board.rows:
        row.enter()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    await worker.start()
    await control.start()
    await control.spread.join(1, ours)
    await worker.connect(theirs)
    if on_ready is not None:
        on_ready(control)
    await stop.wait()
    worker.stop()
    await worker.stopped()
    control.stop()
    await control.stopped()


def run_embedded(context: NodeContext) -> int:
    """Runs until INT or TERM; HUP reloads. Returns the exit code."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await serve(context, stop, lambda control: loop.add_signal_handler(signal.SIGHUP, control.hang_up))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return 0
