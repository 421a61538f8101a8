"""Where the front door sends a request: the engine's decision as ready response bytes. Pure; only frontdoor calls it.

A decision is made once for each service and class of clients under one World (and once a client unit where a hash
decides); a request then costs a few look-ups. A World that steers otherwise makes a new `Redirects`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from gslb.balancing.request import Request
from gslb.balancing.sessions import home, unseal
from gslb.model import Address, Client, Decision, Region, World
from gslb.steering.engine import decide
from gslb.steering.hashing import client_unit

if TYPE_CHECKING:
    from gslb.geo.locate import Locator
    from gslb.telemetry import Counters

ANSWERS_MAX = 65_536
HOSTS_MAX = 4096  # ways to write the services' names that are remembered

_FOUND = b"HTTP/1.1 302 Found\r\n"
_KEPT = b"HTTP/1.1 307 Temporary Redirect\r\n"


class Named(NamedTuple):
    """What a Host field names: a service, and the place that the request is at, with TLS and without."""

    service: str
    http: bytes
    https: bytes


class Answer:
    """One place to redirect to. The whole response is `found` or `kept`, the target as it came, and an ending."""

    __slots__ = ("cell", "found", "kept", "place", "source", "turn", "turns", "until")

    def __init__(self, source: Redirects, region: Region, cell: int, until: float) -> None:
        """`cell` counts redirects to this region; the answer holds until `until` and while `source` is in force."""
        url = region.url.rstrip("/").encode()
        fields = (
            b"Content-Length: 0\r\nCache-Control: no-store\r\nX-Gslb-Region: "
            + region.name.encode()
            + b"\r\nLocation: "
            + url
        )
        self.source, self.cell, self.until = source, cell, until
        self.found = _FOUND + fields  # for GET and HEAD
        self.kept = _KEPT + fields  # keeps the method, RFC 9110 §15.4.8
        self.place = place(region.url.encode())
        self.turns: tuple[Answer, ...] = ()
        self.turn = 0

    def next(self) -> Answer:
        """This answer, or where several take turns the next one."""
        if not self.turns:
            return self
        self.turn = (self.turn + 1) % len(self.turns)
        return self.turns[self.turn]


class Redirects:
    """All answers under one World."""

    def __init__(self, world: World, locator: Locator, counters: Counters) -> None:
        self._plan = world.plan
        self._services = world.plan.services
        self._hosts: dict[bytes, Named] = {}
        self._status, self._locator, self._counters = world.status, locator, counters
        # None under (service, class): a hash decides there, so the answer stands under (service, class, unit)
        self._answers: dict[Hashable, Answer | None] = {}

    def holds(self, world: World, locator: Locator) -> bool:
        """Whether this World changes no decision: same Plan, same places, same generation of the Status."""
        same = self._plan is world.plan and self._locator is locator
        return same and self._status.generation == world.status.generation

    def named(self, host: bytes) -> Named | None:
        """The service that a valid Host names, None if it is none of ours. Its port and case don't matter."""
        known = self._hosts.get(host)
        if known is None:
            name, colon, port = host.rpartition(b":")
            name = name if colon and (port.isdigit() or not port) else host
            service = name.rstrip(b".").lower().decode("ascii")
            if service not in self._services:
                return None
            if len(self._hosts) >= HOSTS_MAX:
                self._hosts.clear()
            known = self._hosts[host] = Named(service, place(b"http://" + host), place(b"https://" + host))
        return known

    def find(self, service: str, client: Address, now: float) -> Answer | None:
        """The answer for a client of a configured service; None if no region of it has a URL."""
        family = client.version
        address = int(client)
        class_id, views, _ = self._locator.find(service, address, family, client.max_prefixlen)
        answers = self._answers
        key: Hashable = (service, class_id)
        answer = answers.get(key)
        if answer is None and key in answers:
            key = (service, class_id, client_unit(address, family))
            answer = answers.get(key)
        if answer is not None and now < answer.until:
            return answer
        unit = client_unit(address, family)
        decision = decide(self._services[service], views, Client(unit), None, self._status, now)
        return self._remember(decision, service, class_id, unit)

    def seen_cookies(self, service: str) -> bool:
        """Whether requests for the service may tell of sessions."""
        return service in self._plan.session_cookies

    def of_session(self, service: str, request: Request, now: int) -> Answer | None:
        """The answer for a request that tells of a session; None without one. `now` in Unix seconds."""
        for cookie in self._plan.session_cookies.get(service, ()):
            value = request.cookie(cookie.name.encode())
            session = unseal(value, self._plan.session_secret, cookie.pool) if value else None
            if session is None or now - session.issued > cookie.ttl_s:
                continue
            regions = [region for region in self._services[service].regions if region.url]
            status = self._status
            seen = {one.name: status.of(service, one.name) for one in regions}
            states = {name: one.state for name, one in seen.items() if one is not None}
            name = home(session, states, regions, cookie.failback_s, now)
            if name is not None:
                return self._to(service, next(region for region in regions if region.name == name))
        return None

    def _to(self, service: str, region: Region) -> Answer:
        """The answer that is one region, whoever asks."""
        key = (service, "region", region.name)
        answer = self._answers.get(key)
        if answer is None:
            cell = self._counters.index("gslb_frontdoor_redirects_total", service=service, region=region.name)
            answer = self._answers[key] = Answer(self, region, cell, math.inf)
        return answer

    def _remember(self, decision: Decision, service: str, class_id: int, unit: int) -> Answer | None:
        if not decision.regions:
            return None
        orders = decision.alternatives or (decision.regions,)
        turns = tuple(
            Answer(
                self,
                order[0],
                self._counters.index("gslb_frontdoor_redirects_total", service=service, region=order[0].name),
                decision.valid_until,
            )
            for order in orders
        )
        answer = turns[0]
        if len(turns) > 1:
            answer.turns = turns
        if len(self._answers) >= ANSWERS_MAX:
            self._answers.clear()
        if decision.hashed:
            self._answers[service, class_id] = None
            self._answers[service, class_id, unit] = answer
        else:
            self._answers[service, class_id] = answer
        return answer


def place(url: bytes) -> bytes:
    """`scheme://host:port` with the port always said, in lower case: equal places are the same server."""
    parts = urlsplit(url.lower())
    host, colon, port = parts.netloc.rpartition(b":")
    if not colon or not port.isdigit():
        host, port = parts.netloc.rstrip(b":"), b"443" if parts.scheme == b"https" else b"80"
    return parts.scheme + b"://" + host.rstrip(b".") + b":" + port


def edge_word(world: World, *, draining: bool) -> bytes:
    """The body of `/.well-known/gslb`: what this edge says of itself."""
    word = {
        "role": "edge",
        "state": "draining" if draining or world.status.draining else "up",
        "stale": world.status.stale,
        "generation": world.status.generation,
    }
    return json.dumps(word).encode() + b"\n"
