"""The state directory: the lock, an incarnation that only rises, a last-known-good that is whole or not there."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gslb.errors import StateError, StateLocked
from gslb.state.directory import StateDirectory

STATE = {"regions": {"eu-west": "up", "ünï": "down"}, "n": [1, None, 2.5]}


@pytest.fixture
def directory(tmp_path):
    made = StateDirectory(tmp_path, "edge-1")
    yield made
    made.close()


# ---------------------------------------------------------------- the lock
def test_a_second_one_is_told_who_holds_it(directory, tmp_path):
    with pytest.raises(StateLocked, match=rf"in use by process {os.getpid()}\b"):
        StateDirectory(tmp_path, "edge-1")
    StateDirectory(tmp_path, "edge-2").close()


def test_it_is_free_again_when_closed(tmp_path):
    StateDirectory(tmp_path, "edge-1").close()
    again = StateDirectory(tmp_path, "edge-1")
    assert again.raise_incarnation() > 0
    again.close()


HOLDER = """
import os, sys, time
from gslb.state.directory import StateDirectory
held = StateDirectory(sys.argv[1], "edge-1")
child = os.fork()
if not child:
    os.close(1)
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


def test_it_is_held_until_the_last_process_of_the_node_is_gone(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        with pytest.raises(StateLocked, match=rf"process {parent.pid}\b"):
            StateDirectory(tmp_path, "edge-1")
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()
    deadline = time.monotonic() + 10
    while True:
        try:
            StateDirectory(tmp_path, "edge-1").close()
            break
        except StateLocked:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_only_its_owner_may_look(tmp_path):
    (tmp_path / "edge-1").mkdir(mode=0o755)
    made = StateDirectory(tmp_path, "edge-1")
    made.raise_incarnation()
    made.save_last_good(STATE)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in made.path.iterdir())
    made.close()


@pytest.mark.parametrize("node", ["", "..", ".hidden", "a/b", "a b", "x" * 201, "-rf", "a\n"])
def test_a_name_that_is_no_folder_is_refused(tmp_path, node):
    with pytest.raises(StateError, match="can't name"):
        StateDirectory(tmp_path, node)


def test_a_place_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="can't use the state directory"):
        StateDirectory(tmp_path / "file", "edge-1")


# ---------------------------------------------------------------- incarnation
def test_it_rises_at_every_start_and_when_told_to(tmp_path):
    last = 0
    for at_least in (0, 0, 5, 2**40, 3):
        made = StateDirectory(tmp_path, "edge-1")
        first, second = made.raise_incarnation(at_least), made.raise_incarnation()
        made.close()
        assert max(last, at_least) < first < second
        last = second


def test_a_lost_directory_does_not_go_back(tmp_path):
    made = StateDirectory(tmp_path / "a", "edge-1")
    for _ in range(5):
        before = made.raise_incarnation()
    made.close()
    # a start a second or more after the first: peers remember `before`, the store may not
    fresh = StateDirectory(tmp_path / "b", "edge-1")
    assert fresh.raise_incarnation() + 5 >= before >= time.time() - 5
    fresh.close()


@pytest.mark.parametrize("value", [True, -1, "7", None, 2**53, 1.5])
def test_a_senseless_incarnation_is_not_believed(directory, value):
    directory._save("incarnation", {"incarnation": value})
    first = directory.raise_incarnation()
    assert 0 < first < 2**40
    assert directory.raise_incarnation() == first + 1


def test_it_rises_even_if_nothing_can_be_written(directory, monkeypatch, caplog):
    def full(fd):
        raise OSError(28, "No space left on device")

    first = directory.raise_incarnation()
    monkeypatch.setattr(os, "fsync", full)
    assert directory.raise_incarnation() == first + 1
    assert directory.raise_incarnation() == first + 2
    assert "can't keep the incarnation" in caplog.text
    with pytest.raises(StateError, match="No space left"):
        directory.save_last_good(STATE)


# ---------------------------------------------------------------- last known good
def test_it_comes_back_as_it_was(directory, tmp_path):
    assert directory.load_last_good() is None
    directory.save_last_good({"old": 1})
    directory.save_last_good(STATE)
    directory.close()
    again = StateDirectory(tmp_path, "edge-1")
    assert again.load_last_good() == STATE
    directory.lock = again.lock


def broken(data):
    return [
        b"", data[:1], data[:-1], data + b"x", data[:100] + b"!" + data[101:], b"\0" * len(data), b"{}",
        data.replace(b"gslb-state 1", b"gslb-state 2"), data.replace(b"up", b"UP"),
    ]  # fmt: skip


def test_a_broken_file_is_set_aside_and_told(directory, caplog):
    file = directory.path / "last-good"
    directory.save_last_good(STATE)
    data = file.read_bytes()
    for number, bad in enumerate(broken(data), 1):
        file.write_bytes(bad)
        assert directory.load_last_good() is None, bad
        assert (directory.path / "last-good.broken").read_bytes() == bad
        assert not file.exists()
        assert len([line for line in caplog.messages if "is broken; it is set aside" in line]) == number
    directory.save_last_good(STATE)
    assert directory.load_last_good() == STATE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_change_of_a_byte_goes_unseen(directory, data):
    directory.save_last_good(STATE)
    file = directory.path / "last-good"
    raw = bytearray(file.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(raw)
    assert directory.load_last_good() in (None, STATE)


def test_a_crash_while_writing_leaves_the_old_one(directory, monkeypatch):
    directory.save_last_good(STATE)
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(StateError):
        directory.save_last_good({"new": 1})
    assert directory.load_last_good() == STATE
    assert sorted(file.name for file in directory.path.iterdir()) == ["last-good", "lock"]


@pytest.mark.parametrize("bad", [{"x": object()}, {"x": float("nan")}])
def test_what_is_not_json_is_refused(directory, bad):
    with pytest.raises(StateError, match="not JSON"):
        directory.save_last_good(bad)


def test_size_is_bounded_both_ways(directory, monkeypatch):
    directory.save_last_good(STATE)
    monkeypatch.setattr("gslb.state.directory.FILE_MAX_BYTES", 50)
    with pytest.raises(StateError, match="bound"):
        directory.save_last_good(STATE)
    assert directory.load_last_good() is None


def test_the_file_is_readable_json_after_its_header(directory):
    directory.save_last_good(STATE)
    header, body = (directory.path / "last-good").read_bytes().split(b"\n", 1)
    assert header.startswith(b"gslb-state 1 ")
    assert json.loads(body) == STATE


# ---------------------------------------------------------------- session secret
def test_a_session_secret_is_made_up_once(tmp_path):
    first = StateDirectory(tmp_path, "a")
    secret = first.session_secret()
    first.close()
    again = StateDirectory(tmp_path, "a")
    other = StateDirectory(tmp_path, "b")
    assert len(secret) >= 16
    assert again.session_secret() == secret != other.session_secret()
    assert stat.S_IMODE((tmp_path / "a" / "session-secret").stat().st_mode) == 0o600
    again.close()
    other.close()


@pytest.mark.parametrize("value", [{}, {"secret": ""}, {"secret": 7}, {"secret": "zz" * 32}])
def test_a_broken_session_secret_is_made_anew(directory, value):
    directory._save("session-secret", value)
    secret = directory.session_secret()
    assert len(secret) >= 16
    assert directory.session_secret() == secret
