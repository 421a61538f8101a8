"""What a server is, of all that is said of it: one table, the first row that speaks wins. Pure; the region's side asks.

| row | speaks when | the server is |
| --- | --- | --- |
| forced | an operator said so (drain, force up, force down) | that |
| checks | its checks have taken it down | down |
| agent | its agent says down | down |
| maintenance | the registry, or the end of its scaling, has it drain | draining |
| agent | its agent says drain or maint | draining |
| checks | else | up, or unknown until they decide |

A server without checks is up for them. Breakers and ejections are not here: they come and go with requests.
"""

from __future__ import annotations

from dataclasses import dataclass

from gslb.model import State


@dataclass(frozen=True, slots=True)
class Said:
    """All that is said of one server, None where nothing is. `checks` is UNKNOWN, UP or DOWN; `agent` no UP."""

    checks: State = State.UP
    maintenance: bool = False
    agent: State | None = None
    forced: State | None = None


def standing(said: Said) -> State:
    """What the server is by the table above."""
    if said.forced is not None:
        return said.forced
    if State.DOWN in (said.checks, said.agent):
        return State.DOWN
    if said.maintenance or said.agent is State.DRAINING:
        return State.DRAINING
    return said.checks
