import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.check import DAY_S, Reply, Result
from gslb.health.checks.dns import DnsCheck
from gslb.health.checks.exec import ExecCheck
from gslb.health.checks.grpc import GrpcCheck
from gslb.health.checks.http import HttpCheck
from gslb.health.checks.tcp import TcpCheck
from gslb.health.checks.tls import TlsCheck


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


# ---------------------------------------------------------------- http: headers and the certificate
def test_headers_are_sent_and_the_host_is_for_the_option_of_that_name():
    asked = HttpCheck(host="www.example.com", headers=("X-Probe: gslb", "Accept:text/plain ")).request()
    assert asked.headers == {"Host": "www.example.com", "X-Probe": "gslb", "Accept": "text/plain"}


@pytest.mark.parametrize(
    "line", ["no colon", "Host: x", "Connection: close", "X: a\r\nY: b", "X Y: z", ": empty", "X: " + "x" * 2000]
)
def test_headers_that_can_not_be_sent_are_refused(line):
    with pytest.raises(ValueError, match="headers"):
        HttpCheck(headers=(line,))


def test_a_certificate_that_ends_soon_takes_it_down_only_if_asked_to():
    soon = Reply(200, expires_in_s=3 * DAY_S + 60)
    assert HttpCheck().judge(soon) == Result(True, "status 200, its certificate holds for 3 days")
    assert HttpCheck(min_days=7).judge(soon) == Result(False, "its certificate ends in 3.0 days, wanted are 7")


# ---------------------------------------------------------------- exec
@pytest.mark.parametrize(
    "command", [(), ("check",), ("/bin/true", "x" * 2000), ("/bin/true",) * 33, ("/bin/true", "a\0b")]
)
def test_a_command_that_can_not_be_run_is_refused(command):
    with pytest.raises(ValueError, match="command"):
        ExecCheck(command)


def test_a_programs_first_line_is_told_without_what_could_harm_a_terminal():
    said = ExecCheck(("/bin/true",)).judge(Reply(2, body=b"\x1b[31mred\x07\nmore\n"))
    assert said == Result(False, "exit status 2: ?[31mred?")


# ---------------------------------------------------------------- grpc
@pytest.mark.parametrize("options", [{"service": "a b"}, {"service": "x" * 257}, {"authority": "a b"}])
def test_grpc_options_that_can_not_be_meant_are_refused(options):
    with pytest.raises(ValueError, match="is no"):
        GrpcCheck(**options)


@given(st.binary(max_size=300))
def test_whatever_a_server_says_is_read_without_harm(data):
    check = GrpcCheck("shop.Cart")
    assert not check.judge(Reply(body=data)).ok
    assert check.whole(data) in {True, False}


def serving(status, *, trailers=(("grpc-status", "0"),), body=None):
    """What a server says, by h2's other side: another reader of the same frames."""
    config = H2Configuration(client_side=False)
    server = H2Connection(config)
    server.initiate_connection()
    server.receive_data(GrpcCheck().request().send)
    server.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    message = bytes((8, status)) if body is None else body
    server.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message)
    server.send_headers(1, list(trailers), end_stream=True)
    return server.data_to_send()


@pytest.mark.parametrize(
    ("said", "ok", "why"),
    [
        (serving(1), True, "it is SERVING"),
        (serving(2), False, "it is NOT_SERVING"),
        (serving(0, body=b""), False, "it is UNKNOWN"),
        (serving(9), False, "it is in words that can't be read"),
        (serving(1, trailers=(("grpc-status", "14"),)), False, "gRPC status UNAVAILABLE"),
        (serving(1, trailers=(("grpc-status", "x"),)), False, "gRPC status none that is a number"),
        (serving(1)[:-5], False, "the connection ended before the answer did"),
    ],
)
def test_what_a_grpc_server_says_decides(said, ok, why):
    assert GrpcCheck().judge(Reply(body=said)) == Result(ok, why)
    assert GrpcCheck().whole(said) is (why != "the connection ended before the answer did")
