from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.outliers import HOSTS_MIN, REQUESTS_MIN, Detector
from gslb.model import OutlierRule

IDS = [f"s{i}" for i in range(10)]
RULE = OutlierRule(max_ejected=0.3)


def detector(rule=RULE, ids=IDS) -> Detector:
    return Detector(rule, ids, 0.0)


def failed(one: Detector, server: str, count: int, gateway: bool = False) -> str:
    return one.observe(server, 0, count, (count, count if gateway else 0), count if gateway else 0, 0.0)


def test_failures_in_a_row_deserve_ejection():
    one = detector()
    assert failed(one, "s0", 4) == ""
    assert failed(one, "s0", 1) == "5 failures in a row"


def test_gateway_failures_have_a_row_of_their_own():
    one = detector(replace(RULE, consecutive_5xx=0, consecutive_gateway_failures=3))
    assert failed(one, "s0", 2, gateway=True) == ""
    assert failed(one, "s0", 1) == ""  # a plain 500 ends the row
    assert failed(one, "s0", 2, gateway=True) == ""
    assert failed(one, "s0", 1, gateway=True) == "3 gateway failures in a row"


def test_a_success_ends_both_rows():
    one = detector()
    failed(one, "s0", 4, gateway=True)
    assert one.observe("s0", 1, 0, (0, 0), 0, 0.0) == ""
    assert failed(one, "s0", 4, gateway=True) == ""


def test_an_ejection_lasts_longer_each_time_up_to_a_bound():
    one = detector(replace(RULE, base_ejection_s=30.0, max_ejection_s=70.0, interval_s=1e6))
    now = 0.0
    for lasts in (30.0, 60.0, 70.0, 70.0):
        assert one.eject("s0", "why", IDS, now)
        one.tick(now + lasts - 0.1, IDS)
        assert one.is_ejected("s0")
        assert not one.is_due(now + lasts - 0.1)
        assert one.is_due(now + lasts)
        one.tick(now + lasts, IDS)
        assert not one.is_ejected("s0")
        now += lasts


def test_good_intervals_forgive():
    one = detector(replace(RULE, base_ejection_s=30.0, interval_s=10.0))
    one.eject("s0", "why", IDS, 0.0)
    one.tick(30.0, IDS)
    for tens in range(4, 10):
        one.tick(tens * 10.0, IDS)
    assert one.eject("s0", "why", IDS, 100.0)
    one.tick(130.0, IDS)
    assert not one.is_ejected("s0")  # 30 s again, not 60


@pytest.mark.parametrize(
    ("servers", "share", "allowed"), [(10, 0.3, 3), (10, 0.1, 1), (3, 0.1, 1), (1, 1.0, 0), (10, 0.0, 0)]
)
def test_so_many_are_out_at_a_time(servers, share, allowed):
    one = detector(replace(RULE, max_ejected=share), IDS[:servers])
    assert one.allowed == allowed
    assert sum(one.eject(server, "why", IDS[:servers], 0.0) for server in IDS[:servers]) == allowed


def test_the_last_server_that_is_left_stays():
    one = detector(replace(RULE, max_ejected=1.0))
    assert not one.eject("s0", "why", ["s0"], 0.0)
    assert one.eject("s0", "why", ["s0", "s1"], 0.0)


def interval(one: Detector, rates: dict[str, float], requests: int = REQUESTS_MIN) -> None:
    for server, rate in rates.items():
        good = round(rate * requests)
        one.observe(server, good, requests - good, (0, 0), 0, 0.0)
    one.tick(10.0, IDS)


def test_the_one_below_the_others_goes():
    one = detector()
    interval(one, dict.fromkeys(IDS[1:], 0.99) | {"s0": 0.5})
    assert one.why == {"s0": "success rate 50.0%, the pool's 94.1%"}


def test_few_servers_or_few_requests_say_nothing():
    one = detector(ids=IDS[: HOSTS_MIN - 1])
    interval(one, dict.fromkeys(IDS[1:HOSTS_MIN - 1], 1.0) | {"s0": 0.0})
    assert one.why == {}
    one = detector()
    interval(one, dict.fromkeys(IDS[1:], 1.0) | {"s0": 0.0}, REQUESTS_MIN - 1)
    assert one.why == {}


def test_all_alike_bad_is_no_outlier():
    one = detector()
    interval(one, dict.fromkeys(IDS, 0.2))
    assert one.why == {}


def test_a_factor_of_0_compares_nobody():
    one = detector(replace(RULE, success_rate_stdev=0.0))
    interval(one, dict.fromkeys(IDS[1:], 1.0) | {"s0": 0.0})
    assert one.why == {}


def test_new_plans_keep_what_is_known():
    one = detector()
    one.eject("s0", "why", IDS, 0.0)
    one.eject("s1", "why", IDS, 0.0)
    one.configure(RULE, [*IDS[1:], "new"])
    assert one.why == {"s1": "why"}
    assert failed(one, "s0", 9) == ""  # unknown now
    assert failed(one, "new", 5) != ""


@given(st.lists(st.tuples(st.sampled_from(IDS), st.booleans(), st.floats(0, 20)), max_size=80), st.floats(0, 1))
def test_never_more_out_than_allowed(events, share):
    one = detector(replace(RULE, max_ejected=share))
    now = 0.0
    for server, good, pause in events:
        now += pause
        available = [one_id for one_id in IDS if not one.is_ejected(one_id)]
        if one.is_due(now):
            one.tick(now, available)
        why = one.observe(server, int(good), int(not good) * 5, (0 if good else 5, 0), 0, now)
        if why:
            one.eject(server, why, available, now)
        assert len(one.why) <= one.allowed
