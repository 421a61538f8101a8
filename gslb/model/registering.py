"""What is said of a server at run time. Everybody imports these from `gslb.model`."""

from __future__ import annotations

from dataclasses import dataclass

ACTIVE, INACTIVE, MAINTENANCE = "ACTIVE", "INACTIVE", "MAINTENANCE"


@dataclass(frozen=True, slots=True)
class Registration:
    """One row of a node's registry: a server registered at run time, or what is changed of a declared one.

    None is "not said": what the files declare counts, else the default. `host` and `port` are None in a row that
    only changes a declared server. `status`: ACTIVE, INACTIVE (not used) or MAINTENANCE (no new requests).
    `health_check_url`: a path, or a whole http or https URL. Times in Unix seconds.
    """

    pool: str
    server_id: str
    host: str | None = None
    port: int | None = None
    weight: int | None = None
    max_connections: int | None = None
    health_check_url: str | None = None
    timeout_ms: int | None = None
    protocol: str | None = None
    status: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    priority: int | None = None
    zone: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Pool and server id: ids are unique within a pool."""
        return self.pool, self.server_id
