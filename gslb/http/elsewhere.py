"""Which other region gets a straggler: a request that this one can't serve, since it drains or has no servers left.

One a worker. It asks the engine as the front door does, about services without this region, and remembers answers by
class of clients while a World is in force. The regions are the servers of pools of their own, with connections that
are kept. Only the proxy makes one; straggling.py carries out what it says.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from gslb.geo.locate import Locator
from gslb.http.forwarded import NOBODY, parse_address
from gslb.model import Client, Region, Server, State, Stragglers, World
from gslb.steering.engine import decide
from gslb.steering.hashing import client_unit

if TYPE_CHECKING:
    from gslb.http.links import PoolLinks
    from gslb.telemetry import Counters

ANSWERS_MAX = 16_384
_REFUSE = Stragglers("refuse")


class Place(NamedTuple):
    """Another region, and the pool whose server it is."""

    pool: PoolLinks
    server: Server
    region: Region


class Elsewhere:
    """The other regions as one worker sees them."""

    def __init__(self) -> None:
        self.pools: dict[str, PoolLinks] = {}
        self.draining = False  # every request is a straggler
        self.secret = b""
        self.rule = _REFUSE
        self._locator = Locator(None, {})
        self._world: World | None = None
        # None under (service, class): a hash decides there, so the answer stands under (service, class, unit)
        self._answers: dict[Hashable, tuple[str | None, float] | None] = {}

    def swap(self, world: World, pools: dict[str, PoolLinks], counters: Counters) -> None:
        """Serves by this World from now on; `pools`: of this Plan's stragglers."""
        balancer, before = world.plan.balancer, self._world
        assert balancer is not None
        self.pools = pools
        self.draining = world.status.draining and bool(balancer.stragglers.services)
        if before is None or before.plan is not world.plan or before.status.generation != world.status.generation:
            self._answers.clear()
        if before is None or before.plan is not world.plan:
            self.rule, self.secret = balancer.stragglers, world.plan.session_secret
            self._cells = {
                result: counters.index("gslb_stragglers_total", result=result)
                for result in ("proxied", "redirected", "nowhere", "second_hop")
            }
            self._counters = counters
            self._locator = Locator(None, self.rule.services)
        self._world = world

    def locate(self, locator: Locator) -> None:
        """Finds clients by this from now on. It is for the services of this Plan's stragglers."""
        self._locator = locator
        self._answers.clear()

    def states(self, world: World) -> Mapping[str, State]:
        """What isn't up, as `Status.servers` has it: regions are servers here."""
        return {
            f"{pool}/{name}": known.state
            for pool in self.pools
            for name, known in world.status.regions.items()
            if known.state is not State.UP
        }

    def count(self, result: str) -> None:
        """Counts what became of a straggler."""
        self._counters.cells[self._cells[result]] += 1

    # ------------------------------------------------------------ deciding
    def service(self, host: str) -> tuple[str, bool]:
        """The service that a Host (in lower case) asks for, "" if it can't go elsewhere; and whether it names it.

        A request that names none of the services names the region: it was sent here by the front door.
        """
        name, colon, port = host.rpartition(":")
        name = name if colon and (port.isdigit() or not port) else host
        name = name.rstrip(".")
        if name in self.rule.services:
            return name, True
        known = self._world is not None and name in self._world.plan.services
        return ("" if known else self.rule.own), False

    def find(self, service: str, address: bytes, now: float) -> Place | None:
        """The region that a client of a service goes to; None if no other one is up."""
        client = parse_address(address.decode("ascii", "replace")) or NOBODY
        family, number = client.version, int(client)
        class_id, views, _ = self._locator.find(service, number, family, client.max_prefixlen)
        key: Hashable = (service, class_id)
        answer = self._answers.get(key)
        if answer is None and key in self._answers:
            key = (service, class_id, client_unit(number, family))
            answer = self._answers.get(key)
        if answer is None or answer[1] <= now:
            answer = self._decide(service, class_id, views, client_unit(number, family), now)
        if answer[0] is None:
            return None
        pool = self.pools[self.rule.pool_of[service]]
        server = next((one for one in pool.state.usable_servers if one.id == answer[0]), None)
        region = next(one for one in self.rule.services[service].regions if one.name == answer[0])
        return None if server is None else Place(pool, server, region)

    def _decide(
        self, service: str, class_id: int, views: tuple[Hashable, ...], unit: int, now: float
    ) -> tuple[str | None, float]:
        assert self._world is not None
        decision = decide(self.rule.services[service], views, Client(unit), None, self._world.status, now)
        found = decision.outcome == "steered" and decision.regions
        answer = (decision.regions[0].name if found else None, decision.valid_until)
        if len(self._answers) >= ANSWERS_MAX:
            self._answers.clear()
        if decision.hashed:
            self._answers[service, class_id] = None
            self._answers[service, class_id, unit] = answer
        else:
            self._answers[service, class_id] = answer
        return answer
