"""Names inside a zone: from what people write to absolute, lower-case names without their last dot. Pure."""

from __future__ import annotations

from collections.abc import Iterable

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


def zone_of(name: str, origins: Iterable[str]) -> str | None:
    """The longest of `origins` that a name is inside of."""
    return max((origin for origin in origins if inside(name, origin)), key=len, default=None)


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
