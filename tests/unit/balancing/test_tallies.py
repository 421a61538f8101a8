"""Tallies of workers, told and summed."""

from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing import tallies
from gslb.balancing.tallies import LOST, NOTHING, SECONDS, Counted, Telling, Totals, new_tallies


def test_a_tally_in_controls_words():
    pool = new_tallies()
    for digit in (2, 2, 4, 5):
        pool["a"][digit] += 1
        pool["a"][SECONDS] += 0.5
    pool["a"][LOST] += 1
    told = Telling().changes([("web", pool, {"a": 3}, {"a"}, {})])
    assert told == {"web/a": Counted(active=3, answers=4, errors=1, lost=1, seconds=2.0)}
    assert (told["web/a"].total, told["web/a"].failed, told["web/a"].average_s(NOTHING)) == (5, 2, 0.5)
    assert NOTHING.average_s(NOTHING) is None


def test_only_what_changed_is_told():
    pool, telling = new_tallies(), Telling()
    pool["a"][2] += 1
    assert telling.changes([("web", pool, {}, {"a"}, {})])
    assert telling.changes([("web", pool, {}, {"a"}, {})]) == {}
    assert telling.changes([("web", pool, {"a": 1}, {"a"}, {})])["web/a"].active == 1
    pool["a"][LOST] += 1  # what ran failed: both numbers move by one
    assert telling.changes([("web", pool, {}, {"a"}, {})])["web/a"] == Counted(0, 1, 0, 1, 0)
    telling.forget()
    assert telling.changes([("web", pool, {}, {"a"}, {})])


def test_a_server_that_left_is_told_until_it_is_done_and_then_dropped():
    pool, telling = new_tallies(), Telling()
    pool["a"][2] += 1
    assert telling.changes([("web", pool, {"a": 1}, (), {})])["web/a"].active == 1
    assert "a" in pool
    assert telling.changes([("web", pool, {}, (), {})])["web/a"].active == 0
    assert "a" not in pool
    assert telling.changes([("web", pool, {}, (), {})]) == {}


def test_what_is_beyond_the_bound_is_told_next(monkeypatch):
    monkeypatch.setattr(tallies, "TOLD_MAX", 2)
    pool, telling = new_tallies(), Telling()
    for name in "abcde":
        pool[name][2] += 1
    told = [set(telling.changes([("web", pool, {}, "abcde", {})])) for _ in range(4)]
    assert [len(one) for one in told] == [2, 2, 1, 0]
    assert set().union(*told) == {f"web/{name}" for name in "abcde"}


steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["add", "tell", "lose", "restart", "leave"]),
        st.sampled_from("ab"),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(steps)
def test_totals_are_right_and_never_go_back(run):
    """Two workers that count, restart, and lose messages; a server that leaves and comes back."""
    totals, pids = Totals(), [1, 2]
    workers = [(new_tallies(), Telling()), (new_tallies(), Telling())]
    true = {"web/a": 0, "web/b": 0}
    untold = [{}, {}]
    last = dict(true)

    def tell(slot, *, known="ab"):
        tallies_, telling = workers[slot]
        totals.heard(slot, pids[slot], telling.changes([("web", tallies_, {}, known, {})]))
        untold[slot] = {}

    for slot, what, server, digit in run:
        key = f"web/{server}"
        if what == "add":
            workers[slot][0][server][digit] += 1
            true[key] += 1
            untold[slot][key] = untold[slot].get(key, 0) + 1
        elif what == "tell":
            tell(slot)
        elif what == "lose":  # a lost message is followed by a new link, on which all is told
            workers[slot][1].changes([("web", workers[slot][0], {}, "ab", {})])
            workers[slot][1].forget()
        elif what == "leave":
            tell(slot, known=())
        else:
            for lost, count in untold[slot].items():  # a worker that dies takes what it had not told
                true[lost] -= count
            untold[slot] = {}
            workers[slot] = new_tallies(), Telling()
            pids[slot] += 10
        for one in true:
            assert totals.of(one).total >= last[one]
            last[one] = totals.of(one).total
    for slot in (0, 1):
        tell(slot)
    assert {one: totals.of(one).total for one in true} == true
    totals.keep({"web/a"})
    assert totals.of("web/b") == NOTHING
    assert totals.of("web/a").total == true["web/a"]


def test_a_busy_server_is_not_forgotten():
    totals = Totals()
    totals.heard(1, 1, {"web/a": Counted(1, 2)})
    totals.keep(())
    assert totals.of("web/a").active == 1
    totals.heard(1, 2, {})  # that worker died with the request
    assert totals.of("web/a") == Counted(0, 2)
