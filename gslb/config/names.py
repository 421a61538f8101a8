"""Names inside a zone: from what people write to absolute, lower-case names without their last dot. Pure."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable

from gslb.config.schema_cluster import RecordSection, ZoneSection
from gslb.model import Record


def absolute(name: str, origin: str) -> str:
    """`@`, `www` and `www.example.com.` in the zone example.com."""
    if name == "@":
        return origin
    return name.removesuffix(".") if name.endswith(".") else f"{name}.{origin}"


def inside(name: str, origin: str) -> bool:
    """Whether an absolute name is the zone's or below it."""
    return name == origin or name.endswith(f".{origin}")


def zone_of(name: str, origins: Container[str]) -> str | None:
    """The longest of `origins` that a name is inside of."""
    while name not in origins:
        _, _, name = name.partition(".")
        if not name:
            return None
    return name


def by_zone(names: Iterable[str], origins: Collection[str]) -> dict[str, list[str]]:
    """For each of `origins` the names that are in it and in none below it."""
    found: dict[str, list[str]] = {origin: [] for origin in origins}
    for name in names:
        origin = zone_of(name, found)
        if origin is not None:
            found[origin].append(name)
    return found


def inline(record: RecordSection, origin: str, zone: ZoneSection) -> Record:
    """A record of the files as the model has it."""
    ttl = zone.ttl if record.ttl is None else record.ttl
    return Record(absolute(record.name, origin), record.type, int(ttl), record.data)


def nameservers(zone: ZoneSection, origin: str) -> dict[str, tuple[str, ...]]:
    """Absolute host names to glue."""
    return {absolute(name, origin): addresses for name, addresses in zone.nameservers.items()}


def mailbox(contact: str, origin: str) -> str:
    """RNAME of a mail address (RFC 1035 §8): relative to the origin, or absolute with its last dot."""
    local, at, domain = contact.partition("@")
    escaped = local.replace("\\", "\\\\").replace(".", "\\.")
    if not at or domain.lower().removesuffix(".") == origin:
        return escaped
    return f"{escaped}.{domain.removesuffix('.')}."
