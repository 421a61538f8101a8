import pytest

from gslb.http.actions import Actions, compile_actions
from gslb.model import HeadEdits, Mirror, Redirect, Respond, Rewrite, Route, Split


def test_a_route_that_only_names_a_pool_has_none():
    assert compile_actions(Route("web", ("a",), "/x*", methods=("GET",))) is None


@pytest.mark.parametrize(
    ("route", "parts"),
    [
        (Route(action=Redirect("/x")), {"answer"}),
        (Route(action=Respond(200)), {"answer"}),
        (Route(action=Split((("a", 1), ("b", 1)))), {"split"}),
        (Route("p", rewrite=Rewrite(path="/x")), {"request"}),
        (Route("p", forward_host="x"), {"request"}),
        (Route("p", request_fields=HeadEdits(remove=("x",))), {"request"}),
        (Route("p", response_fields=HeadEdits(remove=("x",))), {"response"}),
        (Route("p", mirror=Mirror("q")), {"mirror"}),
    ],
)
def test_what_a_route_does(route, parts):
    actions = compile_actions(route)
    assert isinstance(actions, Actions)
    known = {name: getattr(actions, name) for name in ("answer", "split", "request", "response", "mirror")}
    assert {name for name, part in known.items() if part is not None} == parts
    assert actions.mirror_pool == ("q" if route.mirror else "")
