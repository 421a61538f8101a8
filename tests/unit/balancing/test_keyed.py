import pytest

from gslb.balancing.keyed import KeyedPicker, check_balance_factor
from gslb.model import Server

SERVERS = tuple(Server(name, "127.0.0.1", 9001 + i, 1 + i) for i, name in enumerate("abc"))  # weights 1, 2, 3


class ByLength(KeyedPicker):
    """A key's length is its place; the way goes on to the next place."""

    builds = 0

    def _build(self, places):
        self.builds += 1
        self.count = len(places)

    def _first(self, key):
        return len(key)

    def _place(self, at):
        return at % self.count

    def _again(self, at, key):
        return at + 1


def test_a_key_leads_to_its_place_and_on_from_what_is_not_usable():
    picker = ByLength(SERVERS)
    picker.place(SERVERS)
    picker.update(SERVERS)
    assert [picker.pick(b"x" * i, 0.0, ()).id for i in range(1, 4)] == ["b", "c", "a"]
    picker.update(SERVERS[:1] + SERVERS[2:])
    assert [picker.pick(b"x" * i, 0.0, ()).id for i in range(1, 4)] == ["c", "c", "a"]
    assert picker.pick(b"x", 0.0, {"c"}).id == "a"
    assert picker.pick(b"x", 0.0, {"a", "c"}) is None


def test_places_are_built_anew_only_when_the_configuration_changes():
    picker = ByLength(SERVERS)
    picker.place(SERVERS)
    before = picker.builds
    for usable in (SERVERS, SERVERS[:1], (), SERVERS[1:], SERVERS):
        picker.update(usable)
    assert picker.builds == before
    picker.place(SERVERS[:2])
    picker.update(SERVERS[:2])
    assert picker.builds == before + 1


def test_an_empty_key_is_none_and_numbers_are_keys():
    picker = ByLength(SERVERS)
    counts = [picker.pick(b"", 0.0, ()).id for _ in range(600)]
    assert [counts.count(name) for name in "abc"] == [pytest.approx(100 * weight, abs=4) for weight in (1, 2, 3)]
    assert picker.pick(1234, 0.0, ()).id == picker.pick(b"1234", 0.0, ()).id


def test_a_server_has_room_below_its_share_of_what_runs():
    picker = ByLength(SERVERS, 1.5)
    given = []
    for _ in range(12):
        server = picker.pick(b"x" * 3, 0.0, ())  # all to a, the lightest
        picker.started(server)
        given.append(server.id)
    assert given[0] == "a"
    assert given.count("a") <= 1.5 * 12 / 6 + 1
    for name in given:
        picker.ended(SERVERS["abc".index(name)])
    picker.ended(SERVERS[0])  # once too often
    assert picker.pick(b"x" * 3, 0.0, ()).id == "a"


def test_loads_of_servers_that_are_away_do_not_count():
    picker = ByLength(SERVERS, 1.0)
    for _ in range(50):
        picker.started(SERVERS[2])
    picker.update(SERVERS[:2])
    assert picker.pick(b"x" * 2, 0.0, ()).id == "a"
    picker.update(SERVERS)
    assert {picker.pick(b"x" * i, 0.0, ()).id for i in range(12)} <= {"a", "b", "c"}


@pytest.mark.parametrize("factor", [0.1, 0.99])
def test_a_factor_that_leaves_no_room_is_refused(factor):
    with pytest.raises(ValueError, match=r"write 0 \(off\), or 1 and more"):
        check_balance_factor(factor)


@pytest.mark.parametrize("factor", [0, 1, 1.25])
def test_other_factors_are_taken(factor):
    check_balance_factor(factor)


def test_an_algorithm_says_where_keys_lead():
    with pytest.raises(TypeError, match="abstract"):
        KeyedPicker(())
