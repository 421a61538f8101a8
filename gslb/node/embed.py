"""`workers: 0`: control and one worker in a single process and event loop, over the same message boundary.

For tests and for embedding; there is no parent, so nothing is replaced when it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket

import uvloop

from gslb.errors import ConfigError
from gslb.node.context import NodeContext
from gslb.node.control import Control
from gslb.node.worker import Worker


async def serve(context: NodeContext, stop: asyncio.Event) -> Control:
    """Serves until `stop` is set; returns the control that ran."""
    control = Control(context, 0)
    worker = Worker(context, 0, context.board.rows[1])
    context.board.rows[1].enter()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    await worker.start()
    await control.start()
    await control.spread.join(1, ours)
    await worker.connect(theirs)
    await stop.wait()
    worker.stop()
    await worker.stopped()
    control.stop()
    await control.stopped()
    return control


def run_embedded(context: NodeContext) -> int:
    """Runs until INT or TERM; HUP reloads. Returns the exit code."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await serve(context, stop)

    with contextlib.suppress(ConfigError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return 0
