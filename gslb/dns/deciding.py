"""Which ready answer is whose: asks the locator where a client is and the engine what that means, once each. Pure.

Only `gslb.dns.responder` uses it. It keeps every `Steered` and bounds what they remember of clients.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from ipaddress import ip_address

from gslb.dns.answers import Reply, pieces
from gslb.dns.counting import CounterSink
from gslb.dns.edns import Subnet
from gslb.dns.ready import Answer, Steered
from gslb.geo.locate import Locator
from gslb.model import Client, Decision, Region, World
from gslb.steering.engine import ADDRESSES_MAX, decide
from gslb.steering.hashing import UNIT_BITS, client_unit

CLIENTS_MAX = 100_000  # source addresses, hash units and /16s remembered, all services together
STEERED_MAX = 16_384  # services × families × the CNAME chains that lead to them
PACKED_CACHED = 16_384
_BLOCK_BITS = 16
_BYTE = tuple(bytes((number,)) for number in range(256))


@lru_cache(maxsize=PACKED_CACHED)
def _packed(address: str) -> bytes:
    return ip_address(address).packed


class Decider:
    """Finds or makes the answer for a client of a steered name."""

    def __init__(self, world: World, locator: Locator, counters: CounterSink) -> None:
        """See Responder."""
        self.held = 0
        self.evicted = 0
        self._steered: dict[Hashable, Steered] = {}
        self._take(world, locator, counters)

    def adopt(self, world: World, locator: Locator, counters: CounterSink) -> None:
        """A new Plan or Locator: nothing that was remembered holds."""
        self.held = 0
        self._steered.clear()
        self._take(world, locator, counters)

    def update(self, world: World, counters: CounterSink) -> None:
        """A new Status of the same Plan: answers hold if nothing that steers has changed, and places in any case."""
        if world.status.generation != self._world.status.generation:
            self.forget_answers()
        self._take(world, self.locator, counters)

    def _take(self, world: World, locator: Locator, counters: CounterSink) -> None:
        self._world, self.locator, self._counters = world, locator, counters

    def forget_answers(self) -> None:
        """Every answer is decided anew."""
        for steered in self._steered.values():
            steered.forget()

    def find(self, reply: Reply, name: bytes) -> Steered | None:
        """Who decides for a reply to `name`; None if it is not steered."""
        if reply.steered is None:
            return None
        service, family, _ = reply.steered
        lead = b"".join(wire for _, _, wire in pieces(reply, name))
        key = service.name, family, len(name), lead  # these decide every byte behind the question
        steered = self._steered.get(key)
        if steered is None:
            if len(self._steered) >= STEERED_MAX:  # those in use live on in their shapes
                self._steered.clear()
            steered = self._steered[key] = Steered(reply, name)
        return steered

    def by_client(self, steered: Steered, subnet: Subnet | None, source: str, now: float) -> tuple[Answer, int]:
        """The answer for whoever asks, and the scope; a subnet of no bits says nothing (RFC 7871 §7.1.2)."""
        if subnet is None or not subnet.source_length:
            return self.by_source(steered, source, now), 0
        answer, _, scope = self._answer(steered, subnet.address, subnet.family, subnet.source_length, now)
        return answer, scope

    def by_source(self, steered: Steered, source: str, now: float) -> Answer:
        """The answer for a client known by its address alone; its key is remembered."""
        known = steered.keys.get(source)
        if known is not None:
            answer = steered.ready.get(known) or steered.next_turn(known)
            if answer is not None and now < answer.valid_until:
                return answer
        address = ip_address(source)
        bits = 32 if address.version == 4 else 128
        answer, key, _ = self._answer(steered, int(address), address.version, bits, now)
        if known is None:
            self._hold()
        steered.keys[source] = key
        return answer

    def by_net(self, steered: Steered, net: bytes, now: float) -> tuple[Answer, bytes]:
        """The answer for an IPv4 /24 (three bytes) and its scope, as a byte. A /16 that is one class is remembered."""
        table = steered.table
        if table is None:
            # a Locator's table, once there, stays: a new database comes with a new Locator
            table = steered.table = self.locator.table(steered.service.name)
        address = int.from_bytes(net, "big") << 8
        if table is not None:
            class_id, scope = table.find(address, 4)
            answer = steered.ready.get(class_id)
            if answer is not None and now < answer.valid_until:
                if scope <= _BLOCK_BITS:
                    self._hold()
                    steered.blocks[net[:2]] = class_id, _BYTE[scope]
                return answer, _BYTE[scope]
        answer, _, scope = self._answer(steered, address, 4, 24, now)
        return answer, _BYTE[scope]

    def _answer(
        self, steered: Steered, address: int, family: int, source_length: int, now: float
    ) -> tuple[Answer, Hashable, int]:
        """The answer for a client, its key in `steered.ready`, and the scope in which every client gets it."""
        service = steered.service
        class_id, views, scope = self.locator.find(service.name, address, family, source_length)
        key: Hashable = class_id
        if class_id in steered.hashed:
            key = class_id, client_unit(address, family)
        answer = steered.ready.get(key) or steered.next_turn(key)
        if answer is None or now >= answer.valid_until:
            unit = client_unit(address, family)
            decision = decide(service, views, Client(unit), steered.family, self._world.status, now)
            if decision.hashed:
                self._hold()
                steered.hashed.add(class_id)
                key = class_id, unit
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
        texts = decision.addresses or [address for region in order for address in region.addresses(steered.family)]
        rdatas = [_packed(text) for text in dict.fromkeys(texts)][: min(decision.address_limit, ADDRESSES_MAX)]
        name = order[0].name if order and not decision.addresses else "other"
        return Answer(
            steered.reply,
            pieces(steered.reply, steered.name, (decision.ttl_s, rdatas)),
            valid_until=decision.valid_until,
            cell=self._counters.index("gslb_dns_answers_by_region_total", service=steered.service.name, region=name),
            hashed=decision.hashed,
        )

    def _hold(self) -> None:
        """Counts one more client; at the bound all are forgotten, and found again as they come."""
        self.held += 1
        if self.held > CLIENTS_MAX:
            self.evicted += self.held
            self.held = 1
            for steered in self._steered.values():
                steered.keys.clear()
                steered.blocks.clear()
                steered.forget()
