import pytest

from gslb.health.check import Reply
from gslb.health.checks.dns import DnsCheck
from gslb.health.checks.http import HttpCheck
from gslb.health.checks.tcp import TcpCheck
from gslb.health.checks.tls import DAY_S, TlsCheck


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


# ---------------------------------------------------------------- no HTTP; real servers: tests/io/test_health_kinds.py
def test_tcp_is_judged_by_what_it_says():
    check = TcpCheck(send=r"PING\r\n", expect=r"+PONG\r\n")
    assert check.request().send == b"PING\r\n"
    assert not check.whole(b"+PONG")
    assert check.whole(b"x+PONG\r\n")
    assert check.judge(Reply(body=b"+PONG\r\n")).ok
    assert check.judge(Reply(body=b"-ERR")).why == r"it does not say '+PONG\\r\\n' but b'-ERR'"


def test_an_answer_of_the_dns_is_whole_when_its_length_says_so():
    check = DnsCheck("www.example.com")
    sent = check.request().send
    assert int.from_bytes(sent[:2], "big") == len(sent) - 2
    assert not check.whole(b"")
    assert not check.whole(b"\0\5abcd")
    assert check.whole(b"\0\5abcde")
    assert not check.judge(Reply(body=sent)).ok  # a question is no answer


@pytest.mark.parametrize(("days", "ok"), [(30.0, True), (29.9, False), (-1.0, False)])
def test_a_certificate_must_hold_for_long_enough(days, ok):
    assert TlsCheck(min_days=30).judge(Reply(expires_in_s=days * DAY_S)).ok is ok
    assert not TlsCheck().judge(Reply()).ok
