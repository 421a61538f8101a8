"""dns: a server is up if it answers a question over TCP, with an expected code and, if asked for, a record."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gslb.dns.lookup import UnusableReply, question, read
from gslb.health.check import CHECKS, Asked, Exchange, Reply, Result

TYPES = ("A", "AAAA", "SRV")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?").fullmatch
_NUMBER = 0  # of the question: a connection carries but this one


@CHECKS.register("dns")
@dataclass(frozen=True, slots=True)
class DnsCheck:
    """One question over TCP (RFC 7766), so that a resolver's or a server's whole way is tried.

    Attributes:
        query: the name that is asked for.
        record: A, AAAA or SRV.
        expect: an address, or a target, that the answer must hold; "" is any answer that has records.
    """

    query: str = "localhost"
    record: str = "A"
    expect: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be asked."""
        if not _NAME(self.query):
            raise ValueError(f"query {self.query!r} is no name in the DNS: write it in full, as www.example.com")
        if self.record not in TYPES:
            raise ValueError(f"record {self.record!r} is not one of {', '.join(TYPES)}")

    def request(self) -> Asked:
        """See Check."""
        wire = question(self.query, self.record, _NUMBER)
        return Exchange(len(wire).to_bytes(2, "big") + wire)

    def whole(self, data: bytes) -> bool:
        """Whether the answer is all there: its length goes before it."""
        return len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2], "big")

    def judge(self, reply: Reply) -> Result:
        """See Check."""
        try:
            said = read(reply.body[2 : 2 + int.from_bytes(reply.body[:2], "big")], self.query, self.record, _NUMBER)
        except UnusableReply as error:
            return Result(False, f"no answer of use: {str(error).splitlines()[0][:80]}")
        found = (*said.addresses, *(one.host for one in said.targets))
        if not found:
            return Result(False, f"no {self.record} records of {self.query}")
        if self.expect and self.expect.lower().removesuffix(".") not in found:
            return Result(False, f"{self.query} is {', '.join(found[:4])}, not {self.expect}")
        return Result(True, f"{self.query} is {', '.join(found[:4])}")
