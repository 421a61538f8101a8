"""Every error that gslb raises on purpose, as one tree.

    GslbError
    ├── ConfigError          the words or the files are wrong; carries Problems (file, line, message, remedy)
    ├── UnknownName          a policy, algorithm, check or store that nobody registered
    ├── GeoError             a GeoIP database is missing, broken or of the wrong kind
    ├── StateError           the state directory can't be used
    │   ├── StateLocked      another node holds it
    │   ├── StoreUnavailable the shared store does not answer (the caller goes on with what it has)
    │   └── RegistryUnavailable the registry of servers can't be read or written now
    ├── ChangeRefused        a change of a server that can't be made; carries the status to answer and the field
    ├── WireError            a DNS packet that can't be read; carries the RCODE to answer with
    ├── TlsError             a certificate, a key or an authority's file can't be used; says what would be right
    ├── HttpError            a peer broke HTTP; carries whom to blame, the status to answer and may_retry
    └── NodeError            a node can't start, or a process of it failed

Errors carry what a shell needs to answer: shells translate, they don't decide. Anybody may import this module;
it imports nothing of gslb.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class GslbError(Exception):
    """The root: `str()` is one line that a person can act on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration.

    `file` and `line` (1-based, 0 when unknown) say where, `path` is the dotted key, `remedy` what would be right.
    `kind` is "invalid" for a mistake and "unbuilt" for a key that this release does not have yet.
    """

    file: str
    line: int
    path: str
    message: str
    remedy: str = ""
    kind: str = "invalid"

    def __str__(self) -> str:
        """`file:line: path: message (remedy)`."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        path = f" {self.path}:" if self.path else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{where}:{path} {self.message}{remedy}"


class ConfigError(GslbError):
    """The configuration can't be used; `problems` holds every mistake found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UnknownName(GslbError):
    """`unknown policy 'nearst'; did you mean 'nearest'? known: failover, geo, …`."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        close = difflib.get_close_matches(name, self.known, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        super().__init__(f"unknown {kind} {name!r}; {hint}known: {', '.join(self.known)}")


class GeoError(GslbError):
    """A GeoIP database is missing, broken or of the wrong kind; names the file and the remedy."""


class StateError(GslbError):
    """The state directory can't be used."""


class StateLocked(StateError):
    """Another node holds the state directory."""


class StoreUnavailable(StateError):
    """The shared store does not answer; the caller goes on with what it has."""


class RegistryUnavailable(StateError):
    """The registry of servers can't be read or written now; traffic goes on, changes wait. `corrupt`: it is broken."""

    def __init__(self, message: str, *, corrupt: bool = False) -> None:
        self.corrupt = corrupt
        super().__init__(message)


class ChangeRefused(GslbError):
    """A change of a server that can't be made.

    `status` is 400 (the words are wrong), 404 (there is no such server) or 409 (it is not in a state for that);
    `field` the word that is wrong, "" for none.
    """

    def __init__(self, message: str, status: int, field: str = "") -> None:
        self.status, self.field = status, field
        super().__init__(message)


class WireError(GslbError):
    """A DNS packet that can't be read. `rcode` is the answer it deserves (RFC 1035 §4.1.1, RFC 6891 §6.1.3)."""

    def __init__(self, message: str, rcode: int = 1) -> None:
        self.rcode = rcode
        super().__init__(message)


class TlsError(GslbError):
    """A certificate, a key, a passphrase or an authority's file can't be used.

    `remedy` is what would be right; `part` which of "certificate", "key", "passphrase_file" and "ca" is to blame.
    """

    def __init__(self, message: str, remedy: str, part: str = "certificate") -> None:
        self.remedy, self.part = remedy, part
        super().__init__(message)


class HttpError(GslbError):
    """A peer broke HTTP, or could not be reached.

    `blame` is "client", "server" or "us"; `status` what to answer the client with; `may_retry` whether another
    server may be tried without repeating an effect; `reason` the code that the answer carries ("bad_chunk").
    """

    def __init__(
        self, message: str, *, blame: str, status: int, may_retry: bool = False, reason: str = "bad_request"
    ) -> None:
        self.blame, self.status, self.may_retry, self.reason = blame, status, may_retry, reason
        super().__init__(message)


class NodeError(GslbError):
    """A node can't start, or a process of it failed for good."""
