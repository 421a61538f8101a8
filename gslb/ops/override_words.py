"""The words of the admin API about overrides, as a pydantic model. See health/overrides.py for what they mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import MaxLen, MinLen
from pydantic import Field

from gslb.config.values import Section
from gslb.health.overrides import TEXT_MAX
from gslb.units import Duration, Span


class OverrideWords(Section):
    """One override. `action` "auto" takes back what was said of exactly this target."""

    target: Annotated[str, MinLen(1), MaxLen(800)]
    action: Literal["drain", "up", "down", "auto"]
    why: Annotated[str, MaxLen(TEXT_MAX)] = ""
    author: Annotated[str, MaxLen(TEXT_MAX)] = ""
    lasting: Annotated[Duration, Span("1s", "366d")] | None = Field(None, alias="for")
    break_glass: bool = False

    def said(self) -> dict[str, Any]:
        """As node/overriding.py takes it."""
        return {
            "target": self.target,
            "action": self.action,
            "why": self.why,
            "author": self.author or "somebody",
            "for_s": self.lasting,
            "break_glass": self.break_glass,
        }
