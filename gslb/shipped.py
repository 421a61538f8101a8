"""Where the sample configuration and the GeoIP database that travel with gslb are.

In a checkout they are the top-level `regions/` and `data/`; a wheel carries both in `gslb/_shipped/`, side by side as
in the checkout, so that `../data/gslb-geo.mmdb` in `gslb.yaml` holds in either. For the CLI and the demo, when no
`--config` is given and no `./regions` exists. Imports nothing of gslb.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _root() -> Path:
    packed = _PACKAGE / "_shipped"
    return packed if packed.is_dir() else _PACKAGE.parent


def regions_directory() -> Path:
    """The folder of the sample configuration. Read-only for its user: in a wheel it lies among the packages."""
    return _root() / "regions"


def geo_database() -> Path:
    """The GeoIP database that ships, in the GeoIP2-City schema."""
    return _root() / "data" / "gslb-geo.mmdb"
