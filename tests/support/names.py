"""A resolver for tests, on UDP and TCP, encoding by dnspython; its records change as a test says."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class Names:
    """`with Names() as names: names.rows = {("app.example.com", "A"): (ttl_s, ["192.0.2.1"])}`"""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.rcode = dns.rcode.NOERROR
        self.silent = False
        self.udp_max = 1232
        self.asked: list[tuple[str, str, str]] = []

    def __enter__(self) -> Self:
        self._bind()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()
        return self

    def _bind(self) -> None:
        """A port that is free for both; the kernel's choice for one may be taken for the other."""
        for _ in range(50):
            self._tcp = socket.create_server(("127.0.0.1", 0))
            self.port = self._tcp.getsockname()[1]
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self._udp.bind(("127.0.0.1", self.port))
            except OSError:
                self._udp.close()
                self._tcp.close()
            else:
                return
        raise AssertionError("no port is free for both UDP and TCP")

    def __exit__(self, *_: object) -> None:
        self._tcp.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", self.port))  # ends its thread
        for thread in self._threads:
            thread.join(5)
        self._udp.close()
        self._tcp.close()

    def _answer(self, wire: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        asked = query.question[0]
        name, kind = str(asked.name).rstrip(".").lower(), dns.rdatatype.to_text(asked.rdtype)
        self.asked.append((name, kind, transport))
        if self.silent:
            return None
        reply = dns.message.make_response(query)
        reply.set_rcode(self.rcode)
        if self.rcode == dns.rcode.NOERROR and (name, kind) in self.rows:
            ttl_s, values = self.rows[name, kind]
            reply.answer.append(dns.rrset.from_text(asked.name, ttl_s, "IN", kind, *values))
        packed = reply.to_wire(max_size=65_535)
        if transport == "udp" and len(packed) > self.udp_max:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            packed = reply.to_wire(max_size=65_535)
        return packed

    def _serve_udp(self) -> None:
        while True:
            wire, peer = self._udp.recvfrom(4096)
            if not wire:
                return
            reply = self._answer(wire, "udp")
            if reply is not None:
                self._udp.sendto(reply, peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            with sock:
                (length,) = struct.unpack("!H", sock.recv(2, socket.MSG_WAITALL))
                reply = self._answer(sock.recv(length, socket.MSG_WAITALL), "tcp")
                if reply is not None:
                    sock.sendall(struct.pack("!H", len(reply)) + reply)


