import pytest

from gslb.balancing.conditions import Conditions
from gslb.balancing.request import Request
from gslb.model import Condition, Route


def request(fields: bytes = b"", target: bytes = b"/", method: bytes = b"GET") -> Request:
    return Request(method, "a", target, b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n", b"192.0.2.1")


def holds(asked: Request, *conditions: Condition, methods=()) -> bool:
    return Conditions(Route("p", methods=methods, conditions=conditions)).hold(asked)


@pytest.mark.parametrize(
    ("kind", "text", "value", "expected"),
    [
        ("exact", "beta", b"beta", True),
        ("exact", "beta", b"Beta", False),
        ("exact", "", b"", True),
        ("exact", "beta", None, False),
        ("prefix", "Mozilla/", b"Mozilla/5.0", True),
        ("prefix", "Mozilla/", b"x Mozilla/", False),
        ("prefix", "x", None, False),
        ("regex", "v[0-9]+", b"v12", True),
        ("regex", "v[0-9]+", b"v12x", False),
        ("regex", ".*", None, False),
        ("present", "", b"", True),
        ("present", "", None, False),
        ("absent", "", None, True),
        ("absent", "", b"x", False),
    ],
)
def test_a_field_and_a_parameter_are_asked_alike(kind, text, value, expected):
    fields = b"" if value is None else b"X-Kind: " + value + b"\r\n"
    assert holds(request(fields), Condition("header", "x-kind", kind, text)) is expected
    target = b"/?other=1" if value is None else b"/?other=1&kind=" + value
    if value != b"x Mozilla/":
        assert holds(request(target=target), Condition("query", "kind", kind, text)) is expected


@pytest.mark.parametrize(("method", "expected"), [(b"GET", True), (b"PUT", True), (b"POST", False)])
def test_methods(method, expected):
    assert holds(request(method=method), methods=("GET", "PUT")) is expected


def test_all_must_hold():
    both = Condition("header", "x", "present"), Condition("query", "q", "exact", "1")
    assert holds(request(b"X: 1\r\n", b"/?q=1"), *both)
    assert not holds(request(b"X: 1\r\n", b"/?q=2"), *both)
    assert not holds(request(b"", b"/?q=1"), *both)


def test_no_condition_always_holds():
    assert holds(request())
