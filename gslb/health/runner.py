"""Sends the probes that checks describe and reports every result: the shell of this room. Control owns one Runner.

Constant work: from start to start a probe takes its interval, whatever the results, so that the network sees the
same traffic when everything is down; only a target in doubt is probed at its fast interval. Every probe opens a fresh
connection, since an old one would hide that a server takes no new ones. One probe at a time a target, and one for all
targets that ask the same of the same address.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gslb.errors import HttpError
from gslb.health.asking import ask, exchange, handshake
from gslb.health.check import Asked, Check, Command, Exchange, Handshake, Reply, Request, Result
from gslb.health.commanding import Commands

CONCURRENT_MAX = 256  # probes under way at once
TARGETS_MAX = 50_000
JITTER = 0.1  # of the interval, each way
START_SPREAD_S = 0.001  # between the first probes of targets that are set together

log = logging.getLogger("gslb.health")


@dataclass(frozen=True, slots=True)
class Target:
    """What to probe: `check` against `url` (scheme, host and port; a path in it goes before the check's).

    Times in seconds: `interval_s` from start to start, `fast_interval_s` while in doubt, `timeout_s` for everything
    from the connection to the last byte. `tls` and `server_name` are for an https URL: the context, and the
    name that is asked for and verified; without them the system's authorities and the URL's host.
    `proxy_protocol` ("v1", "v2", "" is none): what each connection begins with.
    """

    check: Check
    url: str
    interval_s: float
    fast_interval_s: float
    timeout_s: float
    tls: ssl.SSLContext | None = None  # for an Exchange with another alpn, one that offers that
    server_name: str = ""
    proxy_protocol: str = ""


@dataclass(slots=True)
class _Shared:
    """Targets that are alike in all but their times: one probe serves them all."""

    target: Target
    members: dict[Hashable, Target] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    certificate_ends: float | None = None  # by the clock, of the one shown last


_Alike = tuple[Check, str, float, ssl.SSLContext | None, str, str]
OnResult = Callable[[Hashable, bool, str, float, bytes | None, float], None]


class Runner:
    """Probes targets until stopped. All methods belong to the loop that `start` ran in."""

    def __init__(
        self,
        on_result: OnResult,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        changing: Callable[[Hashable], bool],
        concurrent_max: int = CONCURRENT_MAX,
    ) -> None:
        """Makes a runner at rest.

        Args:
            on_result: called with key, ok, why, round trip in seconds, the body (at most BODY_MAX_BYTES; None if no
                reply came) and `clock()`; it must not raise.
            clock: seconds on a monotonic clock.
            rng: for the jitter.
            changing: whether this key's target is in doubt.
            concurrent_max: probes under way at once.
        """
        self._on_result, self._clock, self._rng, self._changing = on_result, clock, rng, changing
        self._shared: dict[_Alike, _Shared] = {}
        self._slots = asyncio.Semaphore(concurrent_max)
        self._probing = False
        self._commands = Commands()

    # ------------------------------------------------------------ what to probe
    def set_targets(self, targets: Mapping[Hashable, Target]) -> None:
        """Probes exactly these from now on; those that stay are neither restarted nor probed out of turn.

        Raises ValueError beyond TARGETS_MAX targets.
        """
        if len(targets) > TARGETS_MAX:
            raise ValueError(f"{len(targets)} health check targets; at most {TARGETS_MAX} are probed by one node")
        groups: dict[_Alike, _Shared] = {}
        for key, target in targets.items():
            options = target.tls, target.server_name, target.proxy_protocol
            alike = (target.check, target.url, target.timeout_s, *options)
            if alike not in groups:
                groups[alike] = self._shared.get(alike) or _Shared(target)
                groups[alike].members = {}
            groups[alike].members[key] = target
        for alike, shared in self._shared.items():
            if alike not in groups and shared.task is not None:
                shared.task.cancel()
        self._shared = groups
        if self._probing:
            self._launch()

    def _launch(self) -> None:
        """Starts what isn't probed yet, spread so that many targets don't start in one burst."""
        waiting = [shared for shared in self._shared.values() if shared.task is None]
        for number, shared in enumerate(waiting):
            shared.task = asyncio.create_task(self._keep_probing(shared, number * START_SPREAD_S))
            shared.task.add_done_callback(_ended)

    async def start(self) -> None:
        """Begins to probe."""
        self._probing = True
        self._launch()

    async def stop(self) -> None:
        """Ends all probes; none reports after this."""
        self._probing = False
        tasks = [shared.task for shared in self._shared.values() if shared.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._shared = {}

    def certificates(self) -> Iterator[tuple[Hashable, float]]:
        """By key, the seconds for which the certificate that was shown last is still valid."""
        now = self._clock()
        for shared in self._shared.values():
            if shared.certificate_ends is not None:
                for key in shared.members:
                    yield key, shared.certificate_ends - now

    # ------------------------------------------------------------ probing
    async def _keep_probing(self, shared: _Shared, delay_s: float) -> None:
        """Probes one address for ever, start to start at the interval that its members ask for."""
        await asyncio.sleep(delay_s)
        while True:
            async with self._slots:
                started = self._clock()
                result, reply = await self._probe(shared.target)
            now, body = self._clock(), reply.body if reply is not None else None
            if reply is not None:
                shared.certificate_ends = None if reply.expires_in_s is None else now + reply.expires_in_s
            for key in tuple(shared.members):
                if key in shared.members:  # a callback may have changed the targets
                    self._on_result(key, result.ok, result.why, now - started, body, now)
            interval_s = self._interval_s(shared) * self._rng.uniform(1 - JITTER, 1 + JITTER)
            await asyncio.sleep(max(0.0, started + interval_s - self._clock()))

    def _interval_s(self, shared: _Shared) -> float:
        """The shortest that any member needs."""
        return min(
            (
                target.fast_interval_s if self._changing(key) else target.interval_s
                for key, target in shared.members.items()
            ),
            default=shared.target.interval_s,
        )

    async def _probe(self, target: Target) -> tuple[Result, Reply | None]:
        """One probe: the verdict, and the reply if one came. Raises nothing but cancellation."""
        request = target.check.request()
        try:
            async with _time_limit(target.timeout_s):
                reply = await self._reply(target, request)
        except TimeoutError:
            return Result(False, f"no answer within {target.timeout_s:g} s"), None
        except ssl.SSLError as error:
            return Result(False, f"TLS failed: {_tls_reason(error)}"), None
        except ConnectionResetError:
            return Result(False, "closed before a whole reply"), None
        except HttpError as error:
            return Result(False, f"a broken reply: {error}"), None
        except OSError as error:
            what = "can't be run" if isinstance(request, Command) else "no connection"
            return Result(False, f"{what}: {_reason(error)}"), None
        except ValueError as error:  # a URL that can't be used: configuration refuses most, not all
            return Result(False, f"the probe can't be sent: {type(error).__name__}"), None
        return target.check.judge(reply), reply

    async def _reply(self, target: Target, asked: Asked) -> Reply:
        if isinstance(asked, Request):
            return await ask(target, asked)
        if isinstance(asked, Exchange):
            return await exchange(target, asked)
        if isinstance(asked, Handshake):
            return await handshake(target, asked)
        if isinstance(asked, Command):
            return await self._commands.run(target.url, asked)
        return await self._connect(target.url)

    async def _connect(self, url: str) -> Reply:
        """Opens and closes a connection."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, parts.hostname or "", port)
        transport.abort()
        return Reply()


@asynccontextmanager
async def _time_limit(seconds: float) -> AsyncIterator[None]:
    """Raises TimeoutError after `seconds`; later by what this process itself missed, at most as long again.

    A loop that stood still finds its timers and the replies at once, the timers first: without this its own stall
    (a stolen core, a stopped machine) would be every target's failure.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds

    def expire() -> None:
        now = loop.time()
        limit.reschedule(now + min(max(0.0, now - due), seconds))

    async with asyncio.timeout(None) as limit:
        handle = loop.call_later(seconds, expire)
        try:
            yield
        finally:
            handle.cancel()


def name_of(key: Hashable) -> str:
    """A target's key as metrics and alerts say it."""
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _ended(task: asyncio.Task[None]) -> None:
    """Probing ends by cancellation only; anything else is our mistake and must be seen."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the probes of a target ended by an error", exc_info=error)


def _reason(error: OSError) -> str:
    """`Connection refused` and the like; loops and resolvers word their own messages."""
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__


def _tls_reason(error: ssl.SSLError) -> str:
    """`certificate has expired` and the like, in OpenSSL's words."""
    return getattr(error, "verify_message", "") or (error.reason or type(error).__name__).lower().replace("_", " ")
