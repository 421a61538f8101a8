"""What a route does with the requests it takes, compiled once a Plan: answer, share out, rewrite, edit, mirror. Pure.

A route that only names a pool has no Actions. `links.Way` makes them, `routing.py` carries them out.
"""

from __future__ import annotations

from gslb.balancing.split import Portion, Splitter
from gslb.http.fixed import FixedAnswer
from gslb.http.rewrite import Edits, RequestRewrite, Target
from gslb.model import Route, Split


class Actions:
    """One route's, in one worker."""

    __slots__ = ("answer", "mirror", "mirror_pool", "request", "response", "split")

    def __init__(self, route: Route) -> None:
        """Raises ValueError for a pattern or a place that is none; the configuration has refused those."""
        action = route.action
        self.split = Splitter(action) if isinstance(action, Split) else None
        self.answer = None if action is None or isinstance(action, Split) else FixedAnswer(action, route.path)
        self.request = _request(route)
        self.response = Edits(route.response_fields) if route.response_fields is not None else None
        self.mirror = Portion(route.mirror.percent) if route.mirror is not None else None
        self.mirror_pool = route.mirror.pool if route.mirror is not None else ""


def _request(route: Route) -> RequestRewrite | None:
    target = Target(route.rewrite, route.path) if route.rewrite is not None else None
    edits = Edits(route.request_fields) if route.request_fields is not None else None
    if target is None and edits is None and not route.forward_host:
        return None
    return RequestRewrite(target, route.forward_host, edits)


def compile_actions(route: Route) -> Actions | None:
    """The route's actions; None if all it says is a pool."""
    parts = (route.action, route.rewrite, route.request_fields, route.response_fields, route.mirror)
    return Actions(route) if any(part is not None for part in parts) or route.forward_host else None
