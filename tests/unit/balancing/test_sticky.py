from dataclasses import replace

import pytest

from gslb.balancing import sticky as module
from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.balancing.pool import PoolState
from gslb.balancing.request import Request
from gslb.balancing.sessions import ID_BYTES, tag, unseal
from gslb.balancing.sticky import NONE, SPILL, CookieSticking, KeySticking
from gslb.model import Pool, Server, State, Sticky

SECRET, NOW = b"k" * 32, 1_000_000
SERVERS = tuple(Server(name, "127.0.0.1", 9001 + i) for i, name in enumerate("abcd"))
A, B = SERVERS[:2]


def state_of(servers=SERVERS, **states) -> PoolState:
    return PoolState(Pool("web", servers, RoundRobin()), {f"web/{name}": state for name, state in states.items()})


def request(head: bytes = b"", address: bytes = b"192.0.2.1") -> Request:
    return Request(b"GET", "a", b"/", b"GET / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n", address)


# ---------------------------------------------------------------- our own cookie
def sticking(region="eu-west", servers=SERVERS, **options) -> CookieSticking:
    made = CookieSticking(Sticky(**options), SECRET, region)
    made.update("web", servers)
    return made


def with_cookie(by: CookieSticking, session) -> Request:
    return request(b"Cookie: a=b; gslb=" + by.sealed(session) + b"\r\n")


def begun(by: CookieSticking, server=A):
    return by.begin(server, NOW, b"i" * ID_BYTES)


def test_a_request_without_a_session_begins_one():
    by = sticking()
    assert by.find(request(), state_of(), NOW) is NONE
    assert NONE.news
    assert unseal(by.sealed(begun(by)), SECRET, "web") == begun(by)


@pytest.mark.parametrize("value", [b"", b"x", b"A" * 80, b"A" * 5000])
def test_a_broken_cookie_is_none(value):
    assert sticking().find(request(b"Cookie: gslb=" + value + b"\r\n"), state_of(), NOW) is NONE


@pytest.mark.parametrize("state", [State.UP, State.UNKNOWN, State.DRAINING])
def test_it_stays_unless_its_server_is_down(state):
    by = sticking()
    found = by.find(with_cookie(by, begun(by)), state_of(a=state), NOW + 10)
    assert (found.server, found.session, found.news) == (A, None, False)


def test_it_stays_on_a_server_that_drains_by_weight_zero():
    by = sticking()
    servers = (replace(A, weight=0), B)
    assert by.find(with_cookie(by, begun(by)), state_of(servers), NOW).server == servers[0]


def test_its_lost_server_moves_it_once_and_every_node_agrees():
    nodes = [sticking() for _ in range(3)]
    moved = [by.find(with_cookie(by, begun(by)), state_of(a=State.DOWN), NOW + 5) for by in nodes]
    assert len({found.server.id for found in moved}) == 1
    [session] = {found.session for found in moved}
    assert (session.moves, session.home, session.home_tag) == (1, "eu-west", tag(SECRET, "web", "a"))
    again = nodes[0].find(with_cookie(nodes[0], session), state_of(a=State.DOWN), NOW + 6)
    assert (again.server, again.session) == (moved[0].server, None)


def test_a_removed_server_is_lost_too():
    by = sticking(servers=SERVERS[1:])
    found = by.find(with_cookie(by, begun(by)), state_of(SERVERS[1:]), NOW)
    assert found.server in SERVERS[1:]
    assert found.session.moves == 1


def test_failback():
    for failback_s, back in ((0.0, True), (600.0, False)):
        by = sticking(failback_s=failback_s)
        session = by.find(with_cookie(by, begun(by)), state_of(a=State.DOWN), NOW).session
        found = by.find(with_cookie(by, session), state_of(), NOW + 599)
        assert (found.server == A) is back
        found = by.find(with_cookie(by, session), state_of(), NOW + 600)
        assert found.server == A
        assert (found.session.home, found.session.moves) == ("", 2)


def test_another_regions_session_moves_here_and_may_return():
    here, there = sticking("eu-west"), sticking("us-east")
    session = begun(here)
    moved = there.find(with_cookie(here, session), state_of(), NOW + 1)
    assert (moved.session.region, moved.session.home, moved.session.moves) == ("us-east", "eu-west", 1)
    back = here.find(with_cookie(here, moved.session), state_of(), NOW + 2)  # the client was sent home again
    assert (back.server, back.session.region, back.session.home) == (A, "eu-west", "")


def test_it_ends_after_its_ttl_and_is_renewed_before():
    by = sticking(ttl_s=100.0)
    assert by.find(with_cookie(by, begun(by)), state_of(), NOW + 101) is NONE
    found = by.find(with_cookie(by, begun(by)), state_of(), NOW + 80)
    assert (found.server, found.session.issued, found.news) == (A, NOW + 80, True)


def test_a_full_server_spills_this_request_and_keeps_the_session():
    by, servers = sticking(), (replace(A, max_connections=1), B)
    state = state_of(servers)
    state.started(servers[0])
    found = by.find(with_cookie(by, begun(by)), state, NOW)
    assert found is SPILL
    assert not found.news


def test_with_no_server_left_there_is_none():
    by = sticking()
    down = state_of(**dict.fromkeys("abcd", State.DOWN))
    assert by.find(with_cookie(by, begun(by)), down, NOW) is NONE


# ---------------------------------------------------------------- keys
def test_a_key_keeps_to_its_server_while_it_is_asked_for():
    by, other = KeySticking(Sticky(by="client_ip", ttl_s=10.0)), KeySticking(Sticky(by="client_ip"))
    first = by.find(request(), state_of(), NOW).server
    assert other.find(request(), state_of(), NOW).server == first  # another worker agrees unasked
    more = (*SERVERS, *(Server(f"x{i}", "127.0.0.1", 9100 + i, weight=50) for i in range(20)))
    assert by.find(request(), state_of(more), NOW + 9).server == first
    assert by.find(request(), state_of(more), NOW + 18).server == first
    assert by.find(request(), state_of(more), NOW + 40).server != first


def test_a_key_whose_server_is_lost_moves_and_stays_there():
    by = KeySticking(Sticky(by="header:X-User"))
    asked = request(b"X-User: ann\r\n")
    first = by.find(asked, state_of(), NOW).server
    second = by.find(asked, state_of(**{first.id: State.DOWN}), NOW).server
    assert second != first
    assert by.find(asked, state_of(), NOW).server == second


def test_a_request_without_the_key_has_no_session():
    by = KeySticking(Sticky(by="query:id"))
    assert by.find(request(), state_of(), NOW) is NONE
    assert by.size == 0
    long = Request(b"GET", "a", b"/?id=" + b"x" * 300, b"", b"")
    assert by.find(long, state_of(), NOW) is NONE
    assert by.size == 0


def test_a_servers_own_cookie_is_learned():
    by = KeySticking(Sticky(by="learned:SID"))
    asked = request(b"Cookie: SID=one\r\n")
    assert by.find(asked, state_of(), NOW) is NONE  # we never saw it being set
    by.learn(b"one", "b", NOW)
    assert by.find(asked, state_of(), NOW).server == B
    assert by.find(asked, state_of(b=State.DOWN), NOW).server != B
    by.learn(b"", "b", NOW)
    by.learn(b"x" * 300, "b", NOW)
    assert by.size == 1


def test_what_another_worker_has_learned():
    by, other = (KeySticking(Sticky(by="learned:SID")) for _ in range(2))
    by.learn(b"one", "b", NOW)
    for key, server_id in by.told():
        other.remember(key, server_id, NOW)
    assert by.told() == ()
    assert other.find(request(b"Cookie: SID=one\r\n"), state_of(), NOW).server == B


def test_news_and_the_table_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "ENTRIES_MAX", 3)
    monkeypatch.setattr(module, "NEWS_MAX", 2)
    by = KeySticking(Sticky(by="learned:SID"))
    for value in (b"1", b"2", b"3", b"4"):
        by.learn(value, "b", NOW)
    assert by.size == 3
    assert by.find(request(b"Cookie: SID=1\r\n"), state_of(), NOW) is NONE
    assert by.told() == ((b"3", "b"), (b"4", "b"))
