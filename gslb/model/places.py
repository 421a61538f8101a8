"""Where things are: locations, regions, and who asks. Everybody imports these from `gslb.model`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Location:
    """A point on Earth in degrees, with what the GeoIP database says of it ("" where it says nothing)."""

    latitude: float
    longitude: float
    country: str = ""  # ISO 3166-1 alpha-2
    continent: str = ""  # AF AN AS EU NA OC SA
    subdivision: str = ""  # ISO 3166-2 without the country, as "CA" for California


@dataclass(frozen=True, slots=True)
class Region:
    """One region: where it is and how clients reach it. Addresses are canonical text, IPv4 and IPv6 apart."""

    name: str
    location: Location
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]
    url: str
    capacity: float = 0.0  # requests a second; 0: not said

    def addresses(self, family: int) -> tuple[str, ...]:
        """The published addresses of `family`, 4 or 6."""
        return self.ipv4 if family == 4 else self.ipv6

    @property
    def authority(self) -> str:
        """`host[:port]` of `url` in lower case, as a Host field names this region."""
        return urlsplit(self.url).netloc.lower()


# ---------------------------------------------------------------- who asks
@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, as far as steering may know: a place and the unit of a client hash.

    `unit` is the client's /24 (IPv4) or /48 (IPv6) as an integer that differs between the families. `location` is
    for traces only: what steers is the views, which are made from it.
    """

    unit: int
    location: Location | None = None
