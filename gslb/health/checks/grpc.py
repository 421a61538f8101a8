"""grpc: a server is up if its health service says SERVING (gRPC Health Checking Protocol, grpc.health.v1).

One unary call over HTTP/2 on a connection of its own. The frames are the library h2's, and are made and read purely:
what is sent doesn't wait for what the server says, which RFC 9113 §3.4 allows.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gslb.health.check import CHECKS, Asked, Exchange, Reply, Result

if TYPE_CHECKING:
    from h2.connection import H2Connection

NAME_MAX = 256
PATH = "/grpc.health.v1.Health/Check"
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
# https://grpc.github.io/grpc/core/md_doc_statuscodes.html
CODES = {0: "OK", 5: "NOT_FOUND", 12: "UNIMPLEMENTED", 14: "UNAVAILABLE", 16: "UNAUTHENTICATED"}
_NAME = re.compile(r"[A-Za-z0-9._/-]*").fullmatch
_AUTHORITY = re.compile(r"[A-Za-z0-9._~:\[\]-]*").fullmatch


@dataclass(frozen=True, slots=True)
class _Answer:
    """What there is of a server's answer."""

    done: bool
    headers: dict[str, str]
    body: bytes
    why: str = ""  # it isn't one


@CHECKS.register("grpc")
@dataclass(frozen=True, slots=True)
class GrpcCheck:
    """One call of `Check`, over TLS where the pool's servers have it.

    Attributes:
        service: whose health is asked; "" is the server as a whole.
        authority: the :authority; "" is localhost.
    """

    service: str = ""
    authority: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for options that can't be meant."""
        if not _NAME(self.service) or len(self.service) > NAME_MAX:
            raise ValueError(f"service {self.service!r} is no service's name: write it as package.Service")
        if not _AUTHORITY(self.authority) or len(self.authority) > NAME_MAX:
            raise ValueError(f"authority {self.authority!r} is not a host name")

    def request(self) -> Asked:
        """See Check."""
        return Exchange(_call(self).data_to_send(), alpn="h2")

    def whole(self, data: bytes) -> bool:
        """Whether the answer is all there, or is none."""
        return _read(self, data).done

    def judge(self, reply: Reply) -> Result:
        """See Check."""
        answer = _read(self, reply.body)
        if answer.why or not answer.done:
            return Result(False, answer.why or "the connection ended before the answer did")
        if answer.headers.get(":status") != "200":
            return Result(False, f"status {answer.headers.get(':status', '?')[:3]}: this is no gRPC server")
        code = answer.headers.get("grpc-status", "?")
        if code != "0":
            said = CODES.get(int(code), code) if code.isdigit() and len(code) < 4 else "none that is a number"
            return Result(False, f"gRPC status {said}")
        status = _serving(answer.body)
        return Result(status == "SERVING", f"it is {status}")


def _call(check: GrpcCheck) -> H2Connection:
    """A connection on which the call was made."""
    from h2.config import H2Configuration  # noqa: PLC0415 - 20 ms of a start that seldom needs it
    from h2.connection import H2Connection  # noqa: PLC0415 - as the line above says

    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    connection.send_headers(
        1,
        [
            (":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", check.authority or "localhost"),
            ("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "gslb-health"),
        ],
    )  # fmt: skip
    name = check.service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    connection.send_data(1, b"\0" + struct.pack("!I", len(message)) + message, end_stream=True)
    return connection


def _varint(number: int) -> bytes:
    """As Protocol Buffers have it."""
    return bytes((number,)) if number < 128 else bytes((number & 127 | 128, number >> 7))


def _read(check: GrpcCheck, data: bytes) -> _Answer:
    """What the server has said in `data`, from the beginning: a check is pure and keeps nothing."""
    from h2 import events  # noqa: PLC0415 - see _call
    from h2.exceptions import ProtocolError  # noqa: PLC0415 - see _call

    connection = _call(check)
    headers: dict[str, str] = {}
    body = b""
    try:
        found = connection.receive_data(data)
    except ProtocolError as error:
        return _Answer(True, headers, body, f"no HTTP/2: {type(error).__name__}")
    except (UnicodeDecodeError, ValueError):
        return _Answer(True, headers, body, "no HTTP/2: a field that is no text")
    done = False
    for event in found:
        if isinstance(event, events.ResponseReceived | events.TrailersReceived):
            headers |= {str(name): str(value) for name, value in event.headers or ()}
        elif isinstance(event, events.DataReceived):
            body += event.data or b""
        elif isinstance(event, events.StreamEnded):
            done = True
        elif isinstance(event, events.StreamReset | events.ConnectionTerminated) and not done:
            return _Answer(True, headers, body, f"the server ended the call: HTTP/2 error {event.error_code}")
    return _Answer(done, headers, body)


def _serving(body: bytes) -> str:
    """The status in a HealthCheckResponse: field 1, a varint; not there is 0."""
    message = body[5:]
    if body[:1] != b"\0" or len(message) != int.from_bytes(body[1:5], "big"):
        return "in words that can't be read"
    if not message:
        return STATUSES[0]
    known = len(message) == 2 and message[0] == 8 and message[1] < len(STATUSES)
    return STATUSES[message[1]] if known else "in words that can't be read"
