"""Words that nodes tell each other: whatever the order and however often, all come to the same, and the newest."""

from dataclasses import asdict, dataclass

from hypothesis import given
from hypothesis import strategies as st

from gslb.health.newest import AHEAD_MAX_MS, Newest, Stamp, read_stamp

NOW = 1_800_000_000_000


@dataclass(frozen=True)
class Said:
    key: str
    what: str
    stamp: Stamp


def read(row):
    stamp = read_stamp(row)
    return None if stamp is None else Said(row["key"], row["what"], stamp)


def table(node="a", most=8):
    return Newest(node, most, read)


def say(words, key, what, now=NOW):
    words.known[key] = Said(key, what, words.tick(now))
    return [asdict(words.known[key])]


def test_a_word_said_after_another_was_heard_is_newer_though_its_clock_is_behind():
    ahead, behind = table("a"), table("b")
    behind.merge(say(ahead, "x", "first", NOW + 1000), NOW)
    ahead.merge(say(behind, "x", "second", NOW), NOW)
    assert ahead.known["x"].what == behind.known["x"].what == "second"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 5)), max_size=12), st.randoms())
def test_all_come_to_the_same_in_any_order(sayings, random):
    nodes = {name: table(name) for name in "abc"}
    rows = [row for name, key, later in sayings for row in say(nodes[name], key, f"{name}{later}", NOW + later)]
    for words in nodes.values():
        mixed = [*rows, *rows]
        random.shuffle(mixed)
        for row in mixed:
            words.merge([row], NOW)
    held = [words.known for words in nodes.values()]
    assert held[0] == held[1] == held[2]
    assert held[0].keys() == {row["key"] for row in rows}


def test_what_is_no_news_is_said_to_be_none():
    words = table()
    rows = say(table("b"), "x", "there")
    assert (words.merge(rows, NOW), words.merge(rows, NOW)) == (True, False)


def test_words_of_the_future_and_what_is_no_word_are_refused_and_counted():
    words = table()
    assert not words.merge(say(table("b"), "x", "late", NOW + AHEAD_MAX_MS + 1), NOW)
    assert not words.merge(["x", None, {}, {"key": "x", "what": "y", "stamp": [1, True, "b"]}], NOW)
    assert words.refused == 5
    assert words.merge(say(table("b"), "x", "early", NOW + AHEAD_MAX_MS), NOW)


def test_no_more_keys_than_there_is_room_for():
    words, other = table(most=2), table("b", most=5)
    for key in "xyz":
        say(other, key, "there")
    words.merge(other.rows(), NOW)
    assert len(words.known) == 2
    assert all(words.has_room(key) for key in words.known)
    assert not words.has_room("new")
    assert not words.merge(say(table("c", most=9), "new", "x"), NOW)


def test_the_newest_are_told_first_within_the_bytes_there_are():
    words = table()
    for number, key in enumerate("xyz"):
        say(words, key, "w" * 50, NOW + number)
    assert [row["key"] for row in words.rows()] == ["z", "y", "x"]
    assert [row["key"] for row in words.rows(250)] == ["z", "y"]
    assert words.rows(10) == []
