"""Making the GeoIP database that ships, and measuring it.

For the command line (`gslb geo build`, `gslb geo measure`, `python -m gslb.geo.build`); nothing that serves clients
imports it. A city database of a hundred megabytes becomes one of a few, by telling apart only what changes where
clients should go: `data/README.md` says how, and how well that works.
"""

from gslb.geo.build.agreement import (
    EIGHT_REGIONS,
    SAMPLE_REGIONS,
    Agreement,
    AgreementRow,
    measure,
)
from gslb.geo.build.middles import write_centroids
from gslb.geo.build.pipeline import DEFAULT_SIZE_BYTES, BuildReport, build

__all__ = [
    "DEFAULT_SIZE_BYTES",
    "EIGHT_REGIONS",
    "SAMPLE_REGIONS",
    "Agreement",
    "AgreementRow",
    "BuildReport",
    "build",
    "measure",
    "write_centroids",
]
