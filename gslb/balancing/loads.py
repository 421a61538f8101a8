"""What a server says of its own load, and how that is read from a response (ORCA).

`resource` picks by LoadReports. They come from the field FIELD of a response: `TEXT cpu_utilization=0.3, eps=2` or
`JSON {"cpu_utilization": 0.3}`, the per-request reports of ORCA (Envoy's orca_parser, gRPC's gRFC A51; names as in
xds.data.orca.v3.OrcaLoadReport). The binary form (`BIN`) is not read. Pure; the proxy calls `parse_report`, and
whoever learns of a load by other ways makes a LoadReport itself.

A report comes from a server that may be wrong: values that are no finite number within bounds are ignored and counted.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

FIELD = b"endpoint-load-metrics"
REPORT_BYTES_MAX = 4096
ENTRIES_MAX = 64
UTILISATION_MAX = 100.0  # of one: CPU above 1 is overload, above this it is a mistake
RATE_MAX = 1e9  # a second

_NUMBER = re.compile(r"\d{1,20}(?:\.\d{0,20})?(?:[eE][+-]?\d{1,3})?").fullmatch
_NAMES = {  # of ORCA, and as protobuf writes them in JSON
    "cpu_utilization": "cpu", "cpuUtilization": "cpu",
    "mem_utilization": "memory", "memUtilization": "memory",
    "application_utilization": "application", "applicationUtilization": "application",
    "rps_fractional": "rate", "rpsFractional": "rate",
    "eps": "errors",
}  # fmt: skip
_BOUND = {"cpu": UTILISATION_MAX, "memory": UTILISATION_MAX, "application": UTILISATION_MAX}


@dataclass(frozen=True, slots=True)
class LoadReport:
    """A server's load in its own words; None is unsaid.

    Attributes:
        cpu: the share of the CPU in use, 0 to 1 and beyond under overload.
        memory: the share of the memory in use, 0 to 1.
        application: the application's own figure of how busy it is; where it is there it counts alone.
        rate: requests a second.
        errors: of them, those that fail, a second.
    """

    cpu: float | None = None
    memory: float | None = None
    application: float | None = None
    rate: float | None = None
    errors: float | None = None

    def utilisation(self, memory_factor: float) -> float | None:
        """The application's own figure, else max(cpu, memory x memory_factor); None if nothing was said.

        0 is unsaid, as it is in ORCA's protobuf.
        """
        if self.application:
            return self.application
        return max(self.cpu or 0.0, (self.memory or 0.0) * memory_factor) or None


def parse_report(value: bytes) -> tuple[LoadReport | None, int]:
    """Reads the value of a FIELD.

    Returns:
        The report, None if there is nothing of use in it, and how many of its values were wrong (1 if it is no report).
    """
    if len(value) > REPORT_BYTES_MAX:
        return None, 1
    form, _, text = value.decode("latin-1").strip().partition(" ")
    if form == "TEXT":
        entries = _text(text)
    elif form == "JSON":
        entries = _json(text.strip())
    else:
        entries = None
    if entries is None or len(entries) > ENTRIES_MAX:
        return None, 1
    found: dict[str, float] = {}
    wrong = 0
    for name, said in entries:
        attribute = _NAMES.get(name)
        if attribute is None:
            continue  # metrics of the application's own, and what we have no use for
        number = _number(said, _BOUND.get(attribute, RATE_MAX))
        if number is None or attribute in found:
            wrong += 1
        else:
            found[attribute] = number
    return (LoadReport(**found) if found else None), wrong


def parse_body(body: bytes) -> tuple[LoadReport | None, int]:
    """The same for the body of an agent's answer: an object in JSON, or `name=value, …`."""
    text = body.strip()
    return parse_report((b"JSON " if text.startswith(b"{") else b"TEXT ") + text)


def _text(text: str) -> list[tuple[str, Any]] | None:
    """The entries of `name=value, name=value`; None if it is something else. Envoy also writes `name:value`."""
    entries: list[tuple[str, Any]] = []
    for piece in text.split(",", ENTRIES_MAX):
        name, sign, said = piece.replace(":", "=", 1).partition("=")
        if not sign:
            return None
        entries.append((name.strip(), said.strip()))
    return entries


def _json(text: str) -> list[tuple[str, Any]] | None:
    """The entries of an object, with names that come twice; None if it is something else."""
    try:
        pairs = json.loads(text, object_pairs_hook=list, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return pairs if text.startswith("{") else None


def _number(said: Any, bound: float) -> float | None:
    """A number from 0 to `bound`, or None."""
    if isinstance(said, str):  # in JSON, too: protobuf writes no number so, but reads it
        if not _NUMBER(said):
            return None
        said = float(said)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    return float(said) if 0 <= said <= bound and math.isfinite(said) else None
