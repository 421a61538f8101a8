"""`python -m gslb.geo.build`: what only a maker of a release of the data needs.

Building and measuring are `gslb geo build` and `gslb geo measure`. Here is the harder measure, which does not depend
on the configured regions, and the table of countries.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gslb.errors import GeoError
from gslb.geo.build import EIGHT_REGIONS, measure, write_centroids


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 fine, 2 the words or the files are wrong."""
    parser = argparse.ArgumentParser(prog="python -m gslb.geo.build", description="For releases of the GeoIP data.")
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("eight", help="measure a database by eight regions over the whole world")
    measuring.add_argument("sources", nargs="+", type=Path, metavar="SOURCE")
    measuring.add_argument("--database", type=Path, default=Path("data/gslb-geo.mmdb"))
    measuring.add_argument("--samples", type=int, default=100_000)
    measuring.add_argument("--seed", type=int, default=1)
    centring = commands.add_parser("centroids", help="make the table of countries")
    centring.add_argument("sources", nargs="+", type=Path, metavar="SOURCE")
    centring.add_argument("--output", type=Path, default=Path("gslb/geo/centroids.csv"))
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(_run(options), indent=2))  # noqa: T201 - a command prints
    except GeoError as error:
        parser.exit(2, f"{error}\n")
    return 0


def _run(options: argparse.Namespace) -> dict[str, object]:
    if options.command == "centroids":
        return {"countries": write_centroids(options.sources, options.output, progress=_tell)}
    samples, seed = options.samples, options.seed
    found = measure(options.database, options.sources, EIGHT_REGIONS, samples=samples, seed=seed, progress=_tell)
    return found.to_dict()


def _tell(stage: str, done: float) -> None:
    sys.stderr.write(f"{done:4.0%} {stage}\n")


if __name__ == "__main__":
    sys.exit(main())
