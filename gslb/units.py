"""The units that people write in configuration: durations, percentages, rates. Pure; anybody may import it.

`Duration` and `Share` annotate a field of an option dataclass or of a pydantic model: the person writes `2s` or
`20%`, the code sees seconds or a fraction as float.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(\d{1,12})/(\d{0,6})(s|m|h|d)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
DURATION_MAX_S = 366 * 86400.0


def host_port(host: str, port: int) -> str:
    """`host:port` as a URL has it: an IPv6 address stands in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_duration(value: object) -> float:
    """Seconds of `500ms`, `2s`, `1h`, `1m30s`. Raises ValueError with an example for anything else."""
    if isinstance(value, str):
        text = value.strip()
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
            if seconds <= DURATION_MAX_S:
                return seconds
            raise ValueError(f"{value!r} is longer than a year")
    raise ValueError(f"{value!r} is not a duration: write a number with its unit, as 500ms, 2s, 1m30s or 1h")


def format_duration(seconds: float) -> str:
    """The shortest way to write `seconds` so that `parse_duration` gives it back (to the millisecond)."""
    millis = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if millis and millis % size == 0:
            return f"{millis // size}{unit}"
    return f"{millis}ms" if millis else "0s"


def parse_share(value: object) -> float:
    """The fraction of `20%` (0.2). Raises ValueError for anything else."""
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        return float(match[1]) / 100
    raise ValueError(f"{value!r} is not a percentage: write it as 20%")


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` in `period_s` seconds."""

    count: int
    period_s: float


def parse_rate(value: object) -> Rate:
    """The rate of `100/s`, `6000/m` or `10/30s`. Raises ValueError for anything else."""
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match and match[2] != "0" * len(match[2] or "1"):
        return Rate(int(match[1]), int(match[2] or 1) * _SECONDS[match[3]])
    raise ValueError(f"{value!r} is not a rate: write it as 100/s or 6000/m")


@dataclass(frozen=True, slots=True)
class Parsed:
    """Says to pydantic: run `parse` on what the file holds first. `example` goes into the generated reference."""

    parse: Callable[[object], float]
    example: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wraps the float schema; only called where pydantic is loaded, so that the core needs none.

        A bare number is refused, too: `2.5` of what?
        """
        from pydantic_core import core_schema  # noqa: PLC0415 - the core must not load pydantic

        return core_schema.no_info_before_validator_function(self.parse, handler(source))


@dataclass(frozen=True, slots=True)
class Span:
    """Bounds of a duration, as people write them; `whole`: in whole seconds, as in DNS. Stands behind `Duration`."""

    low: str
    high: str
    whole: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks what the duration's parser gave; only called where pydantic is loaded."""
        from pydantic_core import core_schema  # noqa: PLC0415 - the core must not load pydantic

        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def check(self, seconds: float) -> float:
        """`seconds`, if they are within. Raises ValueError in words for a person."""
        if not parse_duration(self.low) <= seconds <= parse_duration(self.high):
            raise ValueError(f"is out of bounds: write a duration from {self.low} to {self.high}")
        if self.whole and seconds != int(seconds):
            raise ValueError("is no whole number of seconds: TTLs and SOA timers count seconds: write 1s or more")
        return seconds


Duration = Annotated[float, Parsed(parse_duration, "2s")]
Share = Annotated[float, Parsed(parse_share, "20%")]
