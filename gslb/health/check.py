"""What a check is: options that say what to ask and judge the reply, and the registry that finds it by name.

A check is one file in `checks/`: a frozen dataclass whose fields are its options, registered under the name that
configuration (`type`), metrics and docs use. It judges purely; `runner.py` does its I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from gslb.registry import Registry

# No check sees more of a body than this, so none may look for more.
BODY_MAX_BYTES = 65_536
DAYS_MAX = 3650  # that a certificate may be asked to hold
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Request:
    """What to send once connected: an HTTP request without a body, its path relative to the target."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Bytes to send once connected; what comes back is read until the check's `whole` says so, or as far as it goes.

    `alpn`: the protocol that is asked for where the connection has TLS.
    """

    send: bytes
    alpn: str = "http/1.1"


@dataclass(frozen=True, slots=True)
class Handshake:
    """TLS to begin once connected, with `server_name` ("" is the target's own)."""

    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run, by its path and arguments. Its exit status is the reply's status, what it says the body."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back in time; of a bare connection, nothing but that it stood. `body` is cut at BODY_MAX_BYTES.

    `expires_in_s`: how long the certificate is still valid; None where there was none.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    expires_in_s: float | None = None


Asked = Request | Exchange | Handshake | Command | None


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one probe, and one line that says why."""

    ok: bool
    why: str


class Check(Protocol):
    """One way to tell whether a server is up: a frozen dataclass whose fields are its options.

    A refused connection, a timeout or a broken reply is a failure without asking the check.
    """

    name: ClassVar[str]

    def request(self) -> Asked:
        """What to send; None: that the connection stands is the whole probe. An Exchange needs a method `whole`."""

    def judge(self, reply: Reply) -> Result:
        """The verdict on a whole reply that came in time."""


CHECKS: Registry[Any] = Registry("check", "gslb.health.checks")
