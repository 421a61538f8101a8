"""What a forked child becomes. Each role is imported in its own process, so that the parent stays small."""

from __future__ import annotations

import socket

from gslb.node.context import NodeContext


def run_control(context: NodeContext, channel: socket.socket, restarts: int) -> int:
    """The control process; returns its exit code."""
    from gslb.node import control_process  # noqa: PLC0415 - see the module's docstring

    return control_process.run_control(context, channel, restarts)


def run_worker(context: NodeContext, index: int, channel: socket.socket) -> int:
    """Data worker `index` (0-based); returns its exit code."""
    from gslb.node import worker  # noqa: PLC0415 - see the module's docstring

    return worker.run_worker(context, index, channel)
