from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.ramps import SCALE, STEPS, Ramps
from gslb.model import Server, SlowStart

A, B = Server("a", "127.0.0.1", 1, 4), Server("b", "127.0.0.1", 2, 2)


def test_nobody_ramps_nothing_changes():
    ramps = Ramps()
    assert not ramps
    assert ramps.weigh((A, B)) == (A, B)
    assert not ramps.step(1e9)


def test_a_server_gets_its_share_by_steps():
    ramps = Ramps()
    ramps.start("a", SlowStart(10.0), 100.0)
    shares = []
    for tenths in range(101):
        ramps.step(100.0 + tenths / 10)
        a, b = ramps.weigh((A, B))
        shares.append(a.weight / b.weight / 2)
    assert shares[0] == 0.1
    assert shares == sorted(shares)
    assert len(set(shares)) == STEPS  # 0 % and 10 % are one: min_weight
    assert shares[-1] == 1.0
    assert not ramps
    assert ramps.weigh((A, B)) == (A, B)


def test_step_says_whether_weights_changed():
    ramps = Ramps()
    ramps.start("a", SlowStart(10.0), 0.0)
    assert [ramps.step(now) for now in (0.5, 1.0, 1.5, 2.0, 10.0, 11.0)] == [False, True, False, True, True, False]


@given(st.floats(0.1, 10.0), st.floats(0.01, 1.0), st.floats(0, 29.9))
def test_the_share_is_envoys(aggression, least, seconds):
    ramps = Ramps()
    ramps.start("a", SlowStart(30.0, aggression, least), 0.0)
    ramps.step(seconds)
    done = int(seconds / 3.0 + 1e-9) / STEPS
    expected = max(least, done ** (1 / aggression))
    a, b = ramps.weigh((A, B))
    assert b.weight == 2 * SCALE
    assert a.weight == max(1, round(4 * SCALE * expected))


def test_one_that_is_gone_again_stops():
    ramps = Ramps()
    ramps.start("a", SlowStart(10.0), 0.0)
    ramps.stop("a")
    ramps.stop("a")
    assert not ramps


def test_a_second_start_begins_anew():
    ramps = Ramps()
    ramps.start("a", SlowStart(10.0), 0.0)
    ramps.step(8.0)
    ramps.start("a", SlowStart(10.0), 8.0)
    assert ramps.weigh((A,))[0].weight == 4 * SCALE // 10
