"""HAProxy's agent words: what holds after each line, whatever an agent says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.agent_text import PERCENT_MAX, AskAgent, Said, hear
from gslb.health.check import Reply
from gslb.model import State


def after(*lines):
    said = Said()
    for line in lines:
        said = hear(said, line)
    return said


@pytest.mark.parametrize(
    ("lines", "share", "state"),
    [
        ((b"75%\n",), 0.75, None),
        ((b"75% ready\r\n",), 0.75, None),
        ((b"drain\n",), 1.0, State.DRAINING),
        ((b"drain\n", b"50%\n"), 0.5, State.DRAINING),  # what is not said again holds on
        ((b"maint\n", b"ready\n"), 1.0, None),
        ((b"down#no disk\n",), 1.0, State.DOWN),
        ((b"down\n", b"ready\n"), 1.0, State.DOWN),  # ready ends maint and drain only
        ((b"down\n", b"up\n"), 1.0, None),
        ((b"stopped\t30%,maint\n", b"up\n"), 0.3, State.DRAINING),
        ((b"UP 10%\n",), 0.1, None),
        ((b"0%\n",), 0.0, None),
        ((b"\n",), 1.0, None),
        ((b"50%\nignored 10%\n",), 0.5, None),
        ((b"1001%\n",), 1.0, None),
    ],
)
def test_words(lines, share, state):
    said = after(*lines)
    assert (said.share, said.state) == (share, state)


def test_what_is_not_obeyed_or_not_understood_is_told():
    said = after(b"maxconn:30 wibble 80%\n")
    assert "maxconn:30 is not obeyed" in said.text
    assert "'wibble' means nothing" in said.text
    assert said.share == 0.8
    assert "no disk" in after(b"fail#no disk\x1b[31m\n").text
    assert "\x1b" not in after(b"fail#no disk\x1b[31m\n").text


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_whatever_an_agent_says_it_stays_within_its_bounds(lines):
    said = after(*lines)
    assert 0 <= said.share <= PERCENT_MAX / 100
    assert said.state in {None, State.DOWN, State.DRAINING}
    assert len(said.text) < 1000


def test_how_it_is_asked():
    ask = AskAgent(b"state\n")
    assert ask.request().send == b"state\n"
    assert ask.whole(b"75%\n")
    assert not ask.whole(b"75%")
    assert ask.judge(Reply(body=b"75%")).ok
    assert not ask.judge(Reply(body=b"")).ok
