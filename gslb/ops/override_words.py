"""The words of the admin API about overrides and silences, as pydantic models.

What they mean is health/overrides.py's and node/alerting.py's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field, Strict

from gslb.config.values import Section
from gslb.health.overrides import PERCENT_MAX, TEXT_MAX, WEIGHT
from gslb.units import Duration, Span


class OverrideWords(Section):
    """One override. `action` "auto" takes back what was said of exactly this target."""

    target: Annotated[str, MinLen(1), MaxLen(800)]
    action: Literal["drain", "up", "down", "auto", "weight"]
    percent: Annotated[float, Strict(False), Ge(0), Le(PERCENT_MAX)] | None = None  # of a weight; None takes it back
    why: Annotated[str, MaxLen(TEXT_MAX)] = ""
    author: Annotated[str, MaxLen(TEXT_MAX)] = ""
    lasting: Annotated[Duration, Span("1s", "366d")] | None = Field(None, alias="for")
    break_glass: bool = False

    @property
    def _percent(self) -> str:
        return "auto" if self.percent is None else f"{self.percent:.2f}".rstrip("0").rstrip(".")

    def said(self) -> dict[str, Any]:
        """As node/overriding.py takes it."""
        return {
            "target": self.target,
            "action": self.action if self.action != "weight" else f"{WEIGHT}{self._percent}",
            "why": self.why,
            "author": self.author or "somebody",
            "for_s": self.lasting,
            "break_glass": self.break_glass,
        }


class SilenceWords(Section):
    """A silence of alerts. `for_s` 0 ends those of exactly this rule."""

    rule: Annotated[str, MinLen(1), MaxLen(64)] = "*"
    for_s: Annotated[float, Strict(False), Ge(0), Le(7 * 86_400)] = 3600.0
    why: Annotated[str, MaxLen(TEXT_MAX)] = ""
    author: Annotated[str, MaxLen(TEXT_MAX)] = "somebody"
