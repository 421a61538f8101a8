"""YAML text to values that know their lines. The judge of values is ruamel's own safe loader."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gslb.config.reader import DEPTH_MAX, Document, Items, Table, dotted, read


def parsed(text):
    document = read("f", text.encode())
    assert document.problems == []
    return document.tree


def told(text):
    return [(problem.line, problem.message) for problem in read("f", text.encode()).problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"), ("no", "no"), ("on", "on"), ("y", "y"), ("yes", "yes"),  # truths of YAML 1.1 only
        ("true", True), ("True", True), ("FALSE", False), ("tRue", "tRue"),
        ("", None), ("~", None), ("null", None), ("NULL", None), ("nUll", "nUll"),
        ("1", 1), ("-1", -1), ("+1", 1), ("010", 10), ("0o10", 8), ("0x1F", 31), ("1_000", "1_000"), ("0b1", "0b1"),
        ("1.5", 1.5), ("-.5", -0.5), ("1e3", 1000.0), ("1.e+3", 1000.0), (".inf", ".inf"), (".nan", ".nan"),
        ("1e999", "1e999"), ("1:30", "1:30"), ("190:20:30", "190:20:30"), ("2024-01-01", "2024-01-01"),
        ("'1'", "1"), ('"true"', "true"), ("'it''s'", "it's"), ('"\\u00e9\\n"', "é\n"), ("a b  c", "a b  c"),
        ("|\n  x\n  y\n", "x\ny\n"),
        (">-\n  x\n  y", "x y"), ("[1, [a]]", [1, ["a"]]), ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("! 1", 1), ("=", "="), ("1s", "1s"), ("20%", "20%"), ("http://x:1/", "http://x:1/"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text, value):
    found = parsed(f"k: {text}")["k"]
    assert found == value
    assert type(found) in {type(value), Table, Items}


def test_keys_are_text_as_written():
    assert list(parsed("1: a\ntrue: b\nNO: c\n~: d\n0x1: e")) == ["1", "true", "NO", "~", "0x1"]


KEYS = st.from_regex("[a-z]{1,8}", fullmatch=True)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), st.booleans())
def test_what_ruamel_writes_is_read_as_it_reads_it(tree, flow):
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    text = io.StringIO()
    yaml.dump(tree, text)
    document = read("f", text.getvalue().encode())
    if not document.problems:  # deeper than anything here needs to be
        assert document.tree == yaml.load(text.getvalue())


TEXT = """\
a: 1
b:
  c: [x,
      y]
  d:
  - e: 2
    f: 3
  - g
"h": |
  text
i: &i {j: 4}
k: *i
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1), (("a",), 1), (("b",), 2), (("b", "c"), 3), (("b", "c", 0), 3), (("b", "c", 1), 4), (("b", "d"), 5),
        (("b", "d", 0), 6), (("b", "d", 0, "f"), 7), (("b", "d", 1), 8), (("h",), 9), (("i", "j"), 11),
        (("k",), 12), (("k", "j"), 11),
        (("b", "nowhere", "c"), 2), (("b", "d", 7), 5), (("b", "d", "e"), 5), (("nowhere",), 1), (("a", 0), 1),
    ],
)  # fmt: skip
def test_everything_knows_its_line(path, line):
    assert read("f", TEXT.encode()).line(*path) == line


def test_a_word_is_found_as_key_and_as_value():
    document = read("f", TEXT.encode())
    assert [document.line_of(word, "b") for word in ("y", "f", "g", "d", "nowhere")] == [4, 7, 8, 5, 2]


def test_what_is_taken_out_moves_the_lines_too():
    document = read("f", TEXT.encode())
    document.at("b", "d").remove_at(0)
    document.at("b").remove_at("c")
    assert document.tree["b"] == {"d": ["g"]}
    assert document.line("b", "d", 0) == 8
    assert document.holder("b", "c") == (document.tree, "b")


def test_a_mistake_that_follows_from_a_wrong_value_is_not_told():
    document = Document("f", Table(1), wrong=[("a", "b")])
    for path in (("a",), ("a", "b"), ("a", "b", 0)):
        document.blame(path, "follows")
    document.blame(("a", "c"), "does not")
    assert [problem.message for problem in document.problems] == ["does not"]


def test_paths_are_dotted():
    assert dotted(("edge", "dns", "listen", 0)) == "edge.dns.listen[0]"
    assert dotted(()) == ""


# ---------------------------------------------------------------- bounds
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("k:\n  " + "[" * (DEPTH_MAX + 1), 2, f"more than {DEPTH_MAX} levels deep"),
        ("k: " + "{a: " * 10_000, 1, "levels deep"),
        (LAUGHS, 7, "more than 1,000,000 values"),
        ("a: &a [*a]", 1, "*a is not known here"),
        ("a: 1\na: 2\na: 3", 2, "the key 'a' is there twice"),
        ("a: {b: 1,\n b: 2}", 2, "the key 'b' is there twice"),
        ("a: !!python/object/apply:os.system [x]", 1, "the tag"),
        ("a: !!binary aGk=", 1, "the tag"),
        ("a: !include x", 1, "the tag"),
        ("? [a]\n: 1", 1, "a key is no plain word"),
        ('a: 1\nb: "\\U00110000"', 2, "this is not YAML"),
        ("a: 1\n--- b", 2, "second document"),
        ("a: 1\n...\nb: 2", 3, "second document"),
        ('a: 1\nb: "\\ud800"', 2, "half of a character"),
        ('a: 1\n"\\udfff": 2', 2, "half of a character"),
        ("a: 1\n\x00", 2, "a control character"),
    ],
)  # fmt: skip
def test_what_is_refused(text, line, words):
    found = told(text)
    assert found[0][0] == line
    assert words in found[0][1]


def test_tags_are_never_obeyed():
    assert read("f", b"a: !!int x\nb: !!set {c}\nc: !!timestamp 2024-01-01").tree == {
        "a": "x", "b": {"c": None}, "c": "2024-01-01",
    }  # fmt: skip


def test_a_byte_order_mark_and_a_version_do_no_harm():
    assert read("f", b"\xef\xbb\xbfa: NO").tree == {"a": "NO"}
    assert parsed("%YAML 1.1\n---\na: NO") == {"a": "NO"}
    assert parsed("---\na: 1\n...\n") == {"a": 1}
