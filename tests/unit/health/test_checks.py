import pytest

from gslb.health.check import Reply
from gslb.health.checks.http import HttpCheck
from gslb.health.checks.tcp import TcpCheck


@pytest.mark.parametrize(
    ("expect", "status", "ok"),
    [
        ("200-399", 200, True),
        ("200-399", 302, True),
        ("200-399", 400, False),
        ("200-399", 199, False),
        ("204", 204, True),
        (204, 204, True),  # as YAML reads a bare number
        (204, 200, False),
        ("200, 204 ,300-301", 301, True),
        ("200,204", 201, False),
    ],
)
def test_status(expect, status, ok):
    result = HttpCheck(expect=expect).judge(Reply(status))
    assert result.ok is ok
    assert str(status) in result.why


def test_body_must_hold_the_text():
    check = HttpCheck(body="ready")
    assert check.judge(Reply(200, body=b"state: ready")).ok
    failed = check.judge(Reply(200, body=b"state: starting"))
    assert (failed.ok, failed.why) == (False, "status 200, but the body lacks 'ready'")


def test_request():
    request = HttpCheck(path="/h?x=1", method="HEAD", host="www.example.com").request()
    assert (request.method, request.path, request.headers) == ("HEAD", "/h?x=1", {"Host": "www.example.com"})
    assert HttpCheck().request().headers == {}
    assert TcpCheck().request() is None
    assert TcpCheck().judge(Reply()).ok


@pytest.mark.parametrize(
    "options",
    [
        {"path": "health"},
        {"path": "/a b"},
        {"path": "/a#b"},
        {"path": "/a\r\nX: y"},
        {"method": "POST"},
        {"expect": "2xx"},
        {"expect": "299-200"},
        {"expect": "99"},
        {"expect": ""},
        {"expect": (200, 299)},
        {"host": "a b"},
        {"host": "a\r\nb"},
        {"body": "x" * 2000},
        {"body": "x", "method": "HEAD"},
    ],
)
def test_options_that_cannot_be_meant(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        HttpCheck(**options)
