"""A small DNS client for control: asks resolvers in turn over UDP, and over TCP what did not fit."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

from gslb.dns.lookup import Reply, UnusableReply, question, read
from gslb.errors import GslbError

TRY_S = 2.0
ROUNDS = 2  # every resolver is asked so often
SYSTEM_MAX = 3  # resolv.conf(5): MAXNS


class NoReply(GslbError):
    """No resolver has given a usable answer."""


def system_resolvers(file: Path = Path("/etc/resolv.conf")) -> list[tuple[str, int]]:
    """What this machine's programs ask; [] if that can't be read."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [(line[1], 53) for line in words if len(line) > 1 and line[0] == "nameserver"][:SYSTEM_MAX]


async def ask(resolvers: Sequence[tuple[str, int]], name: str, kind: str) -> Reply:
    """The first usable answer. Raises NoReply, which says what each resolver did last."""
    why: dict[str, str] = {}
    for _ in range(ROUNDS):
        for host, port in resolvers:
            try:
                async with asyncio.timeout(TRY_S):
                    return await _ask(host, port, name, kind)
            except TimeoutError:
                why[f"{host}:{port}"] = f"no answer within {TRY_S:g} s"
            except (UnusableReply, OSError, asyncio.IncompleteReadError) as error:
                why[f"{host}:{port}"] = str(error) or type(error).__name__
    raise NoReply("; ".join(f"{where}: {what}" for where, what in why.items()) or "there is no resolver to ask")


class _Datagram(asyncio.DatagramProtocol):
    """One question over UDP; what is no answer to it is passed over: somebody may be guessing."""

    def __init__(self, wire: bytes, name: str, kind: str, number: int) -> None:
        self._wire, self._question = wire, (name, kind, number)
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.sendto(self._wire)  # type: ignore[attr-defined]  # uvloop's is no DatagramTransport by inheritance

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr  # the socket is connected
        if self.reply.done():
            return
        try:
            self.reply.set_result(read(data, *self._question))
        except UnusableReply as error:
            if data[:2] == self._wire[:2]:
                self.reply.set_exception(error)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)


async def _ask(host: str, port: int, name: str, kind: str) -> Reply:
    number = secrets.randbelow(65_536)
    wire = question(name, kind, number)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Datagram(wire, name, kind, number), remote_addr=(host, port)
    )
    try:
        reply = await protocol.reply
    finally:
        transport.close()
    return await _over_tcp(host, port, wire, name, kind, number) if reply.truncated else reply


async def _over_tcp(host: str, port: int, wire: bytes, name: str, kind: str, number: int) -> Reply:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(len(wire).to_bytes(2, "big") + wire)
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = read(await reader.readexactly(length), name, kind, number)
    finally:
        writer.transport.abort()
    if reply.truncated:
        raise UnusableReply("it is cut short over TCP, too")
    return reply
