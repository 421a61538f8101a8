"""The models of a node's registry of servers. See schema.py."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field

from gslb.config.values import Section
from gslb.units import Duration, Span


class RegistrySection(Section):
    """What a node remembers of its servers, in the state directory: those registered at run time, what each did."""

    retention: Annotated[Duration, Span("1m", "366d")] = Field(
        604_800.0, description="how long samples of what servers did are kept"
    )
    metrics_interval: Annotated[Duration, Span("1s", "1d")] = Field(
        10.0, description="time between two samples of a server that does something"
    )
    metrics_rows: Annotated[int, Ge(0), Le(10_000_000)] = Field(
        100_000, description="samples kept of all servers together; the oldest go first"
    )
