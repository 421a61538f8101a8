"""What `gslb geo lookup`, `build` and `measure` do. The work is geo's; this asks, shows and gives an exit code."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gslb.config.compile import geo_source
from gslb.config.load import load
from gslb.errors import GeoError, GslbError
from gslb.geo import build as builder
from gslb.geo.database import Database


def _configured(directory: Path) -> Path:
    source = geo_source(load(directory, environment=dict(os.environ)))
    if source is None:
        raise GeoError(f"{directory / 'gslb.yaml'} names no geo database: name a file with --database")
    return Path(source.path)


def lookup(text: str, database: Path | None, directory: Path, *, as_json: bool) -> int:
    """Where an address is: 0, or 1 if the database doesn't know."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise GslbError(f"{text!r} is not an IP address") from None
    path = database or _configured(directory)
    location, length = Database(str(path)).lookup(int(address), address.version)
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)
    if as_json:
        click.echo(json.dumps({"address": str(address), "network": str(network),
                               "location": asdict(location) if location else None}, indent=2))
    elif location is None:
        click.echo(f"{address}: not known (as is all of {network})")
    else:
        parts = [part for part in (location.country, location.subdivision, location.continent) if part]
        where = f"{location.latitude:.2f}, {location.longitude:.2f}"
        click.echo(f"{address}: {'/'.join(parts)} at {where} (network {network})")
    return 0 if location else 1


def build(sources: Sequence[Path], output: Path, *, size_bytes: int, as_json: bool) -> int:
    """Builds a compact database and shows what came out."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading", total=1.0)
        report = builder.build(
            sources, output, size_bytes=size_bytes,
            progress=lambda what, share: progress.update(task, description=what, completed=share),
        )
    _show(asdict(report), as_json=as_json)
    return 0


def measure(
    sources: Sequence[Path], database: Path, directory: Path, *, samples: int, seed: int, as_json: bool
) -> int:
    """Measures how often the nearest configured region agrees with the sources."""
    config = load(directory, environment=dict(os.environ))
    regions = [(name, one.location.latitude, one.location.longitude) for name, one in config.regions.items()]
    _show(asdict(builder.measure(database, sources, regions, samples=samples, seed=seed)), as_json=as_json)
    return 0


def _show(found: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    for key, value in found.items():
        click.echo(f"{key}: {value}")
