"""The registry on disk: what is kept, and what a locked, full, corrupt, foreign or lost file does. Real SQLite."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from gslb.errors import RegistryUnavailable
from gslb.model import MAINTENANCE, Registration
from gslb.state import servers
from gslb.state.servers import ServerMetrics, ServerTable

ROW = Registration("web", "a", "10.0.0.1", 80, 3, 10, "/up", 250, "tcp", MAINTENANCE, 1.0, 2.0)
BARE = Registration("web", "b", weight=1, created_at=3.0, updated_at=3.0)


@pytest.fixture
def table(tmp_path):
    made = ServerTable(tmp_path / servers.FILE)
    made.open()
    yield made
    made.close()


def metrics(at, server_id="a"):
    return ServerMetrics("web", server_id, 1, 2, 3, 0.5, None, None, at)


def again(table):
    return ServerTable(table.path).open()


def test_rows_survive_and_are_replaced_by_key(table):
    table.put([ROW, BARE])
    table.put([replace(ROW, weight=9)])
    assert again(table) == (replace(ROW, weight=9), BARE)
    table.drop("web", "a")
    table.drop("web", "nobody")
    assert again(table) == (BARE,)


def test_the_file_is_what_the_design_says(table):
    with contextlib.closing(sqlite3.connect(table.path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert other.execute("PRAGMA user_version").fetchone() == (servers.SCHEMA_VERSION,)
        columns = {
            name: {row[1] for row in other.execute(f"PRAGMA table_info({name})")}
            for name in ("servers", "server_metrics")
        }
    assert columns["servers"] == {
        "pool", "server_id", "host", "port", "weight", "max_connections", "health_check_url", "timeout_ms", "protocol",
        "status", "created_at", "updated_at", "priority", "zone",
    }  # fmt: skip
    assert columns["server_metrics"] == {
        "pool", "server_id", "active_connections", "total_requests", "failed_requests", "average_response_time",
        "cpu_usage", "memory_usage", "recorded_at",
    }  # fmt: skip
    for word in ({"status": "GONE"}, {"protocol": "udp"}):
        with pytest.raises(RegistryUnavailable, match="CHECK"):
            table.put([replace(ROW, **word)])


def test_history_is_bounded_by_age_and_by_rows(table):
    table.record([metrics(float(at)) for at in range(20)], 0.0, 1000)
    table.record([metrics(20.0), metrics(20.0, "b")], 5.0, 1000)
    assert [one.recorded_at for one in table.history("web", "a", 99)] == [float(at) for at in range(20, 4, -1)]
    table.record([metrics(21.0)], 0.0, 4)
    assert [one.recorded_at for one in table.history("web", "a", 99)] == [21.0, 20.0, 19.0]
    assert table.history("web", "b", 99) == [metrics(20.0, "b")]
    assert len(table.history("web", "a", 2)) == 2
    table.record([], 0.0, 0)
    assert table.history("web", "a", 99) == []


# ---------------------------------------------------------------- what goes wrong
LOCK = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("PRAGMA locking_mode = EXCLUSIVE")
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked(path):
    """Another process holds the file."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        yield
        other.stdin.close()


def test_another_process_holds_it(table, monkeypatch):
    table.put([ROW])
    table.close()
    monkeypatch.setattr(servers, "LOCK_WAIT_S", 0.05)
    with locked(table.path):
        with pytest.raises(RegistryUnavailable, match="locked by another process") as refused:
            table.open()
        assert not refused.value.corrupt and not table.is_open
        with pytest.raises(RegistryUnavailable, match="not open"):
            table.put([BARE])
    assert table.open() == (ROW,)
    with contextlib.closing(sqlite3.connect(table.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryUnavailable, match="locked by another process"):
            table.put([BARE])
    table.put([BARE])
    assert again(table) == (ROW, BARE)


@pytest.mark.parametrize("damage", ["junk", "torn", "page"])
def test_a_corrupt_file_is_told_and_set_aside(table, damage):
    table.put([replace(ROW, server_id=f"s{number}") for number in range(500)])
    table.close()
    whole = table.path.read_bytes()
    broken = {
        "junk": b"not a database" * 900,
        "torn": whole[: len(whole) // 2],
        "page": whole[:4096] + os.urandom(len(whole) - 4096),
    }[damage]
    table.path.write_bytes(broken)
    with pytest.raises(RegistryUnavailable, match="corrupt") as refused:
        table.open()
    assert refused.value.corrupt
    aside = table.set_aside()
    assert aside.name.startswith("registry.db.broken-2")
    assert aside.read_bytes()[4096:] == broken[4096:]
    assert table.open() == ()
    table.put([ROW])
    assert again(table) == (ROW,)


def test_a_file_that_was_removed_or_replaced_is_not_written_into_the_void(table):
    table.put([ROW])
    table.path.unlink()
    with pytest.raises(RegistryUnavailable, match="removed or replaced") as refused:
        table.put([BARE])
    assert refused.value.corrupt
    table.set_aside()
    assert table.open() == ()


def test_a_full_disk_keeps_what_was_there(table):
    """Here SQLite's own bound on pages; tests/e2e/test_registry.py fills a real file system."""
    table.put([ROW])
    pages = table._connection.execute("PRAGMA page_count").fetchone()[0]
    table._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(RegistryUnavailable, match="make room on its disk") as refused:
        table.put([replace(ROW, server_id=f"s{number}") for number in range(2000)])
    assert not refused.value.corrupt
    assert again(table) == (ROW,)
    table._connection.execute("PRAGMA max_page_count = 100000")
    table.put([BARE])
    assert again(table) == (ROW, BARE)


def test_the_first_releases_file_gets_its_new_columns(tmp_path):
    path = tmp_path / "registry.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.executescript(
            "CREATE TABLE servers (pool TEXT NOT NULL, server_id TEXT NOT NULL, host TEXT, port INTEGER,"
            "weight INTEGER, max_connections INTEGER, health_check_url TEXT, timeout_ms INTEGER, protocol TEXT,"
            "status TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL,"
            "PRIMARY KEY (pool, server_id)) WITHOUT ROWID;"
            "CREATE TABLE server_metrics (pool TEXT);"
            "INSERT INTO servers VALUES ('web', 'a', '10.0.0.1', 80, 3, NULL, NULL, NULL, NULL, NULL, 1, 2);"
            "PRAGMA user_version = 1;"
        )
    table = ServerTable(path)
    (row,) = table.open()
    assert (row.server_id, row.weight, row.priority, row.zone) == ("a", 3, None, None)
    table.put([replace(row, priority=1, zone="b")])
    table.close()
    (row,) = again(table)
    assert (row.priority, row.zone) == (1, "b")


def test_a_newer_releases_file_is_left_alone(table):
    table.put([ROW])
    table.close()
    with contextlib.closing(sqlite3.connect(table.path)) as other:
        other.execute(f"PRAGMA user_version = {servers.SCHEMA_VERSION + 1}")
    before = table.path.read_bytes()
    with pytest.raises(RegistryUnavailable, match="schema version 3, this release knows 2") as refused:
        table.open()
    assert not refused.value.corrupt
    assert table.path.read_bytes() == before


def test_a_folder_that_cant_be_written_is_told(tmp_path):
    with pytest.raises(RegistryUnavailable, match="unable to open"):
        ServerTable(tmp_path / "nowhere" / servers.FILE).open()


def test_no_data_worker_loads_sqlite():
    code = "import sys, gslb.node.worker; sys.exit('sqlite3' in sys.modules or 'gslb.state.servers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
