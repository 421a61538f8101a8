"""Every word of the configuration as pydantic models, by file; this module is their one address.

`Config` is what `load` returns: `gslb.yaml`, every region's file, and the records of master files. All is frozen and
picklable. The models refuse unknown keys and take values as JSON has them (no text becomes a number); every field's
description goes into docs/configuration.md (reference.py). Anybody above `config` may read these.
"""

from __future__ import annotations

from pydantic import Field

from gslb.config.schema_cluster import (
    AdminSection,
    AllDown,
    ClusterFile,
    DnsSection,
    EdgeSection,
    FrontDoorSection,
    GeoSection,
    LogSection,
    ProbeSection,
    RecordSection,
    SecretsSection,
    ServiceSection,
    StateSection,
    TtlSection,
    ZoneSection,
)
from gslb.config.schema_limits import AdaptiveSection, LimitSection, SheddingSection
from gslb.config.schema_listen import CertificateSection, ListenSection, ListenTlsSection, ServerTlsSection
from gslb.config.schema_match import MatchSection, Regex
from gslb.config.schema_pool import Health, HealthTimes, PoolSection, RetriesSection, ServerSection, StickySection
from gslb.config.schema_region import BalancerSection, LocationSection, RegionFile, TimeoutsSection
from gslb.config.schema_registry import RegistrySection
from gslb.config.schema_routes import RouteSection
from gslb.model import Record

MAIN_FILE = "gslb.yaml"


class Config(ClusterFile):
    """The whole configuration, checked."""

    regions: dict[str, RegionFile] = Field({}, description="the regions by name, in the order of their files' names")
    zone_records: dict[str, tuple[Record, ...]] = Field({}, description="each zone's records, master files included")


__all__ = [
    "MAIN_FILE",
    "AdaptiveSection",
    "AdminSection",
    "AllDown",
    "BalancerSection",
    "CertificateSection",
    "ClusterFile",
    "Config",
    "DnsSection",
    "EdgeSection",
    "FrontDoorSection",
    "GeoSection",
    "Health",
    "HealthTimes",
    "LimitSection",
    "ListenSection",
    "ListenTlsSection",
    "LocationSection",
    "LogSection",
    "MatchSection",
    "PoolSection",
    "ProbeSection",
    "RecordSection",
    "Regex",
    "RegionFile",
    "RegistrySection",
    "RetriesSection",
    "RouteSection",
    "SecretsSection",
    "ServerSection",
    "ServerTlsSection",
    "ServiceSection",
    "SheddingSection",
    "StateSection",
    "StickySection",
    "TimeoutsSection",
    "TtlSection",
    "ZoneSection",
]
