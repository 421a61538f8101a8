import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.routes import Router
from gslb.model import Route


@pytest.mark.parametrize(
    ("host", "path", "pool"),
    [
        ("www.example.com", "/api/users", "api"),
        ("WWW.Example.COM", "/api/", "api"),
        ("www.example.com:8101", "/api/users", "api"),
        ("www.example.com.", "/api/users", "api"),
        ("www.example.com", "/api", "web"),
        ("www.example.com", "/exact", "exact"),
        ("www.example.com", "/exact/", "web"),
        ("127.0.0.1:8101", "/", "region"),
        ("127.0.0.1:8102", "/", "web"),
        ("[::1]:80", "/", "six"),
        ("", "/", "web"),
    ],
)
def test_finds(host, path, pool):
    routes = (
        Route("api", ("www.example.com", "127.0.0.1:8101"), "/api/*"),
        Route("exact", ("www.example.com",), "/exact"),
        Route("region", ("127.0.0.1:8101",)),
        Route("six", ("[::1]",)),
        Route("web"),
    )
    assert Router(routes, [route.pool for route in routes]).find(host, path) == pool


def test_no_route_is_none():
    assert Router((), ()).find("a", "/") is None
    assert Router((Route("p", ("a",), "/x"),), ("p",)).find("a", "/y") is None


ROUTES = st.lists(
    st.builds(
        Route,
        pool=st.just("p"),
        hosts=st.lists(st.sampled_from(["a", "b", "a:80", "b:81"]), max_size=2).map(tuple),
        path=st.sampled_from(["", "*", "/", "/*", "/x", "/x*", "/xy*", "/x/y", "/x/*"]),
    ),
    max_size=12,
)


@given(ROUTES, st.sampled_from(["a", "b", "c", "a:80", "a:81", "B:81"]), st.sampled_from(["/", "/x", "/xy", "/x/y"]))
def test_the_first_in_declared_order_wins(routes, host, path):
    """Against the obvious walk over all routes."""

    def matches(route: Route) -> bool:
        names = {host.lower(), host.lower().split(":")[0]}
        if route.hosts and not names & set(route.hosts):
            return False
        if route.path.endswith("*"):
            return path.startswith(route.path[:-1])
        return route.path in ("", path)

    expected = next((route for route in routes if matches(route)), None)
    assert Router(routes, routes).find(host, path) is expected
