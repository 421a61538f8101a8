"""Routes from the words of the files, and the mistakes in them."""

import pytest

from gslb.config.compile import compile_plan
from gslb.config.compile_routes import compile_route
from gslb.model import Condition, HeadEdits, Mirror, Redirect, Respond, Rewrite, Route, Split
from tests.support.config_files import changed, loaded, problems

OLD = "    - {match: {host: www.example.com, path: /api/*}, pool: api}\n"


def written(route: str) -> dict[str, str]:
    return {"west.yaml": changed("west.yaml", OLD, f"    - {route}\n")}


def compiled(folder, route: str) -> Route:
    config = loaded(folder, written(route))
    plan = compile_plan(config, generation=1, region="west", geo=None)
    found = compile_route(config.regions["west"].balancer.routes[0], plan.regions["west"], plan.services)
    assert found == plan.balancer.routes[0]
    return found


@pytest.mark.parametrize(
    ("words", "route"),
    [
        ("{match: {path: /api/*}, pool: api}", Route("api", path="/api/*")),
        ("{match: {path: {regex: '/v[0-9]+/.*'}}, pool: api}", Route("api", pattern="/v[0-9]+/.*")),
        ("{match: {path: /v*/x}, pool: api}", Route("api", path="/v*/x")),
        ("{match: {host: '*.example.org'}, pool: api}", Route("api", ("*.example.org",))),
        (
            "{match: {host: '*.example.com'}, pool: api}",
            Route("api", ("*.example.com", "127.0.0.1:8101")),  # it covers a service, which comes by the region's URL
        ),
        ("{match: {method: [GET, HEAD]}, pool: api}", Route("api", methods=("GET", "HEAD"))),
        (
            "{match: {headers: {X-A: one, X-B: {present: false}}, query: {q: {prefix: x}}}, pool: api}",
            Route("api", conditions=(
                Condition("header", "x-a", "exact", "one"), Condition("header", "x-b", "absent"),
                Condition("query", "q", "prefix", "x"),
            )),
        ),
        (
            "{match: {path: /c/*}, pools: {web: 90, api: 10, }, by: 'cookie:user'}",
            Route(path="/c/*", action=Split((("web", 90), ("api", 10)), "cookie:user")),
        ),
        (
            "{match: {host: www.example.com, path: /o/*}, redirect: {scheme: https, prefix: /n/, status: 308}}",
            Route(
                hosts=("www.example.com", "127.0.0.1:8101"), path="/o/*",
                action=Redirect("https://{host}{path}?{query}", 308, "/n/"),
            ),
        ),
        (
            "{match: {path: /r}, respond: {status: 410, body: gone, headers: {X-A: b}}}",
            Route(path="/r", action=Respond(410, b"gone", fields=(("X-A", "b"),))),
        ),
        (
            "{match: {path: /w/*}, pool: api, rewrite: {prefix: /x/}, host: app, mirror: {pool: web, percent: 5}}",
            Route("api", path="/w/*", rewrite=Rewrite("/x/"), forward_host="app", mirror=Mirror("web", 5.0)),
        ),
        (
            "{match: {path: /e}, pool: api, request_headers: {set: {X-A: b}}, response_headers: {remove: [Server]}}",
            Route(
                "api", path="/e", request_fields=HeadEdits(set=(("X-A", "b"),)),
                response_fields=HeadEdits(remove=("Server",)),
            ),
        ),
    ],
)  # fmt: skip
def test_routes_are_what_the_file_says(tmp_path, words, route):
    assert compiled(tmp_path, words) == route


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        ("{match: {path: api}, pool: api}", "is not a path to match", "start it with /"),
        ("{match: {path: /a***b}, pool: api}", "is not a path to match", "** for anything"),
        ("{match: {path: {regex: '(a'}}, pool: api}", "RE2 does not take the pattern", "no look-around"),
        ("{match: {path: {rgex: a}}, pool: api}", "not a path to match", "regex"),
        ("{match: {host: 'a.*.com'}, pool: api}", "is not a host to match", "whole first label"),
        ("{match: {method: get}, pool: api}", "'get' is no method", "capitals"),
        ("{match: {method: TRACE}, pool: api}", "never forwarded", "405"),
        ("{match: {headers: {X: {prfix: a}}}, pool: api}", "unknown key 'prfix'", "prefix"),
        ("{match: {headers: {'X Y': a}}, pool: api}", "is no field name", "letters"),
        ("{match: {query: {'a&b': x}}, pool: api}", "is no parameter's name", "without & and ="),
        ("{match: {path: /x}, pool: wed}", "there is no pool 'wed'", "did you mean 'web'"),
        ("{match: {path: /x}, pools: {web: 1, wed: 1}}", "there is no pool 'wed'", "did you mean 'web'"),
        ("{match: {path: /x}, pool: web, mirror: {pool: apo}}", "there is no pool 'apo'", "api"),
        ("{match: {path: /x}, pools: {web: 0}}", "no pool has a weight", "over 0"),
        ("{match: {path: /x}, pool: web, by: host}", "by shares several pools out", "leave it out"),
        ("{match: {path: /x}}", "leads nowhere", "just one of pool"),
        ("{match: {path: /x}, pool: web, redirect: {path: /y}}", "both pool and redirect", "just one"),
        ("{match: {path: /x}, redirect: {path: /y}, mirror: {pool: web}}", "mirror is for routes", "leave it out"),
        ("{match: {path: /x}, redirect: {}}", "leads nowhere", "write to"),
        ("{match: {path: /x}, redirect: {scheme: https}}", "any host a client names", "name the host"),
        ("{match: {path: /x}, redirect: {to: 'ftp://x'}}", "no place to go", "https://"),
        ("{match: {path: /x}, redirect: {path: /y, status: 200}}", "200 is not known here", "301"),
        ("{match: {path: /a*b}, redirect: {prefix: /y}}", "a pattern has no prefix", "regex"),
        ("{match: {path: /x}, respond: {status: 204, body: x}}", "a 204 has no body", "another status"),
        ("{match: {path: /x}, respond: {headers: {Content-Length: '3'}}}", "the proxy's own to say", "leave it out"),
        ("{match: {path: /x}, pool: web, rewrite: {}}", "this is no rewrite", "write one of"),
        ("{match: {path: /x}, pool: web, rewrite: {regex: '(.*)'}}", "go together", "substitute"),
        (
            "{match: {path: /x}, pool: web, rewrite: {regex: '(.*)', substitute: '/\\2'}}",
            "none of the pattern's 1 groups", "first group",
        ),
        ("{match: {path: /x}, pool: web, request_headers: {set: {Host: a}}}", "the proxy's own", "host: key"),
        ("{match: {path: /x}, pool: web, response_headers: {remove: [Transfer_Encoding]}}", "proxy's own", "leave it"),
        ("{match: {path: /x}, pool: web, host: 'a b'}", "is not a host", "app.internal"),
        ("{match: {path: /x}, pool: web, weight: 10}", "a route has no weight", "pools: {web: 90"),
        ("{match: {path: /x}, pool: web, canary: {pool: api}}", "a route has no canary", "pools: {web: 90"),
    ],
)
def test_mistakes_are_told_with_line_and_remedy(tmp_path, words, message, remedy):
    text = written(words)
    found = problems(tmp_path, text)
    line = text["west.yaml"][: text["west.yaml"].index("- {match")].count("\n") + 1
    assert [problem.line for problem in found] == [line], found
    assert message in found[0].message, found
    assert remedy in found[0].remedy, found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{match: {path: /a/*}, pool: api}", "{match: {path: /a/b}, pool: web}"),
        ("{match: {host: '*.example.com'}, pool: api}", "{match: {host: x.example.com, path: /a}, pool: web}"),
        ("{match: {path: {regex: '/a/[a-z]+'}}, pool: api}", "{match: {path: /a/b}, pool: web}"),
        ("{match: {path: /a, method: [GET, PUT]}, pool: api}", "{match: {path: /a, method: GET}, pool: web}"),
        ("{match: {path: /a}, pool: api}", "{match: {path: /a, headers: {X: y}}, pool: web}"),
    ],
)
def test_a_route_that_nothing_reaches(tmp_path, first, second):
    [problem] = problems(tmp_path, {"west.yaml": changed("west.yaml", OLD, f"    - {first}\n    - {second}\n")})
    assert "no request reaches this route" in problem.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{match: {path: /a, method: GET}, pool: api}", "{match: {path: /a}, pool: web}"),
        ("{match: {path: /a, headers: {X: y}}, pool: api}", "{match: {path: /a, headers: {X: z}}, pool: web}"),
        ("{match: {host: a.example.com}, pool: api}", "{match: {host: '*.example.com'}, pool: web}"),
    ],
)
def test_routes_that_are_reached(tmp_path, first, second):
    assert problems(tmp_path, {"west.yaml": changed("west.yaml", OLD, f"    - {first}\n    - {second}\n")}) == []
