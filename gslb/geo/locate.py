"""Where is this client, in the terms of a service's chain: its class, the chain's views of it, and the ECS scope.

For the data plane (DNS and the front door) and `explain`. Services whose chains see the same share everything. Until
the builder's table is installed the database's own networks serve: narrower scopes, a few microseconds more, the same
class for the same views.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace

from gslb.geo.database import Database
from gslb.geo.embedded import WHOLE_ADDRESS, is_embedded, scope_outside, shifted, unwrap
from gslb.geo.prefixes import ClassTable, build
from gslb.model import Location, Service
from gslb.steering.engine import views

PLACES_CACHED = 65_536  # places whose class is remembered, a chain

Views = tuple[Hashable, ...]


def chain_key(service: Service) -> Hashable:
    """What a chain's views depend on: equal keys, equal tables. The same in every process of a release.

    A policy's repr says all its options (see gslb.steering.policy).
    """
    return repr(service.chain), tuple((region.name, region.location) for region in service.regions)


class _Chain:
    """What the services of one chain key share. `views`, by class id, are as many as the database's places make."""

    __slots__ = ("_ids", "_places", "_service", "table", "views")

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ids: dict[Views, int] = {}
        self._places: dict[Location | None, int] = {}
        self.views: list[Views] = []
        self.table: ClassTable | None = None

    def views_of(self, place: Location | None) -> Views:
        return views(self._service, place)

    def class_of(self, place: Location | None) -> int:
        known = self._places.get(place)
        if known is None:
            known = self.intern(self.views_of(place))
            if len(self._places) >= PLACES_CACHED:
                self._places.clear()
            self._places[place] = known
        return known

    def intern(self, seen: Views) -> int:
        """The class id of `seen`, the same for as long as this object lives."""
        known = self._ids.setdefault(seen, len(self.views))
        if known == len(self.views):
            self.views.append(seen)
        return known

    def install(self, table: ClassTable) -> None:
        """Takes the builder's table; index 0 of its views is nobody's."""
        self.table = replace(table, ids=(-1, *(self.intern(seen) for seen in table.views[1:])))
        self._places.clear()


class Locator:
    """Finds clients for a fixed set of services over one database, or over none: then nobody is located."""

    def __init__(self, database: Database | None, services: Mapping[str, Service]) -> None:
        self._database = database
        self._by_key: dict[Hashable, _Chain] = {}
        self._chains: dict[str, _Chain] = {}
        for name, service in services.items():
            key = chain_key(service)
            if key not in self._by_key:
                self._by_key[key] = _Chain(service)
            self._chains[name] = self._by_key[key]
        if database is None:
            nowhere = build([(4, 0, 0, None), (6, 0, 0, None)], lambda place: place)
            for chain in self._by_key.values():
                chain.install(nowhere.regroup(chain.views_of))

    def chain_key(self, service: Service) -> Hashable:
        """See the function of this name."""
        return chain_key(service)

    def install(self, key: Hashable, table: ClassTable) -> None:
        """Takes the builder's table for a chain key; one that no service has (any more) is ignored."""
        chain = self._by_key.get(key)
        if chain is not None and self._database is not None:
            chain.install(table)

    def table(self, service_name: str) -> ClassTable | None:
        """The table of a service, whose `find` gives (class id, scope); None if it isn't there yet."""
        return self._chains[service_name].table

    def views(self, service_name: str, class_id: int) -> Views:
        """The chain's views of the clients of a class."""
        return self._chains[service_name].views[class_id]

    def find(self, service_name: str, address: int, family: int, source_length: int) -> tuple[int, Views, int]:
        """The class of a client of a service.

        Args:
            service_name: one of the services that this was made with.
            address: of the client or of its network, as a number.
            family: 4 or 6.
            source_length: how many bits of `address` are known; what is beyond is ignored.

        Returns:
            The class id, the chain's views, and the scope: every full-length client in that prefix has this class.
        """
        chain = self._chains[service_name]
        unknown = (32 if family == 4 else 128) - source_length
        if unknown:
            address = address >> unknown << unknown
        if chain.table is not None:
            class_id, scope = chain.table.find(address, family)
        else:
            place, scope = self.locate(address, family)
            class_id = chain.class_of(place)
        return class_id, chain.views[class_id], scope

    def locate(self, address: int, family: int) -> tuple[Location | None, int]:
        """Where a client is, and the length of the prefix around it of which that is true; embedded IPv4 unwrapped."""
        database = self._database
        if database is None:
            return None, 0
        if family == 4:
            return database.lookup(address, 4)
        if not is_embedded(address):
            place, length = database.lookup(address, 6)
            return place, max(length, scope_outside(address))
        client = unwrap(address)
        if client is None:
            return None, WHOLE_ADDRESS
        place, length = database.lookup(client[0], 4)
        return place, shifted(length, client[1])
