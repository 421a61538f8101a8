"""The build of a GeoIP database of bounded size, from sources to a file in place.

For the command line, through `gslb.geo.build`. Steps: weigh the source's places, choose those to keep, read both
address families as trees of these, and make them fit.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gslb.errors import GeoError
from gslb.geo.build import fit, mmdb, places, prune
from gslb.geo.build.fit import Progress
from gslb.geo.build.sources import Place, Source, open_families

DEFAULT_SIZE_BYTES = 8 * 1024 * 1024
DATABASE_TYPE = "gslb-GeoIP2-City"  # readers of the City schema want "City" in the name
DESCRIPTION = "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0; coarsened by gslb to steer between regions"
RADIUS_KM = 25.0
BORDER_KM = {4: math.inf, 6: math.inf}
FAMILY_SHARE = {4: 0.75, 6: 0.25}  # how much a family's mistakes weigh


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build made: the file's size in bytes, what it holds, and how long it took."""

    destination: str
    size_bytes: int
    networks_v4: int
    networks_v6: int
    nodes: int
    places: int
    source_places: int
    price: float
    build_epoch: int  # Unix seconds, of the newest source
    duration_s: float

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


@dataclass
class Weighed:
    """The places of some sources: the weight of each, shares of one; and which record values stand for which."""

    weights: dict[Place, float] = field(default_factory=dict)
    by_value: dict[int, dict[int, Place]] = field(default_factory=dict)
    scales: dict[int, float] = field(default_factory=dict)


def build(
    sources: Sequence[Path],
    destination: Path,
    *,
    size_bytes: int = DEFAULT_SIZE_BYTES,
    progress: Progress | None = None,
) -> BuildReport:
    """Build a GeoIP2 City database of bounded size; the same sources give the same bytes.

    Args:
        sources: city databases (see `gslb.geo.build.sources`); each address family is read from the first that has it.
        destination: the file to write; replaced whole, or left as it was.
        size_bytes: the most that the file may have.
        progress: called with a stage's name and the fraction of all that is done.

    Raises:
        GeoError: a source can't be used, the size can't be met, or the destination can't be written.
    """
    started = time.monotonic()
    tell = progress or (lambda _stage, _done: None)
    with _no_collector():
        tell("open the sources", 0.0)
        families = open_families(sources)
        weighed = weigh(families, tell)
        tell(f"choose among {len(weighed.weights):,} places", 0.2)
        gazetteer, labels = places.gather(weighed.weights, RADIUS_KM)
        shapes: dict[int, prune.Shape] = {}
        for family, source in families.items():
            tell(f"read the IPv{family} networks", 0.3)
            of_value = {value: labels[place] for value, place in weighed.by_value[family].items()}
            shapes[family] = prune.read(source, family, of_value)
        build_epoch = max(source.build_epoch for source in families.values())
        source_places = len(weighed.weights)
        families.clear()  # a gigabyte that the search has better use for
        del weighed.weights, weighed.by_value, labels, source, of_value
        header = mmdb.Header(DATABASE_TYPE, DESCRIPTION, build_epoch)
        search = fit.Search(gazetteer, weighed.scales, BORDER_KM, header, size_bytes, tell)
        best = search.run(shapes)
    write_atomically(destination, best.file.content)
    tell("done", 1.0)
    return BuildReport(
        destination=str(destination),
        size_bytes=best.size_bytes,
        networks_v4=best.networks.get(4, 0),
        networks_v6=best.networks.get(6, 0),
        nodes=best.file.nodes,
        places=best.file.records,
        source_places=source_places,
        price=best.price,
        build_epoch=build_epoch,
        duration_s=round(time.monotonic() - started, 1),
    )


def weigh(families: Mapping[int, Source], tell: Progress) -> Weighed:
    """Every place that the sources name, with the share of all addresses that lies there.

    Raises:
        GeoError: a source is damaged, of another schema, or names no place at all.
    """
    result = Weighed()
    for family, source in families.items():
        tell(f"weigh the places of IPv{family}", 0.1)
        by_value = result.by_value[family] = {}
        values = places.weigh(source, family)
        for value in values:
            place = source.place(value)
            if place is not None:
                by_value[value] = places.simplified(place)
        total = sum(values[value] for value in by_value)
        scale = result.scales[family] = FAMILY_SHARE[family] / total if total else 0.0
        for value, place in by_value.items():
            result.weights[place] = result.weights.get(place, 0.0) + values[value] * scale
    if not result.weights:
        names = ", ".join(sorted({str(source.path) for source in families.values()}))
        raise GeoError(f"{names}: names no place; a city database is needed")
    return result


def write_atomically(destination: Path, content: bytes) -> None:
    """Put `content` in place of `destination` whole, or leave what is there.

    Raises:
        GeoError: the folder is missing or can't be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(destination)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or error
        raise GeoError(f"{destination}: can't be written ({reason}); name a file in a folder that can be") from error


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """The cycle collector off: the trees are millions of tuples without a cycle, which it would search in vain."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
