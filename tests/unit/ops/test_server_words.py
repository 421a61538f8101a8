"""The admin API's words about servers: what is taken, what is refused with its field."""

import json

import pytest

from gslb.errors import ChangeRefused
from gslb.model import Registration
from gslb.ops.server_words import NewServer, ServerWords, problem_of, read

NEW = {"pool": "web", "host": "127.0.0.1", "port": 9004}


def test_what_is_said_is_what_was_given():
    words = read(ServerWords, b'{"weight": 3, "status": null}')
    assert words.said() == {"weight": 3, "status": None}
    assert read(ServerWords, b"").said() == {}


def test_a_server_without_an_id_is_its_address():
    assert read(NewServer, json.dumps(NEW).encode()).id == "127.0.0.1:9004"
    assert read(NewServer, json.dumps({**NEW, "host": "::1"}).encode()).id == "[::1]:9004"
    assert read(NewServer, json.dumps({**NEW, "server_id": "x"}).encode()).id == "x"


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"weight": -1}, "weight", "0"),
        ({"weight": "3"}, "weight", "integer"),
        ({"weight": 1.5}, "weight", "integer"),
        ({"weight": True}, "weight", "integer"),
        ({"weight": 10**30}, "weight", "10000"),
        ({"max_connections": 1_000_001}, "max_connections", "1000000"),
        ({"timeout_ms": 9}, "timeout_ms", "10"),
        ({"status": "active"}, "status", "MAINTENANCE"),
        ({"protocol": "udp"}, "protocol", "tcp"),
        ({"health_check_url": "health"}, "health_check_url", "/health"),
        ({"port": 0}, "port", "1"),
        ({"port": 65536}, "port", "65535"),
        ({"host": "[::1]"}, "host", "brackets"),
        ({"host": "a b"}, "host", "DNS name"),
        ({"pool": "we/b"}, "pool", "name"),
        ({"server_id": "a/b"}, "server_id", "id"),
        ({"server_id": "x" * 64}, "server_id", "63"),
        ({"cpu": 1}, "cpu", "known: weight"),
        ({"host": None}, "host", "string"),
    ],
)
def test_the_wrong_field_is_named(change, field, says):
    with pytest.raises(ChangeRefused) as refused:
        read(NewServer, json.dumps({**NEW, **change}).encode())
    assert (refused.value.status, refused.value.field) == (400, field)
    assert says in str(refused.value)


@pytest.mark.parametrize("word", ["pool", "host", "port"])
def test_what_is_missing_is_named(word):
    with pytest.raises(ChangeRefused, match=f"{word}: is missing"):
        read(NewServer, json.dumps({key: value for key, value in NEW.items() if key != word}).encode())


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"\xff", b'{"weight": 1, "weight"', b"[" * 4000, b"null"])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(ChangeRefused) as refused:
        read(ServerWords, body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (Registration("web", "a", "h", 1), ""),
        (Registration("web", "a", weight=1), ""),
        (Registration("web", "a", "h", 1, protocol="https"), ""),
        (Registration("web", "a", "h", 1, protocol="udp"), "protocol"),
        (Registration("web", "a", "h", 0), "port"),
        (Registration("web", "a", "h", "80"), "port"),
        (Registration("web", "a", weight=-1), "weight"),
        (Registration("web", "a/b", "h", 1), "server_id"),
        (Registration("web", "a", health_check_url="x"), "health_check_url"),
    ],
)
def test_a_row_that_somebody_edited_is_judged_by_the_same_words(row, says):
    found = problem_of(row)
    assert bool(found) == bool(says)
    assert says in found
