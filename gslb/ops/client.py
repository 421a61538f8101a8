"""Asks a node's admin address, for the commands that talk to a running cluster."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from gslb.errors import GslbError

TIMEOUT_S = 5.0
REPLY_MAX_BYTES = 64 << 20


class NodeSilent(GslbError):
    """Nothing answers at a node's admin address."""


class NodeRefused(GslbError):
    """A node answered no; `body` is what it said."""

    def __init__(self, message: str, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body
        super().__init__(message)


def ask(
    node: str,
    path: str,
    *,
    post: bool = False,
    method: str | None = None,
    body: Mapping[str, Any] | None = None,
    token: str | None = None,
    **query: str,
) -> dict[str, Any]:
    """The JSON that `node` (a URL) gives for `path`. Raises NodeSilent, NodeRefused.

    `method` defaults to GET, or POST if `post`; `body` is sent as JSON. `token` defaults to the environment's
    GSLB_ADMIN_TOKEN.
    """
    if urllib.parse.urlsplit(node).scheme not in {"http", "https"}:
        raise GslbError(f"{node!r} is not a node's URL: write http://127.0.0.1:9470")
    url = node.rstrip("/") + path + ("?" + urllib.parse.urlencode(query) if query else "")
    method = method or ("POST" if post else "GET")
    data = json.dumps(body).encode() if body is not None else b"" if method == "POST" else None
    request = urllib.request.Request(url, method=method, data=data)  # noqa: S310 - the scheme is checked above
    if body is not None:
        request.add_header("Content-Type", "application/json")
    token = token or os.environ.get("GSLB_ADMIN_TOKEN")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as reply:
            return _parsed(reply.read(REPLY_MAX_BYTES), url)
    except urllib.error.HTTPError as error:
        body = _parsed(error.read(REPLY_MAX_BYTES), url)
        raise NodeRefused(str(body.get("error", f"{url} answers {error.code}")), error.code, body) from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise NodeSilent(f"no node answers at {node}: {reason}") from error


def _parsed(data: bytes, url: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise GslbError(f"{url} did not answer with JSON: is it a gslb node?") from error
    return found if isinstance(found, dict) else {"value": found}
