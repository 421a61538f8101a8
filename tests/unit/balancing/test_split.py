from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.request import Request
from gslb.balancing.split import Portion, Splitter, rendezvous
from gslb.model import Split


def request(user: str = "") -> Request:
    field = f"X-User: {user}\r\n" if user else ""
    return Request(b"GET", "a", b"/", f"GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n".encode(), b"192.0.2.1")


def firsts(splitter: Splitter, count: int) -> list[str]:
    return [next(splitter.order(request())) for _ in range(count)]


def test_by_turns_in_nginx_s_order():
    assert firsts(Splitter(Split((("a", 5), ("b", 1), ("c", 1)))), 7) == ["a", "a", "b", "a", "c", "a", "a"]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_whole_turns_follow_the_weights(weights):
    split = Splitter(Split(tuple((f"p{i}", weight) for i, weight in enumerate(weights))))
    counts = Counter(firsts(split, 2 * sum(weights)))
    assert counts == {f"p{i}": 2 * weight for i, weight in enumerate(weights)}


def test_the_others_follow_for_when_it_has_no_server():
    order = list(Splitter(Split((("a", 1), ("b", 1), ("c", 1)))).order(request()))
    assert sorted(order) == ["a", "b", "c"]


def test_a_key_stays_with_its_pool_and_shares_follow_the_weights():
    splitter = Splitter(Split((("web", 9), ("canary", 1)), "header:X-User"))
    first = {user: next(splitter.order(request(user))) for user in map(str, range(2_000))}
    assert {user: next(splitter.order(request(user))) for user in first} == first
    assert Counter(first.values())["canary"] == pytest.approx(200, rel=0.3)


def test_more_weight_moves_only_the_difference():
    before = {n: rendezvous(b"%d" % n, (("web", 90), ("canary", 10)))[0] for n in range(3_000)}
    after = {n: rendezvous(b"%d" % n, (("web", 80), ("canary", 20)))[0] for n in range(3_000)}
    moved = {n for n in before if before[n] != after[n]}
    assert {after[n] for n in moved} == {"canary"}
    assert len(moved) == pytest.approx(300, rel=0.35)


def test_without_the_key_a_request_takes_its_turn():
    assert Counter(firsts(Splitter(Split((("a", 1), ("b", 1)), "header:X-User")), 10)) == {"a": 5, "b": 5}


@pytest.mark.parametrize(("percent", "expected"), [(100.0, 1_000), (25.0, 250), (0.1, 1), (33.3, 333)])
def test_a_portion_is_even(percent, expected):
    portion = Portion(percent)
    picked = [portion.next() for _ in range(1_000)]
    assert sum(picked) == pytest.approx(expected, abs=1)
    if percent == 25.0:
        assert picked[:8] == [False, False, False, True] * 2
