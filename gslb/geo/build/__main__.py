"""`python -m gslb.geo.build`: the build, its measure and the table of countries, as commands.

For whoever makes a release of the data; `gslb geo build` and `gslb geo measure` call the same functions.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gslb.errors import GeoError
from gslb.geo.build import DEFAULT_SIZE_BYTES, EIGHT_REGIONS, SAMPLE_REGIONS, build, measure, write_centroids


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 fine, 2 the words or the files are wrong."""
    parser = argparse.ArgumentParser(prog="python -m gslb.geo.build", description="The GeoIP database that ships.")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("database", help="make a GeoIP2 City database of bounded size")
    building.add_argument("sources", nargs="+", type=Path, metavar="SOURCE")
    building.add_argument("--output", type=Path, default=Path("data/gslb-geo.mmdb"))
    building.add_argument("--size-bytes", type=int, default=DEFAULT_SIZE_BYTES)
    measuring = commands.add_parser("measure", help="compare a database with its sources on random addresses")
    measuring.add_argument("sources", nargs="+", type=Path, metavar="SOURCE")
    measuring.add_argument("--database", type=Path, default=Path("data/gslb-geo.mmdb"))
    measuring.add_argument("--regions", choices=("sample", "eight"), default="sample")
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
    if options.command == "database":
        report = build(options.sources, options.output, size_bytes=options.size_bytes, progress=_tell)
        return report.to_dict()
    if options.command == "measure":
        regions = SAMPLE_REGIONS if options.regions == "sample" else EIGHT_REGIONS
        found = measure(
            options.database, options.sources, regions, samples=options.samples, seed=options.seed, progress=_tell
        )
        return found.to_dict()
    return {"countries": write_centroids(options.sources, options.output, progress=_tell)}


def _tell(stage: str, done: float) -> None:
    sys.stderr.write(f"{done:4.0%} {stage}\n")


if __name__ == "__main__":
    sys.exit(main())
