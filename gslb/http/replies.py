"""What the proxy answers itself: errors that say what happened, and the region's own word. Pure; the proxy calls it.

An error's body is JSON: `{"error": code, "status": 502, "detail": …, "request_id": …}`; the code is in `X-Gslb-Error`
too. Nothing of the inside (servers, addresses) is told.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from gslb.http.heads import ALLOWED_METHODS
from gslb.model import Balancer, Gate, Pool, State, Status

WELL_KNOWN = b"/.well-known/gslb"
RETRY_AFTER_S = 1

# Reason codes that the proxy itself gives, with the status and the words that go with them.
ERRORS = {
    "no_route": (404, "no route matches this request"),
    "request_timeout": (408, "the request did not arrive in time"),
    "bad_rewrite": (500, "the route's rewrite made no valid target of this one"),
    "rate_limited": (429, "too many requests; Retry-After says when there is room"),
    "connect_failed": (502, "the server could not be reached"),
    "upstream_closed": (502, "the server closed the connection without an answer"),
    "tls_failed": (502, "no connection over TLS to the server: its certificate, or its TLS, is not what was asked for"),
    "bad_response": (502, "the server's answer was not valid HTTP"),
    "no_healthy_server": (503, "no server of this pool can take the request now"),
    "queue_full": (503, "all servers of this pool are at their limit, and so is the queue for them; try again"),
    "queue_timeout": (503, "all servers of this pool were at their limit for too long; try again"),
    "concurrency_limited": (503, "too many requests are running; try again"),
    "overloaded": (503, "there is too much to do, and requests of this priority are refused first; try again"),
    "route_open": (503, "too many requests of this route have failed; try again"),
    "server_busy": (503, "too many connections to the server"),
    "connect_timeout": (504, "the server did not accept the connection in time"),
    "total_timeout": (504, "the whole exchange took too long"),
    "first_byte_timeout": (504, "the server did not answer in time"),
}
_EXTRA = {405: b"Allow: " + ALLOWED_METHODS + b"\r\n", 503: b"Retry-After: %d\r\n" % RETRY_AFTER_S}


def error_reply(
    status: int,
    reason: str,
    detail: str,
    request_id: bytes,
    date: bytes,
    *,
    close: bool,
    to_head: bool,
    fields: bytes | None = None,
) -> bytes:
    """A whole error response.

    Args:
        status: the status code.
        reason: the code for programs; also the X-Gslb-Error field.
        detail: the words for people.
        request_id: printable ASCII.
        date: now, as an IMF-fixdate.
        close: the connection ends after it.
        to_head: it answers HEAD, so the body is left out.
        fields: whole lines, in place of those that go with the status.
    """
    said = {"error": reason, "status": status, "detail": detail, "request_id": request_id.decode("ascii")}
    body = json.dumps(said).encode() + b"\n"
    phrase = HTTPStatus(status).phrase.encode()
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: application/json\r\n" % (status, phrase, date),
            b"Content-Length: %d\r\nCache-Control: no-store\r\n" % len(body),
            b"X-Gslb-Error: %b\r\nX-Request-Id: %b\r\n" % (reason.encode(), request_id),
            _EXTRA.get(status, b"") if fields is None else fields,
            b"Connection: close\r\n\r\n" if close else b"\r\n",
            b"" if to_head else body,
        )
    )


# ---------------------------------------------------------------- the region's own word
def region_word(balancer: Balancer, status: Status, generation: int, draining: bool = False) -> bytes:
    """The body of `/.well-known/gslb`.

    `state` is "draining" if the node is, "no_servers" if a route that takes every request to its hosts has no usable
    server in any of its pools (if any routed pool has none, where there is no such route), else "up".
    `healthy_capacity` is the usable share of the weights; `share`, of its clients, is what the region can have.
    Breakers and ejections lower the capacity but not the state: they end by requests, and a region that calls itself
    empty gets none.
    """
    pools = _routed(balancer)
    main = [route.pools for route in balancer.routes if route.takes_any and route.pools]
    main = main or [(pool.name,) for pool in pools]
    usable = {pool.name: _usable(pool, status) for pool in pools}
    state = "up"
    if draining or status.draining:
        state = "draining"
    elif not balancer.routes or any(all(usable[name] == 0 for name in names) for names in main):
        state = "no_servers"
    word = {
        "region": balancer.region,
        "state": state,
        "servers": {"up": sum(usable.values()), "total": sum(len(pool.servers) for pool in pools)},
        "healthy_capacity": healthy_capacity(balancer, status),
        "share": status.share,
        "generation": generation,
    }
    return json.dumps(word).encode() + b"\n"


def _routed(balancer: Balancer) -> list[Pool]:
    return [balancer.pools[name] for name in dict.fromkeys(name for route in balancer.routes for name in route.pools)]


def healthy_capacity(balancer: Balancer, status: Status) -> float:
    """The usable share of the weights of all pools that routes name; 0.0 to 1.0."""
    pools = _routed(balancer)
    weights = sum(server.weight for pool in pools for server in pool.servers)
    usable = sum(
        server.weight
        for pool in pools
        for server in pool.servers
        if _is_usable(pool, server.id, server.weight, status) and not _is_held_back(pool, server.id, status)
    )
    return round(usable / weights, 4) if weights else 0.0


def _usable(pool: Pool, status: Status) -> int:
    """How many servers of `pool` may be given requests."""
    return sum(_is_usable(pool, server.id, server.weight, status) for server in pool.servers)


def _is_usable(pool: Pool, server_id: str, weight: int, status: Status) -> bool:
    """As balancing.pool sees it: up or not yet checked, and of some weight."""
    state = status.servers.get(f"{pool.name}/{server_id}", State.UP)
    return weight > 0 and state in (State.UP, State.UNKNOWN)


def _is_held_back(pool: Pool, server_id: str, status: Status) -> bool:
    """Whether a breaker or an ejection keeps requests away."""
    breaker = status.breakers.get(f"{pool.name}/{server_id}")
    return breaker is not None and breaker.gate is not Gate.CLOSED


def word_reply(word: bytes, date: bytes, *, close: bool, to_head: bool) -> bytes:
    """The whole response around `region_word`."""
    return b"".join(
        (
            b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Type: application/json\r\n" % date,
            b"Content-Length: %d\r\nCache-Control: no-store\r\n" % len(word),
            b"Connection: close\r\n\r\n" if close else b"\r\n",
            b"" if to_head else word,
        )
    )
