"""What each server did: a worker's tallies, what it tells control of them, and control's totals. Core.

A tally is a list that the proxy adds to: two adds a request. Once a second a worker tells what changed, as one bounded
message of numbers since its start, so that a lost message loses nothing; control sums the workers.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

TOLD_MAX = 10_000  # servers in one message; the others are told with the next
# Places in a tally. 1 to 5 count answers by the class of their status.
LOST = 0  # tries without a whole answer: refused, reset, timed out, broken off
SECONDS = 6  # of all answers together
BEGUN = 7  # which tally of this process it is: a server that left and came back begins another
_serial = itertools.count(1)

Tally = list[float]  # whole numbers but for the seconds
Tallies = defaultdict[str, Tally]  # by server id
Said = tuple[float | None, float | None]  # CPU and memory in use, as a server says
SILENT: Said = (None, None)


def new_tallies() -> Tallies:
    """A pool's; a tally begins with its server's first request."""
    return defaultdict(lambda: [0, 0, 0, 0, 0, 0, 0, next(_serial)])


@dataclass(frozen=True, slots=True)
class Counted:
    """One server in numbers: requests running, answers, 5xx among them, tries without an answer, seconds of answers.

    `cpu`, `memory`: the shares in use that it says itself, None where it says nothing. `begun`: which tally of its
    worker it is.
    """

    active: int = 0
    answers: int = 0
    errors: int = 0
    lost: int = 0
    seconds: float = 0.0
    cpu: float | None = None
    memory: float | None = None
    begun: int = field(default=0, compare=False)

    @property
    def total(self) -> int:
        """All tries that are over."""
        return self.answers + self.lost

    @property
    def failed(self) -> int:
        """Those without an answer, or with a 5xx."""
        return self.errors + self.lost

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        return Counted(
            self.active + other.active,
            self.answers + other.answers,
            self.errors + other.errors,
            self.lost + other.lost,
            self.seconds + other.seconds,
            self.cpu if other.cpu is None else other.cpu,  # the server's own word, whoever heard it
            self.memory if other.memory is None else other.memory,
        )

    def average_s(self, before: Counted) -> float | None:
        """Mean time of the answers since `before`, in seconds; None without any."""
        answers = self.answers - before.answers
        return (self.seconds - before.seconds) / answers if answers > 0 else None


NOTHING = Counted()


class Telling:
    """A worker's part: which numbers control has not heard yet."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, tuple[float | None, ...]]] = {}  # pool -> server id -> what was told last

    def forget(self) -> None:
        """Control is another one: all is told again."""
        self._told = {}

    def changes(
        self, pools: Iterable[tuple[str, Tallies, Mapping[str, int], Container[str], Mapping[str, Said]]]
    ) -> dict[str, Counted]:
        """`pool/server id` to numbers, where they changed; at most TOLD_MAX.

        Args:
            pools: of each pool its name, its tallies, the requests running by server id, the ids in use, and what
                servers say of themselves. The tally of a server that is neither in use nor busy is dropped once it
                was told.
        """
        found: dict[str, Counted] = {}
        before, self._told = self._told, {}
        for name, tallies, active, known, said in pools:
            told = self._told[name] = before.get(name, {})
            for server_id in active:
                tallies[server_id]  # begins a tally: what runs is told, too
            for server_id, tally in tuple(tallies.items()):
                running = active.get(server_id, 0)
                load = said.get(server_id, SILENT)
                now = (tally[LOST], tally[SECONDS], running, sum(tally[1:SECONDS]), *load)
                if told.get(server_id) != now:
                    if len(found) >= TOLD_MAX:
                        continue
                    told[server_id] = now
                    found[f"{name}/{server_id}"] = counted(tally, running, load)
                if not running and server_id not in known:
                    del tallies[server_id], told[server_id]
        return found


def counted(tally: Tally, active: int, load: Said = SILENT) -> Counted:
    """A tally in control's words."""
    answers = int(sum(tally[1:SECONDS]))
    return Counted(active, answers, int(tally[5]), int(tally[LOST]), tally[SECONDS], *load, int(tally[BEGUN]))


class Totals:
    """Control's part: every server's numbers, summed over workers that live and lived. They never go back."""

    def __init__(self) -> None:
        self._workers: dict[int, tuple[int, dict[str, Counted]]] = {}  # slot -> its process, what it said last
        self._ended: dict[str, Counted] = {}  # by workers that are no more

    def heard(self, slot: int, pid: int, counts: Mapping[str, Counted]) -> None:
        """What the worker in `slot`, process `pid`, says."""
        known_pid, known = self._workers.get(slot, (pid, {}))
        if known_pid != pid:
            for key, last in known.items():
                self._end(key, last)
            known = {}
        for key, now in counts.items():
            if key in known and known[key].begun != now.begun:
                self._end(key, known[key])
            known[key] = now
        self._workers[slot] = pid, known

    def _end(self, key: str, last: Counted) -> None:
        self._ended[key] = self._ended.get(key, NOTHING).plus(replace(last, active=0, cpu=None, memory=None))

    def of(self, key: str) -> Counted:
        """The numbers of `pool/server id`."""
        total = self._ended.get(key, NOTHING)
        for _, known in self._workers.values():
            if key in known:
                total = total.plus(known[key])
        return total

    def keep(self, keys: Container[str]) -> None:
        """Forgets servers that are neither in `keys` nor busy."""
        for _, known in self._workers.values():
            for key in [key for key, last in known.items() if key not in keys and not last.active]:
                del known[key]
        for key in [key for key in self._ended if key not in keys]:
            del self._ended[key]
