"""`geo`: rules from places to regions, for law and contracts rather than for distance.

The most specific rule that matches the client and still has a candidate wins: its subdivision (`US-CA`), its country,
its continent, then `default`; if none has a candidate, all candidates are kept. What wins is kept in the order that
the rule lists, the rest is cut; a ranking policy after it (`[geo, nearest]`) orders what is left. A client that can't
be located falls to `default`.

Continents and countries have keys of their own since their codes collide: AF AS NA SA are both. Codes: ISO 3166-1
alpha-2 countries, ISO 3166-2 subdivisions, GeoIP2's continents (AF AN AS EU NA OC SA). Source: Route 53's
geolocation routing.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, cast

from gslb.model import Candidate, Client, Location, Note, Region, Sifted
from gslb.steering.policy import POLICIES

CONTINENTS = ("AF", "AN", "AS", "EU", "NA", "OC", "SA")
_COUNTRY = re.compile(r"[A-Z]{2}")
_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")

Rules = dict[str, tuple[str, ...]]
Levels = tuple[str, str, str]  # the subdivision, the country and the continent with a rule for this client; "" if none


@POLICIES.register("geo")
@dataclass(frozen=True, slots=True)
class Geo:
    """Options: rules by `subdivisions`, `countries` and `continents`, each a code with its regions; and `default`."""

    name: ClassVar[str]
    subdivisions: Rules = field(default_factory=dict)
    countries: Rules = field(default_factory=dict)
    continents: Rules = field(default_factory=dict)
    default: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a code that no client could ever match."""
        for code in self.subdivisions:
            if not _SUBDIVISION.fullmatch(code):
                raise ValueError(f"{code!r} is no subdivision: write country and subdivision in capitals, as US-CA")
        for code in self.countries:
            if not _COUNTRY.fullmatch(code):
                raise ValueError(f"{code!r} is no country: write its two-letter ISO 3166-1 code in capitals, as DE")
        for code in self.continents:
            if code not in CONTINENTS:
                raise ValueError(f"{code!r} is no continent; known: {', '.join(CONTINENTS)}")

    def regions_named(self) -> frozenset[str]:
        """Every region that the options name."""
        rules: Iterable[tuple[str, ...]] = (
            *self.subdivisions.values(),
            *self.countries.values(),
            *self.continents.values(),
            self.default,
        )
        return frozenset(name for rule in rules for name in rule)

    def classify(self, location: Location | None, regions: tuple[Region, ...]) -> Levels:
        """The rules that match `location`."""
        if location is None:
            return ("", "", "")
        subdivision = f"{location.country}-{location.subdivision}"
        return (
            subdivision if subdivision in self.subdivisions else "",
            location.country if location.country in self.countries else "",
            location.continent if location.continent in self.continents else "",
        )

    def apply(self, candidates: tuple[Candidate, ...], view: Hashable, client: Client) -> Sifted:
        """The candidates of the winning rule."""
        by_name = {candidate.region.name: candidate for candidate in candidates}
        for rule, names in self._rules(cast("Levels", view)):
            # dict.fromkeys: a region that a rule names twice is one candidate
            kept = tuple(by_name[name] for name in dict.fromkeys(names) if name in by_name)
            if kept:
                chosen = {candidate.region.name for candidate in kept}
                return Sifted(
                    kept,
                    tuple(
                        Note("geo", name, name in chosen, f"{rule} {'names' if name in chosen else 'does not name'} it")
                        for name in by_name
                    ),
                )
        why = "no rule for this client has a region left: all are kept"
        return Sifted(candidates, tuple(Note("geo", name, kept=True, why=why) for name in by_name))

    def _rules(self, levels: Levels) -> Iterable[tuple[str, tuple[str, ...]]]:
        """The rules for a client, most specific first, each with what to call it."""
        subdivision, country, continent = levels
        if subdivision:
            yield f"subdivision {subdivision}", self.subdivisions[subdivision]
        if country:
            yield f"country {country}", self.countries[country]
        if continent:
            yield f"continent {continent}", self.continents[continent]
        yield "default", self.default
