import pytest

from gslb.balancing.shedding import BATCH, CRITICAL, NORMAL, Overload, rank_of
from gslb.model import Shedding


@pytest.mark.parametrize(
    ("route", "said", "trusted", "rank"),
    [
        (NORMAL, None, False, NORMAL),
        (NORMAL, b"batch", False, BATCH),
        (NORMAL, b" Batch ", False, BATCH),
        (NORMAL, b"critical", False, NORMAL),
        (NORMAL, b"critical", True, CRITICAL),
        (CRITICAL, b"normal", False, NORMAL),
        (BATCH, b"nonsense", True, BATCH),
        (BATCH, b"", True, BATCH),
    ],
)
def test_a_header_lowers_and_raises_only_from_who_is_trusted(route, said, trusted, rank):
    assert rank_of(route, said, trusted) == rank


def late(overload: Overload, seconds: float, times: int = 20) -> None:
    for _ in range(times):
        overload.look(seconds)


def test_lag_sheds_batch_first_then_thins_normal_and_never_critical():
    overload = Overload(Shedding(lag_s=0.1))
    assert not any(overload.refuses(rank) for rank in (CRITICAL, NORMAL, BATCH))
    late(overload, 0.15)
    assert [overload.refuses(rank) for rank in (CRITICAL, NORMAL, BATCH)] == [False, False, True]
    late(overload, 0.4)
    refused = [overload.refuses(NORMAL) for _ in range(100)]
    assert sum(refused) == pytest.approx(50, abs=1)  # 2 · 0.1 / 0.4 of them stay
    assert not overload.refuses(CRITICAL)


def test_one_slow_turn_is_no_overload():
    overload = Overload(Shedding(lag_s=0.1))
    overload.look(0.15)
    assert not overload.active


def test_it_ends_when_the_loop_is_in_time_again():
    overload = Overload(Shedding(lag_s=0.1))
    late(overload, 1.0)
    assert overload.active
    late(overload, 0.0)
    assert not overload.active


def test_without_shedding_nothing_is_shed():
    overload = Overload(None)
    late(overload, 10.0)
    assert not overload.refuses(BATCH)
    assert overload.shares == (1.0, 1.0, 1.0)


def test_shares_of_places():
    assert Overload(Shedding(0.9, 0.5)).shares == (1.0, 0.9, 0.5)
