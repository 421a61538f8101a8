"""Simulated: observers that each lose half of their probes for ten minutes, and what they make of the regions.

`python -m tests.unit.health.test_loss [FIRST LAST]` repeats the figure of docs/health.md, in some minutes; the numbers
are seeds, 0 and 120.
"""

import random
import sys
from collections import Counter

from gslb.health.regions import ProbeOptions, Regions
from gslb.model import State

NAMES = ("eu", "us", "ap")
STEP_S, REPORT_S, SECONDS = 0.1, 0.5, 600
OBSERVERS = (1, 2, 3, 5)


def transitions(observers: int, seed: int, loss: float = 0.5) -> list[int]:
    """How often each observer changed its mind about each region. Regions' own heartbeats say that they are up."""
    rng = random.Random(seed)
    pictures = {f"edge-{number}": Regions(f"edge-{number}", ProbeOptions()) for number in range(observers)}
    for picture in pictures.values():
        picture.configure(NAMES, ProbeOptions())
        for name in NAMES:
            picture.probed(name, True, "", None, 0.0)
    due = {(node, name): rng.random() for node in pictures for name in NAMES}
    last, count = dict.fromkeys(due, State.UP), dict.fromkeys(due, 0)
    for step in range(1, int(SECONDS / STEP_S)):
        now = step * STEP_S
        for (node, name), at in due.items():
            if at <= now:
                picture = pictures[node]
                picture.probed(name, rng.random() >= loss, "", None, now)
                options = picture.options
                pause_s = options.fast_interval_s if picture.seen[name].tracker.changing else options.interval_s
                due[node, name] = now + pause_s
        if step % int(REPORT_S / STEP_S):
            continue
        views = {node: {"regions": picture.own_view()} for node, picture in pictures.items()}
        for node, picture in pictures.items():
            for peer, view in views.items():
                picture.viewed(peer, 1, step, view, now)
            for name in NAMES:
                picture.heard(f"{name}/a", 1, step, {"region": name, "state": "up"}, now)
            for name, status in picture.judge(now).items():
                if status.state is not last[node, name]:
                    last[node, name], count[node, name] = status.state, count[node, name] + 1
    return list(count.values())


def test_a_region_hardly_flaps_while_every_observer_loses_half_of_its_probes():
    """The bar is two; docs/health.md says what was seen over many runs. (5, 5) and (2, 33) had three once."""
    runs = [(observers, seed) for observers in OBSERVERS for seed in range(2)] + [(5, 5), (2, 33)]
    assert max(count for observers, seed in runs for count in transitions(observers, seed)) <= 2


def test_without_loss_nothing_changes():
    assert set(transitions(3, 1, loss=0.0)) == {0}


def test_a_probe_lost_now_and_then_changes_nothing():
    assert set(transitions(3, 1, loss=0.02)) == {0}


if __name__ == "__main__":
    seeds = range(*map(int, sys.argv[1:] or (0, 120)))
    found = Counter(count for observers in OBSERVERS for seed in seeds for count in transitions(observers, seed))
    held = sum(runs for count, runs in found.items() if count <= 2)
    print(f"at most 2 changes in {held / found.total():.2%} of {found.total()}: {sorted(found.items())}")
