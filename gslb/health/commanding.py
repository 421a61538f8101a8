"""Programs that check servers: run without a shell, a few at a time, with their children ended when time is up.

Only the runner calls this, in control's loop; nothing here waits for anything but the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from urllib.parse import urlsplit

from gslb.health.check import BODY_MAX_BYTES, Command, Reply

RUNNING_MAX = 16  # programs at once; further checks wait, and their time runs
_PIECE_BYTES = 65_536


class Commands:
    """The programs of one runner."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(RUNNING_MAX)

    async def run(self, url: str, command: Command) -> Reply:
        """The exit status and what the program said. Raises OSError; the caller bounds the time.

        A program that was ended by a signal counts as 128 and the signal's number, as in a shell.
        """
        parts = urlsplit(url)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GSLB_HOST": parts.hostname or "",
            "GSLB_PORT": str(parts.port or ""),
        }
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                *command.words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT, env=environment, cwd="/", start_new_session=True,
            )  # fmt: skip
            assert process.stdout is not None
            said = b""
            try:
                while data := await process.stdout.read(_PIECE_BYTES):
                    said = (said + data)[:BODY_MAX_BYTES]
                code = await process.wait()
            finally:
                # Whatever it has started goes with it: a group outlives its leader, and keeps its number for itself.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await asyncio.shield(process.wait())
        return Reply(code if code >= 0 else 128 - code, body=said)
