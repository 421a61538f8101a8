"""By simulation: requests come at a steady rate, servers take their time, the picker is told. No clock, no chance."""

import heapq
import math
from collections import Counter
from collections.abc import Callable

import pytest

from gslb.balancing.algorithms.peak_ewma import PeakEwma
from gslb.model import Server


def servers(*weights: int) -> tuple[Server, ...]:
    return tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight) for i, weight in enumerate(weights))


Takes = Callable[[str, float, int], tuple[float, bool]]


class Pool:
    """A pool under load. `takes(server id, now, how many it had)` says how long a request takes and how it ends."""

    def __init__(self, pool, takes: Takes, algorithm=None) -> None:
        self.picker = (algorithm or PeakEwma()).build(pool)
        self.takes = takes
        self.now = 100.0
        self.served: Counter[str] = Counter()
        self.ends: list = []

    def run(self, seconds: float, rate: float) -> Counter:
        """Requests by server in this span."""
        before = self.served.copy()
        for _ in range(round(seconds * rate)):
            self.now += 1 / rate
            while self.ends and self.ends[0][0] <= self.now:
                end, _, server, took, ok = heapq.heappop(self.ends)
                self.picker.ended(server)
                self.picker.observe(server.id, took, ok, end)
            server = self.picker.pick(None, self.now, ())
            self.picker.started(server)
            took, ok = self.takes(server.id, self.now, self.served[server.id])
            self.served[server.id] += 1
            heapq.heappush(self.ends, (self.now + took, self.served.total(), server, took, ok))
        return self.served - before


def even(server_id, now, count):
    return 0.02, True


# ---------------------------------------------------------------- the two classic bugs
def test_a_new_server_does_not_take_everything_until_its_first_reply():
    def late(server_id, now, count):
        return (2.0 if server_id == "s3" and not count else 0.02), True

    pool = Pool(servers(1, 1, 1), late)
    pool.run(30, 100)
    pool.picker.update(servers(1, 1, 1, 1))
    got = pool.run(1, 100)  # all of it before that reply
    assert 1 <= got["s3"] <= 35
    # nor where nothing has been measured yet: s1's reply is far away, the others' just not yet there
    cold = Pool(servers(1, 1, 1), lambda server_id, now, count: (5.0 if server_id == "s1" else 0.5, True))
    assert cold.run(0.4, 100)["s1"] <= 20
    assert cold.run(2, 100)["s1"] <= 20


def test_an_identical_server_does_not_starve_after_one_slow_reply():
    """The bug in the wild: 5 of 1,500 requests, since a first reply with its connection to make is never forgotten."""

    def first_is_slow(server_id, now, count):
        return (1.0 if server_id == "s0" and not count else 0.02), True

    pool = Pool(servers(1, 1, 1), first_is_slow)
    got = pool.run(60, 25)
    assert got.total() == 1500
    assert got["s0"] > 250  # of a fair 500; it is out for 20 s of the 60
    assert pool.run(60, 25)["s0"] > 400


def test_a_trickle_does_not_keep_a_slow_reply_alive():
    """Of two servers now and then the same one is drawn twice: just often enough never to be asked anew."""
    pool = Pool(servers(1, 1), even)
    pool.run(5, 200)
    pool.picker.observe("s0", 30.0, True, pool.now)
    assert pool.run(20, 200)["s0"] < 100
    assert pool.run(20, 200)["s0"] > 1500  # of a fair 2000


def test_nobody_starves_behind_a_request_that_never_ends():
    """A server with a stream open for hours and one slow reply still gets its sample."""
    pool = Pool(servers(1, 1), even)
    pool.run(5, 20)
    pool.picker.started(servers(1, 1)[0])  # open for ever
    pool.picker.observe("s0", 5.0, True, pool.now)
    assert pool.run(60, 200)["s0"] > 2000  # of a fair 6000; it has one request more than the other at any time


# ---------------------------------------------------------------- what it is for
def test_a_slow_server_is_avoided_and_comes_back():
    slow_until = [200.0]

    def one_slow(server_id, now, count):
        return (0.5 if server_id == "s0" and now < slow_until[0] else 0.02), True

    pool = Pool(servers(1, 1, 1), one_slow)
    got = pool.run(100, 50)
    assert got["s0"] < 0.03 * got.total()
    pool.run(40, 50)  # it is well again: two decays until it is asked
    got = pool.run(60, 50)
    assert got["s0"] > 0.25 * got.total()


def test_a_server_that_hangs_does_not_look_better_and_better():
    pool = Pool(servers(1, 1, 1), lambda server_id, now, count: (math.inf if server_id == "s0" else 0.02, True))
    got = pool.run(200, 50)
    assert got["s0"] <= 2 + 200 / 20 + 3


def test_silence_while_requests_wait_is_no_good_news():
    hangs_from = 110.0

    def takes(server_id, now, count):
        return (math.inf if server_id == "s0" and now > hangs_from else 0.02), True

    pool = Pool(servers(1, 1, 1), takes)
    pool.run(10, 400)
    assert pool.run(18, 400)["s0"] < 15  # as many under way as the others have at a time, and no more


def test_an_idle_server_is_given_another_chance_by_and_by():
    pool = servers(1, 1)
    picker = PeakEwma(decay=10.0).build(pool)

    def picked(now):
        return Counter(picker.pick(None, now, ()).id for _ in range(200))

    picker.pick(None, 0.0, ())
    for server, seconds in zip(pool, (0.06, 0.02), strict=True):
        picker.started(server)
        picker.ended(server)
        picker.observe(server.id, seconds, True, 0.0)
    assert picked(9.0)["s1"] > 180
    picker.observe("s1", 0.02, True, 12.0)
    assert picked(12.0)["s0"] > 180  # 0.06 / e^1.2 < 0.02, well before two decays


def test_a_server_that_fails_at_once_is_no_fast_one():
    pool = Pool(servers(1, 1, 1), lambda server_id, now, count: (0.001, server_id != "s0"))
    got = pool.run(100, 50)
    assert got["s0"] < 0.02 * got.total()
    assert pool.picker._known["s0"].cost >= 0.5  # `penalty`, a little decayed at most


def test_shares_follow_the_weights_among_equals_under_load():
    got = Pool(servers(3, 2, 1), lambda *_: (0.5, True)).run(60, 200)
    for i, weight in enumerate((3, 2, 1)):
        assert got[f"s{i}"] == pytest.approx(weight * 2000, rel=0.15)


# ---------------------------------------------------------------- the average
def test_peaks_count_at_once_and_fall_slowly():
    picker = PeakEwma(decay=10.0).build(servers(1))
    picker.pick(None, 0.0, ())
    cost = lambda: picker._known["s0"].cost  # noqa: E731 - short
    picker.observe("s0", 0.1, True, 0.0)
    assert cost() == 0.1
    picker.observe("s0", 0.9, True, 1.0)
    assert cost() == 0.9
    picker.observe("s0", 0.1, True, 11.0)  # one time constant later
    assert cost() == pytest.approx(0.9 * math.exp(-1) + 0.1 * (1 - math.exp(-1)))
    picker.observe("s0", 0.001, False, 11.1)
    assert cost() == 1.0  # the penalty
    picker.observe("s0", 3.0, False, 11.2)  # a timeout that took longer
    assert cost() == 3.0
    picker.observe("s0", 0.1, True, 31.1)
    assert cost() > 0.3
    picker.observe("s0", 0.1, True, 31.3)  # the peak is more than two of them ago
    assert cost() == 0.1


def test_what_is_older_than_two_decays_is_forgotten_with_the_next_request():
    (server,) = servers(1)
    picker = PeakEwma(decay=10.0).build((server,))
    for now, known, seconds in ((0.0, None, 5.0), (20.0, 5.0, 5.0), (40.1, None, 0.05)):
        picker.pick(None, now, ())
        picker.started(server)
        assert picker._known["s0"].cost == known
        picker.ended(server)
        picker.observe("s0", seconds, True, now)
    assert picker._known["s0"].cost == 0.05


def test_a_joining_server_starts_at_the_median():
    picker = PeakEwma().build(servers(1, 1, 1))
    picker.pick(None, 5.0, ())
    for i, seconds in enumerate((0.01, 0.03, 0.9)):
        picker.observe(f"s{i}", seconds, True, 5.0)
    picker.update(servers(1, 1, 1, 1))
    assert picker._known["s3"].cost == 0.03
    assert [picker._known[f"s{i}"].cost for i in range(3)] == [0.01, 0.03, 0.9]  # what stays is known as before
    picker.update(servers(1, 1))
    picker.observe("s3", 9.0, True, 6.0)  # of one that is gone: nothing
    assert set(picker._known) == {"s0", "s1"}


def test_requests_of_a_server_that_left_are_still_counted():
    pool = servers(1, 1)
    picker = PeakEwma().build(pool)
    picker.started(pool[0])
    picker.update(pool[1:])
    picker.update(pool)
    assert picker._known["s0"].pending == 1
    picker.ended(pool[0])
    picker.ended(pool[0])  # once too often
    assert picker._known["s0"].pending == 0
    assert picker._pending == {}
