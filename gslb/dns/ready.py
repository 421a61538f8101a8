"""What the responder remembers: ready answers, who is which client of a steered name, the shapes of queries. Pure.

Only `gslb.dns.responder` uses it. Everything here holds for one Plan; `Steered.forget` drops what holds for one Status.
"""

from __future__ import annotations

from collections.abc import Hashable

from gslb.dns.answers import Piece, Reply, counts, flags_of, heads, pieces, variant_of
from gslb.dns.edns import Edns, opt_record
from gslb.dns.wire import Query
from gslb.geo.prefixes import ClassTable
from gslb.steering.engine import ADDRESSES_MAX

_NET_24 = b"\0\x08\0\7\0\1\x18"  # a client subnet option up to its scope: IPv4, /24
_FIXED_BYTES = 12  # of a record: a pointer to its owner, type, class, TTL, length


class Answer:
    """An answer as bytes: its heads by variant, what follows the question; until when it is right; what counts it.

    `hashed`: a client hash decided, so a scope is at least the hash's unit.
    """

    __slots__ = ("cell", "hashed", "heads", "parts", "tail", "valid_until")

    def __init__(self, reply: Reply, parts: list[Piece], *, valid_until: float, cell: int, hashed: bool) -> None:
        """`parts` are `reply` as bytes; `valid_until` on the clock of `respond`; `cell` an index into the counters."""
        self.heads = heads(flags_of(reply), *counts(parts))
        self.parts = tuple(parts)
        self.tail = b"".join(wire for _, _, wire in parts)
        self.valid_until, self.cell, self.hashed = valid_until, cell, hashed


class Steered:
    """The answers of one service and family at one place: at its own name, or at the end of a CNAME chain.

    `ready` holds answers by key: the client's class, or (class, hash unit) where a client hash decides (`hashed` names
    those classes). `turning` holds, by key too, the answers that `weighted` takes in turn. `keys` has the key of each
    known source address, `blocks` the class and the scope of each IPv4 /16 that is known to be all one class.
    `table`: the chain's prefix table once it is there. `longest`: the most bytes that an answer has behind the
    question, its OPT left out.
    """

    __slots__ = (
        "blocks", "family", "hashed", "keys", "longest", "name", "ready", "reply", "service", "table", "turn",
        "turning",
    )  # fmt: skip

    def __init__(self, reply: Reply, name: bytes) -> None:
        """`reply` is what goes before the addresses, `name` the question's, lower-case."""
        assert reply.steered is not None
        self.service, self.family, _ = reply.steered
        self.reply, self.name, self.turn = reply, name, 0
        lead_bytes = sum(len(wire) for _, _, wire in pieces(reply, name))
        configured = sum(len(region.addresses(self.family)) for region in self.service.regions)
        addresses = min(configured + len(self.service.fallback), ADDRESSES_MAX)
        self.longest = lead_bytes + addresses * (_FIXED_BYTES + (4 if self.family == 4 else 16))
        self.keys: dict[str, Hashable] = {}
        self.blocks: dict[bytes, tuple[int, bytes]] = {}
        self.ready: dict[Hashable, Answer] = {}
        self.turning: dict[Hashable, tuple[Answer, ...]] = {}
        self.hashed: set[int] = set()
        self.table: ClassTable | None = None

    def next_turn(self, key: Hashable) -> Answer | None:
        """The next of the answers that are taken in turn, None where there are none."""
        answers = self.turning.get(key)
        if answers is None:
            return None
        self.turn += 1
        return answers[self.turn % len(answers)]

    def forget(self) -> None:
        """Drops what holds for one Status; where the known clients are stays known."""
        self.ready.clear()
        self.turning.clear()
        self.hashed.clear()


class Shape:
    """What a question's fixed bytes decide: the answer, or who knows it; the header's variant; the OPT.

    Whoever remembers one has made sure that every answer to it fits.
    """

    __slots__ = (
        "answer", "blocks", "keys", "opt", "opt_both", "opt_cookie", "opt_head", "opt_net", "options_bytes", "ready",
        "steered", "variant",
    )  # fmt: skip

    def __init__(self, query: Query, parsed: Edns | None, answer: Answer | None, steered: Steered | None) -> None:
        """Exactly one of `answer` and `steered` is there."""
        self.answer, self.steered = answer, steered
        self.ready: dict[Hashable, Answer] = steered.ready if steered else {}
        self.keys: dict[str, Hashable] = steered.keys if steered else {}
        self.blocks: dict[bytes, tuple[int, bytes]] = steered.blocks if steered else {}
        self.variant = variant_of(query.flags, edns=parsed is not None)
        self.options_bytes = len(query.opt[2]) if query.opt is not None else 0
        self.opt = opt_record(flags=parsed.flags) if parsed is not None else b""
        # the OPT up to what differs: its options' length and, of a client subnet of IPv4 with a /24, all but the end
        self.opt_head = self.opt[:-1]
        self.opt_cookie = self.opt_head + b"\x1c"
        self.opt_net = self.opt_head + b"\x0b" + _NET_24
        self.opt_both = self.opt_head + b"\x27" + _NET_24
