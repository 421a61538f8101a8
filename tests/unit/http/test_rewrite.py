import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import HttpError
from gslb.http.heads import parse_request
from gslb.http.rewrite import Edits, RequestRewrite, Target, parse_substitute, replaced_prefix
from gslb.model import HeadEdits, Rewrite

HEAD = b"GET /old/a?b=c HTTP/1.1\r\nHost: www.example.com\r\nX-A: 1\r\nx_a: 2\r\nX-B: 3\r\n\r\n"


# ---------------------------------------------------------------- fields
@pytest.mark.parametrize(
    ("edits", "fields"),
    [
        (HeadEdits(set=(("X-A", "9"),)), [b"X-B: 3", b"X-A: 9"]),
        (HeadEdits(add=(("X-A", "9"),)), [b"X-A: 1", b"x_a: 2", b"X-B: 3", b"X-A: 9"]),
        (HeadEdits(remove=("x-b",)), [b"X-A: 1", b"x_a: 2"]),
        (HeadEdits(remove=("x-nothing",)), [b"X-A: 1", b"x_a: 2", b"X-B: 3"]),
        (HeadEdits(set=(("X-C", "caf\xe9"),), remove=("X-A",)), [b"X-B: 3", b"X-C: caf\xe9"]),
    ],
)
def test_edits(edits, fields):
    out = Edits(edits).apply(HEAD)
    assert out.split(b"\r\n")[2:-2] == fields
    assert parse_request(out) is not None
    assert Edits(edits).apply_to_message(HEAD + b"body\r\n\r\nx") == out + b"body\r\n\r\nx"


# ---------------------------------------------------------------- targets
@pytest.mark.parametrize(
    ("path", "stem", "prefix", "made"),
    [
        ("/old/a", "/old/", "/new/", "/new/a"),
        ("/old/a", "/old", "/new", "/new/a"),
        ("/old", "/old", "/new", "/new"),
        ("/old/", "/old/", "/", "/"),
        ("/old/a", "/old/", "/", "/a"),
        ("/older", "/old", "/new", "/newer"),
        ("/a", "", "/new", "/new/a"),
        ("/old//evil", "/old/", "/", "//evil"),
    ],
)
def test_prefixes(path, stem, prefix, made):
    if made == "//evil":
        assert replaced_prefix(path, stem, prefix) in ("//evil", "/evil")
    else:
        assert replaced_prefix(path, stem, prefix) == made


@pytest.mark.parametrize(
    ("rewrite", "target", "made"),
    [
        (Rewrite(prefix="/new/"), b"/old/a?b=c", b"/new/a?b=c"),
        (Rewrite(path="/fixed"), b"/old/a?b=c", b"/fixed?b=c"),
        (Rewrite(path="/fixed?x=1"), b"/old/a?b=c", b"/fixed?x=1&b=c"),
        (Rewrite(regex="/old/(.*)", substitute=r"/\1/new"), b"/old/a?b=c", b"/a/new?b=c"),
        (Rewrite(regex="/other/(.*)", substitute=r"/\1"), b"/old/a", b"/old/a"),
        (Rewrite(regex="/old(/x)?(/.*)", substitute=r"\2\1"), b"/old/a", b"/a"),
        (Rewrite(path="/fixed"), b"*", b"*"),
    ],
)
def test_targets(rewrite, target, made):
    assert Target(rewrite, "/old/*").of(target) == made


def test_a_target_that_is_none_is_our_fault():
    with pytest.raises(HttpError) as caught:
        Target(Rewrite(regex="/old/(.*)", substitute=r"/\1"), "").of(b"/old/" + b"%41" * 2_731)
    assert Target(Rewrite(regex="(.*)/x", substitute=r"\1"), "").of(b"/a/x") == b"/a"
    with pytest.raises(HttpError) as caught:
        Target(Rewrite(regex="/a(.*)", substitute=r"\1"), "").of(b"/ab")
    assert (caught.value.status, caught.value.reason) == (500, "bad_rewrite")


@given(st.text("ab/?=%&.;", max_size=20).map("/".__add__))
def test_whatever_comes_out_is_a_target_or_an_error(text):
    target = Target(Rewrite(regex="/(.)(.*)", substitute=r"/\2\1"), "")
    made = b""
    with contextlib.suppress(HttpError):
        made = target.of(text.encode())
    assert made[:1] in (b"", b"/")
    assert not made or parse_request(b"GET " + made + b" HTTP/1.1\r\nHost: a\r\n\r\n") is not None


@pytest.mark.parametrize("text", [r"/\2", r"/\0", "/\\", r"/\x"])
def test_substitutes_that_are_none(text):
    with pytest.raises(ValueError, match=r"group|backslash"):
        parse_substitute(text, 1)


def test_substitutes():
    assert parse_substitute(r"/a\1/\2", 2) == ("/a", 1, "/", 2, "")


# ---------------------------------------------------------------- a request
def test_all_of_it_at_once():
    target = Target(Rewrite(prefix="/new"), "/old")
    rewrite = RequestRewrite(target, "app.internal:8080", Edits(HeadEdits(set=(("X-A", "9"),))))
    out = rewrite.apply(HEAD + b"body", b"/old/a?b=c")
    assert out == (
        b"GET /new/a?b=c HTTP/1.1\r\nHost: app.internal:8080\r\nX-B: 3\r\nX-A: 9\r\n\r\nbody"
    )
    assert RequestRewrite(None, "", None).apply(HEAD, b"/old/a?b=c") == HEAD
