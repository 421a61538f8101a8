"""What every check promises, run for all that are registered."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import UnknownName
from gslb.health.check import CHECKS, Command, Exchange, Handshake, Reply, Request, Result

PAGE = Path(__file__).resolve().parents[2] / "docs" / "health.md"
pytestmark = pytest.mark.parametrize("name", sorted(CHECKS.known()))
REPLIES = st.builds(
    Reply, st.integers(100, 999), st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.binary(max_size=80)
)


NEEDED = {"exec": {"command": ("/bin/true",)}}  # what has no default that could be meant


def made(name):
    return CHECKS.get(name)(**NEEDED.get(name, {}))


def test_defaults_are_enough_and_equal_options_are_equal(name):
    """Equal options make equal checks: that is how probes are shared between pools."""
    one, two = made(name), made(name)
    assert one == two
    assert hash(one) == hash(two)
    assert one.name == name


def test_what_is_asked_is_of_a_known_kind(name):
    check = made(name)
    asked = check.request()
    assert asked is None or isinstance(asked, Request | Exchange | Handshake | Command)
    if isinstance(asked, Request):
        assert asked.path.startswith("/")
    if isinstance(asked, Exchange):
        assert check.whole(b"") in {True, False}


@given(REPLIES)
def test_judges_any_reply_purely(name, reply):
    check = made(name)
    verdict = check.judge(reply)
    assert isinstance(verdict, Result)
    assert verdict.why
    assert "\n" not in verdict.why
    assert verdict == check.judge(reply)


def test_a_typo_is_told_with_what_is_known(name):
    with pytest.raises(UnknownName, match=f"did you mean '{name}'"):
        CHECKS.get(name + "x")


def test_documented_with_its_options(name):
    """`none` in the documents is the empty text, or list."""
    section = PAGE.read_text().split(f"### {name}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| .+ \|$", section, re.MULTILINE)
    found = {option: default.strip("`") for option, default in rows}
    defaults = {field.name: field.default for field in fields(CHECKS.get(name))}
    assert found == {option: "none" if value in ("", ()) else str(value) for option, value in defaults.items()}
