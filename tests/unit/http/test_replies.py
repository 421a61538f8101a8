"""What the proxy says itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gslb.http.replies import ERRORS, error_reply, region_word, word_reply
from gslb.http.responses import parse_response
from gslb.model import Balancer, Pool, Route, Server, State, Status


@pytest.mark.parametrize("reason", ERRORS)
@pytest.mark.parametrize("close", [False, True])
def test_an_error_is_a_valid_response_that_says_what_happened(reason, close):
    status, detail = ERRORS[reason]
    reply = error_reply(status, reason, detail, b"id-1", b"now", close=close, to_head=False)
    head = parse_response(reply)
    assert head is not None
    assert (head.status, head.length, head.close) == (status, len(reply) - head.end, close)
    body = json.loads(reply[head.end :])
    assert body == {"error": reason, "status": status, "detail": detail, "request_id": "id-1"}
    assert b"X-Gslb-Error: " + reason.encode() in reply
    assert (b"Retry-After: 1" in reply) == (status == 503)
    to_head = error_reply(status, reason, detail, b"id-1", b"now", close=close, to_head=True)
    assert to_head == reply[: head.end]


def test_405_lists_what_is_allowed():
    assert b"\r\nAllow: GET, HEAD," in error_reply(405, "x", "y", b"z", b"now", close=True, to_head=False)


def pool(name: str, *weights: int) -> Pool:
    servers = tuple(Server(f"{name}-{i}", "192.0.2.1", 80, weight=weight) for i, weight in enumerate(weights, 1))
    return Pool(name, servers, algorithm=None)


def word(routes: list[Route], pools: list[Pool], status: Status, draining: bool = False) -> dict:
    return json.loads(region_word(Balancer("eu", tuple(routes), {p.name: p for p in pools}), status, 7, draining))


API, WEB = Route("api", path="/api/*"), Route("web")


def test_up_with_its_capacity():
    down = Status(servers={"web/web-1": State.DOWN, "web/web-2": State.UNKNOWN, "other/web-3": State.DOWN})
    assert word([API, WEB], [pool("api", 1), pool("web", 2, 1)], down) == {
        "region": "eu",
        "state": "up",
        "servers": {"up": 2, "total": 3},
        "healthy_capacity": 0.5,
        "share": 1.0,
        "generation": 7,
    }


@pytest.mark.parametrize(
    ("routes", "gone", "state"),
    [
        ([API, WEB], "api", "up"),  # a path is lost, not the region
        ([API, WEB], "web", "no_servers"),
        ([API], "api", "no_servers"),  # no route takes any path: every pool counts
        ([Route("api", ("a",), ""), Route("web", ("b",), "/*")], "api", "no_servers"),  # a service is lost
        ([], "api", "no_servers"),
    ],
)
def test_no_servers(routes, gone, state):
    status = Status(servers={f"{gone}/{gone}-1": State.DOWN})
    assert word(routes, [pool("api", 1), pool("web", 1)], status)["state"] == state


def test_draining_comes_first_and_a_weight_of_0_is_no_server():
    gone = Status(servers={"web/web-1": State.DOWN})
    assert word([WEB], [pool("web", 1)], gone, draining=True)["state"] == "draining"
    assert word([WEB], [pool("web", 1)], Status(draining=True))["state"] == "draining"
    assert word([WEB], [pool("web", 0)], Status())["state"] == "no_servers"
    assert word([WEB], [pool("web")], Status())["healthy_capacity"] == 0.0


def test_the_word_is_not_to_be_stored():
    reply = word_reply(b"{}\n", b"now", close=True, to_head=False)
    head = parse_response(reply)
    assert (head.status, head.length, head.close, head.dated) == (200, 3, True, True)
    assert b"Cache-Control: no-store" in reply
    assert word_reply(b"{}\n", b"now", close=True, to_head=True) == reply[: head.end]


def test_every_reason_code_is_documented():
    root = Path(__file__).parents[3]
    documented = set(re.findall(r"`([a-z0-9_]+)`", (root / "docs" / "proxy.md").read_text()))
    said = set(ERRORS)
    for module in ("heads.py", "responses.py", "chunked.py", "client.py"):
        said |= set(re.findall(r'(?:bad\(|reason=)"([a-z0-9_]+)"', (root / "gslb" / "http" / module).read_text()))
    assert said - documented == set()
