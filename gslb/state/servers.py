"""The registry of servers on disk: what was registered and changed at run time, and what each server did.

Embedded SQLite in WAL mode. Only a node's control opens it, and only from one thread of its own: every method here may
block, for LOCK_WAIT_S at worst. Whatever goes wrong is a RegistryUnavailable that says what; a file that can't be
believed is set aside by `set_aside`, never a reason not to start.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from gslb.errors import RegistryUnavailable
from gslb.model import Registration

FILE = "registry.db"
SCHEMA_VERSION = 2
LOCK_WAIT_S = 1.0
JOURNAL_MAX_BYTES = 4 << 20  # the WAL is cut to this after a checkpoint
HISTORY_MAX = 1_000  # rows of one answer
SIDE_FILES = ("", "-wal", "-shm")

_SCHEMA = """
CREATE TABLE servers (
    pool TEXT NOT NULL,
    server_id TEXT NOT NULL,
    host TEXT,
    port INTEGER,
    weight INTEGER,
    max_connections INTEGER,
    health_check_url TEXT,
    timeout_ms INTEGER,
    protocol TEXT CHECK (protocol IN ('http', 'https', 'tcp')),
    status TEXT CHECK (status IN ('ACTIVE', 'INACTIVE', 'MAINTENANCE')),
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    priority INTEGER,
    zone TEXT,
    PRIMARY KEY (pool, server_id)
) WITHOUT ROWID;
CREATE TABLE server_metrics (
    pool TEXT NOT NULL,
    server_id TEXT NOT NULL,
    active_connections INTEGER NOT NULL,
    total_requests INTEGER NOT NULL,
    failed_requests INTEGER NOT NULL,
    average_response_time REAL,
    cpu_usage REAL,
    memory_usage REAL,
    recorded_at REAL NOT NULL
);
CREATE INDEX server_metrics_by_server ON server_metrics (pool, server_id, recorded_at);
CREATE INDEX server_metrics_by_time ON server_metrics (recorded_at);
"""

_FROM_1 = "ALTER TABLE servers ADD COLUMN priority INTEGER;ALTER TABLE servers ADD COLUMN zone TEXT;"


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """What one server did by one moment. Requests count from the node's start; times in seconds, shares from 0 to 1.

    `average_response_time`: of the answers since the row before, None without any. `cpu_usage` and `memory_usage`:
    what the server says of itself, None if it says nothing. `recorded_at`: Unix seconds.
    """

    pool: str
    server_id: str
    active_connections: int
    total_requests: int
    failed_requests: int
    average_response_time: float | None
    cpu_usage: float | None
    memory_usage: float | None
    recorded_at: float


_ROW = tuple(field.name for field in fields(Registration))
_METRICS = tuple(field.name for field in fields(ServerMetrics))
_SELECT = f"SELECT {', '.join(_ROW)} FROM servers ORDER BY created_at, pool, server_id"  # noqa: S608 - our own names
_PUT = f"INSERT OR REPLACE INTO servers VALUES ({', '.join('?' * len(_ROW))})"  # noqa: S608 - question marks
_RECORD = f"INSERT INTO server_metrics VALUES ({', '.join('?' * len(_METRICS))})"  # noqa: S608 - question marks
_HISTORY = (
    f"SELECT {', '.join(_METRICS)} FROM server_metrics WHERE pool = ? AND server_id = ? "  # noqa: S608 - our own names
    "ORDER BY recorded_at DESC LIMIT ?"
)


class ServerTable:
    """The database at one path. Not thread-safe: one thread calls, always the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    @property
    def is_open(self) -> bool:
        """Whether `open` has succeeded."""
        return self._connection is not None

    def open(self) -> tuple[Registration, ...]:
        """Opens the file, or makes it; every row. Raises RegistryUnavailable; `corrupt` if it can't be believed."""
        self.close()
        with self._told():
            connection = sqlite3.connect(self.path, timeout=LOCK_WAIT_S, isolation_level=None)
            try:
                self._prepare(connection)
                found = connection.execute(_SELECT).fetchall()
            except BaseException:
                connection.close()
                raise
        self._connection, self._inode = connection, self.path.stat().st_ino
        return tuple(Registration(*row) for row in found)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Checks what is there, and makes the tables in a new file."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise RegistryUnavailable(
                f"{self.path} has schema version {version}, this release knows {SCHEMA_VERSION}: "
                "run the release that wrote it, or move the file away"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_MAX_BYTES}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise RegistryUnavailable(f"{self.path} is corrupt: {verdict}", corrupt=True)
        if version == 1:
            connection.executescript(f"BEGIN IMMEDIATE;{_FROM_1}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")

    def close(self) -> None:
        """Closes the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def set_aside(self) -> Path:
        """Renames the file (with what SQLite keeps beside it) so that a new one can be made; its new name."""
        self.close()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self.path.with_name(f"{self.path.name}.broken-{stamp}")
        try:
            for suffix in SIDE_FILES:
                old = Path(f"{self.path}{suffix}")
                if old.exists():
                    old.rename(f"{aside}{suffix}")
        except OSError as error:
            raise RegistryUnavailable(f"can't set {self.path} aside: {error.strerror}") from error
        return aside

    # ------------------------------------------------------------ servers
    def put(self, rows: Iterable[Registration]) -> None:
        """Keeps rows in place of those of the same keys: all of them or none."""
        with self._changing() as connection:
            connection.executemany(_PUT, map(astuple, rows))

    def drop(self, pool: str, server_id: str) -> None:
        """Forgets a row."""
        with self._changing() as connection:
            connection.execute("DELETE FROM servers WHERE pool = ? AND server_id = ?", (pool, server_id))

    # ------------------------------------------------------------ metrics
    def record(self, samples: Iterable[ServerMetrics], oldest: float, rows_max: int) -> None:
        """Adds samples; forgets those from before `oldest` (Unix seconds), and the oldest ones beyond `rows_max`."""
        with self._changing() as connection:
            connection.execute("DELETE FROM server_metrics WHERE recorded_at < ?", (oldest,))
            connection.executemany(_RECORD, map(astuple, samples))
            connection.execute(
                "DELETE FROM server_metrics WHERE rowid <= (SELECT max(rowid) FROM server_metrics) - ?", (rows_max,)
            )

    def history(self, pool: str, server_id: str, limit: int) -> list[ServerMetrics]:
        """The newest samples of one server, the newest first; at most HISTORY_MAX."""
        with self._told():
            found = self._opened().execute(_HISTORY, (pool, server_id, min(limit, HISTORY_MAX))).fetchall()
        return [ServerMetrics(*row) for row in found]

    # ------------------------------------------------------------ one place for what goes wrong
    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RegistryUnavailable(f"{self.path} is not open")
        return self._connection

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._told():
            connection = self._opened()
            if not self.path.exists() or self.path.stat().st_ino != self._inode:
                # what is written to a file that has no name any more would be lost
                raise RegistryUnavailable(f"{self.path} was removed or replaced while in use", corrupt=True)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what SQLite and the system raise into our own words."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._meaning(error) from error
        except OSError as error:
            raise RegistryUnavailable(f"can't use {self.path}: {error.strerror}") from error

    def _meaning(self, error: sqlite3.Error) -> RegistryUnavailable:
        code: Any = getattr(error, "sqlite_errorcode", None)
        code = code & 0xFF if isinstance(code, int) else None  # the low byte is the kind, the rest details
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return RegistryUnavailable(f"{self.path} is locked by another process: let it end, then try again")
        if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            return RegistryUnavailable(f"can't write {self.path} ({error}): make room on its disk")
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return RegistryUnavailable(f"{self.path} is corrupt: {error}", corrupt=True)
        return RegistryUnavailable(f"can't use {self.path}: {error}")
