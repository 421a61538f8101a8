"""Redirects from HTTP to HTTPS: a listener with `redirect_to_https` answers nothing else.

Only hosts that are configured are redirected (421 otherwise), and the target is appended as it came: it starts with
"/", so it can't reach into the authority. This is never an open redirect. Planes make one `SecureDoor` a listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gslb.http.answering import Answering, Door
from gslb.http.heads import RequestHead, bad
from gslb.model import Plan

_SAFE = frozenset({b"GET", b"HEAD"})
SAME_HOST = "https"  # a Listener's `redirect` that keeps the host


def hosts_of(plan: Plan) -> frozenset[str]:
    """Every host name that this node serves, without ports: a front door its services, a region its routes' hosts too.

    One that begins with `*.` stands for all names below it.
    """
    balancer = plan.balancer
    if balancer is None:
        return frozenset(plan.services)
    region = plan.regions.get(balancer.region)
    named = {host for route in balancer.routes for host in route.hosts}
    named |= {service.name for service in plan.services.values() if region in service.regions}
    if region is not None:
        named.add(region.authority)
    return frozenset(_bare(host) for host in named)


def location(target: str, host: str, hosts: frozenset[str]) -> bytes | None:
    """The base URL to send a request for `host` (lower case, perhaps with a port) to; None if it is none of `hosts`.

    `target` is a Listener's `redirect`. On the same host the port of HTTP goes: HTTPS is at its own, 443.
    """
    name = _bare(host)
    if name not in hosts and not any(f"*{name[at:]}" in hosts for at, one in enumerate(name) if one == "."):
        return None
    return (f"https://{name}" if target == SAME_HOST else target).encode()


def _bare(host: str) -> str:
    """A host without its port and its last dot."""
    name, colon, port = host.rpartition(":")
    return (name if colon and (port.isdigit() or not port) and not name.endswith(":") else host).rstrip(".")


class SecureDoor(Door):
    """The connections of one such listener in one worker."""

    def __init__(self, count: Callable[[int], None], *, clock: Callable[[], float]) -> None:
        """`count` is told the status of each answer."""
        super().__init__(clock)
        self.count_status = count
        self.target, self.hosts = SAME_HOST, frozenset[str]()

    def swap(self, target: str, hosts: Iterable[str]) -> None:
        """Redirects to `target` (see `location`) from the next request on."""
        self.target, self.hosts = target or SAME_HOST, frozenset(hosts)

    def protocol(self, scheme: bytes = b"http", source: str = "") -> Answering:
        """See Door."""
        return _Connection(self, scheme, source)

    def count(self, status: int) -> None:
        """See Door."""
        self.count_status(status)


class _Connection(Answering):
    """One client connection."""

    door: SecureDoor

    def respond(self, head: RequestHead, data: bytes) -> bytes:
        """See Answering. 308 keeps the method (RFC 9110 §15.4.9); GET and HEAD get the 301 that all clients know."""
        door = self.door
        if not head.host:
            raise bad("missing_host", "without a Host field there is no telling where to redirect to")
        if head.target == b"*":
            raise bad("bad_target", "only a path can be redirected")
        base = location(door.target, head.host.decode("ascii"), door.hosts)
        if base is None:
            raise bad("unknown_host", "no host of this name is configured here", 421)
        close = head.close or head.length != 0 or head.continues or door.draining
        self.lingering = close
        safe = head.method in _SAFE
        door.count(301 if safe else 308)
        return b"".join(
            (
                b"HTTP/1.1 301 Moved Permanently\r\n" if safe else b"HTTP/1.1 308 Permanent Redirect\r\n",
                b"Content-Length: 0\r\nLocation: ", base, head.target,
                b"\r\nConnection: close" if close else b"",
                door.ending,
            )
        )  # fmt: skip
