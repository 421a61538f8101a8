"""What makes servers come and go, called for real: commands and a webhook that do as they should, and that do not."""

import asyncio
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from gslb.model import ScalingDriver
from gslb.node.drivers import REPLY_MAX_BYTES, DriverFailed, call

EVENT = {"action": "up", "count": 2, "pool": "web"}


def command(text, timeout_s=10.0):
    return ScalingDriver(exec=(sys.executable, "-c", text), timeout_s=timeout_s)


async def test_a_command_gets_the_event_and_answers(tmp_path):
    text = "import json, os, sys; print(json.dumps({'got': json.load(sys.stdin), 'at': os.getcwd()}))"
    assert await call(command(text), EVENT, tmp_path) == {"got": EVENT, "at": str(tmp_path)}


async def test_a_command_may_say_nothing_and_need_not_read(tmp_path):
    assert await call(command("pass"), {"pad": "x" * 200_000}, tmp_path) == {}


async def test_a_command_is_looked_for_beside_the_interpreter_first(tmp_path):
    name = Path(sys.executable).name
    driver = ScalingDriver(exec=(name, "-c", "import sys, json; print(json.dumps({'it': sys.prefix}))"))
    assert await call(driver, EVENT, tmp_path) == {"it": sys.prefix}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import sys; sys.exit('no quota')", "ended with 1 no quota"),
        ("print('[1]')", "no JSON object"),
        ("print('{')", "no JSON"),
        (f"print('x' * {REPLY_MAX_BYTES + 10})", "answered more than"),
    ],
)
async def test_a_command_that_fails_says_why(tmp_path, text, why):
    with pytest.raises(DriverFailed, match=why):
        await call(command(text), EVENT, tmp_path)


async def test_a_command_that_is_not_there(tmp_path):
    with pytest.raises(DriverFailed, match="can't run /nowhere"):
        await call(ScalingDriver(exec=("/nowhere",)), EVENT, tmp_path)


def alive(pid):
    """Runs, and isn't a zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


async def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path):
    text = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(p.pid)); p.wait()"
    begun = time.monotonic()
    with pytest.raises(DriverFailed, match="not done within"):
        await call(command(text, 1.5), EVENT, tmp_path)
    assert time.monotonic() - begun < 10
    pid = int((tmp_path / "pid").read_text())
    async with asyncio.timeout(5):
        while alive(pid):
            await asyncio.sleep(0.01)


# ---------------------------------------------------------------- webhooks
@pytest.fixture
async def hook():
    """A server whose answer the test sets; what it was sent."""
    told = []
    wanted = SimpleNamespace(status=200, text="", headers={}, delay_s=0.0, told=told)

    async def take(request):
        told.append((request.path_qs, dict(request.headers), await request.json()))
        await asyncio.sleep(wanted.delay_s)
        return web.Response(status=wanted.status, text=wanted.text, headers=wanted.headers)

    app = web.Application()
    app.router.add_post("/{any:.*}", take)
    serve = web.AppRunner(app)
    await serve.setup()
    site = web.TCPSite(serve, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    wanted.url = f"http://127.0.0.1:{port}/scale?a=b"
    yield wanted
    await serve.cleanup()


async def test_a_webhook_gets_the_event_and_the_token(hook, tmp_path):
    hook.status, hook.text = 202, json.dumps({"servers": []})
    assert await call(ScalingDriver(webhook=hook.url, token="s3cret"), EVENT, tmp_path) == {"servers": []}
    path, fields, body = hook.told[0]
    assert (path, body, fields["Authorization"]) == ("/scale?a=b", EVENT, "Bearer s3cret")


@pytest.mark.parametrize(
    ("status", "text", "fields", "delay_s", "why"),
    [
        (500, "out of machines", {}, 0.0, "answered 500 out of machines"),
        (307, "", {"Location": "/other"}, 0.0, "answered 307"),
        (200, "<html>", {}, 0.0, "no JSON"),
        (200, "x" * (REPLY_MAX_BYTES + 1), {}, 0.0, "more than"),
        (200, "", {}, 5.0, "not done within 1 s"),
    ],
)
async def test_a_webhook_that_fails_says_why(hook, tmp_path, status, text, fields, delay_s, why):
    hook.status, hook.text, hook.headers, hook.delay_s = status, text, fields, delay_s
    with pytest.raises(DriverFailed, match=why):
        await call(ScalingDriver(webhook=hook.url, timeout_s=1.0), EVENT, tmp_path)
    assert len(hook.told) == 1


async def test_a_webhook_that_nobody_serves(tmp_path):
    with pytest.raises(DriverFailed, match="can't reach it"):
        await call(ScalingDriver(webhook="http://127.0.0.1:1/"), EVENT, tmp_path)


def test_the_token_is_not_shown():
    assert "s3cret" not in repr(ScalingDriver(token="s3cret"))
