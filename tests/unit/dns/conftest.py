"""A small world for the DNS room: three regions, a steered zone, and dnspython as the client and judge."""

from __future__ import annotations

import bisect
import dataclasses
import random
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest

from gslb.dns.responder import Responder
from gslb.geo.locate import Locator, chain_key
from gslb.geo.prefixes import build
from gslb.model import (
    Location,
    Plan,
    Record,
    Region,
    RegionStatus,
    Service,
    State,
    Status,
    World,
    Zone,
)
from gslb.steering.engine import views
from gslb.steering.policies.nearest import Nearest
from gslb.telemetry import Counters, local_counters

EU = Region("eu-west", Location(53.3, -6.3, "IE", "EU"), ("192.0.2.10",), ("2001:db8:1::10",), "http://eu.test")
US = Region("us-east", Location(38.9, -77.0, "US", "NA"), ("192.0.2.20",), ("2001:db8:2::10",), "http://us.test")
AP = Region("ap-south", Location(19.0, 72.8, "IN", "AS"), ("192.0.2.30",), (), "http://ap.test")
PLACES = {"EU": Location(50.1, 8.7, "DE", "EU"), "US": Location(40.7, -74.0, "US", "NA"), "AP": Location(28.6, 77.2)}
ZONE = Zone(
    "example.com",
    {"ns1.example.com": ("192.0.2.53", "2001:db8::53"), "ns.example.net": ()},
    tuple(
        Record(f"{owner}.example.com".lstrip("."), kind, 300, data)
        for owner, kind, data in (
            ("", "MX", "10 mail"),
            ("", "TXT", '"v=spf1 -all"'),
            ("", "CAA", '0 issue "ca.example"'),
            ("mail", "A", "192.0.2.25"),
            ("alias", "CNAME", "www"),
            ("alias2", "CNAME", "alias"),
            ("away", "CNAME", "www.example.org."),
            ("loop", "CNAME", "loop2"),
            ("loop2", "CNAME", "loop"),
            ("dangling", "CNAME", "nowhere"),
            ("a.deep.down", "A", "192.0.2.77"),
            ("*.wild", "A", "192.0.2.88"),
            ("*.steer", "CNAME", "www"),
            ("_sip._tcp", "SRV", "0 5 5060 mail"),
            ("sub", "NS", "ns.sub"),
            ("ns.sub", "A", "192.0.2.99"),
            ("www", "TXT", '"beside a steered name"'),
            ("big", "TXT", " ".join(f'"{number:03}{"x" * 200}"' for number in range(12))),
        )
    ),
    serial=2024,
)


class Places:
    """Stands in for geo.database.Database: networks in address order, IPv4 first."""

    def __init__(self, networks: Sequence[tuple[int, int, int, Location | None]]) -> None:
        self._networks = list(networks)
        self._keys = [(family, first) for family, first, _, _ in self._networks]

    def lookup(self, address: int, family: int) -> tuple[Location | None, int]:
        _, _, length, place = self._networks[bisect.bisect_right(self._keys, (family, address)) - 1]
        return place, length

    def networks(self) -> Iterator[tuple[int, int, int, Location | None]]:
        return iter(self._networks)


def split(
    family: int, rng: random.Random, places: Sequence[Location | None], targets: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, int, Location | None]]:
    """The whole address space of a family in prefixes, in order; fine around `targets`, (address, length) each."""
    bits = 32 if family == 4 else 128
    todo = [(0, 0)]
    while todo:
        first, length = todo.pop()
        if any(length < deep and target >> bits - length == first >> bits - length for target, deep in targets):
            todo += [(first | 1 << bits - length - 1, length + 1), (first, length + 1)]
        else:
            yield family, first, length, rng.choice(places)


def eighths() -> list[tuple[int, int, int, Location | None]]:
    """IPv4 by its first byte, EU US AP nobody, round and round; IPv6 halves: EU and US."""
    order = [PLACES["EU"], PLACES["US"], PLACES["AP"], None]
    v4 = [(4, byte << 24, 8, order[byte % 4]) for byte in range(256)]
    return [*v4, (6, 0, 1, PLACES["EU"]), (6, 1 << 127, 1, PLACES["US"])]


def up(*names: str, generation: int = 1, **others: RegionStatus) -> Status:
    return Status(generation, {**{name: RegionStatus(State.UP) for name in names}, **others})


def ask(
    responder: Responder,
    name: str,
    kind: str = "A",
    source: str = "127.0.0.1",
    transport: str = "udp",
    now: float = 1.0,
    **options,
) -> dns.message.Message:
    """One query, built and read by dnspython. The answer is checked to be an answer to it."""
    query = dns.message.make_query(name, kind, options.pop("rdclass", "IN"), **options)
    wire = responder.respond(query.to_wire(), source, transport, now)
    assert wire is not None
    answer = dns.message.from_wire(wire)
    assert query.is_response(answer)
    return answer


def subnet(text: str) -> dict[str, object]:
    """Keyword arguments of `ask` for a client subnet."""
    address, _, length = text.partition("/")
    return {"use_edns": 0, "options": [dns.edns.ECSOption(address, int(length), 0)]}


def addresses(answer: dns.message.Message) -> list[str]:
    """The addresses of the last record set of an answer."""
    return sorted(rdata.address for rdata in answer.answer[-1]) if answer.answer else []


def ecs(answer: dns.message.Message) -> dns.edns.ECSOption | None:
    return next((option for option in answer.options if option.otype == dns.edns.OptionType.ECS), None)


@pytest.fixture
def tools() -> SimpleNamespace:
    """The helpers above, since tests can't import this module."""
    return SimpleNamespace(
        EU=EU, US=US, AP=AP, PLACES=PLACES, ZONE=ZONE, Places=Places, split=split, eighths=eighths, up=up, ask=ask,
        subnet=subnet, addresses=addresses, ecs=ecs, make=make, locator=make_locator,
    )  # fmt: skip


def make_locator(services: dict[str, Service], database: Places, *, tables: bool = True) -> Locator:
    locator = Locator(database, services)
    for service in services.values() if tables else ():
        table = build(database.networks(), lambda place, service=service: views(service, place))
        locator.install(chain_key(service), table)
    return locator


def make(
    service: Service | None = None,
    status: Status | None = None,
    database: Places | None = None,
    zones: Sequence[Zone] = (ZONE,),
    tables: bool = True,
    **more,
) -> SimpleNamespace:
    """A responder over a Plan of one service (www.example.com, nearest of three) and its parts."""
    service = service or Service("www.example.com", (EU, US, AP), (Nearest(),))
    services = {service.name: service}
    plan = Plan(
        "test",
        1,
        {region.name: region for region in service.regions},
        services,
        {zone.origin: zone for zone in zones},
    )
    plan = dataclasses.replace(plan, **more)
    world = World(plan, status or up(*plan.regions))
    locator = make_locator(services, database or Places(eighths()), tables=tables)
    counters: Counters = local_counters(plan)
    responder = Responder(world, locator, counters, node_id=b"node-1", cookie_secret=b"secret")
    return SimpleNamespace(responder=responder, world=world, plan=plan, locator=locator, counters=counters)


@pytest.fixture
def small() -> SimpleNamespace:
    return make()
