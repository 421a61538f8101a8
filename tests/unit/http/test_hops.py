"""The mark of a request that crosses from one region to another: who may show it, for how long, for which request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.http.heads import parse_request
from gslb.http.hops import AGE_MAX_S, FIELD, Hop, mark, read

SECRET = b"the cluster's"
NOW = 1_764_214_000
CLIENT = Hop(b"203.0.113.9", b"https")
REQUEST = b"GET /a?b=c HTTP/1.1\r\nHost: www.example.com\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"


def shown(request):
    """The mark as the other region finds it, with what it is read by."""
    head = parse_request(request)
    value = next(field.value for field in head.specials if field.name == FIELD)
    return value, head.method, head.host, head.target


def test_a_mark_says_who_the_client_is_and_the_rest_stays_as_it_was():
    marked = mark(REQUEST + b"body", "eu-west", CLIENT, SECRET, NOW)
    assert read(*shown(marked), SECRET, NOW + 2) == CLIENT
    line = next(line for line in marked.split(b"\r\n") if line.startswith(b"X-Gslb-Hop"))
    assert marked.replace(line + b"\r\n", b"") == REQUEST + b"body"


def test_a_request_that_named_the_region_names_the_service_from_then_on():
    marked = mark(REQUEST.replace(b"www.example.com", b"eu.example.test:8101"), "eu-west", CLIENT, SECRET, NOW,
                  b"www.example.com")  # fmt: skip
    assert parse_request(marked).host == b"www.example.com"
    assert read(*shown(marked), SECRET, NOW) == CLIENT


@pytest.mark.parametrize("late", [AGE_MAX_S + 1, -AGE_MAX_S - 1])
def test_an_old_mark_and_one_of_the_future_say_nothing(late):
    assert read(*shown(mark(REQUEST, "eu-west", CLIENT, SECRET, NOW)), SECRET, NOW + late) is None


@pytest.mark.parametrize("place", range(1, 5))
def test_a_mark_is_for_one_request_of_one_cluster(place):
    asked = [*shown(mark(REQUEST, "eu-west", CLIENT, SECRET, NOW)), SECRET]
    asked[place] = asked[place] + b"x"
    assert read(*asked, NOW) is None


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_mark_with_a_changed_byte_says_nothing(at, by):
    value, *asked = shown(mark(REQUEST, "eu-west", CLIENT, SECRET, NOW))
    at %= len(value)
    changed = value[:at] + bytes([value[at] ^ by]) + value[at + 1 :]
    assert read(changed, *asked, SECRET, NOW) is None


@given(st.binary(max_size=200))
def test_whatever_else_stands_there_says_nothing(value):
    assert read(value, b"GET", b"www.example.com", b"/", SECRET, NOW) is None
