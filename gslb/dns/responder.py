"""One query in, one answer out: the fast path of ready answers, and the slow path that makes them. Pure.

The shells (gslb.dns.server) call `Responder.respond`. How a query is served, fastest first:

1. Ready. The header's flags and counts with the lower-cased name, and the fixed bytes behind the name (type, class,
   OPT), find a `Shape`; the client finds its class; both give the pieces that are joined around the question as it
   came. Nothing is parsed. Client subnets and cookies stay on this path.
2. Decided. The class has no answer yet under this Status: the engine is asked, once.
3. Slow. The query is parsed, the zones are asked, and the Shape is remembered if the name is a configured one.

Why the key is right: lower-casing changes the bytes 0x41–0x5A only. Label lengths end at 0x3F, and the flags and counts
of a remembered key hold no byte from 0x61 to 0x7A, so packets with one key differ in the case of letters only. Type
and class are never lower-cased (type 65 would become 97). All that is remembered has the bounds named below.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, MutableSequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Protocol

from gslb.dns import edns
from gslb.dns.answers import Reply, fit, flags_of, header, pieces, resolve, variant_of
from gslb.dns.edns import Cookies, Edns, Subnet, opt_record, parse_opt, parse_subnet, text_option
from gslb.dns.ready import NOWHERE, Answer, Shape, Steered, most_addresses
from gslb.dns.wire import HEADER_BYTES, NOERROR, QR, RCODES, REFUSED, Query, parse_query
from gslb.dns.zones import Zones
from gslb.errors import WireError
from gslb.geo.locate import Locator
from gslb.model import Client, Decision, Region, State, Status, World
from gslb.steering.engine import ADDRESSES_MAX, decide
from gslb.steering.hashing import UNIT_BITS, client_unit

SHAPES_MAX = 8192  # names × types × EDNS shapes with a ready answer
CLIENTS_MAX = 100_000  # source addresses and hash units remembered, all services together
STEERED_MAX = 16_384  # services × families × the CNAME chains that lead to them
NODE_ID_BYTES_MAX = 64
TCP_BYTES_MAX = 65_535
PACKED_CACHED = 16_384

_SUBNET_24 = b"\0\x08\0\x07"  # a client subnet option with a /24: what nearly all resolvers send
_COOKIE_8, _COOKIE_24 = b"\0\x0a\0\x08", b"\0\x0a\0\x18"
_PLAIN_24 = b"\0\1\x18\0"  # family 1, source /24, scope 0
_BYTE = tuple(bytes((number,)) for number in range(256))
_DROPS = ("response", "short", "send_failed")
_READY_FLAGS = 0x0130  # RD, AD, CD: with any other flag set a query takes the slow path


class CounterSink(Protocol):
    """What this room needs of gslb.telemetry.Counters."""

    @property
    def cells(self) -> MutableSequence[int] | memoryview:
        """Where to count."""

    def index(self, name: str, **labels: object) -> int:
        """The cell of a series."""


@lru_cache(maxsize=PACKED_CACHED)
def _packed(address: str) -> bytes:
    return ip_address(address).packed


class Responder:
    """Answers queries from a World. For one thread."""

    def __init__(
        self, world: World, locator: Locator, counters: CounterSink, *, node_id: bytes = b"", cookie_secret: bytes = b""
    ) -> None:
        """Compiles the zones of `world`.

        Args:
            world: Plan and Status to answer by.
            locator: finds clients for the Plan's services.
            counters: where to count.
            node_id: what NSID and id.server tell; b"" tells nothing.
            cookie_secret: keys the DNS cookies; the same on every node of a cluster.

        Raises:
            ValueError: a zone of the Plan can't be served. Config checks that before.
        """
        self.slow_calls = 0
        self._node_id = node_id[:NODE_ID_BYTES_MAX]
        self._cookies = Cookies(cookie_secret)
        self._known: dict[bytes, dict[bytes, Shape]] = {}
        self._steered: dict[Hashable, Steered] = {}
        self._last_good: dict[str, frozenset[str]] = {}
        self._shapes = self._clients = self._unusual = self._connections = 0
        self._world, self._locator = world, locator
        self._zones = Zones(world.plan.zones.values(), world.plan.services.values())
        self._count_into(counters)
        self._note_good(world.status)

    def swap(self, world: World, locator: Locator | None = None, counters: CounterSink | None = None) -> None:
        """Answers by `world` from the next query on; None keeps what there is.

        While Plan and Locator stay, where each client is stays known; while the Status' generation stays too, so does
        every answer. Raises ValueError, and changes nothing, if a zone of the Plan can't be served.
        """
        locator, counters = locator or self._locator, counters or self._counters
        old = self._world
        if world.plan is not old.plan or locator is not self._locator:
            plan = world.plan
            zones = self._zones if plan is old.plan else Zones(plan.zones.values(), plan.services.values())
            self._adopt(world, locator, counters, zones)
            return
        if counters is not self._counters:
            self._count_into(counters)
            self._forget_answers()
        elif world.status.generation != old.status.generation:
            self._forget_answers()
        self._world = world
        self._note_good(world.status)

    def _adopt(self, world: World, locator: Locator, counters: CounterSink, zones: Zones) -> None:
        """Takes a new Plan or Locator: nothing that was remembered holds."""
        self._world, self._locator, self._zones = world, locator, zones
        self._known.clear()
        self._steered.clear()
        self._shapes = self._clients = 0
        self._count_into(counters)
        self._note_good(world.status)

    def _count_into(self, counters: CounterSink) -> None:
        """Looks up every cell that is counted into."""
        self._counters, self._cells = counters, counters.cells
        index = counters.index
        self._received_cells = {which: index("gslb_dns_queries_total", transport=which) for which in ("udp", "tcp")}
        self._rcode_cells = {code: index("gslb_dns_answers_total", rcode=name) for code, name in RCODES.items()}
        self._drop_cells = {why: index("gslb_dns_dropped_total", reason=why) for why in _DROPS}
        self._slow_cell = index("gslb_dns_slow_path_total")
        self._truncated_cell = index("gslb_dns_truncated_total")
        self._entries_cell = index("gslb_dns_cache_entries")
        self._evictions_cell = index("gslb_dns_cache_evictions_total")
        self._connections_cell = index("gslb_dns_tcp_connections")
        self._cells[self._connections_cell] = self._connections

    def _note_good(self, status: Status) -> None:
        """Remembers which regions were up while any was, for `when_all_down: last_good`."""
        up = {name for name, known in status.regions.items() if known.state is State.UP}
        for service in self._world.plan.services.values():
            good = frozenset(region.name for region in service.regions if region.name in up)
            if good:
                self._last_good[service.name] = good

    def _forget_answers(self) -> None:
        for steered in self._steered.values():
            steered.forget()

    def settle(self, transport: str, received: int) -> None:
        """Counts a batch of `received` packets: what was not counted as something else was answered NOERROR."""
        cells = self._cells
        cells[self._received_cells[transport]] += received
        cells[self._rcode_cells[NOERROR]] += received - self._unusual
        cells[self._entries_cell] = self._shapes + self._clients
        self._unusual = 0

    def unsent(self) -> None:
        """Counts an answer that could not be sent."""
        self._cells[self._drop_cells["send_failed"]] += 1

    def connected(self, change: int) -> None:
        """Counts TCP connections: 1 for a new one, -1 for one that ended."""
        self._connections += change
        self._cells[self._connections_cell] = self._connections

    # ------------------------------------------------------------ the fast path
    def respond(self, wire: bytes, source: str, transport: str, now: float) -> bytes | None:
        """The answer to a packet, None where none is due. Never raises.

        Args:
            wire: the packet.
            source: the address it came from, as the socket gives it.
            transport: "udp" or "tcp".
            now: seconds, on the clock that the Status' times are told on.
        """
        end = wire.find(0, 12)
        try:
            shape = self._known[wire[2:end].lower()][wire[end : end + 17]]
        except KeyError:
            return self._slow(wire, source, transport, now)
        if shape.options_bytes:
            return self._with_options(shape, wire, end, source, now) or self._slow(wire, source, transport, now)
        try:
            answer = shape.answer or shape.ready[shape.keys[source]]
        except KeyError:
            answer = None
        if answer is None or now >= answer.valid_until:
            assert shape.steered is not None  # what is not steered is always ready, and for ever
            answer = self._by_source(shape.steered, source, now)
        self._cells[answer.cell] += 1
        return b"".join((wire[:2], answer.heads[shape.variant], wire[12 : end + 5], answer.tail, shape.opt))

    def _with_options(self, shape: Shape, wire: bytes, end: int, source: str, now: float) -> bytes | None:
        """The answer to a query with a client subnet, a cookie or both; None sends it to the slow path."""
        at = end + 16
        size = len(wire)
        subnet = cookie = b""
        while at < size:
            head = wire[at : at + 4]
            if head == _SUBNET_24 and not subnet:
                subnet = wire[at + 4 : at + 11]
                at += 11
            elif head == _COOKIE_8 and not cookie:
                cookie = wire[at + 4 : at + 12]
                at += 12
            elif head == _COOKIE_24 and not cookie:
                cookie = wire[at + 4 : at + 12]
                at += 28
            elif head[:3] == b"\0\x08\0" and not subnet and at + 4 < size:
                subnet = wire[at + 4 : at + 4 + head[3]]
                at += 4 + head[3]
            else:
                return None
        if at != size or size - end - 16 != shape.options_bytes:
            return None
        answer: Answer | None
        if subnet:
            found = self._by_subnet(shape, subnet, source, now)
            if found is None:
                return None
            answer, options = found
        else:
            options = b""
            answer = shape.answer or shape.ready.get(shape.keys.get(source))
            if answer is None or now >= answer.valid_until:
                assert shape.steered is not None  # as above
                answer = self._by_source(shape.steered, source, now)
        if cookie:
            options += self._cookies.option(cookie, source, now)
        self._cells[answer.cell] += 1
        return b"".join(
            (wire[:2], answer.heads[shape.variant], wire[12 : end + 5], answer.tail,
             shape.opt_head, _BYTE[len(options)], options)
        )  # fmt: skip

    def _by_subnet(self, shape: Shape, content: bytes, source: str, now: float) -> tuple[Answer, bytes] | None:
        """The answer for a client subnet, and the option that goes with it; None sends it to the slow path."""
        steered = shape.steered
        if steered is not None and content[:4] == _PLAIN_24:
            address = int.from_bytes(content[4:7], "big") << 8
            table = self._locator.table(steered.service.name)
            if table is not None:
                class_id, scope = table.find(address, 4)
                answer = steered.ready.get(class_id)
                if answer is not None and now < answer.valid_until:
                    return answer, b"\0\x08\0\x07\0\1\x18" + _BYTE[scope] + content[4:]
        try:
            subnet = parse_subnet(content)
        except WireError:
            return None
        if steered is None:
            return (shape.answer, subnet.option(0)) if shape.answer is not None else None
        answer, scope = self._of_client(steered, subnet, source, now)
        return answer, subnet.option(scope)

    def _of_client(self, steered: Steered, subnet: Subnet | None, source: str, now: float) -> tuple[Answer, int]:
        """The answer for whoever asks, and the scope; a subnet of no bits says nothing (RFC 7871 §7.1.2)."""
        if subnet is None or not subnet.source_length:
            return self._by_source(steered, source, now), 0
        answer, _, scope = self._answer(steered, subnet.address, subnet.family, subnet.source_length, now)
        return answer, scope

    def _by_source(self, steered: Steered, source: str, now: float) -> Answer:
        """The answer for a client known by its address alone; its key is remembered."""
        address = ip_address(source)
        bits = 32 if address.version == 4 else 128
        answer, key, _ = self._answer(steered, int(address), address.version, bits, now)
        if source not in steered.keys:
            self._hold()
        steered.keys[source] = key
        return answer

    # ------------------------------------------------------------ deciding
    def _answer(
        self, steered: Steered, address: int, family: int, source_length: int, now: float
    ) -> tuple[Answer, Hashable, int]:
        """The answer for a client, its key in `steered.ready`, and the scope in which every client gets it."""
        class_id, views, scope = self._locator.find(steered.service.name, address, family, source_length)
        key: Hashable = class_id
        if class_id in steered.hashed:
            key = class_id, client_unit(address, family)
        answer = steered.ready.get(key)
        turning = steered.turning.get(key) if answer is None else None
        if turning is not None and now < turning[0].valid_until:
            steered.turn += 1
            answer = turning[steered.turn % len(turning)]
        elif answer is None or now >= answer.valid_until:
            unit = client_unit(address, family)
            status, service = self._world.status, steered.service
            good = self._last_good.get(service.name, ())
            decision = decide(service, views, Client(unit), steered.family, status, now, good)
            if decision.hashed:
                steered.hashed.add(class_id)
                key = class_id, unit
                self._hold()
            answer = self._keep(steered, key, decision)
        return answer, key, max(scope, UNIT_BITS[family]) if answer.hashed else scope

    def _keep(self, steered: Steered, key: Hashable, decision: Decision) -> Answer:
        """Makes the answers of a decision ready; the first of them."""
        orders = decision.alternatives or (decision.regions,)
        answers = tuple(self._make(steered, order, decision) for order in orders)
        steered.ready.pop(key, None)
        steered.turning.pop(key, None)
        if len(answers) > 1:
            steered.turning[key] = answers
        else:
            steered.ready[key] = answers[0]
        return answers[0]

    def _make(self, steered: Steered, order: tuple[Region, ...], decision: Decision) -> Answer:
        """One answer: the addresses of the regions in `order`, or those that the fallback named."""
        family, service = steered.family, steered.service
        texts = decision.addresses or [address for region in order for address in region.addresses(family)]
        rdatas = [_packed(text) for text in dict.fromkeys(texts[: min(decision.address_limit, ADDRESSES_MAX)])]
        name = order[0].name if order and not decision.addresses else "other"
        return Answer(
            steered.reply,
            pieces(steered.reply, steered.name, (decision.ttl_s, rdatas)),
            valid_until=decision.valid_until,
            cell=self._counters.index("gslb_dns_answers_by_region_total", service=service.name, region=name),
            hashed=decision.hashed,
        )

    def _hold(self) -> None:
        """Counts one more client remembered; at the bound all are forgotten, and found again as they come."""
        self._clients += 1
        if self._clients > CLIENTS_MAX:
            self._cells[self._evictions_cell] += self._clients
            self._clients = 1
            for steered in self._steered.values():
                steered.keys.clear()
                steered.forget()

    # ------------------------------------------------------------ the slow path
    def _slow(self, wire: bytes, source: str, transport: str, now: float) -> bytes | None:
        """Any packet, parsed in full."""
        self.slow_calls += 1
        self._cells[self._slow_cell] += 1
        if len(wire) < HEADER_BYTES or wire[2] & 0x80:
            self._unusual += 1
            self._cells[self._drop_cells["short" if len(wire) < HEADER_BYTES else "response"]] += 1
            return None
        try:
            query = parse_query(wire)
        except WireError as error:
            self._count(error.rcode)
            flags = QR | (wire[2] << 8 & 0x7900) | error.rcode  # opcode and RD as they came
            return wire[:2] + flags.to_bytes(2, "big") + bytes(8)
        try:
            parsed = parse_opt(query)
        except WireError as error:
            self._count(error.rcode)
            return self._refuse(wire, query, error.rcode)
        reply = resolve(self._zones, query.name, query.type, query.cls, self._node_id)
        self._count(reply.rcode)
        subnet = parsed.subnet if parsed is not None else None
        steered, scope = self._steered_of(reply, query.name), 0
        if steered is None:
            nothing = (0, ()) if reply.steered else None
            parts = pieces(reply, query.name, nothing)
            answer = Answer(reply, parts, valid_until=math.inf, cell=NOWHERE, hashed=False)
        else:
            answer, scope = self._of_client(steered, subnet, source, now)
            self._cells[answer.cell] += 1
        opt = b"" if parsed is None else self._opt(parsed, reply, scope, source, now)
        udp_max = edns.PAYLOAD_BYTES_MIN if parsed is None else min(parsed.payload_bytes, edns.PAYLOAD_BYTES)
        taken = HEADER_BYTES + len(query.question)
        if reply.exists:
            self._remember(wire, query, parsed, udp_max - taken - edns.OPT_BYTES_MAX, steered or answer)
        room = (TCP_BYTES_MAX if transport == "tcp" else udp_max) - taken - len(opt)
        variant = variant_of(query.flags, edns=parsed is not None)
        if len(answer.tail) <= room:
            return wire[:2] + answer.heads[variant] + query.question + answer.tail + opt
        parts, truncated = fit(answer.parts, room)
        self._cells[self._truncated_cell] += truncated
        head = header(flags_of(reply, truncated=truncated), parts, variant)
        return wire[:2] + head + query.question + b"".join(part for _, _, part in parts) + opt

    def _count(self, rcode: int) -> None:
        """Counts an RCODE that is not NOERROR; `settle` counts those."""
        if rcode != NOERROR:
            self._unusual += 1
            self._cells[self._rcode_cells[rcode]] += 1

    def _refuse(self, wire: bytes, query: Query, rcode: int) -> bytes:
        """An error over a query whose question could be read; our OPT says that we do speak EDNS (RFC 6891 §7)."""
        head = header(rcode & 15, [], variant_of(query.flags, edns=True))
        return wire[:2] + head + query.question + opt_record(extended_rcode=rcode >> 4)

    def _opt(self, parsed: Edns, reply: Reply, scope: int, source: str, now: float) -> bytes:
        """Our OPT for a reply: what the query's options ask for."""
        options = parsed.subnet.option(scope) if parsed.subnet is not None else b""
        if parsed.cookie:
            options += self._cookies.option(parsed.cookie, source, now)
        if parsed.nsid and self._node_id:
            options += text_option(edns.NSID, self._node_id)
        if reply.rcode == REFUSED:
            options += text_option(edns.EDE, edns.EDE_NOT_AUTHORITATIVE.to_bytes(2, "big"))
        return opt_record(options, parsed.flags)

    def _steered_of(self, reply: Reply, name: bytes) -> Steered | None:
        """Who decides for a steered reply; None for one that isn't, or whose NODATA hangs on no client at all."""
        if reply.steered is None or not most_addresses(reply):
            return None
        service, family, _ = reply.steered
        lead = b"".join(wire for _, _, wire in pieces(reply, name))
        key = service.name, family, len(name), lead  # these decide every byte behind the question
        steered = self._steered.get(key)
        if steered is None:
            if len(self._steered) >= STEERED_MAX:
                self._forget_all()
            steered = self._steered[key] = Steered(reply, name)
        return steered

    def _remember(self, wire: bytes, query: Query, parsed: Edns | None, room: int, known: Answer | Steered) -> None:
        """Makes the next query of this shape a fast one, if every answer to it will fit and nothing is unusual."""
        steered, answer = (known, None) if isinstance(known, Steered) else (None, known)
        longest = len(answer.tail) if answer is not None else steered.longest if steered is not None else 0
        additionals = 0 if query.opt is None else 1
        plain = wire[4:12] == b"\0\1\0\0\0\0\0" + _BYTE[additionals]
        if longest > room or query.flags & ~_READY_FLAGS or not plain:
            return
        if self._shapes >= SHAPES_MAX:
            self._cells[self._evictions_cell] += self._shapes
            self._known.clear()
            self._shapes = 0
        end = wire.index(0, 12)
        forms = self._known.setdefault(wire[2:end].lower(), {})
        self._shapes += wire[end : end + 17] not in forms
        forms[wire[end : end + 17]] = Shape(query, parsed, answer, steered)

    def _forget_all(self) -> None:
        """At a bound: everything that is made from the Plan as it is asked for."""
        self._cells[self._evictions_cell] += self._shapes + self._clients
        self._known.clear()
        self._steered.clear()
        self._shapes = self._clients = 0
