"""The model of a scheduled drill. See schema.py; what it means is docs/drills.md."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from gslb.config.values import Hint, Name, Section, Url, refusal
from gslb.units import Duration, Span

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)").fullmatch


def _clock(text: str) -> str:
    if not _CLOCK(text):
        raise refusal(f"{text!r} is no time of day", "write it as 03:30, in UTC")
    return text


class DrillSection(Section):
    """A drill that is run again and again, by `gslb drill --due`."""

    region: Name = Field(description="the region that is lost")
    kind: Literal["kill", "servers", "blackhole", "slow", "flap", "partition", "redis-loss", "down", "drain"] = Field(
        "down", description="what happens; `down` and `drain` need `node`, the others run in a cluster of their own"
    )
    node: Url | None = Field(None, description="an edge's admin URL: the real cluster is drilled")
    lasting: Annotated[Duration, Span("3s", "1h")] = Field(15.0, alias="for", description="how long it lasts")
    every: Annotated[Duration, Span("1h", "366d")] = Field(description="how often")
    at: Annotated[str, AfterValidator(_clock), Hint("time of day in UTC")] = Field(
        "00:00", description="not before this time of day"
    )

    @model_validator(mode="after")
    def _fits(self) -> DrillSection:
        if (self.node is not None) != (self.kind in {"down", "drain"}):
            raise refusal(
                f"kind {self.kind} does not go with this target",
                "down and drain are for a real cluster, by its `node`; the others need none",
            )
        return self

    def scheduled(self) -> dict[str, Any]:
        """As drill/history.py's `due` takes it."""
        hour, minute = self.at.split(":")
        at_minute = int(hour) * 60 + int(minute)
        return {"region": self.region, "kind": self.kind, "every_s": self.every, "at_minute": at_minute}
