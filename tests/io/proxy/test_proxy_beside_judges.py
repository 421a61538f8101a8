"""The same malformed messages through gslb, nginx and HAProxy: what one of them refuses does not pass here.

What reaches the backend (or the client) is read by the simple, strict parsers of this file. Where gslb lets pass what
a judge refuses, STATED says why; a reason that is not needed fails as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest

from tests.support.judges import COMMANDS, judge, program
from tests.support.malformed.allowed import ALLOWED
from tests.support.malformed.chunks import CHUNKS
from tests.support.malformed.framing import FRAMING
from tests.support.malformed.heads import HOSTS, LIMITS, LINES, REQUEST_LINES
from tests.support.malformed.responses import BAD_HEADS, TRUNCATED
from tests.support.proxying import OK, Backend, Handler, fields_of, plan_of, pool_of, read_body, read_head

WAIT_S = 1.5  # for an answer: longer than the judges wait
REQUESTS = {
    name: row[0] for table in (FRAMING, LINES, HOSTS, REQUEST_LINES, LIMITS, CHUNKS) for name, row in table.items()
}
REQUESTS |= {f"allowed: {name}": request for name, (request, _) in ALLOWED.items()}

Whole = tuple[bytes, bytes, bytes]  # method, target, body


@dataclass
class Recorder:
    """A backend that notes each whole request, and each connection whose bytes it can't read."""

    whole: list[Whole] = field(default_factory=list)
    unreadable: int = 0

    async def __call__(self, backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await read_head(reader)
            try:
                method, target, version = head.partition(b"\r\n")[0].split(b" ")
                assert version in (b"HTTP/1.1", b"HTTP/1.0")
                body = await read_body(reader, head)
            except (ValueError, AssertionError):
                self.unreadable += 1
                return
            self.whole.append((method, target, body))
            writer.write(OK)
            await writer.drain()


async def exchange(port: int, request: bytes) -> bytes:
    """Sends one message; what comes back until the end, a whole answer, or WAIT_S."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(WAIT_S):
            writer.write(request)
            while not got.endswith(b"\r\n\r\nok"):
                piece = await reader.read(65_536)
                if not piece:
                    break
                got += piece
    writer.close()
    return got


async def reaching(port: int, recorder: Recorder) -> dict[str, list[Whole]]:
    """What of each request reaches the backend whole."""
    found = {}
    for name, request in REQUESTS.items():
        recorder.whole = []
        await exchange(port, request)
        found[name] = recorder.whole
    return found


TOOLS = pytest.mark.skipif(
    not all(program(name) for name in COMMANDS), reason="nginx and HAProxy are not here: make test installs them"
)
# what a judge refuses and gslb lets pass, with the reason
URL = "RFC 9112 §3.2.2: the target's authority replaces Host; HAProxy asks for both to be equal"
ASTERISK = "RFC 9112 §3.2.4: OPTIONS * is a request to the server; nginx knows none"
DOTS = "a target is forwarded as it came and routed by the same bytes; nginx, which resolves dots, refuses the root's"
STATED = {
    ("haproxy", "allowed: absolute-form"): URL,
    ("haproxy", "allowed: absolute-form without path"): URL,
    ("haproxy", "allowed: absolute-form with query alone"): URL,
    ("haproxy", "allowed: absolute-form with another Host"): URL,
    ("haproxy", "allowed: absolute asterisk"): URL,
    ("nginx", "allowed: asterisk of OPTIONS"): ASTERISK,
    ("nginx", "allowed: asterisk of OPTIONS with a length"): ASTERISK,
    ("nginx", "allowed: longest target"): "our limit is 8 KiB for the target, nginx's for the whole line",
    ("nginx", "allowed: dot segments above the root"): DOTS,
    ("nginx", "allowed: encoded dot segments"): DOTS,
    ("nginx", "allowed: length with a tab"): "RFC 9110 §5.5: a tab is whitespace before a value",
    ("haproxy", "allowed: trailers that frame"): "RFC 9110 §6.5.1 lets them be dropped, and so they are, as by nginx",
}


@TOOLS
async def test_no_request_passes_here_that_a_judge_refuses(start, backend, tmp_path):
    recorders = {name: Recorder() for name in ("gslb", *COMMANDS)}
    backends = {name: await backend(recorder) for name, recorder in recorders.items()}
    ports = {"gslb": (await start(plan_of(pool_of([backends["gslb"]])))).port}
    with contextlib.ExitStack() as stack:
        for name in COMMANDS:
            ports[name] = stack.enter_context(judge(name, tmp_path / name, backends[name].port))
        seen = await asyncio.gather(*(reaching(ports[name], recorder) for name, recorder in recorders.items()))
    found = dict(zip(recorders, seen, strict=True))
    ours = {name: whole for name, whole in found["gslb"].items() if whole}
    assert set(ours) == {f"allowed: {name}" for name in ALLOWED}
    assert [name for name, whole in ours.items() if len(whole) != 1] == []
    assert recorders["gslb"].unreadable == 0
    passed = {(judge_name, name) for judge_name in COMMANDS for name in ours if not found[judge_name][name]}
    assert passed == {(judge_name, name) for judge_name, name in STATED if name in REQUESTS}
    for name, [(method, target, body)] in ours.items():
        if whole := found["nginx"][name]:  # what both let pass is the same to the server
            assert (whole[0][0], whole[0][2]) == (method, body), name
            assert whole[0][1] == target or name == "allowed: absolute asterisk"
    everywhere = [name for name in REQUESTS if all(found[each][name] for each in found)]
    assert len(everywhere) >= 30  # the judges judge


# ---------------------------------------------------------------- responses
RESPONSES = {f"head: {name}": row[0] for name, row in BAD_HEADS.items()}
RESPONSES |= {f"body: {name}": row[0] for name, row in TRUNCATED.items()}


def taken(answer: bytes) -> bool:
    """Whether a client takes this for a whole response that the server made."""
    while answer.startswith((b"HTTP/1.1 103", b"HTTP/1.1 100")):
        answer = answer.partition(b"\r\n\r\n")[2]
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end or not head.startswith(b"HTTP/1.1 ") or head[9:12] in (b"500", b"502", b"504"):
        return False
    fields = fields_of(head + end)
    if "content-length" in fields:
        return len(body) >= int(fields["content-length"])
    return "transfer-encoding" not in fields or body.endswith(b"0\r\n\r\n")


async def coming_back(port: int, script: dict[str, bytes]) -> dict[str, bool]:
    """Which of the servers' answers a client takes for whole."""
    found = {}
    for name, answer in RESPONSES.items():
        script["answer"] = answer
        found[name] = taken(await exchange(port, b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"))
    return found


def scripted(script: dict[str, bytes]) -> Handler:
    async def handler(_backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(script["answer"])
        await writer.drain()

    return handler


@TOOLS
async def test_no_response_passes_here_that_a_judge_refuses(start, backend, tmp_path):
    scripts: dict[str, dict[str, bytes]] = {name: {} for name in ("gslb", *COMMANDS)}
    backends = {name: await backend(scripted(script)) for name, script in scripts.items()}
    ports = {"gslb": (await start(plan_of(pool_of([backends["gslb"]])))).port}
    with contextlib.ExitStack() as stack:
        for name in COMMANDS:
            ports[name] = stack.enter_context(judge(name, tmp_path / name, backends[name].port))
        seen = await asyncio.gather(*(coming_back(ports[name], script) for name, script in scripts.items()))
    found = dict(zip(scripts, seen, strict=True))
    assert [name for name, whole in found["gslb"].items() if whole] == []
    assert all(sum(found[name].values()) for name in COMMANDS)  # the judges are laxer somewhere: they do judge
