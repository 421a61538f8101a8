from dataclasses import replace

import pytest

from gslb.balancing.outcomes import CONNECT, GATEWAY, PROBES_MAX, SERVER_ERROR, Outcome, Tally
from gslb.model import BreakerRule, BreakerState, Gate, Server

A = Server("a", "127.0.0.1", 1)
RULE = BreakerRule(failures=3)


def test_what_happened_is_told_once():
    tally = Tally("web", RULE)
    tally.succeeded(A)
    tally.succeeded(A)
    tally.failed(A, CONNECT, 0.0)
    tally.failed(A, SERVER_ERROR, 0.0)
    assert tally.take() == [Outcome("web", "a", 0, 2, {CONNECT: 1, SERVER_ERROR: 1}, (2, 0))]
    assert tally.take() == []


def test_runs_go_on_over_what_was_told():
    tally = Tally("web", None)
    tally.failed(A, GATEWAY, 0.0)
    tally.take()
    tally.failed(A, GATEWAY, 0.0)
    assert tally.take()[0].runs == (2, 2)
    tally.succeeded(A)
    assert tally.take()[0].runs == (0, 0)


def test_its_own_count_suffices_once():
    tally = Tally("web", RULE)
    said = [tally.failed(A, SERVER_ERROR, 0.0) for _ in range(5)]
    assert said == ["", "", "3 failures in a row", "", ""]
    assert tally.take()[0].tripped == "3 failures in a row"


def test_successes_between_end_the_row():
    tally = Tally("web", RULE)
    for _ in range(4):
        tally.failed(A, SERVER_ERROR, 0.0)
        tally.succeeded(A)
    assert tally.take()[0].tripped == ""


def test_without_a_rule_nothing_trips():
    tally = Tally("web", None)
    assert [tally.failed(A, SERVER_ERROR, 0.0) for _ in range(9)] == [""] * 9


def test_only_results_of_the_epoch_that_is_now_count():
    tally = Tally("web", RULE)
    tally.failed(A, SERVER_ERROR, 0.0)
    tally.update({"a": BreakerState(Gate.OPEN, 7)})
    tally.failed(A, SERVER_ERROR, 0.0)  # began before
    tally.succeeded(replace(A, epoch=6))
    assert tally.take() == []
    tally.succeeded(replace(A, epoch=7))
    assert tally.take() == [Outcome("web", "a", 7, 1)]
    tally.failed(A, SERVER_ERROR, 0.0)
    assert tally.take() == []


@pytest.mark.parametrize("ok", [True, False, None])
def test_a_probe_is_told_by_its_lease(ok):
    tally, probe = Tally("web", RULE), replace(A, epoch=3, lease=9)
    if ok is None:
        tally.probed(probe, ok=None)
    elif ok:
        tally.succeeded(probe)
    else:
        assert tally.failed(probe, CONNECT, 0.0) == ""
    assert tally.take() == [Outcome("web", "a", 3, probe=(9, ok))]


def test_an_unused_lease_goes_back():
    tally = Tally("web", RULE)
    tally.void("a", 3, 9)
    assert tally.take() == [Outcome("web", "a", 3, probe=(9, None))]


def test_probes_that_wait_are_bounded():
    tally = Tally("web", RULE)
    for lease in range(PROBES_MAX + 5):
        tally.void("a", 1, lease + 1)
    assert len(tally.take()) == PROBES_MAX


def test_another_rule_starts_anew():
    tally = Tally("web", RULE)
    tally.failed(A, SERVER_ERROR, 0.0)
    tally.configure(RULE)
    assert len(tally.take()) == 1
    tally.failed(A, SERVER_ERROR, 0.0)
    tally.configure(replace(RULE, failures=9))
    assert tally.take() == []


def test_a_server_that_is_back_in_starts_anew():
    tally = Tally("web", RULE)
    for _ in range(3):
        tally.failed(A, SERVER_ERROR, 0.0)
    tally.forget("a")
    assert [tally.failed(A, SERVER_ERROR, 0.0) for _ in range(3)][-1] == "3 failures in a row"
