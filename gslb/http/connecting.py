"""Opening a connection to a server: plain, over TLS, with a PROXY header before all else. Only the proxy calls it."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from gslb.http.proxy_protocol import Ends, encode
from gslb.http.upstream import CLOSED

if TYPE_CHECKING:
    from gslb.http.attempts import Attempts
    from gslb.http.upstream import Upstream


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
