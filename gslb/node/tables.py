"""Builds the prefix tables (client prefix → class and scope) in a process of its own, at low priority.

Walking a city database takes seconds of CPU; neither control's probes nor a worker's answers may feel that. Control
calls `build`; the process is this module: it reads a pickled request from its standard input and writes the pickled
tables to its standard output.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections.abc import Mapping

from gslb.errors import GslbError, NodeError
from gslb.model import Service

TIMEOUT_S = 300.0
NICENESS = 10


async def build(path: str, services: Mapping[str, Service]) -> bytes:
    """The pickled tables of every chain in `services` over the database at `path`, by chain key. Raises NodeError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    request = pickle.dumps((path, dict(services)), pickle.HIGHEST_PROTOCOL)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, _ = await process.communicate(request)
    except TimeoutError:
        raise NodeError(f"building prefix tables over {path} took longer than {TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NodeError(f"building prefix tables over {path} failed with exit code {process.returncode}")
    return out


def main() -> int:
    """The builder process."""
    from gslb.geo.classes import build_tables  # noqa: PLC0415 - control imports this module and needs no geo walk

    os.nice(NICENESS)
    path, services = pickle.load(sys.stdin.buffer)
    try:
        tables = build_tables(path, services)
    except GslbError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        pickle.dump(tables, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.flush()
    except BrokenPipeError:  # control is gone: nobody wants them any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again at its end
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
