import pytest

from gslb.model.routing import Condition, Redirect, Respond, Route, Split


@pytest.mark.parametrize(
    ("route", "pools"),
    [
        (Route("web"), ("web",)),
        (Route(action=Split((("a", 1), ("b", 2)))), ("a", "b")),
        (Route(action=Redirect("/x")), ()),
        (Route(action=Respond(200)), ()),
    ],
)
def test_which_pools_answer_for_it(route, pools):
    assert route.pools == pools


@pytest.mark.parametrize(
    ("route", "any_path", "conditional"),
    [
        (Route("p"), True, False),
        (Route("p", path="*"), True, False),
        (Route("p", path="/*"), True, False),
        (Route("p", path="/a*"), False, False),
        (Route("p", pattern=".*"), False, False),
        (Route("p", methods=("GET",)), False, True),
        (Route("p", conditions=(Condition("query", "q", "present"),)), False, True),
    ],
)
def test_what_it_asks_for(route, any_path, conditional):
    assert (route.takes_any, route.conditional) == (any_path, conditional)
