"""What an algorithm is: options that build a picker, and the registry that finds it by name.

An algorithm is one file in `algorithms/`: a frozen dataclass whose fields are its options, registered under the name
that configuration, metrics and docs use. Configuration reads the registry; `pool.PoolState` builds the picker.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, ClassVar, Protocol, runtime_checkable

from gslb.balancing.loads import LoadReport
from gslb.balancing.places import Places
from gslb.model import Server
from gslb.registry import Registry

# Servers that one pick looks at before it gives up; PoolState then takes any server that is left.
PICK_TRIES_MAX = 16


class Picker(Protocol):
    """Chooses among the usable servers of one pool in one worker. Mutable, never shared between workers.

    What it knows of a server is keyed by `Server.id` and survives `update`. Every method but `update` is O(1) or
    O(log n) in the number of servers.
    """

    def pick(self, key: bytes | int | None, now: float, skip: Container[str]) -> Server | None:
        """The server for a request.

        Args:
            key: what a hashing algorithm hashes (a client's address, a cookie); None where there is nothing.
            now: seconds on a monotonic clock.
            skip: server ids that may not be picked: already tried, or full.

        Returns:
            None if there is no server, or none within PICK_TRIES_MAX looks that isn't in `skip`.
        """

    def started(self, server: Server) -> None:
        """A request was given to `server`, which a later Status may have taken from this picker."""

    def ended(self, server: Server) -> None:
        """That request is over, however it went. One too many is ignored."""

    def update(self, servers: tuple[Server, ...]) -> None:
        """From now on these are the usable servers; ids are unique and weights at least 1."""


class Observer(Picker, Protocol):
    """A picker that learns from response times: what an algorithm with `observes = True` builds."""

    def observe(self, server_id: str, seconds: float, ok: bool, now: float) -> None:
        """A try at a server is over and `ended` was called, or is about to be.

        Args:
            server_id: which; one that this picker doesn't know is ignored.
            seconds: from giving the request to the server to the end of its response, or to the failure.
            ok: whether there was a whole response, whatever its status; False for a failed connect, a reset, a
                timeout or a response that is no HTTP. A try that the client gave up is not told.
            now: seconds on the clock of `pick`.
        """


class Listener(Picker, Protocol):
    """A picker that learns from what servers say of their load: what an algorithm with `reports = True` builds."""

    def report(self, server_id: str, load: LoadReport, now: float) -> None:
        """A server's own word on its load, by a response or by any other way.

        Args:
            server_id: which; one that this picker doesn't know is ignored.
            load: what it says.
            now: when it was heard, in seconds on the clock of `pick`.
        """


@runtime_checkable
class Placing(Protocol):
    """A Picker that also wants to know the servers that are not usable just now: where they are is kept for them."""

    def place(self, servers: tuple[Server, ...]) -> None:
        """All servers of the pool with a weight, in the order of the configuration; `update` follows at once."""


@runtime_checkable
class Sharing(Protocol):
    """A Picker that goes by what all workers of the node have running, where loads are bounded."""

    def count_in(self, places: Places) -> None:
        """Where that is counted."""


class Algorithm(Protocol):
    """One way to choose a server: a frozen dataclass whose fields are its options (see balancing/algorithms/).

    It may have a class attribute `observes = True` (its pickers are Observers) or `reports = True` (Listeners); without
    them nothing is measured and no response is searched.
    """

    name: ClassVar[str]

    def build(self, servers: tuple[Server, ...]) -> Picker:
        """A new picker over `servers`, for one worker."""


ALGORITHMS: Registry[Any] = Registry("algorithm", "gslb.balancing.algorithms")
