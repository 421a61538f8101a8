import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.request import Request
from gslb.http.fixed import FixedAnswer, Place
from gslb.model import Redirect, Respond

END = b"Date: x\r\n\r\n"


def request(target: bytes = b"/old/a?b=c", host: str = "www.example.com:8080", method: bytes = b"GET") -> Request:
    return Request(method, host, target, b"", b"")


def location(redirect: Redirect, path: str = "/old/*", **asked) -> bytes:
    reply = FixedAnswer(redirect, path).reply(request(**asked), b"http", END)
    [line] = [line for line in reply.split(b"\r\n") if line.startswith(b"Location: ")]
    return line.removeprefix(b"Location: ")


@pytest.mark.parametrize(
    ("to", "prefix", "expected"),
    [
        ("https://{host}{path}?{query}", None, b"https://www.example.com/old/a?b=c"),
        ("{scheme}://{host}{path}", None, b"http://www.example.com:8080/old/a"),
        ("https://new.example.com/x", None, b"https://new.example.com/x"),
        ("https://new.example.com:8443{path}?{query}", "/new/", b"https://new.example.com:8443/new/a?b=c"),
        ("{path}?{query}", "/new/", b"/new/a?b=c"),
        ("/there?from={path}", None, b"/there?from=/old/a"),
    ],
)
def test_places(to, prefix, expected):
    assert location(Redirect(to, 301, prefix)) == expected


def test_an_empty_query_leaves_no_mark():
    assert location(Redirect("https://{host}{path}?{query}"), target=b"/old/a") == b"https://www.example.com/old/a"


@given(st.text("/\\.@:ab%2f", max_size=12).map("/".__add__), st.sampled_from(["{path}?{query}", "{path}"]))
def test_a_place_without_a_host_never_leads_to_another_host(path, to):
    for prefix in (None, "/", "/new"):
        found = location(Redirect(to, 302, prefix), "/*", target=path.encode())
        assert found[:1] == b"/"
        assert found[1:2] not in (b"/", b"\\")


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("ftp://a/", "no place to go"),
        ("example.com/", "no place to go"),
        ("https://{path}", "names no host"),
        ("https:///x", "names no host"),
        ("https://a b/", "names no host"),
        ("https://a/{hots}", "can't stand there"),
        ("https://a/{host}", "can't stand there"),
        ("https://a/ b", "holds what no URL may"),
    ],
)
def test_places_that_are_none(to, says):
    with pytest.raises(ValueError, match=says):
        Place(to)


@pytest.mark.parametrize(("status", "phrase"), [(301, b"Moved Permanently"), (308, b"Permanent Redirect")])
def test_a_redirect_is_whole(status, phrase):
    reply = FixedAnswer(Redirect("/x", status), "").reply(request(), b"http", END)
    assert reply == b"HTTP/1.1 %d %b\r\nContent-Length: 0\r\nLocation: /x\r\nDate: x\r\n\r\n" % (status, phrase)


def test_an_answer():
    answer = FixedAnswer(Respond(418, b"short and stout", "text/plain", (("X-A", "1"),)), "")
    head = b"HTTP/1.1 418 I'm a Teapot\r\nContent-Length: 15\r\nContent-Type: text/plain\r\nX-A: 1\r\nDate: x\r\n\r\n"
    assert answer.reply(request(), b"http", END) == head + b"short and stout"
    assert answer.reply(request(method=b"HEAD"), b"http", END) == head


@pytest.mark.parametrize(("status", "field"), [(204, b""), (304, b""), (205, b"Content-Length: 0\r\n")])
def test_answers_without_a_body(status, field):
    reply = FixedAnswer(Respond(status), "").reply(request(), b"http", END)
    assert (b"Content-Length" in reply) is bool(field)


def test_asterisk_has_no_path():
    assert location(Redirect("https://{host}{path}"), target=b"*", method=b"OPTIONS") == b"https://www.example.com/"


def test_which_places_name_the_host():
    assert Place("https://{host}/").names_host
    assert not Place("https://a/").names_host
    assert not Place("/x").absolute
