import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.patterns import (
    PATTERN_CHARACTERS_MAX,
    PatternSet,
    compile_pattern,
    glob_pattern,
    is_glob,
)


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("/v*/photo", "/v1/photo", True),
        ("/v*/photo", "/v/photo", True),
        ("/v*/photo", "/v1/x/photo", False),
        ("/**/photo", "/a/b/photo", True),
        ("/**.png", "/a/b.png", True),
        ("/a.c*/x", "/abc/x", False),
        ("/*.png", "/a.png", True),
        ("/*.png", "/a/b.png", False),
        ("/[a]*x", "/[a]yx", True),
    ],
)
def test_globs(glob, path, fits):
    assert bool(compile_pattern(glob_pattern(glob)).fullmatch(path.encode())) is fits
    assert bool(PatternSet([glob_pattern(glob)]).matching(path.encode())) is fits


@pytest.mark.parametrize(("path", "glob"), [("/a*", False), ("*", False), ("/a", False), ("/a*b", True), ("/**", True)])
def test_what_is_a_glob(path, glob):
    assert is_glob(path) is glob


GLOBS = st.text("ab/*.", min_size=1, max_size=8).map(lambda text: "/" + re.sub(r"\*{3,}", "**", text))


@given(GLOBS, st.text("ab/.", max_size=8).map("/".__add__))
def test_globs_as_a_slow_matcher_reads_them(glob, path):
    def fits(pattern: str, rest: str) -> bool:
        if not pattern:
            return not rest
        if pattern.startswith("**"):
            return any(fits(pattern[2:], rest[at:]) for at in range(len(rest) + 1))
        if pattern[0] == "*":
            ends = rest.find("/") if "/" in rest else len(rest)
            return any(fits(pattern[1:], rest[at:]) for at in range(ends + 1))
        return rest[:1] == pattern[0] and fits(pattern[1:], rest[1:])

    assert bool(compile_pattern(glob_pattern(glob)).fullmatch(path.encode())) is fits(glob, path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(a", "missing )"),
        (r"(a)\1", "invalid escape"),
        ("(?=a)", "invalid perl operator"),
        ("x" * (PATTERN_CHARACTERS_MAX + 1), "longer than"),
        ("caf\xe9", "printable ASCII"),
        ("a\nb", "printable ASCII"),
        ("(((a{1,50}){1,50}){1,50})", "does not take"),
    ],
)
def test_what_is_no_pattern(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        compile_pattern(text)
    with pytest.raises(ValueError, match=re.escape(says)):
        PatternSet([text])


def test_a_pattern_that_would_hold_a_backtracking_engine():
    pattern = compile_pattern("(a+)+b")
    assert pattern.fullmatch(b"a" * 8_000) is None


def test_a_set_matches_all_that_fit():
    patterns = PatternSet(["/a.*", "/.*b", "/c"])
    assert sorted(patterns.matching(b"/a/b")) == [0, 1]
    assert list(patterns.matching(b"/c")) == [2]
    assert list(patterns.matching(b"/d")) == []


def test_a_set_is_bounded():
    with pytest.raises(ValueError, match="need more than 16 MiB"):
        PatternSet([f"/{number}(a{{1,400}}b?){{1,2}}" for number in range(3_000)])
