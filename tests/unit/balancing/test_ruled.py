import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.request import Request
from gslb.balancing.routes import Router
from gslb.balancing.ruled import RuledRouter, compile_routes
from gslb.model import Condition, Route


def request(host: str = "a", target: bytes = b"/", fields: bytes = b"", method: bytes = b"GET") -> Request:
    return Request(method, host, target, b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n", b"")


def router(*routes: Route) -> RuledRouter:
    return RuledRouter(routes, range(len(routes)))


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("a.example.com", "/", 0),
        ("b.a.example.com", "/", 0),
        ("example.com", "/", None),
        ("A.Example.Com:80", "/", 0),
        ("x.org", "/v1/photo", 1),
        ("x.org", "/v1/x/photo", None),
        ("x.org", "/user/7", 2),
        ("x.org", "/user/seven", None),
    ],
)
def test_wildcards_globs_and_expressions(host, path, expected):
    ruled = router(
        Route("w", ("*.example.com",)),
        Route("g", ("x.org",), "/v*/photo"),
        Route("r", ("x.org",), pattern="/user/[0-9]+"),
    )
    assert ruled.find(host, path) == expected


def test_the_first_declared_wins_whatever_its_kind():
    kinds = [Route("p", path="/a/b"), Route("p", path="/a/*"), Route("p", pattern="/a/.*"), Route("p", path="/*/b")]
    for first in kinds:
        rest = [one for one in kinds if one is not first]
        assert router(first, *rest).find("h", "/a/b") == 0


def test_conditions_are_tried_in_order_up_to_the_first_that_holds():
    ruled = router(
        Route("beta", path="/*", conditions=(Condition("header", "x-beta", "present"),)),
        Route("post", path="/api/*", methods=("POST",)),
        Route("web"),
    )
    assert ruled.find("h", "/api/x") == 0  # what it may be; choose says what it is
    assert ruled.choose(request(target=b"/api/x?y", fields=b"X-Beta: 1\r\n", method=b"POST")) == 0
    assert ruled.choose(request(target=b"/api/x?y", method=b"POST")) == 1
    assert ruled.choose(request(target=b"/api/x?y")) == 2
    assert router(Route("p", methods=("POST",))).choose(request()) is None


def test_simple_routes_get_the_simple_router():
    simple = (Route("a", ("h",), "/x*"), Route("b"))
    assert isinstance(compile_routes(simple, simple), Router)
    for ruled in (Route("p", ("*.h",)), Route("p", path="/a*b"), Route("p", pattern="/"), Route("p", methods=("GET",))):
        assert isinstance(compile_routes((ruled,), (ruled,)), RuledRouter)


HOSTS = st.sampled_from(["a.b.c", "b.c", "*.c", "*.b.c", "x"])
PATHS = st.sampled_from(["", "*", "/", "/*", "/x", "/x*", "/x/*", "/x*z", "/**/z", "/*/y"])
METHODS = st.sampled_from([(), ("GET",), ("POST", "PUT")])
CONDITIONS = st.sampled_from([(), (Condition("header", "x-a", "exact", "1"),), (Condition("query", "q", "present"),)])
ROUTES = st.builds(
    Route,
    pool=st.just("p"),
    hosts=st.lists(HOSTS, max_size=2).map(tuple),
    path=PATHS,
    methods=METHODS,
    conditions=CONDITIONS,
)


def takes(route: Route, asked: Request) -> bool:
    """As a person reads it, one thing after the other."""
    def fits(host: str) -> bool:
        return asked.host.endswith(host[1:]) and asked.host != host[2:] if host[0] == "*" else asked.host == host

    path = asked.path.decode()
    if route.hosts and not any(map(fits, route.hosts)):
        return False
    expression = re.escape(route.path or "*")
    if "*" in route.path[:-1]:
        expression = expression.replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    else:
        expression = re.sub(r"\\\*$", ".*", expression)
    if not re.fullmatch(expression, path):
        return False
    if route.methods and asked.method.decode() not in route.methods:
        return False
    for condition in route.conditions:
        if condition.source == "header" and asked.header(b"x-a") != b"1":
            return False
        if condition.source == "query" and asked.query(b"q") is None:
            return False
    return True


@given(
    st.lists(ROUTES, max_size=10),
    st.sampled_from(["a.b.c", "b.c", "c", "x", "z.b.c"]),
    st.sampled_from([b"/", b"/x", b"/x/y", b"/xz", b"/x/z", b"/a/y", b"/a/b/z"]),
    st.sampled_from([b"", b"?q=1"]),
    st.sampled_from([b"", b"X-A: 1\r\n"]),
    st.sampled_from([b"GET", b"POST"]),
)
def test_it_chooses_what_going_through_them_in_order_would(routes, host, path, query, fields, method):
    asked = request(host, path + query, fields, method)
    expected = next((place for place, route in enumerate(routes) if takes(route, asked)), None)
    assert router(*routes).choose(asked) == expected
    found = router(*routes).find(host, path.decode())
    assert found is not None or expected is None
    if found is not None and not routes[found].conditional:
        assert found == expected
