"""Connections to servers: how a client gets a fresh one, and how it is opened (plain, over TLS, with a PROXY header).

Only the proxy makes a `Connecting`; clients ask it for a connection where no kept-alive one is idle.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from gslb.errors import HttpError
from gslb.http.endpoint import CONNECTING
from gslb.http.links import CONNECTIONS_PER_SERVER_MAX
from gslb.http.proxy_protocol import Ends, encode
from gslb.http.upstream import CLOSED, ReportingUpstream, Upstream

if TYPE_CHECKING:
    from gslb.http.attempts import Attempts
    from gslb.http.links import Link
    from gslb.http.proxy import Proxy


class Connecting:
    """The connections of one worker that are being opened."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self, link: Link, client: Attempts) -> None:
        """Starts a connection for `client`, which hears `connected` or `connect_failed`.

        A Task, but not one a request: kept-alive connections serve most of them.
        """
        if link.open >= CONNECTIONS_PER_SERVER_MAX:
            client.connect_failed(_unreachable("server_busy"))
            return
        link.open += 1
        task = self._proxy.loop.create_task(self._connect(link, client, client.attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, link: Link, client: Attempts, attempt: int) -> None:
        proxy = self._proxy
        upstream = ReportingUpstream(link) if link.reports else Upstream(link)
        upstream.last = proxy.idle_by + link.rule.lifetime_s * (1.0 - proxy.chance() / 10)  # not all at the same time
        context = proxy.context_to(link.tls) if link.tls is not None else None
        reason = ""
        try:
            async with asyncio.timeout(proxy.balancer.timeouts.connect_s):
                await open_upstream(proxy.loop, upstream, context, client)
        except TimeoutError:
            reason = "connect_timeout"
        except ssl.SSLError:  # an OSError, but not of the network
            reason = "tls_failed"
        except OSError:
            reason = "connect_failed"
        except asyncio.CancelledError:
            _drop(upstream)
            raise
        wanted = client.phase == CONNECTING and client.attempt == attempt
        if reason:
            _drop(upstream)
            if wanted:
                client.connect_failed(_unreachable(reason))
        elif wanted and upstream.phase != CLOSED:
            client.connected(upstream)
        elif wanted:
            client.connect_failed(_unreachable("connect_failed"))
        elif upstream.phase != CLOSED:
            link.keep(upstream, proxy.idle_by)  # its client is gone: the next one will use it

    def close(self) -> None:
        """Ends all that is not open yet."""
        for task in tuple(self._tasks):
            task.cancel()


def _drop(upstream: Upstream) -> None:
    """A connection that came to nothing."""
    if upstream.made:
        upstream.abort()
    else:
        upstream.link.open -= 1


def _unreachable(reason: str) -> HttpError:
    """The error of a try that sent nothing: another server may be tried."""
    return HttpError(reason, blame="server", status=502, may_retry=True, reason=reason)


async def open_upstream(
    loop: asyncio.AbstractEventLoop, upstream: Upstream, context: ssl.SSLContext | None, client: Attempts
) -> None:
    """Connects `upstream` to its link's server for `client`; over TLS if there is a `context`.

    Raises ssl.SSLError where TLS fails, OSError where the network does. The caller bounds the time.
    """
    link = upstream.link
    name = None if link.tls is None else link.tls.server_name or link.host
    if not link.proxy_protocol:
        await loop.create_connection(lambda: upstream, link.host, link.port, ssl=context, server_hostname=name)
        return
    header = encode(link.proxy_protocol, _ends(client))
    if context is None:
        await loop.create_connection(lambda: upstream, link.host, link.port)
        upstream.write(header)
        return
    transport, _ = await loop.create_connection(asyncio.Protocol, link.host, link.port)
    try:
        cast("asyncio.WriteTransport", transport).write(header)  # the spec, §2: before the handshake
        secure = await loop.start_tls(transport, upstream, context, server_hostname=name)
    except BaseException:
        transport.abort()
        raise
    if secure is None or upstream.phase == CLOSED:  # lost as soon as it was there: it has been told
        upstream.made = True
    else:
        upstream.connection_made(secure)  # start_tls leaves this to its caller


def _ends(client: Attempts) -> Ends:
    """The client's connection, as far as it is known."""
    peername = client.transport.get_extra_info("peername")
    sockname = client.transport.get_extra_info("sockname")
    here = sockname if isinstance(sockname, tuple) else ("", 0)
    port = peername[1] if isinstance(peername, tuple) and not client.source else 0
    return Ends(client.peer.address.decode(), port, here[0], here[1])
