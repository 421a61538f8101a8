"""Results of drills, one JSON file each beside the nodes' state; and which drills are due. Only commands call it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gslb.drill.report import Report
from gslb.errors import NodeError

KEPT_MAX = 500
FILE_MAX_BYTES = 1 << 20


class History:
    """The folder `drills` of a state directory."""

    def __init__(self, state_directory: str) -> None:
        self._folder = Path(state_directory) / "drills"

    def add(self, report: Report, at: float, where: str) -> None:
        """Keeps a result; of all, the last KEPT_MAX. Raises NodeError. `at` in Unix seconds."""
        stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
        body = {"at": round(at, 3), "where": where, **report.to_dict()}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch = self._folder / f".{stamp}.new"
            scratch.write_text(json.dumps(body))
            scratch.replace(self._folder / f"{stamp}-{report.region}-{report.kind}.json")
            for old in sorted(self._folder.glob("*.json"))[:-KEPT_MAX]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise NodeError(f"can't keep the result in {self._folder}: {error.strerror}") from error

    def results(self) -> list[dict[str, Any]]:
        """All that can be read, the oldest first."""
        found = []
        for file in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            with contextlib.suppress(OSError, ValueError):
                if file.stat().st_size <= FILE_MAX_BYTES:
                    row = json.loads(file.read_text())
                    if isinstance(row, dict) and isinstance(row.get("at"), int | float):
                        found.append(row)
        return found

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Never two drills at once. Raises NodeError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NodeError(f"can't use {self._folder}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise NodeError(f"another drill is running, by {self._folder / 'lock'}") from None
        try:
            yield
        finally:
            os.close(lock)


def due(drills: Iterable[Mapping[str, Any]], results: Iterable[Mapping[str, Any]], now: float) -> list[int]:
    """Which of the scheduled drills are due at `now` (Unix seconds), by index.

    One is due when `every_s` has passed since the last like it (the same region and kind), and with `at_minute` (of the
    day, in UTC) not before that time of day. One that never ran is due.
    """
    last: dict[tuple[str, str], float] = {}
    for row in results:
        key = str(row.get("region")), str(row.get("kind"))
        last[key] = max(last.get(key, 0.0), float(row["at"]))
    minute = int(now % 86_400 // 60)
    found = []
    for index, one in enumerate(drills):
        before = last.get((one["region"], one["kind"]), 0.0)
        # An hour's grace: a timer that comes a little early must not skip a whole period.
        if now - before >= one["every_s"] - min(3600.0, one["every_s"] / 10) and minute >= one.get("at_minute", 0):
            found.append(index)
    return found


def now() -> float:
    """Unix seconds."""
    return time.time()
