"""The nouns that every room shares: frozen values without behaviour beyond what their fields imply.

Nothing here does I/O or knows a clock; any room may import this module, and it imports only the standard library.
The data plane reads one immutable `World`: a `Plan` (configuration, zones, geo: rarely new) and a `Status` (which
regions and servers are up, drained or forced: small). Both are swapped whole.
"""

from __future__ import annotations

from gslb.model.balancing import (
    Agent,
    Balancer,
    Connections,
    Discovery,
    HealthCheck,
    Pool,
    Queue,
    Retries,
    Server,
    SessionCookie,
    Sticky,
    Stragglers,
    Timeouts,
)
from gslb.model.guarding import BreakerRule, BreakerState, Gate, OutlierRule, SlowStart
from gslb.model.limits import Adaptive, ConcurrencyLimit, Limits, Priority, RateLimit, Shedding
from gslb.model.listening import UNIX, KeyPair, Listener, ListenTls, ServerTls
from gslb.model.places import Address, Client, Location, Region
from gslb.model.registering import ACTIVE, INACTIVE, MAINTENANCE, Registration
from gslb.model.routing import (
    CompressionRule,
    Condition,
    HeadEdits,
    Mirror,
    Redirect,
    Respond,
    Rewrite,
    Route,
    Split,
)
from gslb.model.scaling import ScalingDriver, ScalingRule, Thresholds
from gslb.model.steering import Candidate, Decision, Note, Policy, Record, Service, Sifted, State, WhenAllDown, Zone
from gslb.model.world import GeoSource, Plan, RegionStatus, Status, World

__all__ = [
    "ACTIVE",
    "INACTIVE",
    "MAINTENANCE",
    "UNIX",
    "Adaptive",
    "Address",
    "Agent",
    "Balancer",
    "BreakerRule",
    "BreakerState",
    "Candidate",
    "Client",
    "CompressionRule",
    "ConcurrencyLimit",
    "Condition",
    "Connections",
    "Decision",
    "Discovery",
    "Gate",
    "GeoSource",
    "HeadEdits",
    "HealthCheck",
    "KeyPair",
    "Limits",
    "ListenTls",
    "Listener",
    "Location",
    "Mirror",
    "Note",
    "OutlierRule",
    "Plan",
    "Policy",
    "Pool",
    "Priority",
    "Queue",
    "RateLimit",
    "Record",
    "Redirect",
    "Region",
    "RegionStatus",
    "Registration",
    "Respond",
    "Retries",
    "Rewrite",
    "Route",
    "ScalingDriver",
    "ScalingRule",
    "Server",
    "ServerTls",
    "Service",
    "SessionCookie",
    "Shedding",
    "Sifted",
    "SlowStart",
    "Split",
    "State",
    "Status",
    "Sticky",
    "Stragglers",
    "Thresholds",
    "Timeouts",
    "WhenAllDown",
    "World",
    "Zone",
]
