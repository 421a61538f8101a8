"""Calls what makes servers come and go, or is told of alerts: a webhook or a command. One JSON object out.

Control calls it, never in front of anything; both ways are bounded in time and size.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from gslb.errors import GslbError
from gslb.model import ScalingDriver

REPLY_MAX_BYTES = 1 << 20
TOLD_MAX_CHARACTERS = 500  # of what a driver says in its defence


class DriverFailed(GslbError):
    """A driver did not do what it was asked, or did not say so."""


async def call(
    driver: ScalingDriver, event: Mapping[str, Any], folder: Path, *, wants_answer: bool = True
) -> dict[str, Any]:
    """Gives `event` to the driver; its answer, {} for none. A command runs in `folder`. Raises DriverFailed."""
    body = json.dumps(event).encode()
    try:
        async with asyncio.timeout(driver.timeout_s):
            said = await (_post(driver, body) if driver.webhook else _run(driver, body, folder))
    except TimeoutError:
        raise DriverFailed(f"not done within {driver.timeout_s:g} s") from None
    if len(said) > REPLY_MAX_BYTES:
        raise DriverFailed(f"it answered more than {REPLY_MAX_BYTES} bytes")
    if not wants_answer or not said.strip():
        return {}
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise DriverFailed(f"its answer is no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise DriverFailed("its answer is no JSON object")
    return answer


async def _post(driver: ScalingDriver, body: bytes) -> bytes:
    fields = {"Content-Type": "application/json", "User-Agent": "gslb"}
    if driver.token:
        fields["Authorization"] = f"Bearer {driver.token}"
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(driver.webhook, data=body, headers=fields, allow_redirects=False) as reply,
        ):
            said = await reply.content.read(REPLY_MAX_BYTES + 1)
            while len(said) <= REPLY_MAX_BYTES and (more := await reply.content.read(REPLY_MAX_BYTES)):
                said += more
            if reply.status // 100 != 2:
                raise DriverFailed(f"it answered {reply.status} {_told(said)}".rstrip())
            return said
    except (aiohttp.ClientError, OSError) as error:
        raise DriverFailed(f"can't reach it: {error or type(error).__name__}") from error


async def _run(driver: ScalingDriver, body: bytes, folder: Path) -> bytes:
    """Standard error is told if it fails. PATH begins with the folder of this interpreter."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    try:
        process = await asyncio.create_subprocess_exec(
            *driver.exec, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, cwd=folder, env={**os.environ, "PATH": path}, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise DriverFailed(f"can't run {driver.exec[0]}: {error.strerror}") from error
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        with contextlib.suppress(ConnectionError):  # it doesn't care to read
            process.stdin.write(body)
            await process.stdin.drain()
        process.stdin.close()
        said, complaint = await asyncio.gather(_some(process.stdout), _some(process.stderr))
        code = await process.wait()
    finally:
        if process.returncode is None:  # too late, or control ends
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code:
        raise DriverFailed(f"{driver.exec[0]} ended with {code} {_told(complaint)}".rstrip())
    return said


async def _some(stream: asyncio.StreamReader) -> bytes:
    """All of it, as far as it is kept: the rest is read and dropped, so that its writer doesn't wait."""
    kept = b""
    while data := await stream.read(65_536):
        kept = (kept + data)[: REPLY_MAX_BYTES + 1]
    return kept


def _told(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip()[:TOLD_MAX_CHARACTERS]
