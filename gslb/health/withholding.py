"""How much health may take away at once: one observer's caution about many regions failing together. Pure.

A check that fails everywhere at the same time is itself the suspect: its path, its certificate, this observer's
firewall. So while more than `withdraw_max` of the capacity would go down within WINDOW_S by probes alone, the regions
beyond that are held at what they were, with an alarm, until one of these:

- it is confirmed: the region itself was heard through the shared store before, and has fallen silent, or says it has no
  servers; what it said by its probes is no second kind of evidence;
- `hold_s` is over: then it is believed, whatever it may be.

With fewer than three regions nothing is held: there is no telling a common cause from a single one. An operator's word
is obeyed at once. Control's picture of the regions calls `hold` with every judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gslb.model import RegionStatus, State

REGIONS_MIN = 3
WINDOW_S = 10.0


@dataclass(slots=True)
class Withholding:
    """One observer's. `held` is what it holds now, by region, and why: an alarm."""

    withdraw_max: float = 0.5
    hold_s: float = 30.0
    held: dict[str, str] = field(default_factory=dict)
    _before: dict[str, State] = field(default_factory=dict)  # as it was let through
    _fell: dict[str, float] = field(default_factory=dict)  # when a region was first judged down
    _withdrawn: dict[str, float] = field(default_factory=dict)  # when one was let down by probes alone

    def hold(
        self,
        found: Mapping[str, RegionStatus],
        capacities: Mapping[str, float],
        confirmed: Mapping[str, bool],
        now: float,
    ) -> dict[str, RegionStatus]:
        """`found` with the regions that are held as they were.

        Args:
            found: what the evidence says of every region.
            capacities: in requests a second; if one isn't said all count alike.
            confirmed: regions that are down by more than probes.
            now: seconds on a monotonic clock.
        """
        alike = any(not capacities.get(name) for name in found)
        weights = {name: 1.0 if alike else capacities[name] for name in found}
        total = sum(weights.values())
        self._withdrawn = {
            name: at for name, at in self._withdrawn.items()
            if name in found and found[name].state is State.DOWN and now - at <= WINDOW_S + self.hold_s
        }  # fmt: skip
        falling = [name for name, one in found.items() if one.state is State.DOWN and self._is_new(name)]
        self._fell = {name: self._fell.get(name, now) for name in falling}
        let = dict(found)
        self.held = {}
        for name in sorted(falling, key=lambda name: (self._fell[name], name)):
            fell = self._fell[name]
            with_it = [other for other, at in self._withdrawn.items() if abs(at - fell) <= WINDOW_S]
            gone = sum(weights[other] for other in with_it)
            believed = found[name].forced or confirmed.get(name, False) or now - fell >= self.hold_s
            if believed or len(found) < REGIONS_MIN or gone + weights[name] <= self.withdraw_max * total:
                if not found[name].forced:
                    self._withdrawn[name] = now
                continue
            lasts_s = self.hold_s - (now - fell)
            share = (gone + weights[name]) / total
            self.held[name] = f"{found[name].why}; but {share:.0%} of the capacity would be gone at once: suspect"
            let[name] = replace(
                found[name], state=self._before[name], why=f"held: {self.held[name]}", changes_in_s=max(0.0, lasts_s)
            )
        self._before = {name: one.state for name, one in let.items()}
        return let

    def _is_new(self, name: str) -> bool:
        """Whether a region that is judged down now was let through as something better before."""
        return self._before.get(name, State.DOWN) is not State.DOWN
