"""What a change makes of a row, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing import changing
from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.changing import changed, registered, removed
from gslb.balancing.merging import CHANGEABLE
from gslb.errors import ChangeRefused
from gslb.model import MAINTENANCE, Pool, Registration, Server

POOLS = {"web": Pool("web", (Server("a", "h", 80),), RoundRobin())}
NEW = ("web", "n")


def put(rows, key, row):
    return {k: v for k, v in rows.items() if k != key} | ({key: row} if row is not None else {})


def test_registering_is_idempotent_and_keeps_what_is_not_said():
    row = registered(POOLS, {}, NEW, "h", 81, {"weight": 3}, 1.0)
    assert row == Registration("web", "n", "h", 81, weight=3, created_at=1.0, updated_at=1.0)
    rows = {NEW: row}
    assert registered(POOLS, rows, NEW, "h", 81, {"weight": 3}, 2.0) is row
    drained = changed(POOLS, rows, NEW, {"status": MAINTENANCE}, 3.0)
    again = registered(POOLS, {NEW: drained}, NEW, "h", 82, {}, 4.0)
    assert (again.port, again.status, again.weight) == (82, MAINTENANCE, 3)
    assert (again.created_at, again.updated_at) == (1.0, 4.0)


def test_a_declared_server_may_register_at_its_own_address_only():
    assert registered(POOLS, {}, ("web", "a"), "h", 80, {}, 1.0) is None
    assert registered(POOLS, {}, ("web", "a"), "h", 80, {"weight": 2}, 1.0).host is None
    with pytest.raises(ChangeRefused) as refused:
        registered(POOLS, {}, ("web", "a"), "h", 81, {}, 1.0)
    assert (refused.value.status, refused.value.field) == (409, "host")


def test_a_row_that_says_nothing_of_a_declared_server_goes():
    row = changed(POOLS, {}, ("web", "a"), {"weight": 9}, 1.0)
    rows = {row.key: row}
    assert changed(POOLS, rows, row.key, {"weight": None}, 2.0) is None
    assert changed(POOLS, rows, row.key, {"weight": 9}, 2.0) is row


@pytest.mark.parametrize(
    ("call", "status", "field"),
    [
        (lambda: registered(POOLS, {}, ("no", "n"), "h", 1, {}, 0.0), 400, "pool"),
        (lambda: changed(POOLS, {}, NEW, {"weight": 1}, 0.0), 404, ""),
        (lambda: removed(POOLS, {}, NEW), 404, ""),
        (lambda: removed(POOLS, {}, ("web", "a")), 409, ""),
        (lambda: removed(POOLS, {("web", "a"): Registration("web", "a", weight=1)}, ("web", "a")), 409, ""),
    ],
)
def test_what_is_refused(call, status, field):
    with pytest.raises(ChangeRefused) as refused:
        call()
    assert (refused.value.status, refused.value.field) == (status, field)


def test_the_registry_has_a_bound(monkeypatch):
    monkeypatch.setattr(changing, "ROWS_MAX", 1)
    row = registered(POOLS, {}, NEW, "h", 81, {}, 1.0)
    rows = {NEW: row}
    assert registered(POOLS, rows, NEW, "h", 82, {}, 1.0).port == 82
    for call in (
        lambda: registered(POOLS, rows, ("web", "m"), "h", 83, {}, 1.0),
        lambda: changed(POOLS, rows, ("web", "a"), {"weight": 1}, 1.0),
    ):
        with pytest.raises(ChangeRefused, match="full") as refused:
            call()
        assert refused.value.status == 409
    assert removed(POOLS, rows, NEW) is row


words = st.dictionaries(st.sampled_from(CHANGEABLE), st.none() | st.integers(1, 9))


@given(st.lists(st.tuples(st.sampled_from(["a", "n"]), words)), st.floats(1, 9))
def test_after_any_changes_a_row_says_what_was_said_last(steps, now):
    rows, said = {NEW: registered(POOLS, {}, NEW, "h", 81, {}, 0.0)}, {"a": {}, "n": {}}
    for server_id, new in steps:
        key = ("web", server_id)
        said[server_id] |= new
        rows = put(rows, key, changed(POOLS, rows, key, new, now))
    for server_id, last in said.items():
        row = rows.get(("web", server_id))
        left = {word: value for word, value in last.items() if value is not None}
        assert (row is None) == (server_id == "a" and not left)
        assert {w: getattr(row, w) for w in CHANGEABLE if row and getattr(row, w) is not None} == left
