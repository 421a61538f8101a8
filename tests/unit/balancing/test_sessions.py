import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.sessions import (
    ID_BYTES,
    MOVES_MAX,
    Session,
    expired,
    home,
    moved,
    rendezvous,
    renewed,
    returns,
    seal,
    started,
    tag,
    unseal,
)
from gslb.model import Location, Region, Server, State, Sticky

SECRET = b"s" * 32
A, B = tag(SECRET, "web", "a"), tag(SECRET, "web", "b")
NEW = started(b"i" * ID_BYTES, "eu-west", A, 1_000_000)
REGIONS = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)
SESSIONS = st.builds(
    Session,
    st.binary(min_size=ID_BYTES, max_size=ID_BYTES),
    REGIONS,
    st.just(B),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, MOVES_MAX),
    REGIONS,
    st.just(A),
)


@given(SESSIONS)
def test_what_is_sealed_is_read_back_and_fits_a_cookie(session):
    value = seal(session, SECRET, "web")
    assert unseal(value, SECRET, "web") == session
    assert len(value) < 256
    assert value.translate(None, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == b""


@given(SESSIONS, st.data())
def test_one_changed_byte_is_no_session(session, data):
    value = bytearray(seal(session, SECRET, "web"))
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != value[at]))
    read = unseal(bytes(value), SECRET, "web")
    assert read is None or read == session  # the last character has bits that say nothing


@given(st.binary(max_size=600))
def test_anything_else_is_no_session(value):
    assert unseal(value, SECRET, "web") is None


def test_another_secret_or_pool_reads_nothing():
    value = seal(NEW, SECRET, "web")
    assert unseal(value, b"t" * 32, "web") is None
    assert unseal(value, SECRET, "api") is None


def test_a_long_secret_is_as_good():
    assert unseal(seal(NEW, b"x" * 200, "web"), b"x" * 200, "web") == NEW


def test_tags_tell_nothing_of_the_server():
    assert b"backend" not in seal(replace(NEW, tag=tag(SECRET, "web", "backend")), SECRET, "web")
    assert len({tag(SECRET, pool, server) for pool in ("web", "api") for server in ("a", "b")}) == 4


SERVERS = tuple(Server(f"s{i}", "127.0.0.1", 9000 + i, weight=1 + i % 3) for i in range(12))


@given(st.binary(min_size=ID_BYTES, max_size=ID_BYTES), st.integers(0, 11))
def test_rendezvous_moves_only_the_sessions_of_what_is_lost(ident, lost):
    before = rendezvous(ident, SERVERS)
    left = [server for server in reversed(SERVERS) if server is not SERVERS[lost]]
    after = rendezvous(ident, left)
    assert before is not None
    assert after is before or before is SERVERS[lost]


def test_rendezvous_goes_by_weight():
    found = [rendezvous(b"%d" % i, SERVERS) for i in range(6000)]
    per_weight = [sum(1 for one in found if one is not None and one.weight == weight) for weight in (1, 2, 3)]
    for weight, count in zip((1, 2, 3), per_weight, strict=True):
        assert count == pytest.approx(6000 * weight / 6, rel=0.1)
    assert rendezvous(b"x", ()) is None


def test_where_it_began_is_kept_over_moves_and_forgotten_at_home():
    once = moved(NEW, "us-east", B, 1_000_100)
    assert (once.home, once.home_tag, once.moves, once.moved) == ("eu-west", A, 1, 1_000_100)
    twice = moved(once, "ap-south", B, 1_000_200)
    assert (twice.home, twice.home_tag, twice.moves) == ("eu-west", A, 2)
    back = moved(twice, "eu-west", A, 1_000_300)
    assert (back.home, back.home_tag, back.region, back.tag, back.moves) == ("", b"", "eu-west", A, 3)


def test_it_lasts_its_ttl_and_is_renewed_in_its_second_half():
    sticky = Sticky(ttl_s=100.0)
    assert not expired(NEW, sticky, 1_000_100)
    assert expired(NEW, sticky, 1_000_101)
    assert renewed(NEW, sticky, 1_000_050) is None
    assert renewed(NEW, sticky, 1_000_051) == replace(NEW, issued=1_000_051)


@pytest.mark.parametrize(("failback_s", "after"), [(0.0, 0), (600.0, 600), (math.inf, None)])
def test_failback(failback_s, after):
    sticky, gone = Sticky(failback_s=failback_s), moved(NEW, "us-east", B, 1_000_100)
    assert not returns(NEW, sticky, 1_009_999)
    if after is None:
        assert not returns(gone, sticky, 2**32 - 1)
    else:
        assert returns(gone, sticky, 1_000_100 + after)
        assert after == 0 or not returns(gone, sticky, 1_000_099 + after)


# ---------------------------------------------------------------- regions
REGIONS_OF = tuple(Region(name, Location(0.0, 0.0), (), (), f"http://{name}") for name in ("eu-west", "us-east", "ap"))


def placed(session, failback_s=math.inf, now=1_000_200, **states):
    known = {name.replace("_", "-"): state for name, state in states.items()}
    return home(session, known, REGIONS_OF, failback_s, now)


@pytest.mark.parametrize("state", [State.UP, State.UNKNOWN, State.DRAINING])
def test_a_session_stays_in_its_region_unless_that_is_down(state):
    assert placed(NEW, eu_west=state) == "eu-west"


def test_a_lost_regions_sessions_go_where_every_front_door_says():
    found = {placed(started(b"%09d" % i, "eu-west", A, 1_000_000), eu_west=State.DOWN) for i in range(64)}
    assert found == {"us-east", "ap"}
    one = placed(NEW, eu_west=State.DOWN)
    assert placed(NEW, eu_west=State.DOWN) == one
    other = {"us-east": "ap", "ap": "us-east"}[one]
    assert placed(NEW, eu_west=State.DOWN, **{one.replace("-", "_"): State.DRAINING}) == other


def test_a_region_that_is_no_more_is_lost():
    assert placed(replace(NEW, region="gone")) in {"eu-west", "us-east", "ap"}


def test_with_all_down_there_is_no_home():
    assert placed(NEW, eu_west=State.DOWN, us_east=State.DOWN, ap=State.DOWN) is None


def test_a_moved_session_returns_as_failback_says():
    gone = moved(NEW, "us-east", B, 1_000_100)
    assert placed(gone) == "us-east"
    assert placed(gone, 100.0) == "eu-west"
    assert placed(gone, 101.0) == "us-east"
    assert placed(gone, 0.0, eu_west=State.DRAINING) == "us-east"
