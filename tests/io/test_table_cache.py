"""Prefix tables that outlive a node: believed whole or not at all, from this user only, and never too many."""

import os
import pickle

import pytest

from gslb.node.table_cache import FILES_MAX, TableCache

TABLES = {("a chain", ()): [1, 2, 3]}
KEYS = TABLES.keys()


@pytest.fixture
def kept(tmp_path):
    """A cache that holds TABLES, and its file."""
    cache = TableCache(tmp_path / "cache")
    cache.save("stamp", KEYS, pickle.dumps(TABLES))
    (file,) = (tmp_path / "cache").iterdir()
    return cache, file


def test_what_was_saved_is_there_for_the_next_node_of_the_same_files(kept, tmp_path):
    assert TableCache(tmp_path / "cache").load("stamp", KEYS) == TABLES
    assert kept[0].load("another stamp", KEYS) is None
    assert kept[0].load("stamp", {("another chain", ())}) is None


DAMAGES = (lambda data: data[:-1], lambda data: b"", lambda data: data[:70] + b"x" + data[71:])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_not_believed_and_is_replaced(kept, damage):
    cache, file = kept
    file.write_bytes(damage(file.read_bytes()))
    assert cache.load("stamp", KEYS) is None
    cache.save("stamp", KEYS, pickle.dumps(TABLES))
    assert cache.load("stamp", KEYS) == TABLES


def test_a_file_that_others_may_write_is_not_believed(kept):
    cache, file = kept
    file.chmod(0o666)
    assert cache.load("stamp", KEYS) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_not_believed(kept):
    cache, file = kept
    os.chown(file, 12345, -1)
    assert cache.load("stamp", KEYS) is None


def test_there_are_never_too_many(kept, tmp_path):
    cache, _ = kept
    for number in range(2 * FILES_MAX):
        cache.save(f"stamp {number}", KEYS, pickle.dumps(TABLES))
    assert len(list((tmp_path / "cache").iterdir())) == FILES_MAX
    assert cache.load(f"stamp {2 * FILES_MAX - 1}", KEYS) == TABLES


def test_a_folder_that_can_not_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = TableCache(tmp_path / "file" / "cache")
    cache.save("stamp", KEYS, pickle.dumps(TABLES))
    assert cache.load("stamp", KEYS) is None
