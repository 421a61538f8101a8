"""What a route asks of a request beyond host and path: its method, fields, query parameters. Core.

`balancing/routes.py` asks, for the routes whose host and path fit, in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gslb.balancing.patterns import compile_pattern
from gslb.balancing.request import Request
from gslb.model import Condition, Route

Test = Callable[[Request], bool]


class Conditions:
    """The compiled conditions of one route; all must hold."""

    __slots__ = ("_methods", "_tests")

    def __init__(self, route: Route) -> None:
        """Raises ValueError for a pattern that is none; the configuration has refused those."""
        self._methods = frozenset(method.encode("ascii") for method in route.methods)
        self._tests = tuple(_test(condition) for condition in route.conditions)

    def hold(self, request: Request) -> bool:
        """Whether the route takes this request, its host and path apart."""
        if self._methods and request.method not in self._methods:
            return False
        return all(test(request) for test in self._tests)


def _test(condition: Condition) -> Test:
    """One condition as a question to a request."""
    name = condition.name.encode("ascii")
    value = _value(condition)
    if condition.source == "header":
        return lambda request: value(request.header(name))
    return lambda request: value(request.query(name))


def _value(condition: Condition) -> Callable[[bytes | None], bool]:
    """What the value must be like; None is a field or a parameter that isn't there."""
    text = condition.text.encode("latin-1")
    match condition.kind:
        case "present":
            return lambda value: value is not None
        case "absent":
            return lambda value: value is None
        case "exact":
            return lambda value: value == text
        case "prefix":
            return lambda value: value is not None and value.startswith(text)
    pattern: Any = compile_pattern(condition.text)
    return lambda value: value is not None and pattern.fullmatch(value) is not None
