"""Sample backends: what a region balances in the demo. `python -m gslb.demo.backends eu-west 127.0.0.1:9001 …`.

Each listener is one server: `/health` says ok, any other path says which server of which region answered, and how it
saw the request.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from gslb.demo.scaler import LIFE

BODY_MAX_BYTES = 64 << 20
LIFE_CHECK_S = 1.0


def make_app(region: str, server: str) -> web.Application:
    """The application of one sample server."""

    async def health(request: web.Request) -> web.Response:
        del request
        return web.Response(text="ok\n")

    async def anything(request: web.Request) -> web.Response:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return web.json_response(
            {
                "region": region,
                "server": server,
                "method": request.method,
                "path": request.raw_path,
                "host": request.headers.get("Host", ""),
                "forwarded_for": request.headers.get("X-Forwarded-For", ""),
                "request_id": request.headers.get("X-Request-Id", ""),
                "body_bytes": size,
            },
            headers={"X-Server": server},
        )

    app = web.Application(client_max_size=BODY_MAX_BYTES)
    app.router.add_get("/health", health)
    app.router.add_route("*", "/{path:.*}", anything)
    return app


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def _outlive_nobody(pid: int, stop: asyncio.Event) -> None:
    """Sets `stop` when the process `pid` is gone."""
    while _lives(pid):
        await asyncio.sleep(LIFE_CHECK_S)
    stop.set()


async def serve(region: str, listens: Sequence[str], life: int = 0) -> None:
    """Serves until TERM or INT, or until the process `life` is gone."""
    stop = asyncio.Event()
    watching = asyncio.create_task(_outlive_nobody(life, stop)) if life else None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runners = []
    for listen in listens:
        host, _, port = listen.rpartition(":")
        runner = web.AppRunner(make_app(region, listen), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host.strip("[]"), int(port), reuse_address=True).start()
        runners.append(runner)
    await stop.wait()
    if watching is not None:
        watching.cancel()
    for runner in runners:
        await runner.cleanup()


def main() -> None:
    """Serves what the command's words say."""
    asyncio.run(serve(sys.argv[1], sys.argv[2:], int(os.environ.get(LIFE, "0"))))


if __name__ == "__main__":
    main()
