from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from gslb.units import DURATION_MAX_S, Duration, Share, Span, format_duration, parse_duration, parse_share


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2.0), ("1m30s", 90.0), ("1h", 3600.0), ("366d", DURATION_MAX_S), (" 2s ", 2.0)],
)
def test_a_duration_is_a_number_with_its_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("value", ["", "2", 2, 2.0, True, None, "s", "2 s", "2sec", "-2s", "1e3s", "2s!", ["2s"]])
def test_anything_else_is_refused_with_an_example(value):
    with pytest.raises(ValueError, match=r"is not a duration: write a number with its unit, as 500ms"):
        parse_duration(value)


def test_longer_than_a_year_is_refused():
    with pytest.raises(ValueError, match="longer than a year"):
        parse_duration("367d")


@given(st.integers(0, int(DURATION_MAX_S) * 1000))
def test_a_duration_written_is_the_duration_read(millis):
    assert parse_duration(format_duration(millis / 1000)) == pytest.approx(millis / 1000)


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0s"), (0.5, "500ms"), (120.0, "2m"), (7200.0, "2h")])
def test_the_largest_unit_that_fits_is_written(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("text", "share"), [("20%", 0.2), ("0 %", 0.0), (" 12.5% ", 0.125)])
def test_a_share_is_a_percentage(text, share):
    assert parse_share(text) == share


@pytest.mark.parametrize("value", ["20", 0.2, "%", "-1%", "20%%", None])
def test_a_share_without_its_sign_is_refused(value):
    with pytest.raises(ValueError, match="write it as 20%"):
        parse_share(value)


class Options(BaseModel):
    ttl: Duration = 5.0
    budget: Share = 0.2


def test_pydantic_takes_the_words_and_gives_floats():
    assert Options.model_validate({"ttl": "1m", "budget": "30%"}).model_dump() == {"ttl": 60.0, "budget": 0.3}


@pytest.mark.parametrize("words", [{"ttl": 5}, {"ttl": 5.0}, {"ttl": "5"}, {"budget": "0.3"}])
def test_pydantic_refuses_what_has_no_unit(words):
    with pytest.raises(ValidationError, match="is not a"):
        Options.model_validate(words)


class Bounded(BaseModel):
    wait: Annotated[Duration, Span("1s", "1m", whole=True)] = 5.0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("500ms", "write a duration from 1s to 1m"),
        ("61s", "from 1s to 1m"),
        ("1500ms", "no whole number"),
        (2, "is not a"),
    ],
)
def test_pydantic_refuses_what_is_out_of_a_span(value, words):
    with pytest.raises(ValidationError, match=words):
        Bounded.model_validate({"wait": value})
    assert Bounded.model_validate({"wait": "1m"}).wait == 60.0
