"""What the responder remembers: ready answers, who is which client of a steered name, the shapes of queries. Pure.

Only `gslb.dns.responder` uses it. Everything here holds for one Plan; `Steered.forget` drops what holds for one Status.
"""

from __future__ import annotations

from collections.abc import Hashable

from gslb.dns.answers import Piece, Reply, flags_of, heads, pieces, variant_of
from gslb.dns.edns import Edns, opt_record
from gslb.dns.wire import Query
from gslb.steering.engine import ADDRESSES_MAX

NOWHERE = 0  # the cell of counters that nobody reads (gslb.telemetry.SCRATCH_CELLS)


_FIXED_BYTES = 12  # of a record: a pointer to its owner, type, class, TTL, length


def most_addresses(reply: Reply) -> int:
    """How many addresses a steered reply can ever hold; 0 makes it NODATA for everybody, whatever the Status says.

    The fallback does not count: it speaks only while some configured region has an address of the family.
    """
    if reply.steered is None:
        return 0
    service, family, _ = reply.steered
    configured = sum(len(region.addresses(family)) for region in service.regions)
    return min(configured + len(service.fallback), ADDRESSES_MAX) if configured else 0


class Answer:
    """An answer as bytes: its heads by variant, what follows the question; until when it is right; what counts it.

    `hashed`: a client hash decided, so a scope is at least the hash's unit.
    """

    __slots__ = ("cell", "hashed", "heads", "parts", "tail", "valid_until")

    def __init__(self, reply: Reply, parts: list[Piece], *, valid_until: float, cell: int, hashed: bool) -> None:
        """`parts` are `reply` as bytes; `valid_until` on the clock of `respond`; `cell` an index into the counters."""
        counts = [sum(number for section, number, _ in parts if section == which) for which in range(3)]
        self.heads = heads(flags_of(reply), *counts)
        self.parts = tuple(parts)
        self.tail = b"".join(wire for _, _, wire in parts)
        self.valid_until, self.cell, self.hashed = valid_until, cell, hashed


class Steered:
    """The answers of one service and family at one place: at its own name, or at the end of a CNAME chain.

    `ready` holds answers by key: the client's class, or (class, hash unit) where a client hash decides (`hashed` names
    those classes). `turning` holds, by key too, the answers that `weighted` takes in turn. `keys` has the key of each
    known source address.
    """

    __slots__ = ("family", "hashed", "keys", "longest", "name", "ready", "reply", "service", "turn", "turning")

    def __init__(self, reply: Reply, name: bytes) -> None:
        """`reply` is what goes before the addresses, `name` the question's, lower-case."""
        assert reply.steered is not None
        self.service, self.family, _ = reply.steered
        self.reply, self.name, self.turn = reply, name, 0
        lead_bytes = sum(len(wire) for _, _, wire in pieces(reply, name))
        self.longest = lead_bytes + most_addresses(reply) * (_FIXED_BYTES + (4 if self.family == 4 else 16))
        self.keys: dict[str, Hashable] = {}
        self.ready: dict[Hashable, Answer] = {}
        self.turning: dict[Hashable, tuple[Answer, ...]] = {}
        self.hashed: set[int] = set()

    def forget(self) -> None:
        """Drops what holds for one Status; where the known clients are stays known."""
        for held in (self.ready, self.turning):
            held.clear()
        self.hashed.clear()


class Shape:
    """What a question's fixed bytes decide: the answer, or who knows it; the header's variant; the OPT.

    Whoever remembers one has made sure that every answer to it fits.
    """

    __slots__ = ("answer", "keys", "opt", "opt_head", "options_bytes", "ready", "steered", "variant")

    def __init__(self, query: Query, parsed: Edns | None, answer: Answer | None, steered: Steered | None) -> None:
        """Exactly one of `answer` and `steered` is there."""
        self.answer, self.steered = answer, steered
        self.ready: dict[Hashable, Answer] = steered.ready if steered else {}
        self.keys: dict[str, Hashable] = steered.keys if steered else {}
        self.variant = variant_of(query.flags, edns=parsed is not None)
        self.options_bytes = len(query.opt[2]) if query.opt is not None else 0
        self.opt = opt_record(flags=parsed.flags) if parsed is not None else b""
        self.opt_head = self.opt[:-1]  # all but the low byte of the options' length
