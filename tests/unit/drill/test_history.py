"""Results that are kept, a lock against two at once, and what is due when."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.drill.history import KEPT_MAX, History, due
from gslb.drill.report import judge
from gslb.errors import NodeError
from tests.unit.drill.test_report import drill

DAY = 86_400
WEEKLY = {"region": "eu", "kind": "down", "every_s": 7 * DAY, "at_minute": 210}


def test_results_are_kept_in_order_and_not_for_ever(tmp_path):
    history = History(str(tmp_path))
    report = judge(drill())
    for number in range(KEPT_MAX + 5):
        history.add(report, 1_764_000_000.0 + number, "demo")
    found = history.results()
    assert len(found) == KEPT_MAX
    assert [row["at"] for row in found] == sorted(row["at"] for row in found)
    assert found[-1]["region"] == "eu"
    assert found[-1]["ok"] is True


@pytest.mark.parametrize("content", ["", "{", "[]", '{"at": "never"}', json.dumps({"region": "eu"})])
def test_a_file_that_can_not_be_read_is_left_out(tmp_path, content):
    history = History(str(tmp_path))
    history.add(judge(drill()), 1_764_000_000.0, "demo")
    (tmp_path / "drills/20990101T000000Z-x-y.json").write_text(content)
    assert len(history.results()) == 1


def test_never_two_at_once(tmp_path):
    second = History(str(tmp_path))
    with History(str(tmp_path)).alone(), pytest.raises(NodeError, match="another drill"), second.alone():
        pass
    with History(str(tmp_path)).alone():
        pass


def test_one_that_never_ran_is_due_from_its_time_of_day_on():
    midnight = 20_000 * DAY
    assert due([WEEKLY], [], midnight + 209 * 60) == []
    assert due([WEEKLY], [], midnight + 210 * 60) == [0]


def test_one_that_ran_is_due_a_period_later_though_the_timer_comes_a_little_early():
    ran = 20_000.0 * DAY + 300 * 60
    results = [{"region": "eu", "kind": "down", "at": ran}, {"region": "us", "kind": "down", "at": ran + 6 * DAY}]
    assert due([WEEKLY], results, ran + 6 * DAY) == []
    assert due([WEEKLY], results, ran + 7 * DAY - 600) == [0]


@given(st.lists(st.floats(0, 1e9), max_size=5), st.floats(0, 2e9))
def test_only_what_is_like_it_counts(times, now):
    others = [{"region": "us", "kind": "down", "at": at} for at in times]
    assert due([WEEKLY], others, now) == due([WEEKLY], [], now)
