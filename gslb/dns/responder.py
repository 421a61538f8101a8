"""One query in, one answer out: the fast path of ready answers, and the slow path that makes them. Pure.

The shells (gslb.dns.server) call `Responder.respond`. How a query is served, fastest first:

1. Ready. The header's flags and counts with the lower-cased name, and the fixed bytes behind the name (type, class,
   OPT), find a `Shape`; the client finds its class; both give the pieces that are joined around the question as it
   came. Nothing is parsed. Client subnets and cookies stay on this path.
2. Decided (gslb.dns.deciding). The class has no answer yet under this Status: the engine is asked, once.
3. Slow. The query is parsed, the zones are asked, and the Shape is remembered if the name is a configured one.

Why the key is right: lower-casing changes the bytes 0x41–0x5A only. Label lengths end at 0x3F, and the flags and counts
of a remembered key hold no byte from 0x61 to 0x7A, so packets with one key differ in the case of letters only. Type
and class are never lower-cased (type 65 would become 97). All that is remembered has a bound.
"""

from __future__ import annotations

import math

from gslb.dns import edns
from gslb.dns.answers import Reply, fit, flags_of, header, pieces, resolve, variant_of
from gslb.dns.counting import NOWHERE, CounterSink, Tally
from gslb.dns.deciding import Decider
from gslb.dns.edns import Cookies, Edns, opt_record, parse_opt, parse_options, text_option
from gslb.dns.ready import Answer, Shape
from gslb.dns.wire import HEADER_BYTES, NOERROR, QR, Query, parse_query
from gslb.dns.zones import Zones
from gslb.errors import WireError
from gslb.geo.locate import Locator
from gslb.model import World

SHAPES_MAX = 8192  # names × types × EDNS shapes with a ready answer
NODE_ID_BYTES_MAX = 64
TCP_BYTES_MAX = 65_535

_NET_24 = b"\0\x08\0\7\0\1\x18\0"  # a client subnet option up to its address: IPv4, /24, as nearly all resolvers send
_COOKIE_8, _COOKIE_24 = b"\0\x0a\0\x08", b"\0\x0a\0\x18"  # a cookie option up to the client's cookie
_BYTE = tuple(bytes((number,)) for number in range(256))
_NO_BLOCK = (None, b"")
_READY_FLAGS = 0x0130  # RD, AD, CD: with any other flag set a query takes the slow path


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
        self.tally = Tally(counters)
        self._node_id = node_id[:NODE_ID_BYTES_MAX]
        self._cookies = Cookies(cookie_secret)
        self._known: dict[bytes, dict[bytes, Shape]] = {}
        self._shapes = 0
        self._world, self._counters, self._cells = world, counters, counters.cells
        self._decider = Decider(world, locator, counters)
        self._zones = Zones(world.plan.zones.values(), world.plan.services.values())

    @property
    def slow_calls(self) -> int:
        """How many packets took the slow path."""
        return self.tally.slow

    def swap(self, world: World, locator: Locator | None = None, counters: CounterSink | None = None) -> None:
        """Answers by `world` from the next query on; None keeps the locator, or the cells that are counted into.

        While Plan and Locator stay, where each client is stays known; while nothing that steers changes, so does every
        answer. Raises ValueError, and changes nothing, if a zone of the Plan can't be served.
        """
        locator, counters = locator or self._decider.locator, counters or self._counters
        same_plan, same_cells = world.plan is self._world.plan, counters.cells is self._cells
        if same_plan and locator is self._decider.locator:
            if not same_cells:
                self._decider.forget_answers()
            self._decider.update(world, counters)
        else:
            if not same_plan:
                self._zones = Zones(world.plan.zones.values(), world.plan.services.values())
            self._decider.adopt(world, locator, counters)
            self._known.clear()
            self._shapes = 0
        if not (same_plan and same_cells):
            self.tally.count_into(counters)
        self._world, self._counters, self._cells = world, counters, counters.cells

    def settle(self, transport: str, received: int, now: float) -> None:
        """Counts a batch of `received` packets, once they are answered."""
        decider, tally = self._decider, self.tally
        if decider.evicted:
            tally.evicted(decider.evicted)
            decider.evicted = 0
        tally.settle(transport, received, self._shapes + decider.held)
        self._cookies.refresh(now)

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
            answer = self._by_source(shape, source, now)
        self._cells[answer.cell] += 1
        return b"".join((wire[:2], answer.heads[shape.variant], wire[12 : end + 5], answer.tail, shape.opt))

    def _with_options(self, shape: Shape, wire: bytes, end: int, source: str, now: float) -> bytes | None:
        """The answer to a query with EDNS options: the usual ones without a loop. None sends it to the slow path."""
        at = end + 16
        left = shape.options_bytes
        if len(wire) - at != left:
            return None
        net = cookie = b""
        if wire[at : at + 8] == _NET_24:
            net = wire[at + 8 : at + 11]
            at += 11
            left -= 11
        if (left == 12 and wire[at : at + 4] == _COOKIE_8) or (left == 28 and wire[at : at + 4] == _COOKIE_24):
            cookie = wire[at + 4 : at + 12]
        elif left == 23 and not net and wire[at : at + 4] == _COOKIE_8 and wire[at + 12 : at + 20] == _NET_24:
            cookie, net = wire[at + 4 : at + 12], wire[at + 20 :]
        elif left:
            return self._with_odd_options(shape, wire, end, source, now)
        scope = b"\0"
        if not net or shape.steered is None:
            answer = shape.answer or shape.ready.get(shape.keys.get(source))
            if answer is None or now >= answer.valid_until:
                answer = self._by_source(shape, source, now)
        else:
            class_id, scope = shape.blocks.get(net[:2], _NO_BLOCK)
            answer = shape.ready.get(class_id)
            if answer is None or now >= answer.valid_until:
                answer, scope = self._decider.by_net(shape.steered, net, now)
        self._cells[answer.cell] += 1
        head, question = answer.heads[shape.variant], wire[12 : end + 5]
        if not cookie:
            return b"".join((wire[:2], head, question, answer.tail, shape.opt_net, scope, net))
        made = self._cookies.option(cookie, source)
        if not net:
            return b"".join((wire[:2], head, question, answer.tail, shape.opt_cookie, made))
        return b"".join((wire[:2], head, question, answer.tail, shape.opt_both, scope, net, made))

    def _with_odd_options(self, shape: Shape, wire: bytes, end: int, source: str, now: float) -> bytes | None:
        """The same for any other client subnet or cookie, and options that are ignored."""
        try:
            subnet, cookie, nsid = parse_options(wire[end + 16 :])
        except WireError:
            return None
        if nsid:
            return None
        scope = 0
        if shape.steered is None or subnet is None:
            answer = self._by_source(shape, source, now)
        else:
            answer, scope = self._decider.by_client(shape.steered, subnet, source, now)
        options = subnet.option(scope) if subnet is not None else b""
        if cookie:
            options += self._cookies.option(cookie, source)
        self._cells[answer.cell] += 1
        opt = shape.opt_head + _BYTE[len(options)] + options
        return b"".join((wire[:2], answer.heads[shape.variant], wire[12 : end + 5], answer.tail, opt))

    def _by_source(self, shape: Shape, source: str, now: float) -> Answer:
        """The answer for a client known by its address alone."""
        if shape.steered is None:
            assert shape.answer is not None  # a shape has one or the other
            return shape.answer
        return self._decider.by_source(shape.steered, source, now)

    # ------------------------------------------------------------ the slow path
    def _slow(self, wire: bytes, source: str, transport: str, now: float) -> bytes | None:
        """Any packet, parsed in full."""
        tally = self.tally
        tally.slow_call()
        if len(wire) < HEADER_BYTES or wire[2] & 0x80:  # answering a response could go round for ever
            tally.dropped("short" if len(wire) < HEADER_BYTES else "response")
            return None
        try:
            query = parse_query(wire)
        except WireError as error:
            tally.answered(error.rcode)
            flags = QR | (wire[2] << 8 & 0x7900) | error.rcode  # opcode and RD as they came
            return wire[:2] + flags.to_bytes(2, "big") + bytes(8)
        try:
            parsed = parse_opt(query)
        except WireError as error:
            tally.answered(error.rcode)
            return _refuse(wire, query, error.rcode)
        reply = resolve(self._zones, query.name, query.type, query.cls, self._node_id)
        tally.answered(reply.rcode)
        steered, scope = self._decider.find(reply, query.name), 0
        if steered is None:
            answer = Answer(reply, pieces(reply, query.name), valid_until=math.inf, cell=NOWHERE, hashed=False)
        else:
            subnet = parsed.subnet if parsed is not None else None
            answer, scope = self._decider.by_client(steered, subnet, source, now)
            self._cells[answer.cell] += 1
        opt = b"" if parsed is None else self._opt(parsed, reply, scope, source)
        udp_max = edns.PAYLOAD_BYTES_MIN if parsed is None else min(parsed.payload_bytes, edns.PAYLOAD_BYTES)
        taken = HEADER_BYTES + len(query.question)
        longest = steered.longest if steered is not None else len(answer.tail)
        if reply.exists and reply.rcode == NOERROR and taken + longest + edns.OPT_BYTES_MAX <= udp_max:
            self._remember(wire, Shape(query, parsed, None if steered else answer, steered), query)
        room = (TCP_BYTES_MAX if transport == "tcp" else udp_max) - taken - len(opt)
        variant = variant_of(query.flags, edns=parsed is not None)
        if len(answer.tail) <= room:
            return wire[:2] + answer.heads[variant] + query.question + answer.tail + opt
        parts, truncated = fit(answer.parts, room)
        if truncated:
            tally.truncated()
        head = header(flags_of(reply, truncated=truncated), parts, variant)
        return wire[:2] + head + query.question + b"".join(part for _, _, part in parts) + opt

    def _opt(self, parsed: Edns, reply: Reply, scope: int, source: str) -> bytes:
        """Our OPT for a reply: what the query's options ask for."""
        options = parsed.subnet.option(scope) if parsed.subnet is not None else b""
        if parsed.cookie:
            options += self._cookies.option(parsed.cookie, source)
        if parsed.nsid and self._node_id:
            options += text_option(edns.NSID, self._node_id)
        if reply.ede is not None:
            options += text_option(edns.EDE, reply.ede.to_bytes(2, "big"))
        return opt_record(options, parsed.flags)

    def _remember(self, wire: bytes, shape: Shape, query: Query) -> None:
        """Makes the next query of this shape a fast one, if nothing is unusual about it."""
        end = wire.index(0, 12)
        additionals = 0 if query.opt is None else 1
        usual = wire[4:12] == b"\0\1\0\0\0\0\0" + _BYTE[additionals] and not query.flags & ~_READY_FLAGS
        if not usual or end != 11 + len(query.name):  # that zero would be inside a label
            return
        if self._shapes >= SHAPES_MAX:
            self.tally.evicted(self._shapes)
            self._known.clear()
            self._shapes = 0
        forms = self._known.setdefault(wire[2:end].lower(), {})
        self._shapes += 1
        forms[wire[end : end + 17]] = shape


def _refuse(wire: bytes, query: Query, rcode: int) -> bytes:
    """An error over a query whose question could be read; our OPT says that we do speak EDNS (RFC 6891 §7)."""
    head = header(rcode & 15, [], variant_of(query.flags, edns=True))
    return wire[:2] + head + query.question + opt_record(extended_rcode=rcode >> 4)
