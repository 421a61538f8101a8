"""The models of a balancer's routes. See schema.py."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gslb.config.values import HostName, Name, RoutePath, Section, Unbuilt


class MatchSection(Section):
    """Which requests a route takes; what is left out matches all."""

    host: HostName | None = Field(None, description="a host name; a service's also matches by this region's `url`")
    path: RoutePath | None = Field(None, description="an exact path, or all below: `/api/*`")
    method: Annotated[Any, Unbuilt("match on method")] = Field(None, description="request method")
    headers: Annotated[Any, Unbuilt("match on headers")] = Field(None, description="request headers")


class RouteSection(Section):
    """Sends requests to a pool; the first route that matches counts."""

    match: MatchSection = Field(MatchSection(), description="which requests; `{}` is all")
    pool: Name = Field(description="the pool that serves them")
    weight: Annotated[Any, Unbuilt("weighted routes")] = Field(None, description="share of the requests")
    canary: Annotated[Any, Unbuilt("canary routes")] = Field(None, description="a second pool for some requests")
