"""Clients for the demo: a DNS client that asks as a subnet somewhere on Earth, and a browser that follows redirects."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import dnslib

from gslb.errors import GslbError

TIMEOUT_S = 1.0
BODY_MAX_BYTES = 1 << 20


class NoAnswer(GslbError):
    """A client of the demo got no usable answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """A client subnet, and where its users are by public knowledge (not by our database)."""

    country: str
    subnet: str
    latitude: float
    longitude: float


PLACES = (
    Place("Germany", "141.20.0.0/24", 52.52, 13.40),  # Humboldt University, Berlin
    Place("Brazil", "143.107.0.0/24", -23.55, -46.63),  # University of Sao Paulo
    Place("Japan", "133.11.0.0/24", 35.68, 139.69),  # University of Tokyo
    Place("United Kingdom", "129.67.0.0/24", 51.75, -1.25),  # Oxford
    Place("France", "134.157.0.0/24", 48.85, 2.35),  # Sorbonne
    Place("United States", "128.112.0.0/24", 40.35, -74.66),  # Princeton
    Place("Canada", "132.204.0.0/24", 45.50, -73.57),  # Montreal
    Place("India", "14.139.0.0/24", 19.08, 72.88),  # National Knowledge Network
    Place("Australia", "129.94.0.0/24", -33.87, 151.21),  # UNSW, Sydney
    Place("Singapore", "137.132.0.0/24", 1.35, 103.82),  # NUS
)


def ask(server: tuple[str, int], name: str, kind: str = "A", subnet: str | None = None) -> tuple[list[str], int, int]:
    """(addresses, TTL, ECS scope) of `name` from the DNS `server`, as a client in `subnet`. Raises NoAnswer."""
    query = dnslib.DNSRecord.question(name, kind)
    query.header.id = secrets.randbelow(65536)
    options = []
    if subnet:
        network = ip_network(subnet)
        packed = network.network_address.packed[: (network.prefixlen + 7) // 8]
        family = 1 if network.version == 4 else 2
        options = [dnslib.EDNSOption(8, struct.pack("!HBB", family, network.prefixlen, 0) + packed)]
    query.add_ar(dnslib.EDNS0(udp_len=1232, opts=options))
    with socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_S)
        try:
            sock.connect(server)
            sock.send(query.pack())
            reply = dnslib.DNSRecord.parse(sock.recv(65535))
        except (OSError, dnslib.DNSError) as error:
            raise NoAnswer(f"DNS at {server[0]}:{server[1]} gives no answer for {name}: {error}") from error
    if reply.header.id != query.header.id or reply.header.rcode != 0:
        raise NoAnswer(f"DNS answers {name} with {dnslib.RCODE[reply.header.rcode]}")
    records = [record for record in reply.rr if dnslib.QTYPE[record.rtype] == kind]
    scope = next((o.data[3] for r in reply.ar if r.rtype == 41 for o in r.rdata if o.code == 8), 0)
    return [str(record.rdata) for record in records], min((r.ttl for r in records), default=0), scope


@dataclass(frozen=True, slots=True)
class Page:
    """One HTTP reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises NoAnswer."""
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise NoAnswer(f"not JSON: {self.body[:80]!r}") from error
        return dict(found)


def get(url: str, host: str | None = None) -> Page:
    """One GET of an http URL, redirects not followed; `host` replaces the Host field. Raises NoAnswer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Host": host} if host else {})
        reply = connection.getresponse()
        headers = {key.lower(): value for key, value in reply.getheaders()}
        return Page(reply.status, headers, reply.read(BODY_MAX_BYTES))
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{url} gives no answer: {error or type(error).__name__}") from error
    finally:
        connection.close()
